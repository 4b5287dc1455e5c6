"""Rules of the losses that are negative logarithms of a likelihood: cross-entropy of two, divergence, Poisson, Gauss.

Where torch takes a logarithm of 0, it stops at −100, and slopes stop at 10¹²; the formulas do not say so.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Mapping
from typing import Any

import torch
from sympy import Expr, Piecewise, Symbol, exp, log, pi

from chainrule.formulas import Sigmoid, Softplus
from chainrule.ops.letters import EPSILON, B, C, V, X, Z
from chainrule.ops.loss_elements import (
    AT_TARGET,
    EQUAL,
    NO_WEIGHT,
    PAIR,
    gap_of,
    one_by_one,
    silencers_of,
)
from chainrule.ops.loss_reductions import (
    by_reduction,
    choosing,
    one_of,
    reduction_of,
)
from chainrule.ops.places import Arguments, Wiring
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.shapes import Tensor

BATCH = Symbol("b", positive=True)


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
    return one_by_one(how, {"input": input, "target": target}, numbers)


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
    return one_by_one(how, {"input": input, "target": target}, {BATCH: batch})


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
    return one_by_one(how, {"input": input, "target": target}, {EPSILON: eps})


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
        return one_by_one(reduction, tensors, {V: torch.full(input.shape, max(float(var), eps), dtype=torch.float64)})
    if var.shape != input.shape and input.shape[:-1] == var.shape:
        var = var.unsqueeze(-1)
    return one_by_one(reduction, {**tensors, "var": var}, {})


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
    PAIR,
    _binary,
    letters=(C,),
    school={"input": C * (X - Z) / (X * (1 - X))},
    silencers=(*silencers_of("already right", EQUAL, lambda a, _, __: gap_of(a) == 0, "input"), *NO_WEIGHT),
    hazards=(_ENDS,),
    note="c is the weight of the element, 1 unless it is given. After a sigmoid, the two slopes make σ(x) − t.",
)
_LOGITS_NOTE = "c is the weight of the element, 1 unless it is given. Sigmoid and cross-entropy together: σ(x) − t."
_BINARY_LOGITS = by_reduction(
    "binary_cross_entropy_with_logits",
    C * (Softplus(X) - Z * X),
    PAIR,
    _binary,
    letters=(C,),
    school={"input": C * (Sigmoid(X) - Z)},
    silencers=(_CERTAIN, *NO_WEIGHT),
    note=_LOGITS_NOTE,
)
_BINARY_LOGITS_WEIGHTED = by_reduction(
    "binary_cross_entropy_with_logits",
    C * ((1 - Z) * X + (1 + (B - 1) * Z) * Softplus(-X)),
    PAIR,
    _binary,
    letters=(C, B),
    silencers=(_CERTAIN, *NO_WEIGHT),
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
    return (chance <= threshold).broadcast_to(gap_of(arguments).shape)


def _kl_rules(element: Expr) -> dict[str, OpRule]:
    more: Mapping[str, Any] = {
        "silencers": silencers_of("target 0", "what is to have a probability of about 0", _is_unlikely, "input"),
        "hazards": (_TARGET_OVERFLOWS, _TARGET_IS_ZERO),
    }
    of_batch = by_reduction(
        "kl_div", element, PAIR, _kl_div, divisor=BATCH, note="b is the size of the batch.", **more
    )["mean"]
    return by_reduction("kl_div", element, PAIR, _kl_div, **more) | {"batchmean": of_batch}


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
        PAIR,
        _poisson,
        hazards=(_POISSON_OVERFLOWS, _POISSON_LOG),
    )
    for is_log in (True, False)
    for is_full in (True, False)
}


def _choose_poisson(arguments: Arguments) -> OpRule:
    chosen = _POISSON[bool(arguments.get("log_input", True)), bool(arguments.get("full", False))]
    return chosen[reduction_of(arguments)]


_LIKELIHOOD = (log(V) + (X - Z) ** 2 / V) / 2
_GAUSSIAN_NOTE = "Where v is below eps, torch takes eps in its place and still sends back the slope by v."
_GAUSSIAN: dict[tuple[bool, bool], dict[str, OpRule]] = {
    (is_full, has_tensor): by_reduction(
        "gaussian_nll_loss",
        _LIKELIHOOD + (log(2 * pi) / 2 if is_full else 0),
        {**PAIR, "var": V} if has_tensor else PAIR,
        _gaussian,
        letters=() if has_tensor else (V,),
        silencers=AT_TARGET,
        note=_GAUSSIAN_NOTE,
    )
    for is_full in (False, True)
    for has_tensor in (False, True)
}


def _choose_gaussian(arguments: Arguments) -> OpRule:
    chosen = _GAUSSIAN[bool(arguments.get("full", False)), isinstance(arguments.get("var"), Tensor)]
    return chosen[reduction_of(arguments)]


LIKELIHOODS: tuple[OpRule, ...] = (
    one_of(_BINARY),
    choosing(_BINARY_LOGITS, _choose_logits),
    choosing(_KL, lambda arguments: (_KL_LOG if arguments.get("log_target") else _KL)[reduction_of(arguments)]),
    choosing(_POISSON[True, False], _choose_poisson),
    choosing(_GAUSSIAN[False, True], _choose_gaussian),
)
