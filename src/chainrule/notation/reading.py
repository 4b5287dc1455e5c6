"""Reading formulas."""

from collections.abc import Collection

from sympy import Expr

from chainrule.notation.equation import Equation, NotationError, UnreadLine


def read_expression(text: str, names: Collection[str] = ()) -> Expr:
    """Return the formula that a text writes."""
    raise NotationError.at(text, 0, "Formulas are not read yet.", "nothing")


def read_equation(text: str, names: Collection[str] = ()) -> Equation:
    """Return the equation that a text writes."""
    raise NotationError.at(text, 0, "Formulas are not read yet.", "nothing")


def read_equations(text: str, names: Collection[str] = ()) -> tuple[Equation | UnreadLine, ...]:
    """Return the lines of a file of formulas."""
    return ()
