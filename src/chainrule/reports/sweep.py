"""A sweep as a document: what was found in sentences, the loss curves, where each value ends, and the numbers."""

from typing import Final

from chainrule.data.wording import count_of, join_names
from chainrule.documents import (
    Block,
    Callout,
    Cell,
    Column,
    Document,
    Fold,
    Heading,
    Prose,
    Table,
)
from chainrule.reports.sweep_charts import curve_charts, end_charts, named, values_of
from chainrule.sweeps import Border, Sweep
from chainrule.sweeps.sweep_result import MARGIN

_PHASES: Final = (
    ("too slow", "the loss fell by little, and falls at the end as it did at the start: a larger value would get on"),
    ("converging", "the loss falls, has settled at the lowest that can be reached, or is solved"),
    ("oscillating", "the loss goes up and down, and its rises undo what it falls by"),
    ("saturated", "stuck on a plateau: the loss no longer moves and gradients vanish, though it is not solved"),
    ("diverging", "the loss is no longer finite, or ends above its start"),
)


def sweep_document(sweep: Sweep) -> Document:
    """Return what a sweep found."""
    keys = join_names([axis.key for axis in sweep.points.axes])
    blocks: list[Block] = [
        *_found(sweep),
        *curve_charts(sweep),
        *end_charts(sweep),
        Heading("The runs"),
        *_tables(sweep),
    ]
    phases = Table((Column("phase"), Column("means")), tuple(_PHASES))
    blocks.append(Fold("What the phases mean", (phases,), folds_on_terminal=True))
    return Document(f"Sweep of {sweep.task.name} over {keys}", tuple(blocks))


def _found(sweep: Sweep) -> list[Block]:
    outcome = sweep.outcome
    counts = [f"{count} {phase}" for phase, count in sweep.counts.items() if count]
    done = int(outcome.is_done.sum())
    total = count_of(len(sweep), "run")
    what = total if done == len(sweep) else f"{done} of {total}"
    blocks: list[Block] = [Prose(f"{what}, {count_of(outcome.steps, 'update')} each: {join_names(counts)}.")]
    if outcome.was_interrupted:
        blocks.append(Callout("warning", "The sweep was interrupted: what follows is about the runs that were done."))
    blocks += _best_blocks(sweep)
    blocks += [Prose(sentence) for border in sweep.borders for sentence in _border_sentences(sweep, border)]
    if rising := _rising(sweep):
        blocks.append(Prose(rising))
    how = f"Engine: {outcome.engine}, {outcome.seconds:.1f} s. {outcome.why}".strip()
    return [*blocks, Prose(how), *(Prose(note) for note in outcome.notes)]


def _best_blocks(sweep: Sweep) -> list[Block]:
    best, chosen = sweep.best, sweep.recommended
    if best is None or chosen is None:
        return [Callout("error", "No run trains: every one diverges or is stuck. Try smaller values.")]
    seen = best.verdict.evidence
    solved = seen.solved_at is not None
    ends = f"solved after {count_of(seen.solved_at or 0, 'update')}" if solved else f"the loss ends at {seen.end:.4g}"
    blocks: list[Block] = [Callout("good", f"Best: {named(best.point)}: {ends}.")]
    if sweep.axis is None:
        return blocks
    key = sweep.axis.key
    if best.run != chosen.run and best.margin is not None:
        blocks.append(
            Callout(
                "note",
                f"Recommended: {named(chosen.point)}, {_distance(chosen.margin)}. The best is only a factor "
                f"{best.margin:.3g} below it, and other data or another seed move the border.",
            )
        )
    elif best.margin is not None and best.margin < MARGIN:
        near = f"No value that trains is a factor {MARGIN:g} below the first that fails; the best is {best.margin:.3g}."
        blocks.append(Callout("warning", f"{near} Try smaller values."))
    elif best.margin is not None:
        blocks.append(Prose(f"It is also what is recommended: {_distance(best.margin)}."))
    elif best.point[key] == max(values_of(sweep.axis)):
        blocks.append(Prose(f"It is the largest {key} that was tried: larger ones may be better still."))
    return blocks


def _distance(margin: float | None) -> str:
    if margin is None:
        return "with no value beyond it that fails"
    return f"a factor {margin:.3g} below the first value that fails"


def _border_sentences(sweep: Sweep, border: Border) -> list[str]:
    key = border.key
    begin = f"With {named(dict(border.others))}: " if border.others else ""
    if border.first is None:
        if border.phase == "saturated":
            return []
        return [f"{begin}Edge of divergence not reached: no {key} up to {border.largest:.6g} diverges."]
    word = "diverges" if border.phase == "diverging" else "saturates"
    if border.below is None:
        text = f"already the smallest {key}, {border.first:.4g}, {word}"
    else:
        text = f"{key} {border.below:.4g} does not {word[:-1]}, {border.first:.4g} does"
    title = "Edge of divergence" if border.phase == "diverging" else "Saturation begins"
    extra = f" ({count_of(len(border.extra), 'more run')} narrowed it down)" if border.extra else ""
    sentences = [f"{begin}{title}: {text}{extra}."]
    if border.returns:
        values = join_names([f"{value:.4g}" for value in border.returns])
        sentences.append(f"{begin}Beyond it {values} trains all the same: this border is not a single value.")
    return sentences


def _rising(sweep: Sweep) -> str:
    """Say from where on the loss rises on some step, where values can be put in order."""
    if sweep.axis is None or len(sweep.points.axes) > 1:
        return ""
    key = sweep.axis.key
    if any(verdict.evidence.width > 1 or verdict.evidence.noise for verdict in sweep.verdicts if verdict is not None):
        return ""  # batches differ, so every loss rises now and then
    pairs = sorted(
        (float(point[key]), verdict.evidence.rises > 0 or verdict.evidence.lost_at is not None)
        for point, verdict in zip(sweep.points, sweep.verdicts, strict=True)
        if verdict is not None
    )
    rising = [value for value, rises in pairs if rises]
    if not rising:
        return f"The loss never rises, at any {key} up to {pairs[-1][0]:.6g}." if pairs else ""
    always = all(rises for value, rises in pairs if value >= rising[0])
    return f"The smallest {key} at which the loss rises on some step is {rising[0]:.4g}." + (
        "" if always else " Not every larger one makes it rise."
    )


# The tables


def _tables(sweep: Sweep) -> list[Block]:
    """Return the phase and the evidence of each run, and behind a fold the reasons."""
    starts = {verdict.evidence.start for verdict in sweep.verdicts if verdict is not None}
    have_own_start = len(starts) > 1  # both losses stand there then, and with their ratio 80 columns are too few
    headers = [("at start", ".4g"), ("at end", ".4g")] if have_own_start else [("at end", ".4g"), ("of start", ".3g")]
    headers += [("rose on", ".3g"), ("moves", ".2g"), ("gradient", ".2g")]
    values = [Column(axis.key, ".4g") for axis in sweep.points.axes]
    columns = [*values, Column("phase"), *(Column(header, form) for header, form in headers)]
    rows: list[tuple[Cell, ...]] = []
    reasons: list[tuple[Cell, ...]] = []
    for point, verdict in zip(sweep.points, sweep.verdicts, strict=True):
        if verdict is None:
            rows.append((*point.values(), "not run", *[None] * len(headers)))
            continue
        seen = verdict.evidence
        end = seen.end if seen.lost_at is None else None
        share = end / seen.start if end is not None and seen.start else None
        losses = (seen.start, end) if have_own_start else (end, share)
        rows.append((*point.values(), verdict.phase, *losses, seen.rises, seen.movement, seen.gradient_ratio()))
        reasons.append((*point.values(), verdict.phase, verdict.reason))
    start = f"The loss at the start is {next(iter(starts)):.4g}. " if len(starts) == 1 else ""
    caption = (
        f"{start}at end: the mean loss over the last tenth of the updates; "
        f"{'' if have_own_start else 'of start: over that at the start; '}rose on: the share of updates "
        "after which the loss was higher; moves: highest minus lowest loss of the last tenth, "
        "over their mean; gradient: the norm of the last over that of the first."
    )
    why = Table((*values, Column("phase"), Column("why")), tuple(reasons))
    return [
        Table(tuple(columns), tuple(rows), caption),
        Fold("Why each run is judged so", (why,), folds_on_terminal=True),
    ]
