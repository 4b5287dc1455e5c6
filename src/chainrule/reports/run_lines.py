"""What the terminal says about a run before its first step and after its last."""

from torch import nn

from chainrule.documents import Block, Callout, Column, Document, Prose, Table
from chainrule.tasks import Component, Task
from chainrule.training import Run, State


def opening_document(state: State) -> Document:
    """Say what is about to be trained: data, model, loss, optimizer, device."""
    rows = tuple(opening_rows(state))
    blocks: list[Block] = [Table((Column(""), Column("")), rows)]
    return Document(f"chainrule · {state.task.name}", tuple(blocks))


def opening_rows(state: State) -> list[tuple[str, str]]:
    """Return the facts of a run as pairs of name and text."""
    task, data = state.task, state.data
    parts = [("training", data.train), ("validation", data.validation), ("test", data.test)]
    sizes = ", ".join(f"{len(part)} {name}" for name, part in parts if part is not None)
    what = f"{len(data.class_names)} classes" if data.class_names else f"{len(data.target_names)} target columns"
    if len(data.target_names) == 1 and not data.class_names:
        what = f"target {data.target_names[0]}"
    rows = [
        ("data", f"{data.name}: {sizes} samples, {data.train.inputs[0].numel()} inputs, {what}"),
        ("model", model_text(state.model)),
        ("loss", f"{state.objective.name}: {state.objective.convention()}"),
        ("optimizer", component_text(task.optimizer, state)),
    ]
    if state.schedule is not None:
        rows.append(("schedule", state.schedule.describe()))
    if state.penalties is not None:
        rows += [("penalty", sentence) for sentence in state.penalties.describe()]
    batch = state.batches.size
    size = "all samples" if batch >= len(state.batches.inputs) else f"{batch} samples"
    rows += [("batch", f"{size}, {state.batches.per_epoch} updates an epoch"), ("device", state.place.describe())]
    rows.append(("seed", f"{task.seed}, for the split, the initial weights and the order of the samples"))
    return rows


def model_text(model: nn.Module) -> str:
    """Describe a model in one line: its layers, or its class, and how many numbers are trained."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    fixed = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    count = f"{trained} parameters" + (f", {fixed} held fixed" if fixed else "")
    if not isinstance(model, nn.Sequential):
        return f"{type(model).__name__}, {count}"
    return f"{' → '.join(_layer_text(module) for module in model)}, {count}"


def _layer_text(module: nn.Module) -> str:
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        bias = "" if getattr(module, "bias", None) is not None else ", no bias"
        return f"Linear({module.in_features}, {module.out_features}{bias})"
    return type(module).__name__


def component_text(component: Component, state: State) -> str:
    """Describe an optimizer with its learning rate and the arguments that the task gives."""
    others = ", ".join(f"{key} = {value}" for key, value in component.arguments.items() if key != "lr")
    return f"{component.name}, learning rate {state.learning_rate:g}" + (f", {others}" if others else "")


def closing_blocks(run: Run, report: str) -> tuple[Block, ...]:
    """Say how a run ended: why, the losses and metrics, the gradient check, findings, and where the report is."""
    rows = []
    for name, evaluation in run.evaluations.items():
        metric = f"{evaluation.metric_name} {evaluation.metric:.4f}" if evaluation.metric_name else ""
        rows.append((name, evaluation.loss, metric))
    blocks: list[Block] = [
        Prose(f"Stopped after {run.progress.step} updates: {run.progress.stopped}. {run.seconds:.1f} s."),
        Table((Column("part"), Column("loss", ".8g"), Column("metric")), tuple(rows)),
        Callout("good" if run.check.is_right else "warning", f"Check: {run.check}."),
    ]
    for finding in run.findings:
        blocks.append(Callout("error" if finding.severity == "error" else "warning", str(finding)))
    if report:
        blocks.append(Prose(f"Report: {report}"))
    return tuple(blocks)


def resume_hint(task: Task, folder: str) -> str:
    """Say how an interrupted run goes on."""
    return f"Interrupted. To go on with {task.name}: chainrule train --resume {folder}"
