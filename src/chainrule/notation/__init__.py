"""Formulas and names as people write them, read: ASCII, Unicode and LaTeX."""

from chainrule.notation.equation import Equation, NotationError, UnreadLine
from chainrule.notation.name import Name, NameKind
from chainrule.notation.naming import read_name
from chainrule.notation.reading import read_equation, read_equations, read_expression

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
