"""Rules of softmax and its like: every output depends on all inputs along one dimension."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from typing import Any

import torch
from sympy import KroneckerDelta, Sum, exp

from chainrule.ops.differentiation import Largest
from chainrule.ops.letters import XS, YS, I, J, K, M, N
from chainrule.ops.rule import OpRule, Wiring, numbered
from chainrule.shapes import Tensor


def _along(output: Tensor, input: Tensor, dim: int = -1, dtype: Any = None) -> Wiring:
    places = numbered(input).movedim(dim, -1).unsqueeze(-2)
    places = places.expand(*places.shape[:-2], places.shape[-1], places.shape[-1]).movedim(
        -2, dim if dim >= 0 else dim - 1
    )
    size = input.shape[dim]
    own = torch.arange(size).reshape([-1 if axis == dim % input.dim() else 1 for axis in range(input.dim())])
    rows = places.reshape(-1, size)
    return Wiring({"input": rows, "output": rows}, {I: own.expand(input.shape).reshape(-1)})


_SHIFT = Largest(XS[J], J, N)

SOFTMAX: tuple[OpRule, ...] = (
    OpRule(
        "softmax",
        exp(XS[I]) / Sum(exp(XS[K]), (K, 1, N)),
        {"input": XS[K]},
        _along,
        stable=exp(XS[I] - _SHIFT) / Sum(exp(XS[K] - _SHIFT), (K, 1, N)),
        school={"input": YS[I] * (KroneckerDelta(I, M) - YS[M])},
    ),
)
