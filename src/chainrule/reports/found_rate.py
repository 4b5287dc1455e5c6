"""A learning rate that was found, as a document: the answer, the picture, the regions, what was tried, the cost."""

import math
from statistics import median
from typing import Final

from chainrule.data.wording import count_of, join_names
from chainrule.documents import Block, Callout, Cell, Chart, Column, Document, Fold, Heading, Prose, Series, Table
from chainrule.probes.found_rate import FoundRate, RangeCurve, StabilityLimit, TwinRun

_ABOVE: Final = 8.0  # times the loss at the start: where a curve leaves the picture
_BELOW: Final = 1e-12


def found_rate_document(found: FoundRate) -> Document:
    """Return what there is to see of a learning rate that was found, or why there is none."""
    blocks: list[Block] = _answer(found)
    if chart := rate_chart(found):
        blocks.append(chart)
    if found.regions:
        rows = tuple((one.name, one.low, one.high, one.shown_by) for one in found.regions)
        columns = (Column("rates"), Column("from", ".3g"), Column("to", ".3g"), Column("shown by"))
        blocks += [Heading("Regions"), Table(columns, rows)]
    blocks += [Heading("What was tried and seen"), *(Prose(sentence) for sentence in tried(found))]
    if found.twins:
        table = _twin_table(found.twins)
        blocks.append(Fold("The short runs", (table,), folds_on_terminal=True))
    return Document(f"Learning rate for {found.name}, {found.optimizer}", tuple(blocks))


def _answer(found: FoundRate) -> list[Block]:
    blocks: list[Block] = []
    if found.suggestion is None:
        blocks.append(Callout("error", "No learning rate can be suggested."))
    else:
        blocks.append(Callout("good", f"Suggested learning rate: {_number(found.suggestion)}.{_good(found)}"))
        reason = f": {_begun_small(found.why_so_sure)}" if found.why_so_sure else "."
        blocks.append(Prose(f"{found.certainty.capitalize()}{reason}"))
        blocks.append(Prose(_present(found)))
    return blocks + [Callout(finding.severity, str(finding)) for finding in found.findings]


def _good(found: FoundRate) -> str:
    if found.low is None or found.high is None or found.low == found.high:
        return ""
    return f" Good rates go from {_number(found.low)} to {_number(found.high)}."


def _present(found: FoundRate) -> str:
    """Say where the optimizer's own rate lies."""
    rate = f"The optimizer's own rate, {_number(found.present)}, "
    for region in found.regions:
        if (region.low is None or region.low <= found.present) and (
            region.high is None or found.present <= region.high
        ):
            return f"{rate}is among the {'good' if region.name == 'good' else region.name} ones."
    if found.low is None:
        return f"{rate}was not compared with it."
    if found.present < found.low:
        return f"{rate}is below the good ones."
    return f"{rate}is above the good ones."


def tried(found: FoundRate) -> list[str]:
    """Say in sentences what was tried, what was seen, and what it cost."""
    sentences = []
    if math.isfinite(found.start_loss):
        noise = f", ±{found.noise:.2g} from batch to batch" if found.noise > 0 else ""
        sentences.append(f"The loss at the start is {found.start_loss:.4g}{noise}.")
    if found.curves:
        sentences.append(_range_sentence(found.curves))
    if found.limit is not None:
        sentences.append(_limit_sentence(found.limit))
    if found.twins:
        sentences.append(_twin_sentence(found.twins))
    if len(found.seeds) > 1 and math.isfinite(found.spread):
        sentences.append(
            f"Repeated over {count_of(len(found.seeds), 'seed')}: the suggestions of single seeds differ by a factor "
            f"of {found.spread:.3g}."
        )
    return [*sentences, _cost(found), *found.notes]


def _range_sentence(curves: tuple[RangeCurve, ...]) -> str:
    low = min(point.rate for curve in curves for point in curve.points)
    high = max(point.rate for curve in curves for point in curve.points)
    updates = sorted({len(curve.points) for curve in curves})
    each = f"{updates[0]}" if len(updates) == 1 else f"{updates[0]} to {updates[-1]}"
    what = count_of(len(curves), "range test")
    text = f"{what}, {each} updates each at rates that rise from {low:.2g} to {high:.2g}:"
    falls = [curve.descent for curve in curves if curve.descent is not None]
    edges = [curve.edge for curve in curves if curve.edge is not None]
    seen = [f"the loss begins to fall at {_several(falls)}" if falls else "the loss never falls clearly"]
    seen.append(f"leaves at {_several(edges)}" if edges else "does not leave up to the highest rate")
    return f"{text} {' and '.join(seen)}."


def _limit_sentence(limit: StabilityLimit) -> str:
    exact = "exactly " if limit.is_exact else ""
    return (
        f"Stability limit: {exact}{limit.limit:.7g} = {limit.formula} with the largest curvature λ = "
        f"{limit.curvature:.7g}, from {count_of(limit.products, 'Hessian-vector product')} "
        f"(relative residual {limit.residual:.1g}). {limit.words}"
    )


def _twin_sentence(twins: tuple[TwinRun, ...]) -> str:
    rates = sorted({run.rate for run in twins})
    seeds = len({run.seed for run in twins})
    lengths = sorted({len(run.losses) for run in twins})
    each = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    unstable = sum(not run.is_stable for run in twins)
    lost = f"; {unstable} of them did not end finite and below their start" if unstable else ""
    where = f"at {join_names([_number(rate) for rate in rates], 12)}"
    return (
        f"{count_of(len(twins), 'short run')} of {each} updates {where}, over {count_of(seeds, 'seed')}; runs of one "
        f"seed have the same weights and batches{lost}."
    )


def _cost(found: FoundRate) -> str:
    share = found.spent / found.planned if found.planned else math.nan
    parts = ", ".join(f"{purpose} {spent:.4g}" for purpose, spent in found.cost.items())
    by = f" ({parts})" if parts else ""
    return (
        f"Cost: {found.spent:.4g} gradient evaluations{by}, {share:.1%} of the {found.planned:.4g} of the planned "
        f"training; {found.allowed:.4g} were allowed. Everything is as it was before."
    )


def _several(values: list[float]) -> str:
    middle = f"{median(values):.2g}"
    spread = f" ({min(values):.2g} to {max(values):.2g})" if len(values) > 1 and min(values) != max(values) else ""
    return middle + spread


def _number(value: float) -> str:
    return f"{value:.3g}"


def _begun_small(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


# The picture and the table


def rate_chart(found: FoundRate) -> Chart | None:
    """Return the one picture: range tests, ends of the short runs, the good region, the limit and the suggestion."""
    series = [*_range_series(found.curves), *_twin_series(found.twins)]
    kept = [_within(one, found.start_loss) for one in series]
    kept = [one for one in kept if one.x]
    heights = [height for one in kept for height in one.y if math.isfinite(height)]
    if not heights:
        return None
    low, high = min(heights), max(heights)
    marks = [("suggestion", found.suggestion), ("good from", found.low), ("good to", found.high)]
    if found.limit is not None:
        marks.append(("stability limit", found.limit.limit))
    drawn = [
        Series(f"{name} {rate:.3g}", (rate, rate), (low, high), "dashed")
        for name, rate in marks
        if rate is not None and not (name.startswith("good") and rate == found.suggestion)
    ]
    is_log = low > 0 and high / low >= 20
    captions = ["Range test: one run whose rate rises at every update."] if found.curves else []
    if found.twins:
        captions.append(_ends_caption(found.twins))
    return Chart(
        "find-lr",
        "Loss against learning rate",
        "learning rate",
        "loss",
        (*kept, *drawn),
        "log",
        "log" if is_log else "linear",
        " ".join(captions),
    )


def _ends_caption(twins: tuple[TwinRun, ...]) -> str:
    """Say where the points of short runs stand, and that runs of different lengths are not compared by height."""
    lengths = sorted({len(run.losses) for run in twins})
    if len(lengths) == 1:
        return f"Short runs: where each ended, after {count_of(lengths[0], 'update')}; lower is better."
    return (
        f"Short runs: where each ended, after {lengths[0]} to {lengths[-1]} updates; compare runs of equal length only."
    )


def _range_series(curves: tuple[RangeCurve, ...]) -> list[Series]:
    several = len(curves) > 1
    return [
        Series(
            f"range test, seed {curve.seed}" if several else "range test",
            tuple(point.rate for point in curve.points),
            tuple(point.smoothed for point in curve.points),
        )
        for curve in curves
    ]


def _twin_series(twins: tuple[TwinRun, ...]) -> list[Series]:
    groups = (("short runs", True), ("short runs, unstable", False))
    found = []
    for name, is_stable in groups:
        runs = [run for run in twins if run.is_stable is is_stable]
        found.append(Series(name, tuple(run.rate for run in runs), tuple(run.score for run in runs), "points"))
    return found


def _within(series: Series, start: float) -> Series:
    """Leave out what is not finite, or so far above the start that nothing else could be seen."""
    ceiling = _ABOVE * abs(start) if math.isfinite(start) and start else math.inf
    kept = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y) and _BELOW < y <= ceiling]
    if start <= 0:  # a loss that may be negative has no such bounds
        kept = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    return Series(series.name, tuple(x for x, _ in kept), tuple(y for _, y in kept), series.style)


def _twin_table(twins: tuple[TwinRun, ...]) -> Table:
    columns = (
        Column("rate", ".4g"),
        Column("seed"),
        Column("updates"),
        Column("loss at start", ".4g"),
        Column("at end", ".4g"),
        Column("score", ".4g"),
        Column("stable"),
    )
    rows: list[tuple[Cell, ...]] = []
    for run in sorted(twins, key=lambda one: (one.rate, one.seed)):
        first, last = (run.losses[0], run.losses[-1]) if run.losses else (None, None)
        rows.append((run.rate, run.seed, len(run.losses), first, last, run.score, "yes" if run.is_stable else "no"))
    return Table(columns, tuple(rows), "Among runs of as many updates, lower scores are better.")
