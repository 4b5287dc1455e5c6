"""A comparison of activations as a document: what was found in sentences, one picture, and the numbers behind it."""

import math
from collections.abc import Iterator

from chainrule.data.wording import count_of, join_names
from chainrule.documents import Block, Callout, Cell, Chart, Column, Document, Fold, Heading, Prose, Series, Table
from chainrule.findings import Finding
from chainrule.formulas import number_text
from chainrule.probes.choice import ActivationChoice, Compared
from chainrule.probes.gains import LARGEST, SMALLEST
from chainrule.probes.output_advice import OutputAdvice
from chainrule.probes.ranking import Difference, Ranking

_CEILING = 3.0  # times the largest loss before training: where the picture ends


def activation_choice_document(choice: ActivationChoice) -> Document:
    """Return what a comparison of activations found."""
    blocks: list[Block] = [*_left_off(choice), Prose(_tried(choice))]
    blocks += _answer(choice)
    blocks += [_finding(each) for each in choice.findings]
    blocks += [Prose(note) for note in choice.notes]
    if choice.candidates:
        blocks += [_picture(choice), Heading("The runs"), _runs_table(choice)]
        blocks += [Heading("Before training"), _gains_table(choice), *_layers(choice)]
    if choice.advice is not None:
        blocks += _advice(choice.advice)
    return Document(f"Activations for {choice.name}", tuple(blocks))


def _left_off(choice: ActivationChoice) -> Iterator[Block]:
    """Say that an interruption left nothing to rank."""
    if choice.was_interrupted and choice.ranking is None and len(choice.candidates) < 2:
        finished = f"only {choice.candidates[0].label}" if choice.candidates else "no activation"
        yield Callout("warning", f"There is no ranking: {finished} was finished before the interruption.")


def _tried(choice: ActivationChoice) -> str:
    names = ", ".join(each.label for each in choice.candidates) or "nothing"
    return (
        f"Compared: {names}, in {count_of(len(choice.replaced), 'hidden layer')}. {count_of(choice.runs, 'run')} of "
        f"{count_of(choice.steps, 'update')} each: for every activation the rate of {choice.optimizer} was tuned with "
        f"{count_of(len(choice.tuning_seeds), 'seed')}, in whole decades and then in quarters round the best, and the "
        f"best rate was run with {len(choice.seeds)} other seeds. A seed decides the same initial draws and the same "
        f"batches for all. Initial weights: {choice.initialiser}. Judged by the {choice.judged_by} after the last "
        f"update. Engine: {choice.engine or 'none'}, {choice.seconds:.1f} s."
    )


def _answer(choice: ActivationChoice) -> Iterator[Block]:
    ranking = choice.ranking
    if ranking is None:
        return
    yield Callout("good", f"Recommended: {ranking.chosen}. {ranking.reason}")
    worse = [each for each in ranking.differences if each.is_shown]
    best = ranking.order[0]
    if worse:
        yield Prose(f"Shown to be worse than {best}: {join_names([each.candidate for each in worse])}.")
    if ranking.tied:
        yield Prose(f"No evidence of a difference from {best}: {join_names(list(ranking.tied))}.")
    if choice.changes:
        lines = ", ".join(f"{key} = {_toml(value)}" for key, value in choice.changes.items())
        yield Prose(f"As a task says it: {lines}.")


def _finding(finding: Finding) -> Callout:
    text = f"{finding.claim} {finding.remedy}".strip()
    return Callout(finding.severity, text)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _picture(choice: ActivationChoice) -> Chart:
    starts = [each.start for each in choice.candidates if math.isfinite(each.start)]
    ceiling = _CEILING * max(starts, default=math.inf)
    series = tuple(
        Series(
            each.label,
            tuple(tried.rate for tried in each.rates),
            tuple(tried.score if tried.score <= ceiling else math.nan for tried in each.rates),
        )
        for each in choice.candidates
    )
    scores = [score for each in series for score in each.y if math.isfinite(score)]
    is_log = bool(scores) and min(scores) > 0  # what matters are the minima, and how they stand to one another
    return Chart(
        "activation-rates",
        "Where each activation ends, at its rates",
        "learning rate",
        choice.judged_by,
        series,
        "log",
        "log" if is_log else "linear",
        f"Means over {count_of(len(choice.tuning_seeds), 'seed')}; a run that ends above the loss before training "
        "counts as that. Each activation is compared at the rate where its own curve, smoothed, is lowest.",
    )


def _runs_table(choice: ActivationChoice) -> Table:
    differences = {} if choice.ranking is None else {each.candidate: each for each in choice.ranking.differences}
    order = choice.ranking.order if choice.ranking else tuple(each.label for each in choice.candidates)
    columns = (
        Column("activation"),
        Column("rate", ".3g"),
        Column("mean loss", ".4g"),
        Column("worse by", ".3g"),
        Column("from", ".3g"),
        Column("to", ".3g"),
        Column("verdict"),
    )
    rows = tuple(_run_row(choice.candidate(name), differences.get(name), choice.ranking) for name in order)
    return Table(columns, rows, _interval_caption(choice))


def _run_row(each: Compared, difference: Difference | None, ranking: Ranking | None) -> tuple[Cell, ...]:
    finite = [value for value in each.losses if math.isfinite(value)]
    lost = len(each.losses) - len(finite)
    mean = math.fsum(finite) / len(finite) if finite else None
    words = [f"{lost} diverged"] if lost else []
    if difference is not None:
        words.insert(0, "worse" if difference.is_shown else "no evidence")
    elif ranking is not None:
        words.insert(0, "lowest mean")
    interval = (None, None, None) if difference is None else (difference.mean, difference.low, difference.high)
    return (each.label, each.rate, mean, *interval, ", ".join(words))


def _interval_caption(choice: ActivationChoice) -> str:
    if choice.ranking is None:
        return f"The {choice.judged_by} after the last update, over {len(choice.seeds)} seeds."
    ranking = choice.ranking
    held = f"which holds with {ranking.level:.0%}"
    if ranking.comparisons > 1:
        held = f"widened (Bonferroni) so that all {ranking.comparisons} pairs' hold at once with {ranking.level:.0%}"
    return (
        f"The {choice.judged_by} after the last update, over {len(choice.seeds)} seeds. Worse by: the mean of the "
        "differences from the first, seed by seed; a loss above the one before training counts as that. From, to: "
        f"Student's interval, {held}; where it spans 0 there is no evidence of a difference."
    )


def _gains_table(choice: ActivationChoice) -> Table:
    columns = (
        Column("activation"), Column("gain", ".4g"), Column("variance", ".3g"), Column("χ", ".3g"),
        Column("χ, all", ".3g"), Column("dead", ".1%"), Column("saturated", ".1%"), Column("remark"),
    )  # fmt: skip
    rows = tuple(_gain_row(each) for each in choice.candidates)
    return Table(
        columns,
        rows,
        "Measured on the training part. Variance: of a layer's outputs over that of its inputs. χ: the factor by which "
        "a layer multiplies the mean square of a small change of its inputs; over all layers together it should stay "
        f"between {number_text(SMALLEST)} and {number_text(LARGEST)}. Dead: units without a slope on any sample. "
        "Saturated: slopes below 0.01 in size. Factors are geometric means over the layers, shares those of the layer "
        "that has most.",
    )


def _gain_row(each: Compared) -> tuple[Cell, ...]:
    remark = "" if not each.is_extreme else "changes die out" if each.chi < 1 else "changes blow up"
    return (
        each.label,
        each.gain,
        _geometric([layer.variance_factor for layer in each.layers]),
        _geometric([layer.chi for layer in each.layers]),
        each.chi,
        max((layer.dead for layer in each.layers), default=math.nan),
        max((layer.saturated for layer in each.layers), default=math.nan),
        remark,
    )


def _geometric(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    if not known or min(known) <= 0:
        return math.nan if not known else 0.0
    return math.exp(math.fsum(map(math.log, known)) / len(known))


def _layers(choice: ActivationChoice) -> Iterator[Fold]:
    columns = (
        Column("activation"), Column("layer"), Column("variance factor", ".3g"), Column("χ", ".3g"),
        Column("dead units", ".1%"), Column("saturated", ".1%"),
    )  # fmt: skip
    rows = tuple(
        (each.label, layer.layer, layer.variance_factor, layer.chi, layer.dead, layer.saturated)
        for each in choice.candidates
        for layer in each.layers
    )
    yield Fold("Each layer before training", (Table(columns, rows),), folds_on_terminal=True)
    tried = tuple((each.label, one.rate, one.score) for each in choice.candidates for one in each.rates)
    table = Table((Column("activation"), Column("rate", ".3g"), Column("mean loss", ".4g")), tried)
    yield Fold("Every rate that was tried", (table,), folds_on_terminal=True)


def _advice(advice: OutputAdvice) -> list[Block]:
    blocks: list[Block] = [
        Heading("The output layer and the loss"),
        Prose(f"{advice.targets} Output activation: {advice.activation}. Loss: {advice.loss}."),
    ]
    if advice.present:
        blocks.append(Prose(f"The task has: {advice.present}."))
    blocks += [Callout("warning", text) for text in advice.objections]
    blocks.append(
        Table((Column("of"), Column("computed")), tuple((fact.about, fact.sentence) for fact in advice.facts))
    )
    return blocks
