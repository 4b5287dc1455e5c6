"""Rules of the ops that choose elements by their values: sort, topk, median, mode and their like.

They move elements, y = x; which ones depends on the values. Their second output, the places, has no derivative. At
ties the derivative is PyTorch's: it goes to the place that is returned, but the median of a whole tensor shares it
equally among the elements that are equal to it.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable
from typing import Any

import torch
from sympy import Sum

from chainrule.ops.letters import XS, K, N, X
from chainrule.ops.places import Arguments, Wiring, numbered, tensor_argument
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Tensor


def _selected(call: Callable[..., Any]) -> Callable[..., Wiring]:
    """The wiring of an op whose places depend on the values: it returns values and places."""

    def wire(output: Tensor, input: Tensor, dim: int, **settings: Any) -> Wiring:
        indices = call(input.detach(), dim=dim, **settings)[1]
        if input.dim() == 0:
            return Wiring({"input": torch.zeros(1, dtype=torch.int64)})
        kept = settings.get("keepdim", True) or indices.dim() == input.dim()
        places = numbered(input).gather(dim, indices if kept else indices.unsqueeze(dim))
        return Wiring({"input": places.reshape(-1)})

    return wire


def _sort(output: Tensor, input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Wiring:
    return _selected(torch.sort)(output, input, dim, descending=descending, stable=stable)


def _topk(output: Tensor, input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Wiring:
    return _selected(torch.topk)(output, input, dim, k=k, largest=largest, sorted=sorted)


def _kthvalue(output: Tensor, input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Wiring:
    return _selected(torch.kthvalue)(output, input, dim, k=k, keepdim=keepdim)


def _cummax(output: Tensor, input: Tensor, dim: int) -> Wiring:
    return _selected(torch.cummax)(output, input, dim)


def _cummin(output: Tensor, input: Tensor, dim: int) -> Wiring:
    return _selected(torch.cummin)(output, input, dim)


def _median(output: Tensor, input: Tensor, dim: int, keepdim: bool = False) -> Wiring:
    return _selected(torch.median)(output, input, dim, keepdim=keepdim)


def _nanmedian(output: Tensor, input: Tensor, dim: int, keepdim: bool = False) -> Wiring:
    return _selected(torch.nanmedian)(output, input, dim, keepdim=keepdim)


def _mode(output: Tensor, input: Tensor, dim: int = -1, keepdim: bool = False) -> Wiring:
    return _selected(torch.mode)(output, input, dim, keepdim=keepdim)


def _median_of_all(output: Tensor, input: Tensor, dim: int | None = None, keepdim: bool = False) -> Wiring:
    taken = (input.detach() == output.detach()).reshape(-1).nonzero().reshape(1, -1)
    return Wiring({"input": taken})


def _not_selected(wire: Callable[..., Wiring]) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        source = tensor_argument(arguments)
        return ~torch.isin(numbered(source), wire(output, **arguments).places["input"])

    return Silencer("not selected", "not selected", "input", find)


def places_of(name: str) -> OpRule:
    """Return the rule of a second output that says which elements the first one took."""
    return OpRule(name, None, cuts=f"The second output of {name} is places and not values, so it has no derivative.")


def _selecting(name: str, wire: Callable[..., Wiring], choose: Callable[[Arguments], OpRule] | None = None) -> OpRule:
    return OpRule(
        name, X, {"input": X}, wire, choose=choose, silencers=(_not_selected(wire),), others=(places_of(name),)
    )


def _by_dimension(name: str, wire: Callable[..., Wiring]) -> OpRule:
    along = _selecting(name, wire)

    def choose(arguments: Arguments) -> OpRule:
        return whole if arguments.get("dim") is None else along

    whole = OpRule(
        name,
        Sum(XS[K], (K, 1, N)) / N,
        {"input": XS[K]},
        _median_of_all,
        choose=choose,
        silencers=(_not_selected(_median_of_all),),
        note="k runs over the elements that are equal to the median: it is one, unless several tie.",
    )
    return whole


SELECTIONS: tuple[OpRule, ...] = (
    _selecting("sort", _sort),
    _selecting("topk", _topk),
    _selecting("kthvalue", _kthvalue),
    _selecting("cummax", _cummax),
    _selecting("cummin", _cummin),
    _selecting("mode", _mode),
    _by_dimension("median", _median),
    _by_dimension("nanmedian", _nanmedian),
)
