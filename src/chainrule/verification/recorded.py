"""The recorded gradients beside the backward pass taken again: first as it was recorded, then in float64.

That a derivation is right says nothing about the numbers that were recorded, and the other way round. So there are two
comparisons. Taken again in the recording's own dtypes, with the same random numbers, the step gives the recorded
gradients bit for bit on a deterministic device: then they are those of this backward pass. Beside float64, they differ
by rounding, and how much rounding may explain is measured: parameters and inputs are moved by one unit in their last
place, and the gradients with them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from chainrule.shapes import Tensor
from chainrule.trace import Missing, Statistics, Trace
from chainrule.trace.reduction import statistics_of
from chainrule.verification.results import RecordedVerdict
from chainrule.verification.twin import Twin

_SAME_WORK = 1e3  # times the unit of rounding: what another order of summation on a GPU may change
_OWN = 100  # times the unit of rounding: what a step's own rounding does at least
_MOVED = 20  # times what one unit in the last place changes
_MOVES = 3
_FLOATS = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class RecordedCheck:
    """What became of one parameter's recorded gradient.

    Attributes:
        verdict: as in `ParameterCheck.recorded`.
        distance: ‖recorded − float64‖ / ‖float64‖; NaN when that was not compared.
        again: ‖recorded − taken again‖ / ‖taken again‖.
        allowed: what `distance` may be.
    """

    verdict: RecordedVerdict
    distance: float = math.nan
    again: float = math.nan
    allowed: float = math.nan


@dataclass(frozen=True, slots=True)
class RecordedChecks:
    """All of them, by parameter, with what must be said about how they were compared."""

    checks: Mapping[str, RecordedCheck]
    notes: tuple[str, ...] = ()
    reason: str = ""


def check_recorded(trace: Trace, wide: Twin, wide_gradients: Mapping[str, Tensor | None], own: Twin) -> RecordedChecks:
    """Compare recorded gradients with the step taken again and with float64.

    Args:
        trace: has the recorded ones.
        wide: the model in float64.
        wide_gradients: its gradients, by name.
        own: the model in the dtypes of the recording.
    """
    loss, again = own.gradients()
    unit = unit_of(trace)
    recorded_loss = None if trace.loss is None else trace.values[trace.loss].data
    if isinstance(recorded_loss, Tensor) and not _near(loss, float(recorded_loss), _SAME_WORK * unit):
        return RecordedChecks(
            {},
            reason=f"taken again, the step has the loss {loss:.9g} instead of {float(recorded_loss):.9g}: the model or "
            "its loss draws random numbers from elsewhere than torch, or keeps a state that is not put back",
        )
    is_wide = unit <= torch.finfo(torch.float64).eps
    moved = [] if is_wide else [_moved(own, unit, seed) for seed in range(_MOVES)]
    wide_loss = wide.evaluate()
    allowed = _OWN * unit * abs(wide_loss) + _MOVED * max((abs(each - loss) for each, _ in moved), default=0.0)
    notes, reason, is_comparable = [], "", not is_wide
    if is_comparable and not abs(loss - wide_loss) <= allowed:
        is_comparable = False
        if own.draws:
            notes.append(
                "In float64 the step draws other random numbers. Its derivation was checked in float64 and its "
                "recorded numbers against the step taken again; the two were not held together."
            )
        else:
            reason = f"in float64 the loss is {wide_loss:.9g}, and as recorded {loss:.9g}: rounding does not explain it"
    checks = {}
    for name in own.parameters:
        shifts = [gradients[name] for _, gradients in moved]
        number = _recorded_gradient(trace, name)
        checks[name] = _check(number, again[name], wide_gradients[name] if is_comparable else None, shifts, unit)
    if any(check.verdict == "differs" and check.distance > check.allowed for check in checks.values()):
        flips = wide.watched()[1].differences(own.watched()[1])
        if flips:  # rounding put elements on the other side of a kink: no error of the backward pass
            notes.append(
                f"Elements lie so near to a kink ({', '.join(map(str, flips))}) that rounding puts them on its other "
                "side in float64; the recorded numbers were held against the step taken again, and not against float64."
            )
            checks = {name: _check(_recorded_gradient(trace, name), again[name], None, [], unit) for name in checks}
    return RecordedChecks(checks, tuple(notes), reason)


def _check(
    recorded: Tensor | Statistics | str | None,
    again: Tensor | None,
    wide: Tensor | None,
    shifts: list[Tensor | None],
    unit: float,
) -> RecordedCheck:
    if isinstance(recorded, str):
        return RecordedCheck("not compared")
    if recorded is None or again is None:
        return RecordedCheck("same" if recorded is None and again is None else "differs", again=math.inf)
    if isinstance(recorded, Statistics):
        there = statistics_of(again)
        size = _SAME_WORK * unit * max(there.norm, abs(there.maximum), abs(there.minimum))
        pairs = ((recorded.norm, there.norm), (recorded.minimum, there.minimum), (recorded.maximum, there.maximum))
        return RecordedCheck("rounding" if all(abs(one - two) <= size for one, two in pairs) else "differs")
    is_same = torch.equal(recorded.isnan(), again.isnan()) and torch.equal(recorded.nan_to_num(), again.nan_to_num())
    moved = max((_norm(each - again) for each in shifts if each is not None), default=0.0)
    size = _norm(again)
    apart = 0.0 if is_same else _norm(recorded.to(again) - again)
    verdict: RecordedVerdict = "same" if is_same else "rounding"
    if not apart <= _SAME_WORK * unit * size + _MOVED * moved:
        verdict = "differs"
    again_distance = apart / size if size else (0.0 if apart == 0 else math.inf)
    if wide is None:
        return RecordedCheck(verdict, again=again_distance)
    smallest = torch.finfo(recorded.dtype).smallest_normal * torch.finfo(recorded.dtype).eps
    wide_size = _norm(wide)
    distance = _norm(recorded.to(wide) - wide)
    allowed = _OWN * unit * wide_size + _MOVED * moved + 4 * smallest * math.sqrt(wide.numel())
    if not distance <= allowed:
        verdict = "differs"
    scale = wide_size or 1.0
    return RecordedCheck(verdict, distance / scale, again_distance, allowed / scale)


def _recorded_gradient(trace: Trace, name: str) -> Tensor | Statistics | str | None:
    """Return the recorded gradient of a parameter; as text, why it is missing; None when none arrived."""
    value = next((value for value in trace.values if value.kind == "parameter" and value.name == name), None)
    if value is None:
        return None
    number = value.adjoint
    if isinstance(number, Tensor):
        return number.detach().to_dense()
    return number.reason if isinstance(number, Missing) else number


def _moved(own: Twin, unit: float, seed: int) -> tuple[float, dict[str, Tensor | None]]:
    """Return loss and gradients with every parameter and input moved by one unit of rounding of itself."""
    generator = torch.Generator().manual_seed(seed)

    def factor(tensor: Tensor) -> Tensor:
        signs = torch.randint(0, 2, tensor.shape, generator=generator).to(tensor.device) * 2 - 1
        return 1 + signs.to(tensor.dtype) * max(unit, torch.finfo(tensor.dtype).eps)

    before = {name: parameter.detach().clone() for name, parameter in own.parameters.items()}
    given = own.nudge_inputs(factor)
    try:
        for parameter in own.parameters.values():
            if parameter.is_floating_point():
                parameter.data.mul_(factor(parameter.data))
        return own.gradients()
    finally:
        own.put_inputs(given)
        for name, parameter in own.parameters.items():
            parameter.data.copy_(before[name])


def unit_of(trace: Trace) -> float:
    """Return the unit of rounding of the coarsest dtype that the step computed in."""
    names = {value.dtype for value in trace.values if value.kind in ("parameter", "computed", "hidden")}
    units = [torch.finfo(getattr(torch, name)).eps for name in names if name in _FLOATS]
    return max(units, default=torch.finfo(torch.float32).eps)


def _norm(tensor: Tensor) -> float:
    return float(tensor.detach().to(torch.complex128 if tensor.is_complex() else torch.float64).norm())


def _near(one: float, other: float, share: float) -> bool:
    return one == other or abs(one - other) <= share * max(abs(one), abs(other)) or (one != one and other != other)
