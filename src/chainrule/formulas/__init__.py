"""Formulas as SymPy expressions, and their printers."""

from chainrule.formulas.functions import (
    NAMED_FUNCTIONS,
    NUMPY_FUNCTIONS,
    NamedFunction,
    NormalDensity,
    NormalDistribution,
    Sigmoid,
    Softplus,
    named_functions_in,
    numeric,
    precise,
)
from chainrule.formulas.pieces import Piece, derivative, simplest, smooth_branch, split
from chainrule.formulas.printing import FormulaLatexPrinter, TextPrinter, number_text, to_latex, to_text
from chainrule.formulas.spreadsheet import SpreadsheetPrinter, to_spreadsheet

__all__ = [
    "NAMED_FUNCTIONS",
    "NUMPY_FUNCTIONS",
    "FormulaLatexPrinter",
    "NamedFunction",
    "NormalDensity",
    "NormalDistribution",
    "Piece",
    "Sigmoid",
    "Softplus",
    "SpreadsheetPrinter",
    "TextPrinter",
    "derivative",
    "named_functions_in",
    "number_text",
    "numeric",
    "precise",
    "simplest",
    "smooth_branch",
    "split",
    "to_latex",
    "to_spreadsheet",
    "to_text",
]
