"""Formulas of rules in plain SymPy: the functions that only the rules know are written out, and numbers are short."""

from collections.abc import Callable

from sympy import Expr, Float, Max, Piecewise, Rational, ceiling, erfinv, floor, loggamma, polygamma, sign

from chainrule.formulas import NAMED_FUNCTIONS, NamedFunction
from chainrule.ops.hinges import Exceeded, Hinge, Reached
from chainrule.ops.steps import Ceiling, Floor, Sign, Truncated
from chainrule.trace import Op
from chainrule.worked.ledger import Ledger
from chainrule.worked.refusals import without_formula

_UNWRITABLE = (erfinv, loggamma, polygamma)
_DIGITS = 9


def _jump(condition: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    return lambda argument: Piecewise((1, condition(argument)), (0, True))


_WRITTEN_OUT: dict[type[NamedFunction], Callable[[Expr], Expr]] = {
    Hinge: lambda argument: Max(0, argument, evaluate=False),
    Reached: _jump(lambda argument: argument >= 0),
    Exceeded: _jump(lambda argument: argument > 0),
    Floor: floor,
    Ceiling: ceiling,
    Sign: sign,
    Truncated: lambda argument: Piecewise((floor(argument), argument >= 0), (ceiling(argument), True)),
}


def plain(op: Op, expression: Expr, ledger: Ledger) -> Expr:
    """Return a formula without the functions that only the rules know; long numbers become constants of the ledger.

    Raises:
        WorkedExampleError: it has a function that cannot be written out, such as rounding to the nearest number.
    """
    floats = sorted(expression.atoms(Float))
    expression = expression.xreplace({number: spoken(op, float(number), ledger) for number in floats})
    for function in sorted(expression.atoms(NamedFunction), key=str):
        if type(function) in NAMED_FUNCTIONS:
            continue
        kind = next((kind for kind in type(function).__mro__ if kind in _WRITTEN_OUT), None)
        if kind is None:
            raise without_formula(op, f"{function} has no form that other programs could compute.")
        expression = expression.replace(type(function), _WRITTEN_OUT[kind])
    if expression.has(*_UNWRITABLE):
        raise without_formula(op, f"{expression} has no form that other programs could compute.")
    return expression


def spoken(op: Op, number: float, ledger: Ledger) -> Expr:
    """Return a number as people write it: 0.01 is 1/100; the symbol of a constant where it has many digits."""
    exact = short(number)
    return ledger.constant(number, f"a number of {op.name}") if isinstance(exact, Float) else exact


def short(number: int | float) -> Expr:
    """Return a number as a fraction where it has few digits: 0.01 is 1/100; else as it is."""
    text = repr(float(number))
    digits = text.partition("e")[0].replace(".", "").lstrip("-0")
    return Rational(text) if len(digits) <= _DIGITS else Float(number, 17)
