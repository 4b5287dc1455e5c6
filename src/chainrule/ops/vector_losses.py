"""Rules of the losses that compare whole vectors: cosine embedding and triplets."""
# the parameters of a wiring bear torch's own names

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812
from sympy import Abs, Expr, Float, IndexedBase, Min, Pow, Sum, Symbol, nsimplify, sqrt

from chainrule.ops.hinges import Hinge
from chainrule.ops.letters import AS, EPSILON, K, N, Z
from chainrule.ops.loss_reductions import by_reduction, choosing, one_of, reduction_of, wired
from chainrule.ops.places import Arguments, Wiring, for_all_uses, numbered
from chainrule.ops.rule import Mask, OpRule, Silencer
from chainrule.shapes import Tensor

BS = IndexedBase("b", real=True)
CS = IndexedBase("c", real=True)
MARGIN = Symbol("m", real=True)
D = Symbol("d", integer=True)
_LETTERS = [Symbol(letter, integer=True) for letter in "defgh"]
_TORCHS_EPSILON = Float("1e-12")  # cosine_embedding_loss adds it to the squared lengths


def _vectors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return element numbers (samples, K) of tensors that broadcast to one shape, with vectors on the last axis."""
    shape = torch.broadcast_tensors(*tensors.values())[0].shape  # type: ignore[no-untyped-call]
    return {name: numbered(tensor).broadcast_to(shape).reshape(-1, shape[-1]) for name, tensor in tensors.items()}


def _cosine(
    output: Tensor,
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: int | float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    places = _vectors({"input1": input1, "input2": input2})
    labels = target.detach().to(torch.float64).reshape(-1).expand(places["input1"].shape[0])
    return wired(how, places, {Z: labels, MARGIN: margin})


def _triplet(
    output: Tensor,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: int | float = 1.0,
    p: int | float = 2,
    eps: int | float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    places = _vectors({"anchor": anchor, "positive": positive, "negative": negative})
    return wired(how, places, {MARGIN: margin, EPSILON: eps})


_TRIPLET = ("anchor", "positive", "negative")
_COSINE_PAIR = ("input1", "input2")


def _slopes(
    loss: Callable[..., Tensor], vectors: tuple[str, ...], settings: tuple[str, ...], arguments: Arguments
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of every sample, and its slopes by each of its own vectors."""
    with torch.enable_grad():
        spread = torch.broadcast_tensors(*(arguments[name].detach() for name in vectors))  # type: ignore[no-untyped-call]
        moving = [tensor.clone().requires_grad_() for tensor in spread]
        given = {name: arguments[name] for name in settings if name in arguments}
        single = loss(*moving, **given, reduction="none")
    found = torch.autograd.grad(single.sum(), moving)
    return single.detach(), dict(zip(vectors, found, strict=True))


def _triplet_slopes(arguments: Arguments) -> tuple[Tensor, dict[str, Tensor]]:
    return _slopes(F.triplet_margin_loss, _TRIPLET, ("margin", "p", "eps", "swap"), arguments)


def _cosine_slopes(arguments: Arguments) -> tuple[Tensor, dict[str, Tensor]]:
    return _slopes(F.cosine_embedding_loss, _COSINE_PAIR, ("target", "margin"), arguments)


def _margins(
    argument: str, what: str, slopes_of: Callable[[Arguments], tuple[Tensor, dict[str, Tensor]]]
) -> tuple[Silencer, Silencer]:
    """Return the silencers of a vector whose loss is 0, and of elements on which the parts of the loss agree."""

    def find(is_met: bool) -> Mask:
        def mask(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
            losses, slopes = slopes_of(arguments)
            is_zero = (losses == 0).unsqueeze(-1)
            found = (slopes[argument] == 0) & (is_zero if is_met else ~is_zero)
            return for_all_uses(found, arguments[argument], found)

        return mask

    return (
        Silencer("margin met", f"of a {what} beyond the margin, where the loss is 0 and flat", argument, find(True)),
        Silencer("balanced", f"of a {what} whose terms pull at it equally in both directions", argument, find(False)),
    )


def _product(first: IndexedBase, second: IndexedBase, letter: Symbol) -> Expr:
    return Sum(first[letter] * second[letter], (letter, 1, N))


_FIRST, _SECOND, _THIRD = _LETTERS[:3]
_COSINE = _product(AS, BS, _FIRST) / sqrt(
    (_product(AS, AS, _SECOND) + _TORCHS_EPSILON) * (_product(BS, BS, _THIRD) + _TORCHS_EPSILON)
)


def _distance(first: IndexedBase, second: IndexedBase, letter: Symbol, power: Expr) -> Expr:
    gap = first[letter] - second[letter] + EPSILON
    if power == 2:
        return sqrt(Sum(gap**2, (letter, 1, N)))
    return Pow(Sum(Abs(gap) ** power, (letter, 1, N)), 1 / power)


@cache
def _triplet_rules(power: float, is_swapped: bool) -> dict[str, OpRule]:
    exponent = nsimplify(power, rational=True)
    near, far = _distance(AS, BS, _FIRST, exponent), _distance(AS, CS, _SECOND, exponent)
    if is_swapped:
        far = Min(far, _distance(BS, CS, _THIRD, exponent))
    return by_reduction(
        "triplet_margin_loss",
        Hinge(MARGIN + near - far),
        {"anchor": AS[K], "positive": BS[K], "negative": CS[K]},
        _triplet,
        silencers=tuple(silencer for name in _TRIPLET for silencer in _margins(name, "triplet", _triplet_slopes)),
        note="a, b and c are anchor, positive and negative, and m is the margin.",
    )


_COSINES = by_reduction(
    "cosine_embedding_loss",
    (1 + Z) / 2 * (1 - _COSINE) + (1 - Z) / 2 * Hinge(_COSINE - MARGIN),
    {"input1": AS[K], "input2": BS[K]},
    _cosine,
    letters=(Z,),
    silencers=tuple(silencer for name in _COSINE_PAIR for silencer in _margins(name, "pair", _cosine_slopes)),
    note="a and b are the two inputs, z is the target, 1 or −1, and m the margin. torch adds 10⁻¹² to the squared "
    "lengths, so that a vector of zeros makes no NaN.",
)


def _choose_triplet(arguments: Arguments) -> OpRule:
    rules = _triplet_rules(float(arguments.get("p", 2)), bool(arguments.get("swap", False)))
    return rules[reduction_of(arguments)]


def _triplet_with_distance(
    output: Tensor,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: object = None,
    margin: int | float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Wiring:
    return _triplet(output, anchor, positive, negative, margin, swap=swap, reduction=reduction)


def _with_distance(rule: OpRule) -> OpRule:
    return replace(rule, name=_OWN_DISTANCE.name, wire=_triplet_with_distance, choose=None)


_OWN_DISTANCE = OpRule(
    "triplet_margin_with_distance_loss",
    None,
    note="The distance is a function of the user's own.",
)
_BY_DISTANCE = {
    (swap, reduction): _with_distance(rule)
    for swap in (False, True)
    for reduction, rule in _triplet_rules(2.0, swap).items()
}


def _choose_distance(arguments: Arguments) -> OpRule:
    if arguments.get("distance_function") is not None:
        return _OWN_DISTANCE
    return _BY_DISTANCE[bool(arguments.get("swap", False)), reduction_of(arguments)]


VECTOR_LOSSES: tuple[OpRule, ...] = (
    one_of(_COSINES),
    choosing(_triplet_rules(2.0, False), _choose_triplet),
    choosing({"mean": _BY_DISTANCE[False, "mean"]}, _choose_distance),
)
