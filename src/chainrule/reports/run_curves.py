"""Loss, metric, learning rate and penalties of a run over its updates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chainrule.data.wording import join_names
from chainrule.documents import Block, Chart, Heading, Prose, Series
from chainrule.trace import Curve, History
from chainrule.training import Run

_STEP = "updates done"


def curve_blocks(run: Run) -> list[Block]:
    """Return the curves of loss, metric and learning rate; a rate that never changes is a sentence."""
    history = run.history
    losses = {
        "loss": "training loss, each update",
        "epoch/loss": "training loss, mean of the epoch",
        "epoch/validation_loss": "validation loss",
        "data_loss": "training loss without penalties",
    }
    is_positive = all(value > 0 for name in losses for value in history[name].values)
    charts: list[Block] = [run_chart("loss", "Loss", "loss", present(history, losses), is_log=is_positive)]
    metrics = {"epoch/train_metric": "training", "epoch/validation_metric": "validation"}
    shown = present(history, metrics)
    if shown:
        name = metric_name(run)
        charts.append(run_chart("metric", name[:1].upper() + name[1:], name, shown))
    rates = set(history["lr"].values)
    if len(rates) > 1:
        series = present(history, {"lr": "learning rate"})
        charts.append(run_chart("learning-rate", "Learning rate", "learning rate", series))
    notes = [Prose(f"The learning rate is {rate:g} in every update.") for rate in rates] if len(rates) == 1 else []
    return [Heading("Curves"), *charts, *notes]


def metric_name(run: Run) -> str:
    """Return what the metric of a run is called: accuracy, R²."""
    names = [evaluation.metric_name for evaluation in run.evaluations.values() if evaluation.metric_name]
    return names[0] if names else "metric"


def penalty_blocks(run: Run) -> list[Block]:
    """Return how much of the loss the penalties are, and how hard they pull; nothing for a task without penalties."""
    if not run.task.penalty:
        return []
    notes = [Prose(note) for note in run.notes if note.startswith("Penalty ")]
    pulls, still = parted(by_path(run.history, "penalty_gradient_ratio"))
    sentences = [Prose(f"The penalties do not pull on {join_names(still)}.")] if still else []
    share_caption = "Penalty / (loss on the data + all penalties)."
    pull_caption = "‖∂penalty/∂w‖ / ‖∂loss/∂w‖; above 1, the penalties decide where a parameter goes."
    pull_title = "How hard the penalties pull on each parameter"
    return [
        Heading("Penalties on activations"),
        *notes,
        run_chart("penalty-share", "The penalties' share of the loss", "share", _shares(run), caption=share_caption),
        run_chart("penalty-pull", pull_title, "‖∇penalty‖ / ‖∇loss‖", pulls, is_log=True, caption=pull_caption),
        *sentences,
    ]


def _shares(run: Run) -> list[Series]:
    penalties = by_path(run.history, "penalty")
    parts = [run.history["data_loss"].values, *(penalty.y for penalty in penalties)]
    totals = [sum(values) for values in zip(*parts, strict=True)]
    return [
        replace(penalty, y=tuple(part / total if total else 0.0 for part, total in zip(penalty.y, totals, strict=True)))
        for penalty in penalties
    ]


def parted(series: Iterable[Series]) -> tuple[list[Series], list[str]]:
    """Return the curves that are worth drawing, and the names of those that are 0 throughout."""
    curves = list(series)
    return [curve for curve in curves if any(curve.y)], [curve.name for curve in curves if not any(curve.y)]


def present(history: History, wanted: Mapping[str, str]) -> list[Series]:
    """Return those of the wanted curves that were noted, under their labels."""
    return [as_series(label, history[name]) for name, label in wanted.items() if name in history]


def by_path(history: History, kind: str) -> list[Series]:
    """Return the curves of one kind, under the path of the module or parameter."""
    prefix = f"{kind}/"
    return [as_series(name.removeprefix(prefix), history[name]) for name in history if name.startswith(prefix)]


def as_series(name: str, curve: Curve) -> Series:
    """Return a noted curve as a series over the updates."""
    return Series(name, tuple(float(step) for step in curve.steps), curve.values)


def run_chart(
    key: str, title: str, y_label: str, series: Sequence[Series], *, is_log: bool = False, caption: str = ""
) -> Chart:
    """Return a chart over the updates of a run."""
    return Chart(key, title, _STEP, y_label, tuple(series), y_scale="log" if is_log else "linear", caption=caption)
