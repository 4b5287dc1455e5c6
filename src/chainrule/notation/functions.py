"""The functions that formulas call, and the names that people give them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy
from sympy import Abs, Add, Expr, Integer, Max, Min, Piecewise, Rational, sign

from chainrule.formulas import NormalDensity, NormalDistribution, Sigmoid, Softplus

_ZERO, _ONE = Integer(0), Integer(1)


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its value, its derivative where it has one variable, and how many arguments it takes."""

    value: Callable[..., Expr]
    slope: Callable[[Expr], Expr] | None = None
    fewest: int = 1
    most: int = 1


def _relu(argument: Expr) -> Expr:
    return Max(argument, 0, evaluate=not argument.free_symbols)


def _leaky_relu(argument: Expr) -> Expr:
    return _cases(argument, argument, argument / 100)


def _cases(argument: Expr, above: Expr, below: Expr) -> Expr:
    return Piecewise((above, argument > 0), (below, True))


FUNCTIONS: Mapping[str, Function] = {
    "sigmoid": Function(Sigmoid, Sigmoid.slope),
    "softplus": Function(Softplus, Softplus.slope),
    "normal density": Function(NormalDensity, NormalDensity.slope),
    "normal distribution": Function(NormalDistribution, NormalDistribution.slope),
    "exp": Function(sympy.exp, sympy.exp),
    "ln": Function(sympy.log, lambda x: 1 / x),
    "log10": Function(lambda x: sympy.log(x) / sympy.log(10)),
    "log2": Function(lambda x: sympy.log(x) / sympy.log(2)),
    "tanh": Function(sympy.tanh, lambda x: 1 - sympy.tanh(x) ** 2),
    "sinh": Function(sympy.sinh, sympy.cosh),
    "cosh": Function(sympy.cosh, sympy.sinh),
    "sin": Function(sympy.sin, sympy.cos),
    "cos": Function(sympy.cos, lambda x: -sympy.sin(x)),
    "arctan": Function(sympy.atan, lambda x: 1 / (1 + x**2)),
    "erf": Function(sympy.erf),
    "sqrt": Function(sympy.sqrt),
    "abs": Function(Abs, lambda x: _cases(x, _ONE, -_ONE)),
    "sign": Function(sign),
    "square": Function(lambda x: x**2, lambda x: 2 * x),
    "relu": Function(_relu, lambda x: _cases(x, _ONE, _ZERO)),
    "leaky relu": Function(_leaky_relu, lambda x: _cases(x, _ONE, Rational(1, 100))),
    "step": Function(lambda x: _cases(x, _ONE, _ZERO)),
    "max": Function(lambda *x: Max(*x, evaluate=not any(each.free_symbols for each in x)), fewest=2, most=50),
    "min": Function(lambda *x: Min(*x, evaluate=not any(each.free_symbols for each in x)), fewest=2, most=50),
    "sum": Function(Add, fewest=1, most=200),
    "mean": Function(lambda *x: Add(*x) / len(x), fewest=1, most=200),
}
# With its arguments, each of these is a power or a case, and read as such.
POWER, CASE = "pow", "if"

_SPELLINGS = {
    "sigmoid": "σ sigmoid sig sigm sigma logistic expit sigmoide logsig",
    "softplus": "softplus",
    "normal density": "φ",
    "normal distribution": "Φ",
    "exp": "exp",
    "ln": "ln log",
    "log10": "log10 lg",
    "log2": "log2",
    "tanh": "tanh tanhyp",
    "sinh": "sinh",
    "cosh": "cosh",
    "sin": "sin",
    "cos": "cos",
    "arctan": "arctan atan",
    "erf": "erf",
    "sqrt": "sqrt root wurzel √",
    "abs": "abs fabs",
    "sign": "sign sgn signum",
    "square": "square sq",
    "relu": "relu",
    "leaky relu": "leakyrelu leaky_relu lrelu",
    "step": "heaviside",
    "max": "max maximum",
    "min": "min minimum",
    "sum": "sum",
    "mean": "mean average",
    POWER: "pow power",
    CASE: "if wenn where",
}
_BY_SPELLING = {word: name for name, words in _SPELLINGS.items() for word in words.split()}
_DERIVATIVES = ("_prime", "_derivative", "prime", "_deriv", "_grad")


def function_called(text: str) -> str | None:
    """Return the function that a name calls, None if there is none: "sigmoid" of "σ" and "Sigmoid".

    A derivative, σ'(x) or sigmoid_derivative(x), has a ' behind its function.
    """
    bare = text.removesuffix("⁺")  # as the cutter spells a prime
    found = _spelled(bare)
    if found is not None:
        return found + "'" * (bare != text)
    for ending in _DERIVATIVES:
        if bare.lower().endswith(ending):
            found = _spelled(bare[: -len(ending)])
            return None if found is None else found + "'"
    return _spelled(bare[1:]) and f"{_spelled(bare[1:])}'" if bare[:1] == "d" else None


def _spelled(text: str) -> str | None:
    return _BY_SPELLING.get(text) or _BY_SPELLING.get(text.lower())
