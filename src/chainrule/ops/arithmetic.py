"""Rules of the ops that combine numbers one by one: sums, products, quotients, choices.

At ties and kinks the derivative is PyTorch's: maximum and minimum give half to each; clamp lets the gradient through
at its bounds.
"""
# ruff: noqa: A002, A006  # the parameters of a wiring bear torch's own names

from collections.abc import Callable
from typing import Any

from sympy import Expr, Max, Min, Ne, Piecewise

from chainrule.ops.letters import ALPHA, A, B, C, V, W, X, Z
from chainrule.ops.places import Arguments, Scalar, Wiring, optional
from chainrule.ops.pointwise import PAIR, endangered, overflow, pair, silenced
from chainrule.ops.rule import Hazard, OpRule
from chainrule.ops.steps import Floor, Truncated
from chainrule.shapes import Tensor


def _scaled_pair(output: Tensor, input: Scalar, other: Scalar, *, alpha: int | float = 1) -> Wiring:
    return Wiring(optional("input", input, output) | optional("other", other, output), {ALPHA: alpha})


def _quotient(output: Tensor, input: Scalar, other: Scalar, *, rounding_mode: str | None = None) -> Wiring:
    return pair(output, input, other)


def _clamped(output: Tensor, input: Tensor, min: Scalar | None = None, max: Scalar | None = None) -> Wiring:
    return Wiring(optional("input", input, output) | optional("min", min, output) | optional("max", max, output))


def _chosen(output: Tensor, condition: Tensor, input: Scalar, other: Scalar) -> Wiring:
    return Wiring(pair(output, input, other).places, {C: condition.broadcast_to(output.shape).reshape(-1)})


def _filled(output: Tensor, input: Tensor, mask: Tensor, value: Scalar) -> Wiring:
    places = optional("input", input, output) | optional("value", value, output)
    return Wiring(places, {C: mask.broadcast_to(output.shape).reshape(-1)})


def _between(output: Tensor, input: Tensor, end: Tensor, weight: Scalar) -> Wiring:
    return Wiring(optional("input", input, output) | optional("end", end, output) | optional("weight", weight, output))


def _added(output: Tensor, input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: int | float = 1) -> Wiring:
    places = optional("input", input, output) | optional("tensor1", tensor1, output)
    return Wiring(places | optional("tensor2", tensor2, output), {ALPHA: value})


def _by_zero(argument: str) -> Hazard:
    return endangered(
        "division by 0",
        "0, and something is divided by it",
        argument,
        "forward",
        lambda values, output: values[argument] == 0,
    )


_MULTIPLIED_BY_0 = (
    silenced("multiplied by 0", "multiplied by 0", "input", lambda v, _: v["other"] == 0, "other"),
    silenced("multiplied by 0", "multiplied by 0", "other", lambda v, _: v["input"] == 0, "input"),
)
_ZERO_TIMES_INFINITY = tuple(
    endangered(
        "0·∞",
        "0 or infinite, and multiplied by the other of the two",
        argument,
        "forward",
        lambda v, _: ((v["input"] == 0) & v["other"].isinf()) | (v["input"].isinf() & (v["other"] == 0)),
        other,
    )
    for argument, other in (("input", "other"), ("other", "input"))
)


def _with_alpha(name: str, formula: Expr) -> Callable[[Arguments], OpRule]:
    scaled = OpRule(name, formula, PAIR, _scaled_pair)

    def choose(arguments: Arguments) -> OpRule:
        return _PLAIN[name] if arguments.get("alpha", 1) == 1 else scaled

    return choose


def _with_rounding(name: str, plain: Expr) -> Callable[[Arguments], OpRule]:
    cut = "The result is rounded, so its derivative is 0 everywhere."
    rounded = {
        "floor": OpRule(name, Floor(plain), PAIR, _quotient, cuts=cut),
        "trunc": OpRule(name, Truncated(plain), PAIR, _quotient, cuts=cut),
    }

    def choose(arguments: Arguments) -> OpRule:
        return rounded.get(str(arguments.get("rounding_mode")), _PLAIN[name])

    return choose


def _choose_bounds(arguments: Arguments) -> OpRule:
    if arguments.get("min") is None:
        return _PLAIN["clamp_max"]
    return _PLAIN["clamp_min"] if arguments.get("max") is None else _PLAIN["clamp"]


def _cases(*cases: tuple[Any, Any]) -> Expr:
    return Piecewise(*cases, evaluate=False)


_CLAMPED = (
    silenced(
        "clamped", "outside of the bounds, where clamp is flat", "input", lambda v, _: v["input"] < v["min"], "min"
    ),
    silenced(
        "clamped", "outside of the bounds, where clamp is flat", "input", lambda v, _: v["input"] > v["max"], "max"
    ),
    silenced("bound not reached", "a bound that is not reached", "min", lambda v, _: v["input"] >= v["min"], "input"),
    silenced("bound not reached", "a bound that is not reached", "max", lambda v, _: v["input"] <= v["max"], "input"),
)


_NOT_LARGER = tuple(
    silenced("smaller than the other", "smaller than the other of the two", argument, found, other)
    for argument, other, found in (
        ("input", "other", lambda v, _: v["input"] < v["other"]),
        ("other", "input", lambda v, _: v["other"] < v["input"]),
    )
)
_NOT_SMALLER = tuple(
    silenced("larger than the other", "larger than the other of the two", argument, found, other)
    for argument, other, found in (
        ("input", "other", lambda v, _: v["input"] > v["other"]),
        ("other", "input", lambda v, _: v["other"] > v["input"]),
    )
)
_TWO = {"input": X, "min": A, "max": B}
ARITHMETIC: tuple[OpRule, ...] = (
    OpRule(
        "add",
        X + Z,
        PAIR,
        _scaled_pair,
        choose=_with_alpha("add", X + ALPHA * Z),
        hazards=(overflow("input", "other"), overflow("other", "input")),
    ),
    OpRule(
        "sub",
        X - Z,
        PAIR,
        _scaled_pair,
        aliases=("subtract",),
        choose=_with_alpha("sub", X - ALPHA * Z),
        hazards=(overflow("input", "other"), overflow("other", "input")),
    ),
    OpRule("rsub", Z - X, PAIR, _scaled_pair, choose=_with_alpha("rsub", Z - ALPHA * X)),
    OpRule(
        "mul",
        X * Z,
        PAIR,
        pair,
        aliases=("multiply",),
        silencers=_MULTIPLIED_BY_0,
        hazards=(overflow("input", "other"), overflow("other", "input"), *_ZERO_TIMES_INFINITY),
    ),
    OpRule(
        "div",
        X / Z,
        PAIR,
        _quotient,
        aliases=("divide", "true_divide", "truediv"),
        choose=_with_rounding("div", X / Z),
        silencers=(silenced("divides 0", "what 0 is divided by", "other", lambda v, _: v["input"] == 0, "input"),),
        hazards=(_by_zero("other"), overflow("input", "other")),
    ),
    OpRule(
        "rdiv",
        Z / X,
        PAIR,
        pair,
        aliases=("rtruediv",),
        silencers=(silenced("divides 0", "what 0 is divided by", "input", lambda v, _: v["other"] == 0, "other"),),
        hazards=(_by_zero("input"),),
    ),
    OpRule(
        "remainder",
        X - Z * Floor(X / Z),
        PAIR,
        pair,
        aliases=("mod",),
        silencers=(
            silenced(
                "not divided",
                "larger than what it divides",
                "other",
                lambda v, _: (v["input"] / v["other"]).floor() == 0,
                "input",
            ),
        ),
        hazards=(_by_zero("other"),),
    ),
    OpRule("maximum", Max(X, Z), PAIR, pair, silencers=_NOT_LARGER, note="At a tie each gets half."),
    OpRule("minimum", Min(X, Z), PAIR, pair, silencers=_NOT_SMALLER, note="At a tie each gets half."),
    OpRule(
        "clamp",
        _cases((A, X < A), (B, X > B), (X, True)),
        _TWO,
        _clamped,
        aliases=("clip",),
        choose=_choose_bounds,
        silencers=_CLAMPED,
    ),
    OpRule(
        "clamp_min",
        _cases((A, X < A), (X, True)),
        {"input": X, "min": A},
        lambda output, input, min: _clamped(output, input, min),
        silencers=(_CLAMPED[0], _CLAMPED[2]),
    ),
    OpRule(
        "clamp_max",
        _cases((B, X > B), (X, True)),
        {"input": X, "max": B},
        lambda output, input, max: _clamped(output, input, None, max),
        silencers=(_CLAMPED[1], _CLAMPED[3]),
    ),
    OpRule(
        "where",
        _cases((X, Ne(C, 0)), (Z, True)),
        PAIR,
        _chosen,
        silencers=(
            silenced(
                "not chosen", "not chosen by the condition", "input", lambda v, _: v["condition"] == 0, "condition"
            ),
            silenced(
                "not chosen", "not chosen by the condition", "other", lambda v, _: v["condition"] != 0, "condition"
            ),
        ),
        note="c is the condition: 1 where it holds.",
    ),
    OpRule(
        "masked_fill",
        _cases((V, Ne(C, 0)), (X, True)),
        {"input": X, "value": V},
        _filled,
        silencers=(
            silenced("masked", "masked", "input", lambda v, _: v["mask"] != 0, "mask"),
            silenced("not used", "not used, for nothing is masked", "value", lambda v, _: v["mask"] == 0, "mask"),
        ),
        note="c is the mask: 1 where it is set.",
    ),
    OpRule(
        "lerp",
        X + W * (Z - X),
        {"input": X, "end": Z, "weight": W},
        _between,
        silencers=(
            silenced("weight 1", "left out, for the weight is 1", "input", lambda v, _: v["weight"] == 1, "weight"),
            silenced("weight 0", "left out, for the weight is 0", "end", lambda v, _: v["weight"] == 0, "weight"),
        ),
    ),
    OpRule(
        "addcmul",
        X + ALPHA * Z * W,
        {"input": X, "tensor1": Z, "tensor2": W},
        _added,
        silencers=(
            silenced("multiplied by 0", "multiplied by 0", "tensor1", lambda v, _: v["tensor2"] == 0, "tensor2"),
            silenced("multiplied by 0", "multiplied by 0", "tensor2", lambda v, _: v["tensor1"] == 0, "tensor1"),
        ),
    ),
    OpRule(
        "addcdiv",
        X + ALPHA * Z / W,
        {"input": X, "tensor1": Z, "tensor2": W},
        _added,
        hazards=(_by_zero("tensor2"),),
    ),
)

_PLAIN = {rule.name: rule for rule in ARITHMETIC}
