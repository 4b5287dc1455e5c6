"""Rules of the ops that combine numbers one by one: sums, products, quotients, powers, choices.

At ties and kinks the derivative is PyTorch's: maximum and minimum give half to each; clamp lets the gradient through
at its bounds.
"""
# ruff: noqa: A002, A006  # the parameters of a wiring bear torch's own names

from collections.abc import Callable
from functools import cache
from typing import Any

import sympy
import torch
from sympy import Expr, Max, Min, Ne, Piecewise, exp, log, sqrt

from chainrule.ops.letters import ALPHA, A, B, C, V, W, X, Y, Z
from chainrule.ops.places import Arguments, Scalar, Wiring, argument_value, for_all_uses, for_any_use, optional
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.ops.steps import Floor, Truncated
from chainrule.shapes import Tensor

_PAIR = {"input": X, "other": Z}


def _pair(output: Tensor, input: Scalar, other: Scalar) -> Wiring:
    return Wiring(optional("input", input, output) | optional("other", other, output))


def _scaled_pair(output: Tensor, input: Scalar, other: Scalar, *, alpha: int | float = 1) -> Wiring:
    return Wiring(optional("input", input, output) | optional("other", other, output), {ALPHA: alpha})


def _quotient(output: Tensor, input: Scalar, other: Scalar, *, rounding_mode: str | None = None) -> Wiring:
    return _pair(output, input, other)


def _power(output: Tensor, input: Scalar, exponent: Scalar) -> Wiring:
    return Wiring(optional("input", input, output) | optional("exponent", exponent, output))


def _clamped(output: Tensor, input: Tensor, min: Scalar | None = None, max: Scalar | None = None) -> Wiring:
    return Wiring(optional("input", input, output) | optional("min", min, output) | optional("max", max, output))


def _chosen(output: Tensor, condition: Tensor, input: Scalar, other: Scalar) -> Wiring:
    return Wiring(_pair(output, input, other).places, {C: condition.broadcast_to(output.shape).reshape(-1)})


def _filled(output: Tensor, input: Tensor, mask: Tensor, value: Scalar) -> Wiring:
    places = optional("input", input, output) | optional("value", value, output)
    return Wiring(places, {C: mask.broadcast_to(output.shape).reshape(-1)})


def _between(output: Tensor, input: Tensor, end: Tensor, weight: Scalar) -> Wiring:
    return Wiring(optional("input", input, output) | optional("end", end, output) | optional("weight", weight, output))


def _added(output: Tensor, input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: int | float = 1) -> Wiring:
    places = optional("input", input, output) | optional("tensor1", tensor1, output)
    return Wiring(places | optional("tensor2", tensor2, output), {ALPHA: value})


def _tensor(arguments: Arguments, name: str, output: Tensor) -> Tensor:
    value = argument_value(arguments, name)
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=output.dtype, device=output.device)


def _silenced(
    name: str, words: str, argument: str, found: Callable[[dict[str, Tensor], float], Tensor], *others: str
) -> Silencer:
    """A silencer that is a condition on elements that stand at the same place of the broadcast arguments."""

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        values = {key: _tensor(arguments, key, output) for key in (argument, *others)}
        return for_all_uses(found(values, threshold), values[argument], output)

    return Silencer(name, words, argument, find)


def _endangered(
    name: str, words: str, argument: str, hits: Any, found: Callable[[dict[str, Tensor], Tensor], Tensor], *others: str
) -> Hazard:
    """A hazard that is a condition on elements that stand at the same place of the broadcast arguments."""

    def find(arguments: Arguments, output: Tensor) -> Tensor:
        values = {key: _tensor(arguments, key, output) for key in (argument, *others)}
        return for_any_use(found(values, output), values[argument], output)

    return Hazard(name, words, argument, hits, find)


def _overflow(argument: str, *others: str) -> Hazard:
    def found(values: dict[str, Tensor], output: Tensor) -> Tensor:
        finite = torch.ones_like(output, dtype=torch.bool)
        for value in values.values():
            finite = finite & value.isfinite()
        return output.isinf() & finite

    words = "so large that the result is beyond the largest number of its type"
    return _endangered("overflow", words, argument, "forward", found, *others)


def _by_zero(argument: str) -> Hazard:
    return _endangered(
        "division by 0",
        "0, and something is divided by it",
        argument,
        "forward",
        lambda values, output: values[argument] == 0,
    )


_MULTIPLIED_BY_0 = (
    _silenced("multiplied by 0", "multiplied by 0", "input", lambda v, _: v["other"] == 0, "other"),
    _silenced("multiplied by 0", "multiplied by 0", "other", lambda v, _: v["input"] == 0, "input"),
)
_ZERO_TIMES_INFINITY = tuple(
    _endangered(
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
    scaled = OpRule(name, formula, _PAIR, _scaled_pair)

    def choose(arguments: Arguments) -> OpRule:
        return _PLAIN[name] if arguments.get("alpha", 1) == 1 else scaled

    return choose


def _with_rounding(name: str, plain: Expr) -> Callable[[Arguments], OpRule]:
    cut = "The result is rounded, so its derivative is 0 everywhere."
    rounded = {
        "floor": OpRule(name, Floor(plain), _PAIR, _quotient, cuts=cut),
        "trunc": OpRule(name, Truncated(plain), _PAIR, _quotient, cuts=cut),
    }

    def choose(arguments: Arguments) -> OpRule:
        return rounded.get(str(arguments.get("rounding_mode")), _PLAIN[name])

    return choose


@cache
def _power_of(exponent: float) -> OpRule:
    number = sympy.Integer(int(exponent)) if exponent == int(exponent) else sympy.Float(exponent, 17)
    if exponent == 0.5:  # torch has a root here
        number = sympy.Rational(1, 2)
    silencers = (
        _silenced("flat at 0", "0, where the power is flat", "input", lambda v, _: v["input"] == 0)
        if exponent > 1
        else _silenced("power of 0", "raised to the power of 0", "input", lambda v, _: v["input"] == v["input"])
        if exponent == 0
        else None
    )
    return OpRule(
        "pow",
        X**number,
        {"input": X},
        _power,
        silencers=(silencers,) if silencers else (),
        hazards=_POWER_HAZARDS,
    )


def _choose_power(arguments: Arguments) -> OpRule:
    exponent = arguments["exponent"]
    return _PLAIN["pow"] if isinstance(exponent, Tensor) else _power_of(float(exponent))


def _choose_bounds(arguments: Arguments) -> OpRule:
    if arguments.get("min") is None:
        return _PLAIN["clamp_max"]
    return _PLAIN["clamp_min"] if arguments.get("max") is None else _PLAIN["clamp"]


_POWER_HAZARDS = (
    _endangered(
        "power of 0",
        "0, and its exponent is negative",
        "input",
        "forward",
        lambda v, _: (v["input"] == 0) & (v["exponent"] < 0),
        "exponent",
    ),
    _endangered(
        "root of a negative number",
        "negative, and its exponent is not a whole number",
        "input",
        "forward",
        lambda v, _: (v["input"] < 0) & ~_is_whole(v["exponent"]),
        "exponent",
    ),
    _endangered(
        "root at 0: its derivative is infinite",
        "0, and its exponent is between 0 and 1: the derivative is infinite",
        "input",
        "backward",
        lambda v, _: (v["input"] == 0) & (v["exponent"] > 0) & (v["exponent"] < 1),
        "exponent",
    ),
    _overflow("input", "exponent"),
)


def _is_whole(number: Tensor) -> Tensor:
    return number == number.floor()


def _powers(base: str, exponent: str) -> tuple[Silencer, ...]:
    """What silences a power whose exponent is a tensor too."""
    return (
        _silenced(
            "flat at 0",
            "0 and its exponent above 1, or raised to the power of 0, where the power is flat",
            base,
            lambda v, _: (v[exponent] == 0) | ((v[base] == 0) & (v[exponent] > 1)),
            exponent,
        ),
        _silenced(
            "power of 0 or 1",
            "an exponent of 0 or 1, whose powers do not change",
            exponent,
            lambda v, _: (v[base] == 1) | ((v[base] == 0) & (v[exponent] >= 0)),
            base,
        ),
    )


def _powers_of_negative(base: str, exponent: str) -> Hazard:
    return _endangered(
        "power of a negative number",
        "an exponent of a negative number, which has no derivative by it",
        exponent,
        "backward",
        lambda v, _: (v[base] < 0) & _is_whole(v[exponent]),
        base,
    )


def _cases(*cases: tuple[Any, Any]) -> Expr:
    return Piecewise(*cases, evaluate=False)


_CLAMPED = (
    _silenced(
        "clamped", "outside of the bounds, where clamp is flat", "input", lambda v, _: v["input"] < v["min"], "min"
    ),
    _silenced(
        "clamped", "outside of the bounds, where clamp is flat", "input", lambda v, _: v["input"] > v["max"], "max"
    ),
    _silenced("bound not reached", "a bound that is not reached", "min", lambda v, _: v["input"] >= v["min"], "input"),
    _silenced("bound not reached", "a bound that is not reached", "max", lambda v, _: v["input"] <= v["max"], "input"),
)


def _far_below(argument: str, other: str) -> Silencer:
    def found(values: dict[str, Tensor], threshold: float) -> Tensor:
        return torch.sigmoid(values[argument] - values[other]) <= threshold

    words = "so far below the other of the two that it does not count"
    return _silenced("far below the other", words, argument, found, other)


_NOT_LARGER = tuple(
    _silenced("smaller than the other", "smaller than the other of the two", argument, found, other)
    for argument, other, found in (
        ("input", "other", lambda v, _: v["input"] < v["other"]),
        ("other", "input", lambda v, _: v["other"] < v["input"]),
    )
)
_NOT_SMALLER = tuple(
    _silenced("larger than the other", "larger than the other of the two", argument, found, other)
    for argument, other, found in (
        ("input", "other", lambda v, _: v["input"] > v["other"]),
        ("other", "input", lambda v, _: v["other"] > v["input"]),
    )
)
_TWO = {"input": X, "min": A, "max": B}
_BOTH_WAYS = (("input", "other"), ("other", "input"))


def _small_beside(name: str, other: str) -> Callable[[dict[str, Tensor], float], Tensor]:
    def found(values: dict[str, Tensor], threshold: float) -> Tensor:
        return (values[name].abs() <= threshold * values[other].abs()) & (values[other] != 0)

    return found


ARITHMETIC: tuple[OpRule, ...] = (
    OpRule(
        "add",
        X + Z,
        _PAIR,
        _scaled_pair,
        choose=_with_alpha("add", X + ALPHA * Z),
        hazards=(_overflow("input", "other"), _overflow("other", "input")),
    ),
    OpRule(
        "sub",
        X - Z,
        _PAIR,
        _scaled_pair,
        aliases=("subtract",),
        choose=_with_alpha("sub", X - ALPHA * Z),
        hazards=(_overflow("input", "other"), _overflow("other", "input")),
    ),
    OpRule("rsub", Z - X, _PAIR, _scaled_pair, choose=_with_alpha("rsub", Z - ALPHA * X)),
    OpRule(
        "mul",
        X * Z,
        _PAIR,
        _pair,
        aliases=("multiply",),
        silencers=_MULTIPLIED_BY_0,
        hazards=(_overflow("input", "other"), _overflow("other", "input"), *_ZERO_TIMES_INFINITY),
    ),
    OpRule(
        "div",
        X / Z,
        _PAIR,
        _quotient,
        aliases=("divide", "true_divide", "truediv"),
        choose=_with_rounding("div", X / Z),
        silencers=(_silenced("divides 0", "what 0 is divided by", "other", lambda v, _: v["input"] == 0, "input"),),
        hazards=(_by_zero("other"), _overflow("input", "other")),
    ),
    OpRule(
        "rdiv",
        Z / X,
        _PAIR,
        _pair,
        aliases=("rtruediv",),
        silencers=(_silenced("divides 0", "what 0 is divided by", "input", lambda v, _: v["other"] == 0, "other"),),
        hazards=(_by_zero("input"),),
    ),
    OpRule(
        "remainder",
        X - Z * Floor(X / Z),
        _PAIR,
        _pair,
        aliases=("mod",),
        silencers=(
            _silenced(
                "not divided",
                "larger than what it divides",
                "other",
                lambda v, _: (v["input"] / v["other"]).floor() == 0,
                "input",
            ),
        ),
        hazards=(_by_zero("other"),),
    ),
    OpRule(
        "pow",
        X**Z,
        {"input": X, "exponent": Z},
        _power,
        aliases=("float_power",),
        choose=_choose_power,
        silencers=_powers("input", "exponent"),
        hazards=(*_POWER_HAZARDS, _powers_of_negative("input", "exponent")),
    ),
    OpRule(
        "rpow",
        Z**X,
        _PAIR,
        _pair,
        silencers=_powers("other", "input"),
        hazards=(
            _overflow("input", "other"),
            _endangered(
                "power of 0",
                "negative, and an exponent of 0",
                "input",
                "forward",
                lambda v, _: (v["other"] == 0) & (v["input"] < 0),
                "other",
            ),
            _endangered(
                "root of a negative number",
                "not a whole number, and an exponent of a negative number",
                "input",
                "forward",
                lambda v, _: (v["other"] < 0) & ~_is_whole(v["input"]),
                "other",
            ),
            _powers_of_negative("other", "input"),
        ),
    ),
    OpRule("maximum", Max(X, Z), _PAIR, _pair, silencers=_NOT_LARGER, note="At a tie each gets half."),
    OpRule("minimum", Min(X, Z), _PAIR, _pair, silencers=_NOT_SMALLER, note="At a tie each gets half."),
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
        _PAIR,
        _chosen,
        silencers=(
            _silenced(
                "not chosen", "not chosen by the condition", "input", lambda v, _: v["condition"] == 0, "condition"
            ),
            _silenced(
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
            _silenced("masked", "masked", "input", lambda v, _: v["mask"] != 0, "mask"),
            _silenced("not used", "not used, for nothing is masked", "value", lambda v, _: v["mask"] == 0, "mask"),
        ),
        note="c is the mask: 1 where it is set.",
    ),
    OpRule(
        "lerp",
        X + W * (Z - X),
        {"input": X, "end": Z, "weight": W},
        _between,
        silencers=(
            _silenced("weight 1", "left out, for the weight is 1", "input", lambda v, _: v["weight"] == 1, "weight"),
            _silenced("weight 0", "left out, for the weight is 0", "end", lambda v, _: v["weight"] == 0, "weight"),
        ),
    ),
    OpRule(
        "addcmul",
        X + ALPHA * Z * W,
        {"input": X, "tensor1": Z, "tensor2": W},
        _added,
        silencers=(
            _silenced("multiplied by 0", "multiplied by 0", "tensor1", lambda v, _: v["tensor2"] == 0, "tensor2"),
            _silenced("multiplied by 0", "multiplied by 0", "tensor2", lambda v, _: v["tensor1"] == 0, "tensor1"),
        ),
    ),
    OpRule(
        "addcdiv",
        X + ALPHA * Z / W,
        {"input": X, "tensor1": Z, "tensor2": W},
        _added,
        hazards=(_by_zero("tensor2"),),
    ),
    OpRule(
        "logaddexp",
        log(exp(X) + exp(Z)),
        _PAIR,
        _pair,
        silencers=(_far_below("input", "other"), _far_below("other", "input")),
        school={"input": exp(X - Y), "other": exp(Z - Y)},
        stable=Max(X, Z) + log(exp(X - Max(X, Z)) + exp(Z - Max(X, Z))),
    ),
    OpRule(
        "hypot",
        sqrt(X**2 + Z**2),
        _PAIR,
        _pair,
        silencers=tuple(
            _silenced("small", "0, or small beside the other of the two", name, _small_beside(name, other), other)
            for name, other in _BOTH_WAYS
        ),
        hazards=tuple(
            _endangered(
                "root at 0: its derivative is infinite",
                "0 like the other of the two, and the length has no derivative there",
                name,
                "backward",
                lambda v, _: (v["input"] == 0) & (v["other"] == 0),
                other,
            )
            for name, other in _BOTH_WAYS
        ),
    ),
    OpRule(
        "atan2",
        sympy.atan2(X, Z),
        _PAIR,
        _pair,
        aliases=("arctan2",),
        silencers=(
            _silenced("flat", "on the axis where the other is 0", "input", lambda v, _: v["other"] == 0, "other"),
            _silenced("flat", "on the axis where the other is 0", "other", lambda v, _: v["input"] == 0, "input"),
        ),
    ),
)

_PLAIN = {rule.name: rule for rule in ARITHMETIC}
