"""Rules of the ops that write into a tensor: x[index] = v, copy_, scatter, index_add and their like.

The formula is v where something was written and x elsewhere; the output is the tensor as it is afterwards.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable
from typing import Any

import torch
from sympy import Ne, Piecewise, Sum

from chainrule.ops.letters import ALPHA, ZS, C, K, N, V, X
from chainrule.ops.places import Arguments, Scalar, Wiring, grouped, numbered
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Tensor

_WRITTEN = Piecewise((V, Ne(C, 0)), (X, True), evaluate=False)
_NOTE = "c is 1 where something was written."


def _written(input: Tensor, name: str, value: Scalar, write: Callable[[Tensor, Any], Any]) -> Wiring:
    """Run the write on element numbers: those of the value, counted from 1, into a tensor of zeros."""
    slate = torch.zeros(input.shape, dtype=torch.int64)
    write(slate, numbered(value, 1) if isinstance(value, Tensor) else 1)
    touched = slate.reshape(-1) > 0
    places = {"input": torch.where(touched, -1, numbered(input).reshape(-1))}
    if isinstance(value, Tensor):
        places[name] = slate.reshape(-1) - 1
    return Wiring(places, {C: touched.to(torch.float64)})


def _setitem(output: Tensor, input: Tensor, index: Any, value: Scalar) -> Wiring:
    return _written(input, "value", value, lambda slate, numbers: slate.__setitem__(index, numbers))


def _index_put(output: Tensor, input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Wiring:
    return _written(input, "values", values, lambda slate, numbers: slate.index_put_(tuple(indices), numbers))


def _copy(output: Tensor, input: Tensor, other: Tensor, non_blocking: bool = False) -> Wiring:
    return _written(input, "other", other, lambda slate, numbers: slate.copy_(numbers))


def _fill(output: Tensor, input: Tensor, value: Scalar) -> Wiring:
    return _written(input, "value", value, lambda slate, numbers: slate.fill_(numbers))


def _scatter(output: Tensor, input: Tensor, dim: int, index: Tensor, src: Scalar) -> Wiring:
    return _written(input, "src", src, lambda slate, numbers: slate.scatter_(dim, index, numbers))


def _index_copy(output: Tensor, input: Tensor, dim: int, index: Tensor, source: Tensor) -> Wiring:
    return _written(input, "source", source, lambda slate, numbers: slate.index_copy_(dim, index, numbers))


def _index_fill(output: Tensor, input: Tensor, dim: int, index: Tensor, value: Scalar) -> Wiring:
    def write(slate: Tensor, numbers: Any) -> None:
        slate.index_fill_(dim, index, numbers)

    return _written(input, "value", value, write)


def _index_add(
    output: Tensor, input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: int | float = 1
) -> Wiring:
    targets = numbered(input).index_select(dim, index)
    return Wiring(
        {
            "input": numbered(input).reshape(-1),
            "source": grouped(targets, numbered(source), input.numel()),
        },
        {ALPHA: alpha},
    )


def _scatter_add(output: Tensor, input: Tensor, dim: int, index: Tensor, src: Tensor) -> Wiring:
    targets = numbered(input).gather(dim, index)
    taken = numbered(src)[tuple(slice(size) for size in index.shape)]
    return Wiring({"input": numbered(input).reshape(-1), "src": grouped(targets, taken, input.numel())})


def _overwritten(wire: Callable[..., Wiring]) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        return (wire(output, **arguments).places["input"] < 0).reshape(arguments["input"].shape)

    return Silencer("overwritten", "overwritten", "input", find)


def _writing(name: str, argument: str, wire: Callable[..., Wiring], aliases: tuple[str, ...] = ()) -> OpRule:
    return OpRule(
        name, _WRITTEN, {"input": X, argument: V}, wire, aliases=aliases, silencers=(_overwritten(wire),), note=_NOTE
    )


WRITES: tuple[OpRule, ...] = (
    _writing("setitem", "value", _setitem),
    _writing("index_put", "values", _index_put),
    _writing("copy", "other", _copy),
    _writing("fill", "value", _fill),
    _writing("scatter", "src", _scatter),
    _writing("index_copy", "source", _index_copy),
    _writing("index_fill", "value", _index_fill),
    OpRule(
        "index_add",
        X + ALPHA * Sum(ZS[K], (K, 1, N)),
        {"input": X, "source": ZS[K]},
        _index_add,
        note="k runs over the slices that are added at the output's own place.",
    ),
    OpRule(
        "scatter_add",
        X + Sum(ZS[K], (K, 1, N)),
        {"input": X, "src": ZS[K]},
        _scatter_add,
        note="k runs over the elements that are added at the output's own place.",
    ),
)
