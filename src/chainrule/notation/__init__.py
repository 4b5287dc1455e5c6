"""Formulas and names as people write them, read: ASCII, Unicode and LaTeX."""

from chainrule.notation.lines import read_equations
from chainrule.notation.naming import read_name
from chainrule.notation.problem import NotationError
from chainrule.notation.reading import read_equation, read_expression
from chainrule.notation.written import Equation, Name, NameKind, UnreadLine

__all__ = [
    "Equation",
    "Name",
    "NameKind",
    "NotationError",
    "UnreadLine",
    "read_equation",
    "read_equations",
    "read_expression",
    "read_name",
]
