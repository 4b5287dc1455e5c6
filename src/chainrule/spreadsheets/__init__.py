"""Workbooks, read without trusting them: cells, formulas, and their values computed again."""

from chainrule.spreadsheets.addresses import Address, column_letters, column_number, read_address
from chainrule.spreadsheets.book import Book, BookError, Cell, Limits, Sheet, Value
from chainrule.spreadsheets.expressions import to_expression
from chainrule.spreadsheets.nodes import (
    Array,
    Binary,
    Boolean,
    Call,
    DefinedName,
    ErrorLiteral,
    ErrorValue,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
    Unread,
)
from chainrule.spreadsheets.parsing import parse_formula
from chainrule.spreadsheets.patterns import Formula, Pattern, parse_spreadsheet_formula
from chainrule.spreadsheets.reading import read_book
from chainrule.spreadsheets.recalculation import recalculated
from chainrule.spreadsheets.tokens import FormulaError
from chainrule.spreadsheets.writing import formula_text

__all__ = [
    "Address",
    "Array",
    "Binary",
    "Book",
    "BookError",
    "Boolean",
    "Call",
    "Cell",
    "DefinedName",
    "ErrorLiteral",
    "ErrorValue",
    "Formula",
    "FormulaError",
    "Limits",
    "Missing",
    "Node",
    "Number",
    "Pattern",
    "RangeReference",
    "Reference",
    "Sheet",
    "Text",
    "Unary",
    "Unread",
    "Value",
    "column_letters",
    "column_number",
    "formula_text",
    "parse_formula",
    "parse_spreadsheet_formula",
    "read_address",
    "read_book",
    "recalculated",
    "to_expression",
]
