"""Running code in float64 that was written for another precision."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.autograd.graph import _engine_run_backward
from torch.overrides import TorchFunctionMode

from chainrule.shapes import Tensor
from chainrule.trace import rebuild

WIDE = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
    torch.complex32: torch.complex128,
}
_CASTS = frozenset(("float", "half", "bfloat16"))


class InFloat64(TorchFunctionMode):
    """Makes every torch function take and make float64 where it would take or make a shorter floating point type.

    A constant in float32, a mask of a loss function, `x.float()` or `softmax(..., dtype=torch.float32)` inside a model
    would bring rounding of 1e-7 into differences that need 1e-16.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = str(getattr(func, "__name__", ""))
        if name in ("__get__", "__set__"):
            return func(*args, **(kwargs or {}))
        if name in _CASTS and args[0].dtype in (torch.float64, *WIDE):
            return args[0].double()
        is_in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        kept = 1 if is_in_place else 0  # what is written over must stay itself
        wide = (*args[:kept], *(_widened(part) for part in args[kept:]))
        return func(*wide, **{key: _widened(part) for key, part in (kwargs or {}).items()})


def run_backward(outputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> None:
    """Add the gradients of outputs to `.grad`, with the modes of torch functions still on while user code runs in it.

    `Tensor.backward` is a torch function itself, and so runs with the innermost mode off: what a backward pass computes
    again (torch.utils.checkpoint) or casts would go past `InFloat64`.
    """
    _engine_run_backward(
        tuple(outputs), tuple(upstream), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def _widened(part: Any) -> Any:
    if isinstance(part, Tensor):
        return part.to(WIDE[part.dtype]) if part.dtype in WIDE else part
    if isinstance(part, torch.dtype):
        return WIDE.get(part, part)
    if isinstance(part, tuple | list) and any(isinstance(each, Tensor) for each in part):
        return rebuild(part, _widened)
    return part
