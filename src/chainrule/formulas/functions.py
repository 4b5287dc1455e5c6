"""Functions that formulas name instead of writing out: σ, softplus, Φ and φ.

SymPy has none of them. Each knows its definition (for the reader), its derivative (so that σ′ = σ·(1 − σ) and not a
quotient of exponentials), and how it is computed without overflow or cancellation.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import mpmath  # type: ignore[import-untyped]
import numpy as np
import sympy
from sympy import Expr, FunctionClass

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _one_over_root(number: Expr) -> Expr:
    # SymPy would make √2/2 of 1/√2; definitions are for reading.
    return sympy.Pow(number, sympy.Rational(-1, 2), evaluate=False)


class NamedFunction(sympy.Function):  # type: ignore[misc]  # SymPy has no types
    r"""A function of one variable that formulas print by its name.

    Attributes:
        text_name: the name in text, such as "σ".
        latex_name: the name in LaTeX, such as "\sigma".
    """

    nargs = 1
    text_name: ClassVar[str]
    latex_name: ClassVar[str]

    @classmethod
    def definition(cls, argument: Expr) -> Expr:
        """Return the function written out in SymPy's own functions."""
        raise NotImplementedError

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return the derivative at `argument`."""
        raise NotImplementedError

    def fdiff(self, argindex: int = 1) -> Expr:
        """Return the derivative with respect to the only argument (SymPy calls this)."""
        return self.slope(self.args[0])


class Sigmoid(NamedFunction):
    """The logistic function σ(x) = 1/(1 + e^(−x)), with σ′ = σ·(1 − σ)."""

    text_name = "σ"
    latex_name = r"\sigma"

    @classmethod
    def definition(cls, argument: Expr) -> Expr:
        """Return 1/(1 + e^(−argument))."""
        return 1 / (1 + sympy.exp(-argument))

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return σ·(1 − σ) at `argument`."""
        return Sigmoid(argument) * (1 - Sigmoid(argument))


class Softplus(NamedFunction):
    """The softplus log(1 + e^x), with derivative σ(x)."""

    text_name = "softplus"
    latex_name = r"\operatorname{softplus}"

    @classmethod
    def definition(cls, argument: Expr) -> Expr:
        """Return log(1 + e^argument)."""
        return sympy.log(1 + sympy.exp(argument))

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return σ at `argument`."""
        return Sigmoid(argument)


class NormalDensity(NamedFunction):
    """The density of the standard normal distribution φ(x) = e^(−x²/2)/√(2π), with φ′ = −x·φ."""

    text_name = "φ"
    latex_name = r"\varphi"

    @classmethod
    def definition(cls, argument: Expr) -> Expr:
        """Return e^(−argument²/2)/√(2π)."""
        return sympy.Mul(sympy.exp(-(argument**2) / 2), _one_over_root(2 * sympy.pi), evaluate=False)

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return −argument·φ(argument)."""
        return -argument * NormalDensity(argument)


class NormalDistribution(NamedFunction):
    """The distribution function of the standard normal Φ(x) = (1 + erf(x/√2))/2, with Φ′ = φ."""

    text_name = "Φ"
    latex_name = r"\Phi"

    @classmethod
    def definition(cls, argument: Expr) -> Expr:
        """Return (1 + erf(argument/√2))/2."""
        halved = sympy.erf(sympy.Mul(argument, _one_over_root(sympy.Integer(2)), evaluate=False))
        return sympy.Mul(sympy.Rational(1, 2), 1 + halved, evaluate=False)

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return φ at `argument`."""
        return NormalDensity(argument)


NAMED_FUNCTIONS: tuple[FunctionClass, ...] = (Sigmoid, Softplus, NormalDistribution, NormalDensity)

# What lambdify's generated code calls. 1 + erf(x) would cancel for x ≪ 0, hence erfc and mpmath's ncdf.
NUMPY_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Sigmoid": lambda x: np.exp(-np.logaddexp(0.0, -x)),
    "Softplus": lambda x: np.logaddexp(0.0, x),
    "NormalDistribution": lambda x: 0.5 * _erfc(-x / math.sqrt(2.0)),
    "NormalDensity": lambda x: np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi),
    "erf": _erf,
    "erfc": _erfc,
}
_MPMATH: dict[str, Callable[..., Any]] = {
    "Sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "Softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "NormalDistribution": mpmath.ncdf,
    "NormalDensity": mpmath.npdf,
}


def numeric(expression: Expr, variable: sympy.Symbol) -> Callable[[np.ndarray], np.ndarray]:
    """Return the expression as a NumPy function of `variable`, in float64.

    Overflow on the way gives infinities or NaN, without a warning.
    """
    compiled = sympy.lambdify(variable, expression, modules=[dict(NUMPY_FUNCTIONS), "numpy"])

    def evaluate(points: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            values = np.asarray(compiled(np.asarray(points, dtype=np.float64)), dtype=np.float64)
        return np.broadcast_to(values, np.shape(points))  # a constant expression ignores the shape

    return evaluate


def precise(expression: Expr, variable: sympy.Symbol, digits: int = 60) -> Callable[[float], mpmath.mpf]:
    """Return the expression as a function of `variable` that is computed with `digits` decimal digits."""
    compiled = sympy.lambdify(variable, expression, modules=[_MPMATH, "mpmath"])

    def evaluate(point: float) -> mpmath.mpf:
        with mpmath.workdps(digits):
            return mpmath.mpf(compiled(mpmath.mpf(point)))

    return evaluate


def named_functions_in(expression: Expr) -> tuple[FunctionClass, ...]:
    """Return the named functions that occur in the expression, in the order of `NAMED_FUNCTIONS`."""
    return tuple(kind for kind in NAMED_FUNCTIONS if expression.has(kind))
