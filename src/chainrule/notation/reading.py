"""Formulas read: one expression, one equation, or a file of equations."""

from collections.abc import Collection, Sequence

from sympy import Expr

from chainrule.notation.building import build
from chainrule.notation.parsing import parse
from chainrule.notation.problem import NotationError
from chainrule.notation.tree import Node, Quantity, quantities_in
from chainrule.notation.written import Equation, Name


def read_expression(text: str, names: Collection[str] = ()) -> Expr:
    r"""Return the formula that a text writes, over `symbol_of(canonical name)`.

    >>> read_expression("½(t1 − a_o1)²") == read_expression(r"\frac{1}{2} \left(t_{1} - a_{o1}\right)^{2}")
    True

    Args:
        text: in ASCII, Unicode or LaTeX, or in a mixture: "(out_o1 - t1) * out_o1(1 - out_o1)".
        names: quantities that may stand in it beside those that everybody knows, or that settle what a name means: of
            a program, {"α", "fc1.weight[0,1]"}.

    Raises:
        NotationError: it is no formula; the error shows the place and what was expected there.
    """
    sides = parse(text, names)
    if len(sides) > 1:
        raise NotationError.at(text, text.find("="), "This is an equation.", "a formula without an equals sign")
    return build(sides[0], text)


def read_equation(text: str, names: Collection[str] = ()) -> Equation:
    """Return the equation that a text writes: "dE/dw5 = (a_o1 - t1) * a_o1 * (1 - a_o1) * a_h1".

    Args:
        text: in ASCII, Unicode or LaTeX, or in a mixture.
        names: as in `read_expression`.

    Raises:
        NotationError: it is no equation; the error shows the place and what was expected there.
    """
    sides = parse(text, names)
    goes_on = text.lstrip(" \t$&\\").startswith("=")
    if len(sides) == 1 and not goes_on:
        raise NotationError.at(text, len(text.rstrip()), "This is no equation.", "an equals sign")
    first = sides[0]
    if goes_on or not isinstance(first, Quantity) or first.name.quantity is None:
        return equation_of(None, sides, text)
    return equation_of(first.name, sides[1:], text)


def equation_of(left: Name | None, sides: Sequence[Node], text: str) -> Equation:
    """Return the equation of a name and the sides behind it."""
    expressions = tuple(build(side, text) for side in sides)
    names = {left.quantity: left} if left is not None else {}
    for side in sides:
        for name in quantities_in(side):
            names.setdefault(name.quantity, name)
    right = next((side for side in reversed(expressions) if side.free_symbols), expressions[-1])
    return Equation(left.quantity if left else None, right, text, expressions, tuple(names.values()))
