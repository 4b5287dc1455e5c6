"""Rules of the losses that compare numbers one by one: squares, absolute values, margins.

Each is written down once, for one element; `by_reduction` makes the sum and the mean of it.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Mapping
from typing import Any

import torch
from sympy import Abs, Piecewise, Sum, Symbol

from chainrule.formulas import Softplus
from chainrule.ops.hinges import Hinge
from chainrule.ops.letters import BETA, C, K, N, V, X, Z
from chainrule.ops.loss_elements import (
    AT_TARGET,
    EQUAL,
    NO_WEIGHT,
    PAIR,
    gap_of,
    one_by_one,
    right_where,
    silencers_of,
)
from chainrule.ops.loss_reductions import (
    by_reduction,
    choosing,
    listed_letter,
    one_of,
    reduction_of,
)
from chainrule.ops.places import Arguments, Wiring
from chainrule.ops.rule import Hazard, Mask, OpRule, Silencer
from chainrule.shapes import Tensor

DELTA = Symbol("delta", positive=True)
MARGIN = Symbol("m", real=True)


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
    return one_by_one(how, {"input": input, "target": target}, {} if weight is None else {C: weight})


def _labelled(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    return one_by_one(how, {"input": input}, {Z: target})


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
    return one_by_one(how, {"input": input, "target": target}, {BETA: beta})


def _huber(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: int | float = 1.0,
    weight: Tensor | None = None,
) -> Wiring:
    return one_by_one(
        reduction, {"input": input, "target": target}, {DELTA: delta} if weight is None else {DELTA: delta, C: weight}
    )


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
    return one_by_one(how, {"input": input}, {Z: target, MARGIN: margin})


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
    return one_by_one(how, {"input1": input1, "input2": input2}, {Z: target, MARGIN: margin})


_DIFFERENCE = X - Z
_SIZE = Abs(_DIFFERENCE)
_SQUARE = _DIFFERENCE**2
_HUBER = Piecewise((_SQUARE / 2, _SIZE <= DELTA), (DELTA * (_SIZE - DELTA / 2), True))

_AT_KINK = right_where(
    "equal to what it is compared with, where PyTorch takes the slope to be 0", lambda a, _: gap_of(a) == 0
)
_NEAR_DELTA = right_where(EQUAL, lambda arguments, share: gap_of(arguments) <= share * arguments.get("delta", 1.0))
_NEAR_BETA = right_where(EQUAL, lambda arguments, share: gap_of(arguments) <= share * arguments.get("beta", 1.0))
_WEIGHTED: Mapping[str, Any] = {"letters": (C,), "divisor": Sum(listed_letter(C)[K], (K, 1, N))}
_MSE = by_reduction("mse_loss", _SQUARE, PAIR, _pair, silencers=AT_TARGET)
_MSE_WEIGHTED = by_reduction("mse_loss", C * _SQUARE, PAIR, _pair, silencers=(*AT_TARGET, *NO_WEIGHT), **_WEIGHTED)
_L1 = by_reduction("l1_loss", _SIZE, PAIR, _pair, silencers=_AT_KINK)
_L1_WEIGHTED = by_reduction("l1_loss", C * _SIZE, PAIR, _pair, silencers=(*_AT_KINK, *NO_WEIGHT), **_WEIGHTED)
_FAR = "Further away than δ the slope is constant, ±δ."
_HUBERS = by_reduction("huber_loss", _HUBER, PAIR, _huber, silencers=_NEAR_DELTA, note=_FAR)
_HUBERS_WEIGHTED = by_reduction(
    "huber_loss", C * _HUBER, PAIR, _huber, letters=(C,), silencers=(*_NEAR_DELTA, *NO_WEIGHT), note=_FAR
)
_SMOOTH = by_reduction(
    "smooth_l1_loss",
    Piecewise((_SQUARE / (2 * BETA), _SIZE < BETA), (_SIZE - BETA / 2, True)),
    PAIR,
    _smooth_l1,
    silencers=_NEAR_BETA,
    note="Further away than β the slope is constant, ±1.",
)
_SMOOTH_L1 = by_reduction(
    "smooth_l1_loss", _SIZE, PAIR, _smooth_l1, silencers=_AT_KINK, note="With β = 0 it is the absolute error."
)


def _weighted(plain: Mapping[str, OpRule], weighted: Mapping[str, OpRule]) -> OpRule:
    def choose(arguments: Arguments) -> OpRule:
        return (plain if arguments.get("weight") is None else weighted)[reduction_of(arguments)]

    return choosing(plain, choose)


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
    silencers=silencers_of(
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
    one_of(_HINGE),
    one_of(_RANKING),
    one_of(_SOFT_MARGIN),
)
