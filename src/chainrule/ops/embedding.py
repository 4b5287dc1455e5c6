"""Rules of embeddings: rows of a table by their numbers, and sums, means and maxima of several rows."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import itertools
import math
from dataclasses import replace
from typing import Any

import torch
from sympy import Ne, Piecewise, Sum, Symbol

from chainrule.ops.differentiation import Largest
from chainrule.ops.letters import AS, WS, K, N, V, W
from chainrule.ops.places import Arguments, Wiring, numbered
from chainrule.ops.rule import Mask, OpRule, Silencer
from chainrule.shapes import Tensor

LEARNS = Symbol("c", real=True)


def _rows(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: int | float | None = None,
    norm_type: int | float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    return weight[input]


def _padded_rows(
    output: Tensor,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: int | float | None = None,
    norm_type: int | float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Wiring:
    assert padding_idx is not None  # noqa: S101  # it is what chose this rule
    learns = input != padding_idx % weight.shape[0]
    return Wiring(
        {"weight": numbered(weight)[input].reshape(-1)},
        {
            LEARNS: learns.to(torch.float64).unsqueeze(-1).expand(output.shape).reshape(-1),
            V: output.detach().reshape(-1).to(torch.float64),
        },
    )


def _bags(
    output: Tensor,
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: int | float | None = None,
    norm_type: int | float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Wiring:
    members = _members(input, offsets, include_last_offset, output.shape[0])
    numbers = input.reshape(-1)
    if padding_idx is not None:
        is_padding = numbers == padding_idx % weight.shape[0]
        members = torch.where((members >= 0) & ~is_padding[members], members, -1)
    taken = numbered(weight)[numbers[members]]  # (bags, longest bag, columns)
    taken = torch.where(members.unsqueeze(-1) < 0, -1, taken).transpose(1, 2)
    places = {"weight": taken.reshape(output.numel(), -1)}
    if per_sample_weights is not None:
        places["per_sample_weights"] = members.repeat_interleave(output.shape[1], 0)
    counted = (members >= 0).sum(1).clamp(min=1).repeat_interleave(output.shape[1])
    is_empty = mode == "max" and bool((members < 0).all(1).any())
    return Wiring(
        places,
        {N: counted.to(torch.float64)},
        {"weight": 0.0 if mode != "max" or is_empty else -math.inf},
    )


def _members(input: Tensor, offsets: Tensor | None, include_last_offset: bool, bags: int) -> Tensor:
    """Return for every bag the places of its members in the flat input, filled up with −1."""
    if input.dim() == 2:
        return torch.arange(input.numel()).reshape(input.shape)
    assert offsets is not None  # noqa: S101  # torch refuses the call without them
    ends = [*offsets.tolist(), *([] if include_last_offset else [input.numel()])]
    longest = max((end - start for start, end in itertools.pairwise(ends)), default=0)
    rows = [[*range(start, end), *[-1] * (longest - end + start)] for start, end in itertools.pairwise(ends)]
    return torch.tensor(rows, dtype=torch.int64).reshape(bags, longest)


def _is_padding(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    rows, padding = arguments["weight"].shape[0], arguments.get("padding_idx")
    is_padding = torch.zeros(rows, dtype=torch.bool)
    if padding is not None:
        is_padding[padding] = True
    return is_padding.unsqueeze(-1)


def _is_unused(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    unused = torch.ones(arguments["weight"].shape[0], dtype=torch.bool)
    unused[arguments["input"].reshape(-1).cpu()] = False
    return unused.unsqueeze(-1)


def _is_not_largest(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    weight = arguments["weight"].detach()
    places = _bags(output, **{**arguments, "mode": "max"}).places["weight"]
    elements = torch.cat([weight.reshape(-1), weight.new_tensor([-math.inf])])
    taken = torch.zeros(weight.numel() + 1, dtype=torch.bool)
    taken[places.gather(1, elements[places].argmax(1, keepdim=True)).reshape(-1)] = True
    return ~taken[:-1].reshape(weight.shape)


_NOT_LARGEST = Silencer("not the largest", "not the largest of any bag", "weight", _is_not_largest)
_SILENCERS = (
    Silencer("padding row", "the row of padding_idx, which never learns", "weight", _is_padding),
    Silencer("row not used", "a row that no number of the input asks for", "weight", _is_unused),
)


def _no_formula(name: str, wire: Any) -> OpRule:
    return OpRule(
        name,
        None,
        {"weight": W},
        wire,
        silencers=_SILENCERS,
        note="scale_grad_by_freq divides what comes back to a row by how often the row occurs.",
    )


_SCALED = _no_formula("embedding", _padded_rows)
_WITH_PADDING = OpRule(
    "embedding",
    Piecewise((W, Ne(LEARNS, 0)), (V, True)),
    {"weight": W},
    _padded_rows,
    silencers=_SILENCERS,
    note="c is 0 for the row of padding_idx: its numbers v count as constants, and no gradient comes back to them.",
)


def _choose(arguments: Arguments) -> OpRule:
    if arguments.get("scale_grad_by_freq"):
        return _SCALED
    return _ROWS if arguments.get("padding_idx") is None else _WITH_PADDING


_ROWS = OpRule("embedding", W, {"weight": W}, move=_rows, choose=_choose, silencers=_SILENCERS)


def _table_first(rule: OpRule) -> OpRule:
    """Return a rule of torch.embedding, which takes its table first and calls the numbers `indices`."""

    def turned(find: Mask) -> Mask:
        return lambda arguments, output, threshold: find(_turned(arguments), output, threshold)

    return replace(
        rule,
        name="torch.embedding",
        move=_rows_of_table if rule.move else None,
        wire=_padded_rows_of_table if rule.wire else None,
        choose=_choose_turned,
        silencers=tuple(replace(one, find=turned(one.find)) for one in rule.silencers),
    )


def _turned(arguments: Arguments) -> dict[str, Any]:
    padding = arguments.get("padding_idx", -1)
    return {
        "input": arguments["indices"],
        "weight": arguments["weight"],
        "padding_idx": None if padding < 0 else padding,  # −1 is no row here
        "scale_grad_by_freq": arguments.get("scale_grad_by_freq", False),
    }


def _rows_of_table(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    return weight[indices]


def _padded_rows_of_table(
    output: Tensor,
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Wiring:
    return _padded_rows(output, indices, weight, padding_idx)


def _choose_turned(arguments: Arguments) -> OpRule:
    return _TURNED[_choose(_turned(arguments))]


_TURNED = {rule: _table_first(rule) for rule in (_ROWS, _WITH_PADDING, _SCALED)}

_BAG_SLOTS = {"weight": WS[K]}
_BAG_SCALED = _no_formula("embedding_bag", _bags)
_BAG_SUM = OpRule("embedding_bag", Sum(WS[K], (K, 1, N)), _BAG_SLOTS, _bags, silencers=_SILENCERS)
_BAG_WEIGHTED = OpRule(
    "embedding_bag",
    Sum(AS[K] * WS[K], (K, 1, N)),
    {"weight": WS[K], "per_sample_weights": AS[K]},
    _bags,
    silencers=_SILENCERS,
)
_BAG_LARGEST = OpRule("embedding_bag", Largest(WS[K], K, N), _BAG_SLOTS, _bags, silencers=(*_SILENCERS, _NOT_LARGEST))


def _choose_bag(arguments: Arguments) -> OpRule:
    if arguments.get("scale_grad_by_freq"):
        return _BAG_SCALED
    if arguments.get("per_sample_weights") is not None:
        return _BAG_WEIGHTED
    return {"sum": _BAG_SUM, "max": _BAG_LARGEST}.get(arguments.get("mode", "mean"), _BAG_MEAN)


_BAG_MEAN = OpRule(
    "embedding_bag",
    Sum(WS[K], (K, 1, N)) / N,
    _BAG_SLOTS,
    _bags,
    choose=_choose_bag,
    silencers=_SILENCERS,
    note="k runs over the numbers of one bag, those of padding_idx left out.",
)

EMBEDDING: tuple[OpRule, ...] = (_ROWS, _TURNED[_ROWS], _BAG_MEAN)
