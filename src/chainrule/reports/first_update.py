"""The six steps of the first update of a small network, with their numbers."""

from collections.abc import Iterator

import torch

from chainrule.documents import Block, Column, Formula, Heading, Prose, Table
from chainrule.reports.unit_names import UnitNames, name_units
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.training import FirstUpdate, State

_VALUE = ".10g"
_PLAIN = {"lr", "foreach", "fused", "differentiable"}


def first_update_blocks(state: State, first: FirstUpdate) -> tuple[Block, ...]:
    """Return the six steps of the first update, a heading and a table for each."""
    names = name_units(state.model, first.inputs[0].numel(), first.outputs)
    return (
        *_initialise(first, names),
        *_forward(first, names),
        *_loss(state, first),
        *_gradients(first, names),
        *_update(state.task, first, names),
        Heading("6 Repeat", 3),
        Prose(f"Steps 2 to 5 again, {repeat_rule(state)}."),
    )


def repeat_rule(state: State) -> str:
    """Say when the run ends."""
    stop = state.task.stop
    updates = f"{state.total_steps} updates"
    epochs = f"{stop.epochs} epochs ({updates})" if state.total_steps != stop.epochs else updates
    if stop.steps is not None and stop.steps <= state.total_steps:
        epochs = updates
    rules = [f"until {epochs} are done"]
    if stop.target_loss is not None:
        rules.append(f"the loss is at most {stop.target_loss:g}")
    if stop.tolerance is not None:
        rules.append(f"the loss moves by less than {stop.tolerance:g} in {stop.patience} epochs in a row")
    if stop.early_stopping is not None:
        rules.append(f"the validation loss has not improved in {stop.early_stopping} epochs")
    return ", or ".join(rules)


def _samples(value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield each sample of a batch, flattened, with the label it needs when there are several."""
    for number, row in enumerate(value):
        yield (f" (sample {number + 1})" if len(value) > 1 else ""), row.reshape(-1)


def _initialise(first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows: list[tuple[str, str, float]] = []
    for label, sample in _samples(first.inputs):
        rows += [(name + label, "input", value) for name, value in zip(names.inputs, sample.tolist(), strict=True)]
    for label, sample in _samples(first.targets):
        rows += [(f"t{number + 1}{label}", "target", value) for number, value in enumerate(sample.tolist())]
    for path, value in first.before.items():
        kind = "weight" if path.endswith("weight") else "bias" if path.endswith("bias") else "parameter"
        rows += [(name, kind, number) for name, number in _named(names.parameters[path], value)]
    columns = (Column("name"), Column("is"), Column("value", _VALUE))
    return Heading("1 Initialise", 3), Table(columns, tuple(rows))


def _named(names: tuple[str, ...], value: Tensor) -> Iterator[tuple[str, float]]:
    yield from zip(names, value.reshape(-1).tolist(), strict=True)


def _forward(first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows: list[tuple[str, str, float]] = []
    for path, output in first.outputs.items():
        if path not in names.outputs:
            continue
        units = names.outputs[path]
        formulas = names.formulas.get(path, (path,) * len(units))
        for label, sample in _samples(output):
            numbers = zip(units, formulas, sample.tolist(), strict=True)
            rows += [(unit + label, formula, value) for unit, formula, value in numbers]
    columns = (Column("name"), Column("is"), Column("value", _VALUE))
    return Heading("2 Forward", 3), Table(columns, tuple(rows))


def _loss(state: State, first: FirstUpdate) -> tuple[Block, ...]:
    blocks: list[Block] = [Heading("3 Loss", 3), Formula(state.objective.convention())]
    rows = _loss_terms(state, first)
    rows.append(("E_total", "with the penalties" if state.task.penalty else "", first.loss))
    columns = (Column("name"), Column("is"), Column("value", _VALUE))
    return (*blocks, Table(columns, tuple(rows)))


def _loss_terms(state: State, first: FirstUpdate) -> list[tuple[str, str, float]]:
    """Return the terms of the half sum of squares one by one; other losses are shown as their total."""
    last = list(first.outputs.values())[-1]
    if state.objective.name != "HalfSumOfSquares" or last.shape != first.targets.shape:
        return []
    terms = 0.5 * (first.targets - last).square()
    rows: list[tuple[str, str, float]] = []
    for label, sample in _samples(terms):
        rows += [(f"E{n + 1}{label}", f"½ (t{n + 1} − a_o{n + 1})²", value) for n, value in enumerate(sample.tolist())]
    return rows


def _gradients(first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows: list[tuple[str, float]] = []
    for path in reversed(list(first.outputs)):
        if path in first.adjoints and path in names.outputs:
            for label, sample in _samples(first.adjoints[path]):
                rows += [(f"∂E/∂{unit}{label}", value) for unit, value in _named(names.outputs[path], sample)]
    for path in reversed(list(first.gradients)):
        rows += [(f"∂E/∂{name}", value) for name, value in _named(names.parameters[path], first.gradients[path])]
    columns = (Column("gradient"), Column("value", _VALUE))
    return Heading("4 Gradients", 3), Table(columns, tuple(rows))


def _update(task: Task, first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows = []
    for path, before in first.before.items():
        entries = torch.stack([before, first.gradients[path], first.after[path]]).reshape(3, -1).T.tolist()
        for name, (old, gradient, new) in zip(names.parameters[path], entries, strict=True):
            rows.append((name, old, gradient, new, new - old))
    columns = (
        Column("name"),
        Column("before", _VALUE),
        Column("∂E/∂w", _VALUE),
        Column("after", _VALUE),
        Column("change", ".4g"),
    )
    return Heading("5 Update", 3), Formula(_rule(task, first)), Table(columns, tuple(rows))


def _rule(task: Task, first: FirstUpdate) -> str:
    arguments = {key: value for key, value in task.optimizer.arguments.items() if key not in _PLAIN and value}
    if task.optimizer.name == "SGD" and not arguments:
        return f"w ← w − η ∂E/∂w with η = {first.learning_rate:g}"
    others = ", ".join(f"{key} = {value}" for key, value in arguments.items())
    return f"{task.optimizer.name} with learning rate {first.learning_rate:g}" + (f", {others}" if others else "")
