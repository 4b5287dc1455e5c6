"""Units of a layer that get no gradient while their neighbours do: which, on how many samples, and silenced by what.

A unit is said to be silent only when it is so at every call of its layer: a layer that is shared, or that runs at every
step of a sequence, learns from all of them.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from chainrule.findings import Finding
from chainrule.queries.causes import cause_of_units, stopped_units
from chainrule.queries.measured import Measured
from chainrule.queries.saying import Severity, call_of, evidence_of, layer_of, name_of, names, number, where_of
from chainrule.queries.zeros import LEARNT
from chainrule.shapes import Bool, Float, Tensor
from chainrule.trace import Op, Use, Value

_LAYERS = frozenset(
    {"linear", "addmm", "matmul", "mm", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"}
)
_SILENT = 1e-6  # times the largest unit's norm
_PASSES = 1e-4  # of a unit's norm
_LEARNS = 1e-4  # times the largest row's norm
_FEW = 8  # samples on which chance can silence a unit
_MARGIN = 4.0  # standard deviations: no sample of a batch comes that far by chance


@dataclass(frozen=True, slots=True)
class _Silenced:
    """Units of layers that one op silences; of several calls, the last one's op stands for all."""

    layers: tuple[Op, ...]
    op: Op
    use: Use
    units: tuple[int, ...]
    of: int
    axis: int


def explain_units(measured: Measured, layers: list[Op] | None = None) -> list[Finding]:
    """Return a finding for each layer of which some units, but not all, get no gradient on any sample of any call.

    Layers that feed one activation, such as those of a recurrence, share a finding.

    Args:
        measured: the trace; of statistics nothing is known about single units.
        layers: the ops to look at; all layers unless it is said.
    """
    shared: dict[tuple[int, tuple[int, ...]], list[_Silenced]] = {}
    for calls in _calls(measured, measured.computing_ops if layers is None else layers):
        silenced = _at_every_call(measured, calls)
        if silenced is not None:
            shared.setdefault((silenced.op.id, silenced.units), []).append(silenced)
    findings = []
    for group in shared.values():
        together = dataclasses.replace(group[0], layers=tuple(one.layers[0] for one in group))
        finding = _finding(measured, together)
        findings += [] if finding is None else [finding]
    return findings


def _calls(measured: Measured, ops: Iterable[Op]) -> list[list[Op]]:
    """Return the ops of layers, those that share their first parameter together."""
    values, calls = measured.trace.values, dict[int, list[Op]]()
    for op in ops:
        parameter = next((use.value for use in op.inputs if values[use.value].kind == "parameter"), None)
        if op.name in _LAYERS and parameter is not None:
            calls.setdefault(parameter, []).append(op)
    return list(calls.values())


def _at_every_call(measured: Measured, calls: list[Op]) -> _Silenced | None:
    """Return the units of a layer that an op stops at every call of it to which a gradient comes."""
    found: list[_Silenced] = []
    for op in calls:
        made = measured.made(op)
        size = measured.adjoint(made[0]) if made else None
        if size is None or size.nonzero == 0:
            continue  # what is cut as a whole is another answer
        silenced = _silenced(measured, op)
        if silenced is None:
            return None
        found.append(silenced)
    if not found:
        return None
    units = set(found[0].units).intersection(*(one.units for one in found))
    for one in found:
        units &= set(stopped_units(measured, one.op, one.use, one.axis, sorted(units)))
    units -= _learning_rows(measured, calls[0], found[0].of)
    return dataclasses.replace(found[-1], units=tuple(sorted(units))) if units else None


def _learning_rows(measured: Measured, layer: Op, count: int) -> set[int]:
    """Return the units whose row of the layer's weight has a gradient all the same, from another op that takes it."""
    if layer.name.startswith("conv_transpose") or layer.name not in ("linear", "conv1d", "conv2d", "conv3d"):
        return set()
    for use in layer.inputs:
        value = measured.trace.values[use.value]
        gradient = value.adjoint
        if value.kind != "parameter" or len(value.shape) < 2 or not isinstance(gradient, Tensor) or gradient.is_sparse:
            continue
        if len(gradient) == count:
            norms = _by_unit(gradient, 0)
            return set((norms > _LEARNS * norms.max()).nonzero().flatten().tolist())
    return set()


def explain_inputs(measured: Measured, value: Value) -> list[Finding]:
    """Return a note on the entries of a layer's weight that get nothing because nothing came in there.

    Columns of a linear layer's weight belong to its inputs, rows of an embedding to the numbers that are looked up.
    """
    gradient = value.adjoint
    users = measured.users(value)
    if not isinstance(gradient, Tensor) or gradient.dim() != 2 or gradient.is_sparse or len(users) != 1:
        return []
    op = users[0][1]
    if op.name == "embedding":
        silent = int((~gradient.any(1)).sum())
        if not silent:
            return []
        claim = f"{silent} of {len(gradient)} rows of {name_of(value)} get no gradient: {call_of(op)} looked up others."
        evidence = evidence_of(op, rows=silent, of=len(gradient))
        return [Finding("not-selected", "note", claim, where_of(op), evidence, "Other batches look up other rows.")]
    given = next((measured.trace.values[use.value] for use in op.inputs if use.place in ((0,), ("input",))), None)
    data = None if given is None else given.data
    if op.name != "linear" or given is None or not isinstance(data, Tensor):
        return []
    dead = (~gradient.any(0) & ~data.reshape(-1, data.shape[-1]).any(0)).nonzero().flatten().tolist()
    if not dead:
        return []
    claim = (
        f"{len(dead)} of {gradient.shape[1]} columns of {name_of(value)} get no gradient: these inputs of "
        f"{call_of(op)}, in {name_of(given)}, are 0 on every sample."
    )
    evidence = evidence_of(op, columns=_numbers(tuple(dead)), silent=len(dead), of=gradient.shape[1])
    remedy = "A weight learns nothing from inputs of 0; look at what makes them, if they should not be."
    return [Finding("zero-input", "note", claim, where_of(op), evidence, remedy)]


def unit_axis(op: Op, tensor: Tensor) -> int:
    """Return the axis along which the units of a layer's output lie: channels of a convolution, else the last one."""
    if op.name.startswith("conv"):
        return tensor.dim() - 1 - int(op.name[-2])
    return tensor.dim() - 1


def _silenced(measured: Measured, layer: Op) -> _Silenced | None:
    made = measured.made(layer)
    adjoint = made[0].adjoint if made else None
    if not isinstance(adjoint, Tensor) or adjoint.dim() == 0 or not adjoint.is_floating_point():
        return None
    axis = unit_axis(layer, adjoint)
    norms = _by_unit(adjoint, axis)
    quiet = norms <= _SILENT * norms.max()
    if not bool(quiet.any()) or bool(quiet.all()) or not bool(norms.isfinite().all()):
        return None
    return _walk(measured, layer, made[0], quiet, axis)


def _walk(measured: Measured, layer: Op, value: Value, quiet: Bool[Tensor, " units"], axis: int) -> _Silenced | None:
    """Follow the units up, through ops that keep each unit in its place, to the op that silences them."""
    for _ in range(8):  # from a layer to its activation there are few ops
        users = [(use, op) for use, op in measured.users(value) if measured.above(op) is not None]
        if len(users) != 1:
            return None
        use, op = users[0]
        made = measured.made(op)
        above = made[0].adjoint if made else None
        below = value.adjoint
        if op.name in _LAYERS or not isinstance(above, Tensor) or not isinstance(below, Tensor):
            return None
        if above.dim() != below.dim() or above.shape[axis] != below.shape[axis]:
            return None
        arriving, leaving = _by_unit(above, axis), _by_unit(below, axis)
        cut = quiet & (leaving <= _PASSES * arriving) & (arriving > _SILENT * arriving.max())
        if bool(cut.any()):
            return _Silenced((layer,), op, use, tuple(cut.nonzero().flatten().tolist()), len(cut), axis)
        value = made[0]
    return None


def _by_unit(tensor: Tensor, axis: int) -> Float[Tensor, " units"]:
    others = [at for at in range(tensor.dim()) if at != axis % tensor.dim()]
    wide = tensor.detach().to(torch.float64) if tensor.dtype != torch.float32 else tensor.detach()
    return torch.linalg.vector_norm(wide, dim=others) if others else wide.abs()


def _finding(measured: Measured, silenced: _Silenced) -> Finding | None:
    """Return the finding; None where one sample is all there is to judge by, and says nothing."""
    op, units = silenced.op, silenced.units
    value = measured.trace.values[silenced.use.value]
    cause = cause_of_units(measured, op, silenced.use, silenced.axis, units)
    state = {"saturated": "saturated", "dead-units": "dead"}.get(cause.code, "without a gradient")
    samples = measured.samples
    on = f" on all {samples} samples" if samples and samples > 1 and value.shape[:1] == (samples,) else ""
    subject = f"{len(units)} of {silenced.of} units of {_layers(measured, silenced)}"
    claim = (
        f"{subject} {'is' if len(units) == 1 else 'are'} {state}{on} ({_list(units)}): {call_of(op)} sends nothing "
        f"back to {'it' if len(units) == 1 else 'them'}, because {cause.words}."
    )
    evidence = evidence_of(op, units=_list(units), silent=len(units), of=silenced.of)
    is_chance, largest = _by_chance(measured, value, units, silenced.axis)
    if largest is not None:
        evidence["largest input of these units"] = number(largest)
    if is_chance and samples == 1 and cause.code in ("dead-units", "saturated"):
        return None
    severity: Severity = "note" if is_chance or cause.code == "not-selected" else cause.severity
    return Finding(cause.code, severity, claim, where_of(op), evidence, cause.remedy)


def _layers(measured: Measured, silenced: _Silenced) -> str:
    return names(list(dict.fromkeys(layer_of(measured.trace, layer) for layer in silenced.layers)))


def _list(units: tuple[int, ...]) -> str:
    return f"unit{'' if len(units) == 1 else 's'} {_numbers(units)}"


def _numbers(units: tuple[int, ...]) -> str:
    return ", ".join(str(unit) for unit in units[:8]) + (", ..." if len(units) > 8 else "")


def _by_chance(measured: Measured, value: Value, units: tuple[int, ...], axis: int) -> tuple[bool, float | None]:
    """Return whether another batch may well wake these units, and the largest input that they had.

    A unit whose inputs lie far on the flat side, more than four of their standard deviations, is not silent by chance.
    With few samples, or with a loss that is already small, silence says little.
    """
    data, loss = value.data, measured.loss_number
    if not isinstance(data, Tensor):
        return True, None
    chosen = (
        data.detach().to(torch.float64).index_select(axis, torch.tensor(units, device=data.device)).movedim(axis, 0)
    )
    rows = chosen.reshape(len(units), -1)
    largest = float(rows.max())
    if rows.shape[1] < _FEW or (loss is not None and abs(loss) <= LEARNT):
        return True, largest
    far = (rows.mean(1).abs() > _MARGIN * rows.std(1)).to(torch.float64).mean()
    return bool(far < 0.5), largest
