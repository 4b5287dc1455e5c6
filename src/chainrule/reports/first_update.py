"""The six steps of the first update of a small network, with their numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from chainrule.data.wording import count_of
from chainrule.documents import Block, Cell, Column, Formula, Heading, Prose, Table
from chainrule.reports.unit_names import UnitNames, name_units
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.training import FirstUpdate, State

_VALUE = ".10g"
_PLAIN = {"lr", "foreach", "fused", "differentiable"}


def first_update_blocks(state: State, first: FirstUpdate) -> tuple[Block, ...]:
    """Return the six steps of the first update, a heading and a table for each."""
    samples = len(first.inputs)
    by_sample = {path: value for path, value in first.outputs.items() if value.shape[:1] == (samples,)}
    names = name_units(state.model, first.inputs[0].numel(), by_sample)
    return (
        *_initialise(state, first, names),
        *_forward(first, names),
        *_loss(state, first, names),
        *_gradients(first, names),
        *_update(state.task, first, names),
        Heading("6 Repeat", 3),
        Prose(f"Steps 2 to 5 again, {repeat_rule(state)}."),
    )


def repeat_rule(state: State) -> str:
    """Say when the run ends."""
    stop = state.task.stop
    updates = count_of(state.total_steps, "update")
    epochs = f"{count_of(stop.epochs, 'epoch')} ({updates})" if state.total_steps != stop.epochs else updates
    if stop.steps is not None and stop.steps <= state.total_steps:
        epochs = updates
    rules = [f"until {epochs} {'is' if epochs.startswith('1 ') else 'are'} done"]
    if stop.target_loss is not None:
        rules.append(f"the loss is at most {stop.target_loss:g}")
    if stop.tolerance is not None:
        rules.append(f"the loss moves by less than {stop.tolerance:g} in {count_of(stop.patience, 'epoch')} in a row")
    if stop.early_stopping is not None:
        rules.append(f"the validation loss has not improved in {count_of(stop.early_stopping, 'epoch')}")
    return " or ".join([", ".join(rules[:-1]), rules[-1]] if len(rules) > 1 else rules)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that have one number for each sample: their texts, then the numbers."""

    texts: tuple[str, ...]
    samples: int
    rows: list[tuple[Cell, ...]]

    def add(self, names: Iterable[tuple[str, ...]], values: Tensor) -> None:
        """Add a row for each unit; `values` are (samples, units)."""
        columns = values.reshape(self.samples, -1).T.tolist()
        self.rows.extend((*name, *numbers) for name, numbers in zip(names, columns, strict=True))

    def tables(self, others: Sequence[tuple[Cell, ...]]) -> tuple[Block, ...]:
        """Return one table, with the rows that belong to no sample after the others; two where samples have columns."""
        texts = tuple(Column(text) for text in self.texts)
        alone = (*texts, Column("value", _VALUE))
        if self.samples == 1:
            return (Table(alone, (*self.rows, *others)),)
        each = tuple(Column(f"sample {number + 1}", _VALUE) for number in range(self.samples))
        tables = (Table((*texts, *each), tuple(self.rows)), Table(alone, tuple(others)))
        return tuple(table for table in tables if table.rows)


def _initialise(state: State, first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows = _Rows(("name", "is"), len(first.inputs), [])
    rows.add(((name, "input") for name in names.inputs), first.inputs)
    targets = first.targets.reshape(len(first.inputs), -1)
    rows.add(((f"t{number + 1}", "target") for number in range(targets.shape[1])), targets)
    parameters: list[tuple[Cell, ...]] = []
    for path, parameter in state.model.named_parameters():
        kind = "weight" if path.endswith("weight") else "bias" if path.endswith("bias") else "parameter"
        value = first.before.get(path)
        kind, value = (f"{kind}, held fixed", parameter.detach()) if value is None else (kind, value)
        named = dict(_named(names.parameters[path], value))  # a bias that units share has one name
        parameters += [(name, kind, number) for name, number in named.items()]
    return Heading("1 Initialise", 3), *rows.tables(parameters)


def _named(names: tuple[str, ...], value: Tensor) -> Iterator[tuple[str, float]]:
    yield from zip(names, value.reshape(-1).tolist(), strict=True)


def _forward(first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows = _Rows(("name", "is"), len(first.inputs), [])
    for path, units in names.outputs.items():
        formulas = names.formulas.get(path, (path,) * len(units))
        rows.add(zip(units, formulas, strict=True), first.outputs[path])
    return Heading("2 Forward", 3), *rows.tables(())


def _loss(state: State, first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows = _Rows(("name", "is"), len(first.inputs), [])
    path = list(names.outputs)[-1] if names.outputs else ""
    # Only of our own layers is it known that the last of them gives the prediction.
    if names.formulas and state.objective.name == "HalfSumOfSquares":
        terms = 0.5 * (first.targets - first.outputs[path]).square()
        units = enumerate(names.outputs[path], start=1)
        rows.add(((f"E{number}", f"½ (t{number} − {unit})²") for number, unit in units), terms)
    total = "the sum of them" if rows.rows else "the loss"
    total += ", with the penalties" if state.task.penalty else ""
    blocks = (Heading("3 Loss", 3), Formula(state.objective.convention()))
    return *blocks, *rows.tables([("E_total", total, first.loss)])


def _gradients(first: FirstUpdate, names: UnitNames) -> tuple[Block, ...]:
    rows = _Rows(("gradient",), len(first.inputs), [])
    for path, units in reversed(list(names.outputs.items())):
        if path in first.adjoints:
            rows.add(((f"∂E/∂{unit}",) for unit in units), first.adjoints[path])
    parameters: list[tuple[Cell, ...]] = []
    for path in reversed(list(first.gradients)):
        parameters += [(f"∂E/∂{name}", value) for name, value in _named(names.parameters[path], first.gradients[path])]
    return Heading("4 Gradients", 3), *rows.tables(parameters)


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
