"""Which branches a piece of code takes: on which side of its kink every ReLU input lies, which input is the maximum.

A loss that takes the same branches at both ends of a short step has no kink between them that these ops make.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from chainrule.shapes import Tensor

# Of these, an output is its input or is not.
_LIMITS = frozenset(("relu", "hardtanh", "clamp", "clamp_min", "clamp_max", "threshold", "relu6"))
_SIDES_OF_ZERO = frozenset(
    ("leaky_relu", "prelu", "_prelu_kernel", "elu", "celu", "selu", "abs", "sgn", "sign", "rrelu_with_noise")
)
_STEPS = frozenset(("floor", "ceil", "round", "trunc"))
_EXTREMES = frozenset(("max", "min", "amax", "amin"))
_LARGER = frozenset(("maximum", "minimum", "fmax", "fmin"))
_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, slots=True)
class Kink:
    """An op that takes another branch at the end of a step than at its beginning.

    Attributes:
        op: its name, such as "relu".
        module: the path of the module that it runs in.
        count: how many of its elements change sides; 0 when the code itself took another way.
    """

    op: str
    module: str
    count: int

    def __str__(self) -> str:
        return f"{self.op} in {self.module}" if self.module else self.op


@dataclass(slots=True)
class Branches:
    """The branches of one evaluation: op, module path, and which side each element is on."""

    sides: list[tuple[str, str, Tensor]]

    def differences(self, other: "Branches") -> tuple[Kink, ...]:
        """Return where another evaluation took other branches."""
        if len(self.sides) != len(other.sides):
            return (Kink("a branch of the program", "", 0),)
        found: dict[tuple[str, str], int] = {}
        for (op, module, side), (other_op, _, other_side) in zip(self.sides, other.sides, strict=True):
            if op != other_op or side.shape != other_side.shape:
                return (Kink("a branch of the program", module, 0),)
            if not torch.equal(side, other_side):
                found[op, module] = found.get((op, module), 0) + int((side != other_side).sum())
        return tuple(Kink(op, module, count) for (op, module), count in found.items())


class BranchWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotations there
    """Notes the branches of what runs inside its `with` block, and changes nothing.

    Args:
        module: returns the path of the module that runs.
    """

    def __init__(self, module: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._module = module
        self.branches = Branches([])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        raw = func.overloadpacket.__name__
        name = raw.rstrip("_") if raw.endswith("_") and not raw.endswith("__") else raw
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if first is not None and raw != name and name in _LIMITS:
            first = first.clone()  # it is about to be written over
        side = _side_before(name, first, args)
        result = func(*args, **(kwargs or {}))
        if side is None:
            side = _side_after(name, first, result)
        if side is not None:
            self.branches.sides.append((name.strip("_"), self._module(), side))
        return result


def _side_before(name: str, first: Tensor | None, args: tuple[Any, ...]) -> Tensor | None:
    if first is None or not first.is_floating_point():
        return None
    if name in _SIDES_OF_ZERO:
        return first > 0
    if name in _LARGER and isinstance(args[1], Tensor):
        return first > args[1]
    if name in ("hardsigmoid", "hardswish"):
        return (first > -3).to(torch.int8) + (first > 3)
    return None


def _side_after(name: str, first: Tensor | None, result: Any) -> Tensor | None:
    if first is None or not first.is_floating_point():
        return None
    if isinstance(result, Tensor) and result.dtype.is_floating_point:
        if name in _LIMITS and result.shape == first.shape:
            return result == first
        if name in ("hardshrink", "softshrink"):
            return result == 0
        if name in _STEPS:
            return result.clone()
        if name in _EXTREMES:
            return _reached(first, result)
    parts = result if isinstance(result, tuple | list) else (result,)
    return next((part for part in parts if isinstance(part, Tensor) and part.dtype in _WHOLE), None)


def _reached(first: Tensor, result: Tensor) -> Tensor | None:
    if result.dim() == first.dim() or result.dim() == 0:
        return first == result
    # amax over a dimension that was dropped: compare what fits by size
    places = [at for at in range(first.dim()) if first.shape[:at] + first.shape[at + 1 :] == result.shape]
    return first == result.unsqueeze(places[0]) if places else None
