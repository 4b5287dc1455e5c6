"""Rules of the elementary functions of one number: exp, log, roots, sin, abs and their like."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable

import sympy
import torch
from sympy import Abs, Expr, Integer, Ne, Piecewise, cos, erf, erfc, exp, log, pi, sin, sqrt

from chainrule.ops.letters import C, V, X, Y
from chainrule.ops.places import Arguments, Wiring, optional
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.ops.steps import Truncated
from chainrule.shapes import Tensor


def _one(output: Tensor, input: Tensor) -> Wiring:
    return Wiring(optional("input", input, output))


def _where(name: str, words: str, found: Callable[[Tensor, float], Tensor]) -> Silencer:
    return Silencer(name, words, "input", lambda arguments, _, threshold: found(arguments["input"], threshold))


def _forward(name: str, words: str, found: Callable[[Tensor], Tensor]) -> Hazard:
    return Hazard(name, words, "input", "forward", lambda arguments, _: found(arguments["input"]))


def _backward(name: str, words: str, found: Callable[[Tensor], Tensor]) -> Hazard:
    return Hazard(name, words, "input", "backward", lambda arguments, _: found(arguments["input"]))


def _overflow(name: str) -> Hazard:
    return Hazard(
        f"{name} overflow",
        f"so large that {name} is beyond the largest number of its type",
        "input",
        "forward",
        lambda arguments, output: output.isinf() & arguments["input"].isfinite(),
    )


def _rule(
    name: str,
    formula: Expr,
    silencers: tuple[Silencer, ...] = (),
    hazards: tuple[Hazard, ...] = (),
    school: Expr | None = None,
    aliases: tuple[str, ...] = (),
) -> OpRule:
    return OpRule(
        name,
        formula,
        {"input": X},
        _one,
        aliases=aliases,
        school={} if school is None else {"input": school},
        silencers=silencers,
        hazards=hazards,
    )


def _logarithm(name: str, formula: Expr, pole: float = 0.0) -> OpRule:
    at = "0" if pole == 0 else f"{pole:g}".replace("-", "−")
    return _rule(
        name,
        formula,
        hazards=(
            _forward("log of 0", f"{at}, where the logarithm is −∞", lambda x: x == pole),
            _forward("log of a negative number", f"below {at}, where there is no logarithm", lambda x: x < pole),
        ),
    )


_UNDERFLOW = Silencer(
    "underflow",
    "so negative that its exponential is 0",
    "input",
    lambda _, output, __: output == 0,
)
_NEGATIVE_ROOT = _forward("root of a negative number", "negative, and has no square root", lambda x: x < 0)
_DIVIDES = _forward("division by 0", "0, and something is divided by it", lambda x: x == 0)
_OUTSIDE = _forward("outside of −1 to 1", "outside of −1 to 1, where there is no such angle", lambda x: x.abs() > 1)
_AT_ENDS = _backward("derivative infinite at ±1", "1 or −1, where the derivative is infinite", lambda x: x.abs() == 1)

_POLE = _forward("pole", "0 or a negative whole number", lambda x: (x <= 0) & (x == x.floor()))
_LOGIT = log(X / (1 - X))


def _logit(output: Tensor, input: Tensor, eps: int | float | None = None) -> Wiring:
    if eps is None:
        return _one(output, input)
    is_between = (input >= eps) & (input <= 1 - eps)
    return Wiring(_one(output, input).places, {C: is_between.reshape(-1), V: output.detach().reshape(-1).double()})


def _choose_logit(arguments: Arguments) -> OpRule:
    return _RULES["logit"] if arguments.get("eps") is None else _LOGIT_CLAMPED


def _finite(
    output: Tensor,
    input: Tensor,
    nan: int | float | None = 0.0,
    posinf: int | float | None = None,
    neginf: int | float | None = None,
) -> Wiring:
    return Wiring(
        _one(output, input).places,
        {C: input.detach().isfinite().reshape(-1), V: output.detach().reshape(-1).to(torch.float64)},
    )


_LOGIT_CLAMPED = OpRule(
    "logit",
    Piecewise((_LOGIT, Ne(C, 0)), (V, True)),
    {"input": X},
    _logit,
    silencers=(
        Silencer(
            "clamped",
            "outside of ε to 1 − ε, where the result is flat",
            "input",
            lambda arguments, _, __: (
                (arguments["input"] < arguments["eps"]) | (arguments["input"] > 1 - arguments["eps"])
            ),
        ),
    ),
    note="c is 1 from ε to 1 − ε; outside of it, v is the result at the nearer end.",
)

ELEMENTARY: tuple[OpRule, ...] = (
    _rule("neg", -X, aliases=("negative",)),
    _rule("positive", X, aliases=("pos",)),
    _rule(
        "square",
        X**2,
        (_where("flat at 0", "0, where the square is flat", lambda x, _: x == 0),),
        (_overflow("the square"),),
    ),
    _rule("exp", exp(X), (_UNDERFLOW,), (_overflow("exp"),), school=Y),
    _rule("exp2", Integer(2) ** X, (_UNDERFLOW,), (_overflow("2^x"),)),
    _rule(
        "expm1",
        exp(X) - 1,
        (_where("underflow", "so negative that its exponential is 0", lambda x, _: torch.exp(x) == 0),),
        (_overflow("exp"),),
        school=1 + Y,
    ),
    _logarithm("log", log(X)),
    _logarithm("log2", log(X) / log(Integer(2))),
    _logarithm("log10", log(X) / log(Integer(10))),
    _logarithm("log1p", log(1 + X), pole=-1.0),
    _rule(
        "sqrt",
        sqrt(X),
        hazards=(
            _NEGATIVE_ROOT,
            _backward(
                "sqrt at 0: its derivative is infinite", "0, where the root's derivative is infinite", lambda x: x == 0
            ),
        ),
        school=1 / (2 * Y),
    ),
    _rule("rsqrt", 1 / sqrt(X), hazards=(_NEGATIVE_ROOT, _DIVIDES)),
    _rule("reciprocal", 1 / X, hazards=(_DIVIDES,), school=-(Y**2)),
    _rule(
        "abs",
        Abs(X),
        (_where("at 0", "0, where PyTorch takes the derivative of |x| to be 0", lambda x, _: x == 0),),
        aliases=("absolute", "fabs"),
    ),
    _rule("sin", sin(X), (_where("at a peak", "at a peak of the sine", lambda x, t: x.cos().abs() <= t),)),
    _rule("cos", cos(X), (_where("at a peak", "at a peak of the cosine", lambda x, t: x.sin().abs() <= t),)),
    _rule("tan", sympy.tan(X), school=1 + Y**2),
    _rule("asin", sympy.asin(X), hazards=(_OUTSIDE, _AT_ENDS), aliases=("arcsin",)),
    _rule("acos", sympy.acos(X), hazards=(_OUTSIDE, _AT_ENDS), aliases=("arccos",)),
    _rule("atan", sympy.atan(X), aliases=("arctan",)),
    _rule("sinh", sympy.sinh(X), hazards=(_overflow("sinh"),)),
    _rule(
        "cosh",
        sympy.cosh(X),
        (_where("at 0", "0, where cosh is flat", lambda x, _: x == 0),),
        (_overflow("cosh"),),
    ),
    _rule(
        "erf",
        erf(X),
        (_where("saturated", "so far from 0 that erf is flat (saturated)", lambda x, t: torch.exp(-x * x) <= t),),
    ),
    _rule(
        "erfc",
        erfc(X),
        (_where("saturated", "so far from 0 that erfc is flat (saturated)", lambda x, t: torch.exp(-x * x) <= t),),
    ),
    _rule("frac", X - Truncated(X)),
    _rule("deg2rad", X * pi / 180),
    _rule("rad2deg", X * 180 / pi),
    _rule("asinh", sympy.asinh(X), aliases=("arcsinh",)),
    _rule(
        "acosh",
        sympy.acosh(X),
        hazards=(
            _forward("below 1", "below 1, where there is no such number", lambda x: x < 1),
            _backward("derivative infinite at 1", "1, where the derivative is infinite", lambda x: x == 1),
        ),
        aliases=("arccosh",),
    ),
    _rule(
        "atanh",
        sympy.atanh(X),
        hazards=(
            _OUTSIDE,
            _forward("pole", "1 or −1, where the result is infinite", lambda x: x.abs() == 1),
        ),
        aliases=("arctanh",),
    ),
    OpRule(
        "logit",
        _LOGIT,
        {"input": X},
        _logit,
        choose=_choose_logit,
        hazards=(
            _forward("log of 0", "0 or 1, where the result is infinite", lambda x: (x == 0) | (x == 1)),
            _forward("log of a negative number", "outside of 0 to 1", lambda x: (x < 0) | (x > 1)),
        ),
    ),
    _rule("erfinv", sympy.erfinv(X), hazards=(_OUTSIDE, _forward("pole", "1 or −1", lambda x: x.abs() == 1))),
    _rule("lgamma", sympy.loggamma(X), hazards=(_POLE,)),
    _rule("digamma", sympy.polygamma(0, X), hazards=(_POLE,)),
    OpRule(
        "nan_to_num",
        Piecewise((X, Ne(C, 0)), (V, True)),
        {"input": X},
        _finite,
        silencers=(_where("not finite", "NaN or infinite, and replaced by a constant", lambda x, _: ~x.isfinite()),),
        note="c is 1 where x is finite; v is the constant that stands in the place of NaN, ∞ or −∞.",
    ),
)

_RULES = {rule.name: rule for rule in ELEMENTARY}
