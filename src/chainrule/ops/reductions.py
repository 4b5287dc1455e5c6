"""Rules of the ops that make one number of several: sum, mean, variance, norm, the largest."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import math
from typing import Any

from sympy import Sum

from chainrule.ops.letters import XS, K, N
from chainrule.ops.rule import OpRule, Wiring, numbered
from chainrule.shapes import Tensor

Dimensions = int | tuple[int, ...] | list[int] | None


def reduced(input: Tensor, dim: Dimensions = None) -> Tensor:
    """Return the element numbers that each output of a reduction takes: shape (outputs, K)."""
    chosen = (dim,) if isinstance(dim, int) else tuple(dim) if dim else tuple(range(input.dim()))
    behind = sorted(axis % input.dim() for axis in chosen)
    kept = [axis for axis in range(input.dim()) if axis not in behind]
    count = math.prod(input.shape[axis] for axis in behind)
    return numbered(input).permute(*kept, *behind).reshape(-1, count)


def _reduce(
    output: Tensor, input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None
) -> Wiring:
    return Wiring({"input": reduced(input, dim)})


REDUCTIONS: tuple[OpRule, ...] = (OpRule("sum", Sum(XS[K], (K, 1, N)), {"input": XS[K]}, _reduce),)
