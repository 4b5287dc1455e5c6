"""Every value, gradient and update of a small network, one row for each step."""

import torch
from torch import nn

from chainrule.documents import Block, Cell, Column, Fold, Heading, Prose, Table
from chainrule.reports.network import module_outputs
from chainrule.reports.unit_names import UnitNames, name_units
from chainrule.shapes import Tensor
from chainrule.training import Run, State, Trajectory, split_row

_MOST_VALUES = 60
_MOST_ROWS = 200
_FORMAT = ".9g"


def step_table_blocks(run: Run, state: State) -> list[Block]:
    """Return the table of a small network's steps; nothing for larger ones."""
    path = run.trajectory
    if path is None or not path.steps:
        return []
    inputs = state.batches.inputs
    shown = _samples_shown(run.model, inputs)
    rows = _rows_shown(path)
    names = name_units(run.model, inputs[0].numel(), module_outputs(run.model, inputs[:1]))
    table = _table(run, path, rows, inputs[:shown], names)
    note = "Weights and values are those before the update, so that a row can be recomputed by hand."
    if shown < len(inputs):
        note += f" Values are shown for the first {shown} of {len(inputs)} samples."
    if len(rows) < run.progress.step:
        note += f" {len(rows)} of {run.progress.step} updates are listed."
    return [Heading("Every step"), Prose(note), Fold(f"{len(rows)} updates", (table,))]


def _samples_shown(model: nn.Module, inputs: Tensor) -> int:
    values = sum(value.numel() for value in module_outputs(model, inputs[:1]).values())
    return max(1, min(len(inputs), _MOST_VALUES // max(values, 1)))


def _rows_shown(path: Trajectory) -> list[int]:
    """Return which rows are listed: all, or evenly spread ones with the first and the last."""
    count = len(path.steps)
    if count <= _MOST_ROWS:
        return list(range(count))
    return sorted({round(number * (count - 1) / (_MOST_ROWS - 1)) for number in range(_MOST_ROWS)})


def _table(run: Run, path: Trajectory, rows: list[int], inputs: Tensor, names: UnitNames) -> Table:
    losses = dict(zip(run.history["loss"].steps, run.history["loss"].values, strict=True))
    final = _final_row(run.model)
    cells: list[tuple[Cell, ...]] = []
    headers: list[str] = []
    for row in rows:
        step, weights = path.steps[row], path.weights[row]
        is_next_known = row + 1 < len(path.steps) and path.steps[row + 1] == step + 1
        after = path.weights[row + 1] if is_next_known else final if step == run.progress.step - 1 else None
        named = _values(run.model, weights, inputs, names)
        headers = headers or [name for name, _ in named]
        moved = [None] * len(weights) if after is None else (after - weights).tolist()
        cells.append(
            (
                step,
                losses.get(step),
                *weights.tolist(),
                *(value for _, value in named),
                *path.gradients[row].tolist(),
                *moved,
            )
        )
    trained = [name for key in split_row(path.weights[0], run.model) for name in names.parameters[key]]
    titles = [
        "step",
        "loss",
        *trained,
        *headers,
        *(f"∂E/∂{name}" for name in trained),
        *(f"Δ{name}" for name in trained),
    ]
    columns = tuple(Column(title, "d" if title == "step" else _FORMAT) for title in titles)
    return Table(columns, tuple(cells))


def _final_row(model: nn.Module) -> Tensor:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.cat([parameter.detach().reshape(-1) for parameter in trained])


def _values(model: nn.Module, weights: Tensor, inputs: Tensor, names: UnitNames) -> list[tuple[str, float]]:
    """Return what every unit says at some weights, by name, sample by sample."""
    kept = {name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad}
    _put(model, split_row(weights, model))
    try:
        outputs = module_outputs(model, inputs)
    finally:
        _put(model, kept)
    named = []
    for sample in range(len(inputs)):
        label = f" ({sample + 1})" if len(inputs) > 1 else ""
        for path, units in names.outputs.items():
            if path in outputs:
                numbers = outputs[path][sample].reshape(-1).tolist()
                named += [(unit + label, value) for unit, value in zip(units, numbers, strict=True)]
    return named


def _put(model: nn.Module, weights: dict[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)
