"""The rule of scaled dot-product attention.

y = Σⱼ p[j]·v[j] with p[j] = e^s[j] / Σₜ e^s[t] and the scores s[j] = c·Σ_d q[d]·k[j,d] + a[j], for one number of the
output: one query, one feature of the values, all keys. a is 0, the mask's number, or −∞ where a key is masked.
"""
# the parameters of a wiring bear torch's own names

import math
from collections.abc import Mapping

import torch
from sympy import Expr, IndexedBase, S, Sum, Symbol, exp

from chainrule.ops.differentiation import Largest
from chainrule.ops.letters import AS, C, J, L, M, N, P, Y
from chainrule.ops.places import Arguments, Wiring, for_all_uses, numbered
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Tensor

QUERY = IndexedBase("q", real=True)
KEY = IndexedBase("k", real=True)
VALUE = IndexedBase("v", real=True)
SHARE = IndexedBase("p", real=True)
FEATURE = Symbol("d", integer=True)
FEATURES = Symbol("f", integer=True, positive=True)
KEPT = IndexedBase("m", real=True)
OTHER, SHIFTED = Symbol("t", integer=True), Symbol("r", integer=True)


def _attend(
    output: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: int | float = 0.0,
    is_causal: bool = False,
    scale: int | float | None = None,
    enable_gqa: bool = False,
    dropout_mask: Tensor | None = None,
) -> Wiring:
    batch, (queries, columns) = output.shape[:-2], output.shape[-2:]
    keys, features = key.shape[-2:]
    full = (*batch, queries, columns)
    key_places, value_places = numbered(key), numbered(value)
    if enable_gqa:
        key_places = key_places.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value_places = value_places.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    query_places = numbered(query).unsqueeze(-2).expand(*full, features)
    key_places = key_places[..., None, None, :, :].expand(*full, keys, features)
    value_places = value_places.transpose(-1, -2).unsqueeze(-3).expand(*full, keys)
    places = {
        "query": query_places.reshape(-1, features),
        "key": key_places.reshape(-1, keys, features),
        "value": value_places.reshape(-1, keys),
    }
    numbers: dict[Symbol | IndexedBase, Tensor | float] = {C: _scale(query, scale), N: float(keys)}
    added = _added(query, key, attn_mask, is_causal).expand(*batch, queries, keys)
    if attn_mask is not None and attn_mask.is_floating_point():
        mask_places = numbered(attn_mask).expand(*batch, queries, keys).unsqueeze(-2).expand(*full, keys)
        places["attn_mask"] = mask_places.reshape(-1, keys)
    else:
        numbers[AS] = _by_output(added, columns)
    if dropout_mask is not None:
        numbers |= {KEPT: _by_output(dropout_mask.to(torch.float64), columns), P: float(dropout_p)}
    numbers[SHARE] = _by_output(_shares(query, key, attn_mask, is_causal, scale), columns)
    # A query that may attend to no key is 0 and sends nothing back: all of its places are outside of the inputs.
    is_cut = _by_output((added == -math.inf).all(-1, keepdim=True), columns)
    places = {
        argument: torch.where(is_cut.reshape(-1, *(1,) * (taken.dim() - 1)), -1, taken)
        for argument, taken in places.items()
    }
    if AS in numbers:
        numbers[AS] = torch.where(is_cut, 0.0, numbers[AS])
    return Wiring(places, numbers)


def _by_output(rows: Tensor, columns: int) -> Tensor:
    """Repeat what holds for every query for each feature of its output: (..., queries, keys) → (outputs, keys)."""
    return rows.unsqueeze(-2).expand(*rows.shape[:-1], columns, rows.shape[-1]).reshape(-1, rows.shape[-1])


def _scale(query: Tensor, scale: int | float | None) -> float:
    return 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)


def _added(query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    """Return what is added to the scores: 0, the mask's numbers, or −∞."""
    added = torch.zeros(query.shape[-2], key.shape[-2], dtype=torch.float64)
    if is_causal:
        added = added.masked_fill(~torch.ones_like(added, dtype=torch.bool).tril(), -math.inf)
    if attn_mask is None:
        return added
    if attn_mask.is_floating_point():
        return added + attn_mask.detach().to(torch.float64)
    return torch.where(attn_mask, added, -math.inf)


def _shares(query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: int | float | None) -> Tensor:
    """Return how much each query takes of each key's value: (..., queries, keys)."""
    left, right = query.detach().to(torch.float64), key.detach().to(torch.float64)
    if left.dim() > 2 and right.shape[-3] not in (1, left.shape[-3]):
        right = right.repeat_interleave(left.shape[-3] // right.shape[-3], -3)  # grouped queries share a key's head
    scores = _scale(query, scale) * left @ right.transpose(-1, -2) + _added(query, key, attn_mask, is_causal)
    return torch.softmax(scores, -1).nan_to_num(0.0)  # a query without keys takes nothing: torch returns 0 there


def _score(key: Symbol) -> Expr:
    return C * Sum(QUERY[FEATURE] * KEY[key, FEATURE], (FEATURE, 1, FEATURES)) + AS[key]


def _mixed(shift: Expr | int, factor: Expr = S.One) -> Expr:
    over = Sum(exp(_score(OTHER) - shift), (OTHER, 1, N))
    return Sum(exp(_score(J) - shift) * factor * VALUE[J], (J, 1, N)) / over


def _shares_of(arguments: Arguments) -> Tensor:
    """Return the shares (..., queries, keys) of a call."""
    query, key = arguments["query"], arguments["key"]
    return _shares(query, key, arguments.get("attn_mask"), arguments.get("is_causal", False), arguments.get("scale"))


def _for_heads_of(found: Tensor, key: Tensor) -> Tensor:
    """Return the largest of what holds for each head of the queries, for the heads of the keys, which may be fewer."""
    if key.dim() > 2 and found.shape[-3] != key.shape[-3]:
        found = found.reshape(*found.shape[:-3], key.shape[-3], -1, *found.shape[-2:]).amax(-3)
    return found.sum_to_size(key.shape[:-2] + found.shape[-2:])


def _in_heads_of(tensor: Tensor, query: Tensor) -> Tensor:
    """Return keys or values in float64, repeated for each head of the queries."""
    tensor = tensor.detach().to(torch.float64)
    if tensor.dim() > 2 and tensor.shape[-3] not in (1, query.shape[-3]):
        tensor = tensor.repeat_interleave(query.shape[-3] // tensor.shape[-3], -3)
    return tensor


def _range(tensor: Tensor) -> Tensor:
    """Return how far the keys or values are apart, in each feature: (..., 1, features)."""
    return tensor.amax(-2, keepdim=True) - tensor.amin(-2, keepdim=True)


def _factors(arguments: Arguments) -> Tensor | float:
    """Return what dropout multiplies the shares with: 0 or 1/(1 − p); 1 without dropout."""
    mask, chance = arguments.get("dropout_mask"), arguments.get("dropout_p", 0.0)
    return 1.0 if mask is None or chance == 1 else mask.to(torch.float64) / (1 - chance)


def _is_not_taken(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    taken = _shares_of(arguments) * _factors(arguments)
    return _for_heads_of(taken.amax(-2).unsqueeze(-1), arguments["key"]) <= threshold


def _pulls(arguments: Arguments, output: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest |∂y/∂s[j]| = p[j]·|v[j] − y| over the features, and the largest that it can be.

    The latter is a quarter of the range of v. Shapes: (..., queries, keys) and (..., 1, 1).
    """
    value = _in_heads_of(arguments["value"], arguments["query"])
    batch = output.shape[:-2]
    value = value.expand(*batch, *value.shape[-2:])
    means, factors = output.detach().to(torch.float64), _factors(arguments)
    if isinstance(factors, float):
        gaps = torch.cdist(means, value, p=math.inf)
    else:
        kept = torch.cdist(means, value * factors.amax(), p=math.inf)
        gaps = torch.where(factors == 0, means.abs().amax(-1, keepdim=True), kept)
    return _shares_of(arguments) * gaps, _range(value).amax(-1, keepdim=True) / 4


def _is_flat_for_key(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    pulls, most = _pulls(arguments, output)
    query = arguments["query"].detach().to(torch.float64).abs()
    # Two bounds of the largest product over the queries; both are 0 only where it is.
    bound = torch.minimum(pulls.transpose(-1, -2) @ query, pulls.amax(-2).unsqueeze(-1) * query.amax(-2, keepdim=True))
    is_more = bound > threshold * most * query.amax(-2, keepdim=True)
    return _for_heads_of(is_more.to(torch.float64), arguments["key"]) == 0


def _is_decided(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    # ∂y/∂q = c·(mean of v·k − mean of v · mean of k), with the shares as weights: at most the product of the spreads.
    shares = _shares_of(arguments)
    value, key = (_in_heads_of(arguments[name], arguments["query"]) for name in ("value", "key"))
    spreads = [
        ((shares * factors**2 @ part**2) - (shares * factors @ part) ** 2).clamp(min=0.0).sqrt()
        for part, factors in ((value, _factors(arguments)), (key, 1.0))
    ]
    bound = spreads[0].amax(-1, keepdim=True) * spreads[1]
    return bound <= threshold * _range(value).amax(-1, keepdim=True) * _range(key) / 4


def _is_flat_for_mask(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    pulls, most = _pulls(arguments, output)
    return for_all_uses(pulls <= threshold * most, arguments["attn_mask"], pulls)


def _has_no_key(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    query, key = arguments["query"], arguments["key"]
    added = _added(query, key, arguments.get("attn_mask"), arguments.get("is_causal", False))
    return (added == -math.inf).all(-1).unsqueeze(-1)


_SHIFT = Largest(_score(SHIFTED), SHIFTED, N)
_WORDS = "masked, or so unlike every query that none takes anything of it"
_SILENCERS = (
    Silencer("masked key", f"{_WORDS}, or the only one that its queries take", "key", _is_flat_for_key),
    Silencer("masked value", _WORDS, "value", _is_not_taken),
    Silencer("decided query", "so sure of one key that the softmax is flat (saturated)", "query", _is_decided),
    Silencer(
        "masked score",
        "added to a score of which nothing, or everything, is taken",
        "attn_mask",
        _is_flat_for_mask,
    ),
    Silencer("fully masked query", "allowed no key at all, so that its output is 0", "query", _has_no_key),
)
_SLOTS = {"query": QUERY[FEATURE], "key": KEY[J, FEATURE], "value": VALUE[J]}


def _choose(arguments: Arguments) -> OpRule:
    mask, chance = arguments.get("attn_mask"), arguments.get("dropout_p", 0.0)
    has_scores = mask is not None and mask.is_floating_point()
    if not chance:
        return _WITH_ADDED if has_scores else _ATTENTION
    if arguments.get("dropout_mask") is None or chance == 1:
        return _RANDOM
    return _DROPPED_WITH_ADDED if has_scores else _DROPPED


def _rule(slots: Mapping[str, Expr], factor: Expr = S.One) -> OpRule:
    taken = factor * VALUE[M]
    school = {
        "value": SHARE[M] * factor.subs(J, M),
        "key": C * QUERY[L] * SHARE[M] * (taken.subs(J, M) - Y),
        "query": C * Sum(SHARE[J] * (factor * VALUE[J] - Y) * KEY[J, M], (J, 1, N)),
        "attn_mask": SHARE[M] * (taken.subs(J, M) - Y),
    }
    note = "p[j] = e^s[j]/Σₜ e^s[t] is the share of key j, with the scores s[j] = c·Σ_d q[d]·k[j,d] + a[j]; a[j] is 0, "
    note += "the mask's number, or −∞ where the key is masked."
    if factor != 1:
        note += " m[j] is 1 where dropout kept the share and 0 where it dropped it, and p its probability."
    return OpRule(
        "scaled_dot_product_attention",
        _mixed(0, factor),
        slots,
        _attend,
        stable=_mixed(_SHIFT, factor),
        choose=_choose,
        school={argument: school[argument] for argument in slots},
        silencers=tuple(silencer for silencer in _SILENCERS if silencer.argument in slots),
        note=note,
    )


_RANDOM = OpRule(
    "scaled_dot_product_attention",
    None,
    {},
    _attend,
    note="With dropout, the shares p[j] are dropped at random inside of the op, and the mask cannot be seen.",
)
_WITH_SCORES = {**_SLOTS, "attn_mask": AS[J]}
_ATTENTION, _WITH_ADDED = _rule(_SLOTS), _rule(_WITH_SCORES)
_DROPPED, _DROPPED_WITH_ADDED = (_rule(slots, KEPT[J] / (1 - P)) for slots in (_SLOTS, _WITH_SCORES))

ATTENTION: tuple[OpRule, ...] = (_ATTENTION,)
