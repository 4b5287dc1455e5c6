"""The report of a run as a document: network, curves, statistics, predictions, and every number of a small one."""

from collections.abc import Iterable, Sequence

from chainrule.documents import Block, Callout, Chart, Column, Document, Fold, Heading, Prose, Series, Table
from chainrule.reports.first_update import first_update_blocks
from chainrule.reports.network import network_blocks
from chainrule.reports.predictions import prediction_blocks
from chainrule.reports.run_lines import opening_rows
from chainrule.reports.step_table import step_table_blocks
from chainrule.tasks import task_toml
from chainrule.trace import Curve, History
from chainrule.training import Run, State

_STEP = "updates done"


def run_document(run: Run) -> Document:
    """Return the report of a run."""
    state = run.state
    first = run.first_update
    blocks: list[Block] = [
        *_summary(run, state),
        *network_blocks(run, state),
        *_curves(run.history),
        *_statistics(run.history),
        *_penalties(run),
        *prediction_blocks(run, state),
    ]
    if first is not None:
        steps = first_update_blocks(state, first)
        blocks += [Heading("The first update, step by step"), Fold("The six steps with their numbers", steps, True)]
    blocks += step_table_blocks(run, state)
    blocks += _appendix(run)
    return Document(run.task.name, tuple(blocks))


def _summary(run: Run, state: State) -> list[Block]:
    blocks: list[Block] = [Prose(run.task.description)] if run.task.description else []
    blocks.append(Prose(f"Stopped after {run.progress.step} updates: {run.progress.stopped}."))
    for finding in run.findings:
        blocks.append(Callout("error" if finding.severity == "error" else "warning", str(finding)))
    rows = []
    for name, evaluation in run.evaluations.items():
        metric = evaluation.metric if evaluation.metric_name else None
        rows.append((name, len(evaluation.predictions), evaluation.loss, evaluation.metric_name or "none", metric))
    columns = (Column("part"), Column("samples", "d"), Column("loss", ".8g"), Column("metric"), Column("value", ".4f"))
    blocks.append(Table(columns, tuple(rows), "The final model on every part of the data, in evaluation mode."))
    blocks.append(Callout("good" if run.check.is_right else "warning", f"Check: {run.check}."))
    facts = tuple(opening_rows(state))
    blocks.append(Table((Column("what"), Column("is")), facts, "What was trained."))
    return blocks


def _curves(history: History) -> list[Block]:
    losses = [("training loss, each update", "loss"), ("training loss, mean of the epoch", "epoch/loss")]
    losses += [("validation loss", "epoch/validation_loss"), ("training loss without penalties", "data_loss")]
    charts: list[Block] = [Heading("Curves")]
    positive = all(value > 0 for _, name in losses for value in history[name].values)
    charts.append(_chart("loss", "Loss", "loss", _present(history, losses), is_log=positive))
    metrics = [("training", "epoch/train_metric"), ("validation", "epoch/validation_metric")]
    if any(name in history for _, name in metrics):
        charts.append(_chart("metric", "Metric", "accuracy or R²", _present(history, metrics)))
    rate = _series("learning rate", history["lr"])
    charts.append(Chart("learning-rate", "Learning rate", _STEP, "learning rate", (rate,)))
    return charts


def _present(history: History, wanted: Iterable[tuple[str, str]]) -> list[Series]:
    return [_series(label, history[name]) for label, name in wanted if name in history]


def _series(name: str, curve: Curve) -> Series:
    return Series(name, tuple(float(step) for step in curve.steps), curve.values)


def _chart(
    key: str, title: str, y_label: str, series: Sequence[Series], is_log: bool = False, caption: str = ""
) -> Chart:
    return Chart(key, title, _STEP, y_label, tuple(series), y_scale="log" if is_log else "linear", caption=caption)


_KINDS = (
    ("gradient_norm", "Gradient norms", "‖∂E/∂w‖", True, "The norm of each parameter's gradient."),
    (
        "update_ratio",
        "Update-to-weight ratios",
        "‖Δw‖ / ‖w‖",
        True,
        "How far an update moves a parameter, beside its size; about 1e-3 is usual.",
    ),
    ("activation_mean", "Activations: mean", "mean", False, "Over the units and the samples of a batch."),
    ("activation_spread", "Activations: spread", "standard deviation", False, "Over the units and samples of a batch."),
    ("zeros", "Activations: share of zeros", "share", False, "Units of a ReLU that are off send 0."),
    (
        "saturated",
        "Activations: share saturated",
        "share",
        False,
        "Units whose derivative is below 0.01 in size pass on less than a hundredth of their gradient.",
    ),
)


def _statistics(history: History) -> list[Block]:
    blocks: list[Block] = [Heading("Layer by layer")]
    for kind, title, label, is_log, caption in _KINDS:
        prefix = f"{kind}/"
        series = [_series(name.removeprefix(prefix), history[name]) for name in history if name.startswith(prefix)]
        if not series:
            continue
        key = kind.replace("_", "-")
        blocks.append(_chart(key, title, label, series, is_log, caption))
    return blocks if len(blocks) > 1 else []


def _penalties(run: Run) -> list[Block]:
    if not run.task.penalty:
        return []
    history = run.history
    data = history["data_loss"]
    blocks: list[Block] = [Heading("Penalties on activations")]
    blocks += [Prose(note) for note in run.notes if note.startswith("Penalty ")]
    shares = []
    for name in history:
        if name.startswith("penalty/"):
            curve = history[name]
            share = tuple(p / (p + d) if p + d else 0.0 for p, d in zip(curve.values, data.values, strict=True))
            shares.append(_series(name.removeprefix("penalty/"), Curve(curve.steps, share)))
    blocks.append(_chart("penalty-share", "The penalties' share of the loss", "share", shares))
    prefix = "penalty_gradient_ratio/"
    ratios = [_series(name.removeprefix(prefix), history[name]) for name in history if name.startswith(prefix)]
    title = "How hard the penalties pull on each parameter"
    caption = "‖∂penalty/∂w‖ / ‖∂loss/∂w‖; a penalty that pulls at 0.01 to 0.1 regularises without taking over."
    blocks.append(
        Chart("penalty-pull", title, _STEP, "‖∇penalty‖ / ‖∇loss‖", tuple(ratios), y_scale="log", caption=caption)
    )
    return blocks


def _appendix(run: Run) -> list[Block]:
    columns = tuple(Column(header) for header in ("column", "type", "used as", "remark"))
    rows = tuple((column.name, column.type, column.role, column.remark) for column in run.data.columns)
    notes = tuple(Prose(note) for note in run.notes)
    blocks: list[Block] = [Heading("Data"), *notes]
    if rows:
        blocks.append(Fold(f"The {len(rows)} columns of {run.data.name}", (Table(columns, rows),)))
    text = task_toml(run.task)
    lines = tuple((line,) for line in text.splitlines())
    blocks += [Heading("Task"), Fold("The task as it was run (task.toml)", (Table((Column("TOML"),), lines),))]
    return blocks
