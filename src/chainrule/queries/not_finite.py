"""Where NaN and infinity come from: the first op, in time, that made one of finite numbers; forward, then backward.

NaN and infinity are kept apart. An infinity that someone wrote down (a mask of −∞ before softmax) is no fault, and one
that goes nowhere is only a note; a NaN that is made of such an infinity is the fault of the op that makes it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from chainrule.findings import Finding
from chainrule.ops import Hazard, argument_name, rule_of
from chainrule.queries.again import local_derivatives
from chainrule.queries.causes import bound_arguments
from chainrule.queries.measured import Measured, Size
from chainrule.queries.recorded import RunAgainError, is_smooth
from chainrule.queries.remedies import backward_remedy, forward_remedy
from chainrule.queries.saying import Evidence, Severity, call_of, evidence_of, index_text, name_of, names, where_of
from chainrule.shapes import Tensor
from chainrule.trace import Op, Use, Value, walk

_DATA = ("input", "target")
_KEPT = ("parameter", "buffer")


def explain_not_finite(measured: Measured, among: set[int] | None = None) -> list[Finding]:
    """Return where the first NaN or infinity of a step comes from; empty when all that matters is finite.

    Args:
        measured: the trace.
        among: the ids of the values that the forward part of the answer may be about; all unless it is said.
    """
    if not _is_harmed(measured) and among is None:
        return [finding for finding in _forward(measured, among) if finding.severity != "error"]
    leaves = _bad_leaves(measured, among)
    if leaves:
        return leaves
    if among is None and measured.loss_number is not None:  # what went wrong forward did not reach the loss
        return _backward(measured) or _forward(measured, among)
    return _forward(measured, among) or _backward(measured)


def is_not_finite(size: Size | None) -> bool:
    """Whether a NaN or an infinity is among the elements."""
    return size is not None and size.not_finite > 0


def _is_harmed(measured: Measured) -> bool:
    """Whether the loss, a gradient or a parameter is not finite."""
    trace = measured.trace
    loss = None if trace.loss is None else measured.data(trace.values[trace.loss])
    if is_not_finite(loss):
        return True
    values = [value for value in trace.values if value.kind in _KEPT]
    return any(is_not_finite(measured.data(value)) or is_not_finite(measured.adjoint(value)) for value in values)


# -- what was not finite before the step computed anything


def _bad_leaves(measured: Measured, among: set[int] | None) -> list[Finding]:
    found = []
    for value in measured.trace.values:
        size = measured.data(value) if value.kind in (*_DATA, *_KEPT) and value.producer is None else None
        if size is None or not size.not_finite or (among is not None and value.id not in among):
            continue
        if value.kind in _DATA and not _spreads(measured, value):
            continue
        found.append(_leaf_finding(measured, value, size))
    return found


def _spreads(measured: Measured, value: Value) -> bool:
    """Whether something that is computed from a value is not finite either."""
    return any(is_not_finite(measured.data(made)) for _, op in measured.users(value) for made in measured.made(op))


def _leaf_finding(measured: Measured, value: Value, size: Size) -> Finding:
    index = _first(value.data)
    what = _kind(size)
    evidence: Evidence = {"value": name_of(value), "not finite": size.not_finite, "of": size.count}
    if index is not None:
        evidence["index"] = index_text(index)
    where = name_of(value)
    if value.kind in _DATA:
        samples = _samples(value.data) if len(value.shape) > 0 and value.shape[0] == measured.samples else []
        at = f" in {'sample' if len(samples) == 1 else 'samples'} {names([str(one) for one in samples], 6)}"
        kind = "inputs" if value.kind == "input" else "targets"
        claim = f"The {kind} themselves hold {what} ({name_of(value)}{at if samples else ''}), before any op has run."
        remedy = "Look at these samples in the data: a missing number, a division by zero while scaling, a logarithm."
        return Finding("bad-input", "error", claim, where, evidence, remedy)
    claim = f"{name_of(value)} holds {what} before the step ({size.not_finite} of {size.count} entries)."
    remedy = (
        "An earlier step made it so. Record the step before which it was still finite; often the learning rate is "
        "too high."
    )
    return Finding("bad-parameter", "error", claim, where, evidence, remedy)


# -- forward


@dataclass(frozen=True, slots=True)
class _Origin:
    """An op that made the first NaN or infinity along a path, in which of its outputs."""

    op: Op
    made: Value
    is_nan: bool


def _forward(measured: Measured, among: set[int] | None) -> list[Finding]:
    origins = [origin for op in measured.computing_ops if (origin := _origin(measured, op, among)) is not None]
    nan = next((origin for origin in origins if origin.is_nan), None)
    infinite = [origin for origin in origins if not origin.is_nan]
    trace = measured.trace
    if nan is not None:
        before = measured.ancestors([use.value for use in nan.op.inputs])
        first = next((one for one in infinite if one.made.id in before and _is_used_by(measured, one, nan)), None)
        return [_forward_finding(measured, first or nan, nan if first else None, "error")]
    loss = None if trace.loss is None else trace.values[trace.loss]
    if loss is not None and is_not_finite(measured.data(loss)):
        for origin in infinite:
            if origin.made.id in measured.before_loss:
                return [_forward_finding(measured, origin, None, "error")]
    if among is not None and infinite:
        return [_forward_finding(measured, infinite[0], None, "warning")]
    return []


def _origin(measured: Measured, op: Op, among: set[int] | None) -> _Origin | None:
    taken = [measured.data(measured.trace.values[use.value]) for use in op.inputs if _counts(measured, op, use)]
    for made in measured.made(op):
        size = measured.data(made)
        if size is None or not size.not_finite or (among is not None and made.id not in among):
            continue
        has_nan = size.nan is None or size.nan > 0
        if has_nan and not any(one is not None and (one.nan is None or one.nan > 0) for one in taken):
            return _Origin(op, made, is_nan=True) if size.nan is not None or not _writes_infinity(op) else None
        has_infinity = size.nan is not None and size.not_finite > size.nan
        if has_infinity and not any(is_not_finite(one) for one in taken) and not _writes_infinity(op):
            return _Origin(op, made, is_nan=False)
    return None


def _counts(measured: Measured, op: Op, use: Use) -> bool:
    """Whether what an op takes may be to blame: not what it changes in place, and no infinity that was written down."""
    value = measured.trace.values[use.value]
    size = measured.data(value)
    if use.value in op.outputs or (size is not None and size.nan is None and value.kind == "constant"):
        return False
    producer = None if value.producer is None else measured.trace.ops[value.producer]
    return not (size is not None and size.nan is None and producer is not None and _writes_infinity(producer))


def _writes_infinity(op: Op) -> bool:
    """Whether an infinity stands in the code: masked_fill(mask, -inf), torch.full(..., -inf)."""
    leaves = [leaf for _, leaf in walk((op.arguments, dict(op.keywords)))]
    return any(isinstance(leaf, float) and math.isinf(leaf) for leaf in leaves) or not op.inputs


def _is_used_by(measured: Measured, origin: _Origin, nan: _Origin) -> bool:
    """Whether infinities lie on the whole way from one op to another."""
    reached, waiting = {origin.made.id}, [origin.made]
    inputs = {use.value for use in nan.op.inputs}
    while waiting:
        current = waiting.pop()
        if current.id in inputs:
            return True
        for _, op in measured.users(current):
            for made in measured.made(op):
                if made.id not in reached and is_not_finite(measured.data(made)):
                    reached.add(made.id)
                    waiting.append(made)
    return False


def _forward_finding(measured: Measured, origin: _Origin, later: _Origin | None, severity: Severity) -> Finding:
    op, made = origin.op, origin.made
    size = measured.data(made)
    what = "NaN or infinity" if size is None or size.nan is None else "NaN" if origin.is_nan else "an infinity"
    index = _first(made.data, nan=origin.is_nan)
    at = f" at index {index_text(index)}" if index else ""
    why, remedy, numbers = _forward_cause(measured, op, made, index, origin.is_nan)
    claim = f"{call_of(op)} is the first op that makes {what} of finite numbers{at}: {why}."
    if origin.is_nan and _has_infinite_input(measured, op):
        claim = f"{call_of(op)} is the first op that makes {what}{at}: {why}."
    if later is not None:
        claim += f" {call_of(later.op)} then makes NaN of it."
    evidence = evidence_of(op) | numbers
    if size is not None:
        evidence |= {"not finite": size.not_finite, "of": size.count}
    if index:
        evidence["index"] = index_text(index)
        if made.shape[:1] == (measured.samples,):
            evidence["sample"] = index[0]
    code = "nan-forward" if origin.is_nan else "inf-forward"
    code = "not-finite-forward" if size is None or size.nan is None else code
    code = "all-ignored" if "ignore_index" in why else code
    return Finding(code, severity, claim, where_of(op), evidence, remedy)


def _has_infinite_input(measured: Measured, op: Op) -> bool:
    return any(is_not_finite(measured.data(measured.trace.values[use.value])) for use in op.inputs)


def _forward_cause(
    measured: Measured, op: Op, made: Value, index: tuple[int, ...] | None, is_nan: bool
) -> tuple[str, str, Evidence]:
    """Return why an op made a NaN or an infinity, the remedy, and the numbers that did it."""
    taken = _operands(measured, op, made, index)
    numbers: Evidence = {name: _text(value) for name, value in taken.items()}
    if op.name in ("cross_entropy", "nll_loss") and is_nan and _targets_are_equal(measured, op):
        ignored = "every target is ignore_index, so the mean is taken of no sample at all, 0/0"
        return ignored, "Look at the targets; every one of them is ignored.", numbers
    hazard = _hazard(measured, op, "forward", None)
    limit = _limit(made) if not is_nan else ""
    if hazard is not None:
        found, place = hazard
        words = f"its {_word(found.argument)} is {found.words}"
        if limit and "overflow" in found.name:
            words += f" ({limit})"
        numbers[f"{_word(found.argument)} there"] = _text(_at(measured, op, found.argument, place))
        return words, forward_remedy(op.name, found.name, made.dtype), numbers
    row = _row(measured, op, index)
    if row:
        return row, forward_remedy(op.name, "0/0", made.dtype), numbers
    if limit:
        listed = " and ".join(f"{name} = {_text(value)}" for name, value in taken.items())
        words = f"the result is beyond the largest number of {made.dtype} ({limit})" + (
            f", of {listed}" if listed else ""
        )
        return words, forward_remedy(op.name, "overflow", made.dtype), numbers
    if taken:
        listed = " and ".join(f"{name} = {_text(value)}" for name, value in taken.items())
        return f"it computes with {listed}", forward_remedy(op.name, "", made.dtype), numbers
    sizes = [
        (name_of(value), measured.data(value)) for value in (measured.trace.values[use.value] for use in op.inputs)
    ]
    ranges = [f"{name} from {size.lowest:.4g} to {size.highest:.4g}" for name, size in sizes if size is not None]
    return f"it was given {names(ranges) or 'nothing'}", forward_remedy(op.name, "", made.dtype), numbers


def _limit(made: Value) -> str:
    if not made.dtype.startswith(("float", "bfloat")):
        return ""
    return f"{torch.finfo(getattr(torch, made.dtype)).max:.5g}"


def _targets_are_equal(measured: Measured, op: Op) -> bool:
    for use in op.inputs:
        value = measured.trace.values[use.value]
        if use.place in ((1,), ("target",)) and not is_smooth(value):
            size = measured.data(value)
            ignored = op.keywords.get("ignore_index", -100)
            return size is not None and size.lowest == size.highest == ignored
    return False


def _row(measured: Measured, op: Op, index: tuple[int, ...] | None) -> str:
    """Say what is so of the row of a softmax that is NaN."""
    data = measured.trace.values[op.inputs[0].value].data if op.inputs else None
    if "softmax" not in op.name or index is None or not isinstance(data, Tensor) or len(index) != data.dim():
        return ""
    row = data[index[:-1]]
    if bool((row == -math.inf).all()):
        return f"row {index_text(index[:-1])} of its input is −∞ throughout: all of it is masked, and 0 is divided by 0"
    return ""


# -- backward


def _backward(measured: Measured) -> list[Finding]:
    for op in measured.backward_ops:
        above = measured.above(op)
        if above is None or above.not_finite:
            continue
        for use in op.inputs:
            below = measured.sent(use) if use.sent else None
            if below is not None and below.not_finite:
                return [_backward_finding(measured, op, use, below)]
    return []


def _backward_finding(measured: Measured, op: Op, use: Use, below: Size) -> Finding:
    value = measured.trace.values[use.value]
    is_nan = below.nan is None or below.nan > 0
    index = _first(use.contribution, nan=is_nan)
    at = f" for {name_of(value)}" + (f" at index {index_text(index)}" if index else "")
    evidence = evidence_of(op, value=name_of(value)) | {"not finite": below.not_finite, "of": below.count}
    why = "its local derivative is not finite there"
    hazard = _hazard(measured, op, None, index, argument_name(op, use.place))
    adjoint: float | None = None
    if index is not None:
        evidence["index"] = index_text(index)
        if value.shape[:1] == (measured.samples,):
            evidence["sample"] = index[0]
        data = value.data
        if isinstance(data, Tensor) and data.shape == value.shape:
            evidence["input there"] = _text(data[index].item())
        product = _product(measured, op, value, index)
        if product is not None:
            adjoint, derivative, term = product
            evidence |= {"adjoint": _text(adjoint), "local derivative": _text(derivative)}
            why = f"adjoint {_text(adjoint)} × local derivative {_text(derivative)} = {_text(term)}"
    if hazard is not None:
        why += f"; its {_word(hazard[0].argument)} there is {hazard[0].words}"
    elif "input there" in evidence:
        why += f"; its input there is {evidence['input there']}"
    kind = "NaN or infinity" if below.nan is None else "NaN" if is_nan else "an infinity"
    claim = f"The backward of {call_of(op)} is the first that makes {kind} of a finite adjoint{at}: {why}."
    code = "not-finite-backward" if below.nan is None else "nan-backward" if is_nan else "inf-backward"
    remedy = backward_remedy(op.name, is_masked=adjoint == 0.0)
    return Finding(code, "error", claim, where_of(op), evidence, remedy)


def _product(measured: Measured, op: Op, value: Value, index: tuple[int, ...]) -> tuple[float, float, float] | None:
    """Return adjoint, local derivative and their product, for the first output element where that is not finite."""
    try:
        rows = local_derivatives(measured.trace, op, value.id, index)
    except RunAgainError:
        return None
    for made, derivative in rows:
        adjoint = made.adjoint
        if not isinstance(adjoint, Tensor):
            continue
        term = adjoint * derivative.to(adjoint.dtype)
        place = _first(term)
        if place is not None:
            return adjoint[place].item(), derivative[place].item(), term[place].item()
    return None


# -- places and numbers


def _first(number: object, *, nan: bool = False) -> tuple[int, ...] | None:
    """Return the index of the first NaN (or of the first element that is not finite); None when there is none."""
    if not isinstance(number, Tensor) or number.is_sparse:
        return None
    bad = number.isnan() if nan else ~number.isfinite()
    if not bool(bad.any()):
        return None
    first = int(bad.reshape(-1).to(torch.uint8).argmax())
    return tuple(int(part) for part in torch.unravel_index(torch.tensor(first), number.shape)) if number.dim() else ()


def _samples(number: object) -> list[int]:
    if not isinstance(number, Tensor):
        return []
    bad = ~number.isfinite()
    rows: list[int] = bad.reshape(len(bad), -1).any(1).nonzero().flatten().tolist()
    return rows


def _kind(size: Size) -> str:
    if size.nan is None:
        return "NaN or infinity"
    return "NaN" if size.nan == size.not_finite else "infinities" if size.nan == 0 else "NaN and infinities"


def _operands(measured: Measured, op: Op, made: Value, index: tuple[int, ...] | None) -> dict[str, float]:
    """Return the elements of an op's inputs that stand at an index of its output, where shapes broadcast to it."""
    found: dict[str, float] = {}
    if index is None:
        return found
    for use in op.inputs:
        value = measured.trace.values[use.value]
        data = value.data
        if isinstance(data, Tensor) and data.dim() <= len(made.shape) and use.value not in op.outputs:
            tail = index[len(index) - data.dim() :]
            if all(size in (1, made.shape[len(made.shape) - data.dim() + at]) for at, size in enumerate(data.shape)):
                place = tuple(0 if size == 1 else one for size, one in zip(data.shape, tail, strict=True))
                found[name_of(value)] = float(data[place].item()) if not data.is_complex() else math.nan
    return found


def _hazard(
    measured: Measured, op: Op, hits: str | None, index: tuple[int, ...] | None, argument: str | None = None
) -> tuple[Hazard, tuple[int, ...]] | None:
    """Return the hazard of an op's rule that its numbers hit, with the first place of the argument where they do."""
    rule, made = rule_of(op), measured.made(op)
    if rule is None or not made or op.opaque:
        return None
    output, arguments = made[0].data, bound_arguments(measured, op)
    if arguments is None or not isinstance(output, Tensor):
        return None
    for hazard in (*rule.chosen(arguments).hazards, *rule.hazards):
        if (hits is not None and hazard.hits != hits) or (argument is not None and hazard.argument != argument):
            continue
        if not isinstance(arguments.get(hazard.argument), Tensor):
            continue
        mask = hazard.mask(arguments, output)
        if index is not None and mask.dim() == len(index):
            if bool(mask[index]):
                return hazard, index
        elif bool(mask.any()):
            return hazard, _first(torch.where(mask, math.nan, 0.0)) or ()
    return None


def _at(measured: Measured, op: Op, argument: str, place: Sequence[int]) -> float:
    arguments = bound_arguments(measured, op)
    data = None if arguments is None else arguments.get(argument)
    return float(data[tuple(place)].item()) if isinstance(data, Tensor) else math.nan


def _word(argument: str) -> str:
    return "divisor" if argument == "other" else "input" if argument.startswith(("input", "tensor")) else argument


def _text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}"
