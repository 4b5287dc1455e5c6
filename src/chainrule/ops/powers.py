"""Rules of powers and of other functions of two numbers: pow, logaddexp, xlogy, hypot, atan2."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable
from functools import cache

import sympy
import torch
from sympy import And, Eq, Max, Piecewise, exp, log, sqrt

from chainrule.ops.letters import X, Y, Z
from chainrule.ops.places import Arguments, Scalar, Wiring, optional
from chainrule.ops.pointwise import BOTH_WAYS, PAIR, endangered, overflow, pair, silenced
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.shapes import Tensor


def _power(output: Tensor, input: Scalar, exponent: Scalar) -> Wiring:
    return Wiring(optional("input", input, output) | optional("exponent", exponent, output))


@cache
def _power_of(exponent: float) -> OpRule:
    number = sympy.Integer(int(exponent)) if exponent == int(exponent) else sympy.Float(exponent, 17)
    if exponent == 0.5:  # torch has a root here
        number = sympy.Rational(1, 2)
    silencers = (
        silenced("flat at 0", "0, where the power is flat", "input", lambda v, _: v["input"] == 0)
        if exponent > 1
        else silenced("power of 0", "raised to the power of 0", "input", lambda v, _: v["input"] == v["input"])
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


_POWER_HAZARDS = (
    endangered(
        "power of 0",
        "0, and its exponent is negative",
        "input",
        "forward",
        lambda v, _: (v["input"] == 0) & (v["exponent"] < 0),
        "exponent",
    ),
    endangered(
        "root of a negative number",
        "negative, and its exponent is not a whole number",
        "input",
        "forward",
        lambda v, _: (v["input"] < 0) & ~_is_whole(v["exponent"]),
        "exponent",
    ),
    endangered(
        "root at 0: its derivative is infinite",
        "0, and its exponent is between 0 and 1: the derivative is infinite",
        "input",
        "backward",
        lambda v, _: (v["input"] == 0) & (v["exponent"] > 0) & (v["exponent"] < 1),
        "exponent",
    ),
    overflow("input", "exponent"),
)


def _is_whole(number: Tensor) -> Tensor:
    return number == number.floor()


def _powers(base: str, exponent: str) -> tuple[Silencer, ...]:
    """What silences a power whose exponent is a tensor too."""
    return (
        silenced(
            "flat at 0",
            "0 and its exponent above 1, or raised to the power of 0, where the power is flat",
            base,
            lambda v, _: (v[exponent] == 0) | ((v[base] == 0) & (v[exponent] > 1)),
            exponent,
        ),
        silenced(
            "power of 0 or 1",
            "an exponent of 0 or 1, whose powers do not change",
            exponent,
            lambda v, _: (v[base] == 1) | ((v[base] == 0) & (v[exponent] >= 0)),
            base,
        ),
    )


def _powers_of_negative(base: str, exponent: str) -> Hazard:
    return endangered(
        "power of a negative number",
        "an exponent of a negative number, which has no derivative by it",
        exponent,
        "backward",
        lambda v, _: (v[base] < 0) & _is_whole(v[exponent]),
        base,
    )


def _far_below(argument: str, other: str) -> Silencer:
    def found(values: dict[str, Tensor], threshold: float) -> Tensor:
        return torch.sigmoid(values[argument] - values[other]) <= threshold

    words = "so far below the other of the two that it does not count"
    return silenced("far below the other", words, argument, found, other)


def _small_beside(name: str, other: str) -> Callable[[dict[str, Tensor], float], Tensor]:
    def found(values: dict[str, Tensor], threshold: float) -> Tensor:
        return (values[name].abs() <= threshold * values[other].abs()) & (values[other] != 0)

    return found


POWERS: tuple[OpRule, ...] = (
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
        PAIR,
        pair,
        silencers=_powers("other", "input"),
        hazards=(
            overflow("input", "other"),
            endangered(
                "power of 0",
                "negative, and an exponent of 0",
                "input",
                "forward",
                lambda v, _: (v["other"] == 0) & (v["input"] < 0),
                "other",
            ),
            endangered(
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
    OpRule(
        "logaddexp",
        log(exp(X) + exp(Z)),
        PAIR,
        pair,
        silencers=(_far_below("input", "other"), _far_below("other", "input")),
        school={"input": exp(X - Y), "other": exp(Z - Y)},
        stable=Max(X, Z) + log(exp(X - Max(X, Z)) + exp(Z - Max(X, Z))),
    ),
    OpRule(
        "xlogy",
        Piecewise((0, And(Eq(X, 0), Z <= 0, evaluate=False)), (X * log(Z), True), evaluate=False),
        PAIR,
        pair,
        silencers=(
            silenced("multiplied by 0", "multiplied by 0", "other", lambda v, _: v["input"] == 0, "input"),
            silenced(
                "log 1",
                "multiplied by log 1 = 0, or 0 where there is no logarithm",
                "input",
                lambda v, _: (v["other"] == 1) | ((v["input"] == 0) & (v["other"] <= 0)),
                "other",
            ),
        ),
        hazards=(
            endangered(
                "log of 0",
                "0 or negative, and has no logarithm",
                "other",
                "forward",
                lambda v, _: (v["other"] <= 0) & (v["input"] != 0),
                "input",
            ),
            endangered(
                "0/0",
                "0 and multiplied by 0, so that its derivative is 0/0",
                "other",
                "backward",
                lambda v, _: (v["other"] == 0) & (v["input"] == 0),
                "input",
            ),
        ),
        note="It is 0 where x is 0, whatever z.",
    ),
    OpRule(
        "hypot",
        sqrt(X**2 + Z**2),
        PAIR,
        pair,
        silencers=tuple(
            silenced("small", "0, or small beside the other of the two", name, _small_beside(name, other), other)
            for name, other in BOTH_WAYS
        ),
        hazards=tuple(
            endangered(
                "root at 0: its derivative is infinite",
                "0 like the other of the two, and the length has no derivative there",
                name,
                "backward",
                lambda v, _: (v["input"] == 0) & (v["other"] == 0),
                other,
            )
            for name, other in BOTH_WAYS
        ),
    ),
    OpRule(
        "atan2",
        sympy.atan2(X, Z),
        PAIR,
        pair,
        aliases=("arctan2",),
        silencers=(
            silenced("flat", "on the axis where the other is 0", "input", lambda v, _: v["other"] == 0, "other"),
            silenced("flat", "on the axis where the other is 0", "other", lambda v, _: v["input"] == 0, "input"),
        ),
    ),
)

_PLAIN = {rule.name: rule for rule in POWERS}
