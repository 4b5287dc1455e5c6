"""What the terminal says about a run before its first step and after its last."""

from pathlib import Path

from torch import nn

from chainrule.data.wording import count_of
from chainrule.documents import Block, Callout, Column, Document, Prose, Table
from chainrule.tasks import Component, Task
from chainrule.training import Run, State
from chainrule.training.batches import Batches

NEXT = "Next, data of your own: chainrule examples --write iris my-task.toml"


MOST_COLUMNS = 20


def opening_document(state: State) -> Document:
    """Say what is about to be trained: data, model, loss, optimizer, device."""
    rows = tuple(opening_rows(state))
    blocks: list[Block] = [Table((Column(""), Column("")), rows)]
    if state.task.data.source is not None and Path(state.task.data.source).suffix:
        # A file of the user's own: its inferred types, and what was done to its rows and columns.
        columns = tuple((column.name, column.type, column.role, column.remark) for column in state.data.columns)
        headers = (Column("column"), Column("type"), Column("used as"), Column("remark"))
        shown = columns[:MOST_COLUMNS]
        more = f"{len(columns) - len(shown)} more columns are in the report." if len(shown) < len(columns) else ""
        blocks += [Table(headers, shown, more), *(Prose(note) for note in state.data.notes)]
    return Document(f"chainrule · {state.task.name}", tuple(blocks))


def opening_rows(state: State) -> list[tuple[str, str]]:
    """Return the facts of a run as pairs of name and text."""
    task, data = state.task, state.data
    parts = [("training", data.train), ("validation", data.validation), ("test", data.test)]
    present = [(name, len(part)) for name, part in parts if part is not None]
    sizes = ", ".join(f"{count} {name}" for name, count in present)
    samples = "sample" if present[-1][1] == 1 else "samples"
    what = f"{len(data.class_names)} classes" if data.class_names else f"{len(data.target_names)} targets"
    if len(data.target_names) == 1 and not data.class_names:
        what = f"target {data.target_names[0]}"
    inputs = count_of(data.train.inputs[0].numel(), "input")
    rows = [
        ("data", f"{_data_name(state)}: {sizes} {samples}, {inputs}, {what}"),
        ("model", model_text(state.model)),
        ("loss", f"{state.objective.name}: {state.objective.convention()}"),
        ("optimizer", component_text(task.optimizer, state)),
    ]
    if state.schedule is not None:
        rows.append(("schedule", state.schedule.describe()))
    if state.penalties is not None:
        rows += [("penalty", sentence) for sentence in state.penalties.describe()]
    updates = count_of(state.batches.per_epoch, "update")
    rows += [("batch", f"{_batch(state.batches)}, {updates} an epoch"), ("device", state.place.describe())]
    if task.run.recorded_loss == "training":
        rows.append(("recorded", "the loss of the whole training part, in evaluation mode; gradients are the batch's"))
    rows.append(("seed", f"{task.seed}, for the split, the initial weights and the order of the samples"))
    return rows


def _batch(batches: Batches) -> str:
    if batches.given is not None:
        return f"{count_of(batches.size, 'sample')}, as data.order says"
    if batches.with_replacement:
        return f"{count_of(batches.size, 'sample')} drawn with replacement"
    return "all samples" if batches.size >= batches.samples else count_of(batches.size, "sample")


def _data_name(state: State) -> str:
    return "given in the task" if state.task.data.source is None else state.data.name


def model_text(model: nn.Module) -> str:
    """Describe a model in one line: its layers, or its class, and how many numbers are trained."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    fixed = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    count = count_of(trained, "parameter") + (f", {fixed} held fixed" if fixed else "")
    if not isinstance(model, nn.Sequential):
        return f"{type(model).__name__}, {count}"
    return f"{' → '.join(_layer_text(module) for module in model)}, {count}"


def _layer_text(module: nn.Module) -> str:
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        bias = "" if getattr(module, "bias", None) is not None else ", no bias"
        return f"Linear({module.in_features}, {module.out_features}{bias})"
    return type(module).__name__


def component_text(component: Component, state: State) -> str:
    """Describe an optimizer with the learning rate that it began with and the arguments that the task gives."""
    rates = state.history["lr"].values
    rate = f"{rates[0] if rates else state.learning_rate:g}" + (" at first" if state.schedule is not None else "")
    others = ", ".join(f"{key} = {value}" for key, value in component.arguments.items() if key != "lr")
    return f"{component.name}, learning rate {rate}" + (f", {others}" if others else "")


def stop_line(run: Run) -> str:
    """Say after how many updates a run ended, and why."""
    return f"Stopped after {count_of(run.progress.step, 'update')}: {run.progress.stopped}."


def result_table(run: Run, caption: str = "") -> Table:
    """Return losses and metrics of the final model, part by part; the metric's column bears its name."""
    metrics = [evaluation.metric_name for evaluation in run.evaluations.values() if evaluation.metric_name]
    columns = [Column("part"), Column("samples", "d"), Column("loss", ".8g")]
    # Of a run that diverged, R² has dozens of digits.
    largest = max((abs(evaluation.metric) for evaluation in run.evaluations.values()), default=0.0)
    columns += [Column(metrics[0], ".4f" if largest < 1e4 else ".4g")] if metrics else []
    rows = []
    for name, evaluation in run.evaluations.items():
        metric = evaluation.metric if evaluation.metric_name else None
        row = (name, len(evaluation.predictions), evaluation.loss, metric)
        rows.append(row[: len(columns)])
    return Table(tuple(columns), tuple(rows), caption)


def closing_blocks(run: Run, report: str, is_first_try: bool = False) -> tuple[Block, ...]:
    """Say how a run ended: why, the losses and metrics, the gradient check, findings, and where the report is.

    Args:
        run: what came of it.
        report: the path of its page; empty when none was written.
        is_first_try: say also how to go on with data of one's own.
    """
    blocks: list[Block] = [
        Prose(f"{stop_line(run)} {run.seconds:.1f} s."),
        result_table(run),
        Callout("good" if run.check.is_right else "warning", f"Check: {run.check}."),
    ]
    for finding in run.findings:
        blocks.append(Callout("error" if finding.severity == "error" else "warning", str(finding)))
    if report:
        blocks.append(Prose(f"Report: {report}"))
    if is_first_try:
        blocks.append(Prose(NEXT))
    return tuple(blocks)


def resume_hint(task: Task, folder: str) -> str:
    """Say how an interrupted run goes on."""
    return f"Interrupted. To go on with {task.name}: chainrule train --resume {folder}"
