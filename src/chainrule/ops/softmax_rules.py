"""Rules of softmax and its like: every output depends on all inputs along one dimension."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from typing import Any

import torch
from sympy import KroneckerDelta, Sum, exp, log

from chainrule.ops.differentiation import Largest
from chainrule.ops.letters import XS, YS, I, J, K, M, N
from chainrule.ops.places import Arguments, Wiring, numbered, tensor_argument
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.shapes import Tensor


def _along(output: Tensor, input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Wiring:
    if dim is None:  # torch's old default, with a warning
        dim = 0 if input.dim() in (0, 1, 3) else 1
    if input.dim() == 0:
        zero = torch.zeros(1, 1, dtype=torch.int64)
        return Wiring({"input": zero, "output": zero}, {I: zero[0]})
    axis, size = dim % input.dim(), input.shape[dim]
    lines = numbered(input).movedim(axis, -1).unsqueeze(-2)
    rows = lines.expand(*lines.shape[:-2], size, size).movedim(-2, axis).reshape(-1, size)
    own = torch.arange(size).reshape([-1 if other == axis else 1 for other in range(input.dim())])
    return Wiring({"input": rows, "output": rows}, {I: own.expand(input.shape).reshape(-1)})


def _saturated(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    return output * (1 - output) <= threshold / 4


def _all_minus_infinity(arguments: Arguments, output: Tensor) -> Tensor:
    return tensor_argument(arguments).isneginf() & output.isnan()


def _all_infinity(arguments: Arguments, output: Tensor) -> Tensor:
    return tensor_argument(arguments).isposinf() & output.isnan()


_SHIFT = Largest(XS[J], J, N)
_LOWEST = Largest(-XS[J], J, N)
_SATURATED = Silencer(
    "saturated",
    "so far from the largest of its row, or so far above all others, that softmax is flat (saturated)",
    "input",
    _saturated,
)
_EMPTY = Hazard(
    "0/0", "−∞ like its whole row: all are masked, and 0 is divided by 0", "input", "forward", _all_minus_infinity
)
_EMPTY_MIN = Hazard("0/0", "∞ like its whole row, and 0 is divided by 0", "input", "forward", _all_infinity)

SOFTMAX: tuple[OpRule, ...] = (
    OpRule(
        "softmax",
        exp(XS[I]) / Sum(exp(XS[K]), (K, 1, N)),
        {"input": XS[K]},
        _along,
        stable=exp(XS[I] - _SHIFT) / Sum(exp(XS[K] - _SHIFT), (K, 1, N)),
        school={"input": YS[I] * (KroneckerDelta(I, M) - YS[M])},
        silencers=(_SATURATED,),
        hazards=(_EMPTY,),
    ),
    OpRule(
        "log_softmax",
        XS[I] - log(Sum(exp(XS[K]), (K, 1, N))),
        {"input": XS[K]},
        _along,
        stable=XS[I] - _SHIFT - log(Sum(exp(XS[K] - _SHIFT), (K, 1, N))),
        school={"input": KroneckerDelta(I, M) - exp(YS[M])},
        hazards=(_EMPTY,),
    ),
    OpRule(
        "softmin",
        exp(-XS[I]) / Sum(exp(-XS[K]), (K, 1, N)),
        {"input": XS[K]},
        _along,
        stable=exp(-XS[I] - _LOWEST) / Sum(exp(-XS[K] - _LOWEST), (K, 1, N)),
        school={"input": YS[I] * (YS[M] - KroneckerDelta(I, M))},
        silencers=(_SATURATED,),
        hazards=(_EMPTY_MIN,),
    ),
)
