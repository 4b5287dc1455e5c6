"""Rules of the losses that compare numbers one by one: squares, absolute values, likelihoods, margins.

Each is written down once, for one element; `by_reduction` makes the sum and the mean of it. Where torch takes a
logarithm of 0, it stops at −100, and slopes stop at 10¹²; the formulas do not say so.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sympy import Abs, Expr, Piecewise, Sum, Symbol, exp, log, pi

from chainrule.formulas import Sigmoid, Softplus
from chainrule.ops.hinges import Hinge
from chainrule.ops.letters import BETA, EPSILON, B, C, K, N, V, X, Z
from chainrule.ops.loss_reductions import (
    LossNumbers,
    by_reduction,
    choosing,
    listed_letter,
    one_of,
    reduction_of,
    wired,
)
from chainrule.ops.places import Arguments, Wiring, for_all_uses, numbered
from chainrule.ops.rule import Hazard, Mask, OpRule, Silencer
from chainrule.shapes import Tensor

DELTA = Symbol("delta", positive=True)
MARGIN = Symbol("m", real=True)
BATCH = Symbol("b", positive=True)

_PAIR = {"input": X, "target": Z}
_ALL_WEIGHTS = Sum(listed_letter(C)[K], (K, 1, N))


def _one_by_one(reduction: str, tensors: Mapping[str, Tensor], numbers: LossNumbers) -> Wiring:
    """Wire tensors that broadcast to one shape, and numbers that are tensors of theirs."""
    others = [number for number in numbers.values() if isinstance(number, Tensor)]
    shape = torch.broadcast_tensors(*tensors.values(), *others)[0].shape  # type: ignore[no-untyped-call]
    return wired(
        reduction,
        {argument: numbered(tensor).broadcast_to(shape).reshape(-1) for argument, tensor in tensors.items()},
        {
            letter: number.detach().to(torch.float64).broadcast_to(shape).reshape(-1)
            if isinstance(number, Tensor)
            else number
            for letter, number in numbers.items()
        },
    )


def _pair(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    return _one_by_one(how, {"input": input, "target": target}, {} if weight is None else {C: weight})


def _labelled(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    return _one_by_one(how, {"input": input}, {Z: target})


def _smooth_l1(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: int | float = 1.0,
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    return _one_by_one(how, {"input": input, "target": target}, {BETA: beta})


def _huber(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: int | float = 1.0,
    weight: Tensor | None = None,
) -> Wiring:
    return _one_by_one(
        reduction, {"input": input, "target": target}, {DELTA: delta} if weight is None else {DELTA: delta, C: weight}
    )


def _binary(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    ones = torch.ones((), dtype=torch.float64)
    numbers = {C: ones if weight is None else weight, B: ones if pos_weight is None else pos_weight}
    return _one_by_one(how, {"input": input, "target": target}, numbers)


def _kl_div(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    batch = float(input.shape[0]) if input.dim() else 1.0
    return _one_by_one(how, {"input": input, "target": target}, {BATCH: batch})


def _poisson(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: int | float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    return _one_by_one(how, {"input": input, "target": target}, {EPSILON: eps})


def _gaussian(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    var: Tensor | int | float,
    full: bool = False,
    eps: int | float = 1e-6,
    reduction: str = "mean",
) -> Wiring:
    tensors = {"input": input, "target": target}
    if not isinstance(var, Tensor):
        return _one_by_one(reduction, tensors, {V: torch.full(input.shape, max(float(var), eps), dtype=torch.float64)})
    if var.shape != input.shape and input.shape[:-1] == var.shape:
        var = var.unsqueeze(-1)
    return _one_by_one(reduction, {**tensors, "var": var}, {})


def _hinge(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    margin: int | float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    return _one_by_one(how, {"input": input}, {Z: target, MARGIN: margin})


def _ranking(
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
    return _one_by_one(how, {"input1": input1, "input2": input2}, {Z: target, MARGIN: margin})


def _silencers(name: str, words: str, find: Mask, *arguments: str) -> tuple[Silencer, ...]:
    """Return a silencer of each argument, from a condition on the elements that are compared."""

    def of_uses(argument: str) -> Mask:
        def mask(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
            found = find(arguments, output, threshold)
            return for_all_uses(found, arguments[argument], found)

        return mask

    return tuple(Silencer(name, words, argument, of_uses(argument)) for argument in arguments)


def _gap(arguments: Arguments) -> Tensor:
    gap: Tensor = (arguments["input"].detach() - arguments["target"].detach()).abs()
    return gap


def _right(words: str, is_right: Callable[[Arguments, float], Tensor]) -> tuple[Silencer, ...]:
    return _silencers("already right", words, lambda arguments, _, share: is_right(arguments, share), *_PAIR)


def _no_weight(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    is_zero: Tensor = arguments["weight"] == 0 if arguments.get("weight") is not None else torch.tensor(False)
    return is_zero.broadcast_to(_gap(arguments).shape)


_DIFFERENCE = X - Z
_SIZE = Abs(_DIFFERENCE)
_SQUARE = _DIFFERENCE**2
_HUBER = Piecewise((_SQUARE / 2, _SIZE <= DELTA), (DELTA * (_SIZE - DELTA / 2), True))

_NO_WEIGHT = _silencers("weight 0", "given a weight of 0", _no_weight, *_PAIR)
_EQUAL = "equal to what it is compared with, where the loss is flat"
_AT_TARGET = _right(_EQUAL, lambda arguments, _: _gap(arguments) == 0)
_AT_KINK = _right("equal to what it is compared with, where PyTorch takes the slope to be 0", lambda a, _: _gap(a) == 0)
_NEAR_DELTA = _right(_EQUAL, lambda arguments, share: _gap(arguments) <= share * arguments.get("delta", 1.0))
_NEAR_BETA = _right(_EQUAL, lambda arguments, share: _gap(arguments) <= share * arguments.get("beta", 1.0))
_WEIGHTED: Mapping[str, Any] = {"letters": (C,), "divisor": _ALL_WEIGHTS}
_MSE = by_reduction("mse_loss", _SQUARE, _PAIR, _pair, silencers=_AT_TARGET)
_MSE_WEIGHTED = by_reduction("mse_loss", C * _SQUARE, _PAIR, _pair, silencers=(*_AT_TARGET, *_NO_WEIGHT), **_WEIGHTED)
_L1 = by_reduction("l1_loss", _SIZE, _PAIR, _pair, silencers=_AT_KINK)
_L1_WEIGHTED = by_reduction("l1_loss", C * _SIZE, _PAIR, _pair, silencers=(*_AT_KINK, *_NO_WEIGHT), **_WEIGHTED)
_FAR = "Further away than δ the slope is constant, ±δ."
_HUBERS = by_reduction("huber_loss", _HUBER, _PAIR, _huber, silencers=_NEAR_DELTA, note=_FAR)
_HUBERS_WEIGHTED = by_reduction(
    "huber_loss", C * _HUBER, _PAIR, _huber, letters=(C,), silencers=(*_NEAR_DELTA, *_NO_WEIGHT), note=_FAR
)
_SMOOTH = by_reduction(
    "smooth_l1_loss",
    Piecewise((_SQUARE / (2 * BETA), _SIZE < BETA), (_SIZE - BETA / 2, True)),
    _PAIR,
    _smooth_l1,
    silencers=_NEAR_BETA,
    note="Further away than β the slope is constant, ±1.",
)
_SMOOTH_L1 = by_reduction(
    "smooth_l1_loss", _SIZE, _PAIR, _smooth_l1, silencers=_AT_KINK, note="With β = 0 it is the absolute error."
)


def _weighted(plain: Mapping[str, OpRule], weighted: Mapping[str, OpRule]) -> OpRule:
    def choose(arguments: Arguments) -> OpRule:
        return (plain if arguments.get("weight") is None else weighted)[reduction_of(arguments)]

    return choosing(plain, choose)


def _is_certain(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    target, weight = arguments["target"], arguments.get("pos_weight")
    above = target if weight is None else target * weight
    chance = torch.sigmoid(arguments["input"].detach())
    difference: Tensor = chance * (above - target + 1) - above
    return difference.abs() <= threshold


_CERTAIN = Silencer("already right", "already so near to its target that σ(x) − t is about 0", "input", _is_certain)
_ENDS = Hazard(
    "log of 0",
    "0 or 1, where the logarithm is cut off at −100 and the slope reaches 10¹² (infinite in float16)",
    "input",
    "backward",
    lambda arguments, output: (arguments["input"] == 0) | (arguments["input"] == 1),
)
_BINARY = by_reduction(
    "binary_cross_entropy",
    -C * (Z * log(X) + (1 - Z) * log(1 - X)),
    _PAIR,
    _binary,
    letters=(C,),
    school={"input": C * (X - Z) / (X * (1 - X))},
    silencers=(*_silencers("already right", _EQUAL, lambda a, _, __: _gap(a) == 0, "input"), *_NO_WEIGHT),
    hazards=(_ENDS,),
    note="c is the weight of the element, 1 unless it is given. After a sigmoid, the two slopes make σ(x) − t.",
)
_LOGITS_NOTE = "c is the weight of the element, 1 unless it is given. Sigmoid and cross-entropy together: σ(x) − t."
_BINARY_LOGITS = by_reduction(
    "binary_cross_entropy_with_logits",
    C * (Softplus(X) - Z * X),
    _PAIR,
    _binary,
    letters=(C,),
    school={"input": C * (Sigmoid(X) - Z)},
    silencers=(_CERTAIN, *_NO_WEIGHT),
    note=_LOGITS_NOTE,
)
_BINARY_LOGITS_WEIGHTED = by_reduction(
    "binary_cross_entropy_with_logits",
    C * ((1 - Z) * X + (1 + (B - 1) * Z) * Softplus(-X)),
    _PAIR,
    _binary,
    letters=(C, B),
    silencers=(_CERTAIN, *_NO_WEIGHT),
    note="b is pos_weight, the weight of what is to be 1.",
)


def _choose_logits(arguments: Arguments) -> OpRule:
    chosen = _BINARY_LOGITS if arguments.get("pos_weight") is None else _BINARY_LOGITS_WEIGHTED
    return chosen[reduction_of(arguments)]


_TARGET_OVERFLOWS = Hazard(
    "exp overflow",
    "so large that e^t is infinite in its dtype",
    "target",
    "forward",
    lambda arguments, output: (
        torch.exp(arguments["target"]).isinf() & arguments["target"].isfinite()
        if arguments.get("log_target")
        else torch.zeros((), dtype=torch.bool)
    ),
)
_TARGET_IS_ZERO = Hazard(
    "log of 0",
    "0, where the slope by the target, its logarithm, is −∞",
    "target",
    "backward",
    lambda arguments, output: (
        torch.zeros((), dtype=torch.bool) if arguments.get("log_target") else arguments["target"] == 0
    ),
)
_KL_ELEMENT = Piecewise((Z * (log(Z) - X), Z > 0), (0, True))
_KL_LOG_ELEMENT = exp(Z) * (Z - X)


def _is_unlikely(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    target = arguments["target"].detach()
    chance: Tensor = torch.exp(target) if arguments.get("log_target") else target
    return (chance <= threshold).broadcast_to(_gap(arguments).shape)


def _kl_rules(element: Expr) -> dict[str, OpRule]:
    more: Mapping[str, Any] = {
        "silencers": _silencers("target 0", "what is to have a probability of about 0", _is_unlikely, "input"),
        "hazards": (_TARGET_OVERFLOWS, _TARGET_IS_ZERO),
    }
    of_batch = by_reduction(
        "kl_div", element, _PAIR, _kl_div, divisor=BATCH, note="b is the size of the batch.", **more
    )["mean"]
    return by_reduction("kl_div", element, _PAIR, _kl_div, **more) | {"batchmean": of_batch}


_KL, _KL_LOG = _kl_rules(_KL_ELEMENT), _kl_rules(_KL_LOG_ELEMENT)

_POISSON_OVERFLOWS = Hazard(
    "exp overflow",
    "so large that e^x is infinite in its dtype",
    "input",
    "forward",
    lambda arguments, output: (
        torch.exp(arguments["input"]).isinf() & arguments["input"].isfinite()
        if arguments.get("log_input", True)
        else torch.zeros((), dtype=torch.bool)
    ),
)
_POISSON_LOG = Hazard(
    "log of 0",
    "−ε or less, where the logarithm is −∞ or has no value",
    "input",
    "forward",
    lambda arguments, output: (
        torch.zeros((), dtype=torch.bool)
        if arguments.get("log_input", True)
        else arguments["input"] + arguments.get("eps", 1e-8) <= 0
    ),
)
_STIRLING = Piecewise((Z * log(Z) - Z + log(2 * pi * Z) / 2, Z > 1), (0, True))
_POISSON: dict[tuple[bool, bool], dict[str, OpRule]] = {
    (is_log, is_full): by_reduction(
        "poisson_nll_loss",
        (exp(X) - Z * X if is_log else X - Z * log(X + EPSILON)) + (_STIRLING if is_full else 0),
        _PAIR,
        _poisson,
        hazards=(_POISSON_OVERFLOWS, _POISSON_LOG),
    )
    for is_log in (True, False)
    for is_full in (True, False)
}


def _choose_poisson(arguments: Arguments) -> OpRule:
    chosen = _POISSON[bool(arguments.get("log_input", True)), bool(arguments.get("full", False))]
    return chosen[reduction_of(arguments)]


_LIKELIHOOD = (log(V) + _SQUARE / V) / 2
_GAUSSIAN_NOTE = "Where v is below eps, torch takes eps in its place and still sends back the slope by v."
_GAUSSIAN: dict[tuple[bool, bool], dict[str, OpRule]] = {
    (is_full, has_tensor): by_reduction(
        "gaussian_nll_loss",
        _LIKELIHOOD + (log(2 * pi) / 2 if is_full else 0),
        {**_PAIR, "var": V} if has_tensor else _PAIR,
        _gaussian,
        letters=() if has_tensor else (V,),
        silencers=_AT_TARGET,
        note=_GAUSSIAN_NOTE,
    )
    for is_full in (False, True)
    for has_tensor in (False, True)
}


def _choose_gaussian(arguments: Arguments) -> OpRule:
    chosen = _GAUSSIAN[bool(arguments.get("full", False)), isinstance(arguments.get("var"), Tensor)]
    return chosen[reduction_of(arguments)]


def _margin_met(argument: str, is_met: Mask) -> Silencer:
    return Silencer("margin met", "beyond the margin, where the loss is 0 and flat", argument, is_met)


def _hinge_met(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    is_met: Tensor = (arguments["input"] > arguments.get("margin", 1.0)) & (arguments["target"] == -1)
    return is_met


def _ranking_met(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    value: Tensor = arguments.get("margin", 0) - arguments["target"] * (arguments["input1"] - arguments["input2"])
    return value < 0


_HINGE = by_reduction(
    "hinge_embedding_loss",
    (1 + Z) / 2 * X + (1 - Z) / 2 * Hinge(MARGIN - X),
    {"input": X},
    _hinge,
    letters=(Z,),
    silencers=(_margin_met("input", _hinge_met),),
    note="z is the target, 1 or −1, and m the margin.",
)
_RANKING = by_reduction(
    "margin_ranking_loss",
    Hinge(MARGIN - Z * (V - X)),
    {"input1": V, "input2": X},
    _ranking,
    letters=(Z,),
    silencers=(_margin_met("input1", _ranking_met), _margin_met("input2", _ranking_met)),
    note="v and x are the two inputs, z is the target, 1 or −1, and m the margin.",
)


def _is_beyond(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    slope: Tensor = torch.sigmoid(-arguments["target"] * arguments["input"].detach())
    return slope <= threshold


def _margin_overflows(arguments: Arguments, output: Tensor) -> Tensor:
    exponent: Tensor = -arguments["target"] * arguments["input"].detach()
    return torch.exp(exponent).isinf() & exponent.isfinite()


_SOFT_MARGIN = by_reduction(
    "soft_margin_loss",
    Softplus(-Z * X),
    {"input": X},
    _labelled,
    letters=(Z,),
    silencers=_silencers(
        "already right", "so far on the right side that the loss is flat (saturated)", _is_beyond, "input"
    ),
    hazards=(
        Hazard(
            "exp overflow",
            "so far on the wrong side that e^(−z·x) is infinite in its dtype",
            "input",
            "forward",
            _margin_overflows,
        ),
    ),
    note="z is the target, 1 or −1.",
)

LOSSES: tuple[OpRule, ...] = (
    _weighted(_MSE, _MSE_WEIGHTED),
    _weighted(_L1, _L1_WEIGHTED),
    choosing(
        _SMOOTH, lambda arguments: (_SMOOTH if arguments.get("beta", 1.0) else _SMOOTH_L1)[reduction_of(arguments)]
    ),
    _weighted(_HUBERS, _HUBERS_WEIGHTED),
    one_of(_BINARY),
    choosing(_BINARY_LOGITS, _choose_logits),
    choosing(_KL, lambda arguments: (_KL_LOG if arguments.get("log_target") else _KL)[reduction_of(arguments)]),
    choosing(_POISSON[True, False], _choose_poisson),
    choosing(_GAUSSIAN[False, True], _choose_gaussian),
    one_of(_HINGE),
    one_of(_RANKING),
    one_of(_SOFT_MARGIN),
)
