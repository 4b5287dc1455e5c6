"""Formulas read into trees, with the precedence of Excel.

From the tightest: the colon of a range; - and + before an operand; %; ^; * and /; + and -; &; comparisons. Operators of
one strength group from the left, ^ too. So -2^2 is 4 and 2^3^2 is 64, in Excel and LibreOffice alike.
"""

from typing import final

from chainrule.spreadsheets.addresses import LAST_COLUMN, LAST_ROW, column_number
from chainrule.spreadsheets.nodes import (
    Array,
    Binary,
    Boolean,
    Call,
    Constant,
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
)
from chainrule.spreadsheets.tokens import FormulaError, Token, formula_tokens, refused

DEEPEST_NESTING = 64  # brackets, calls, signs and right operands within each other
DEEPEST_TREE = 150  # operators above one another: beyond, SUM is the better way to write a sum

_STRENGTH = {"=": 1, "<>": 1, "<": 1, ">": 1, "<=": 1, ">=": 1, "&": 2, "+": 3, "-": 3, "*": 4, "/": 4, "^": 5}
_PERCENT, _SIGN = 6, 7
_OPERAND = "a number, a cell, a function or a bracket"
_PREFIXES = ("_xlfn.", "_xlws.", "_xludf.")  # Excel's marks of functions that are younger than the file format


def parse_formula(formula: str) -> Node:
    """Read a formula into a tree.

    Arguments are separated by , or ;. Where ; separates them, 0,5 is a number.

    Args:
        formula: in A1 style, with or without the equals sign before it.

    Raises:
        FormulaError: it is no formula, or one that reads other workbooks, tables, unions or intersections of ranges;
            it says where.
    """
    parser = _Parser(formula, formula_tokens(formula))
    tree, _ = parser.expression(0)
    token = parser.token
    if token.kind != "end":
        raise parser.unexpected(token)
    return tree


@final
class _Parser:
    """A Pratt parser; every method returns a tree with its height, so that no tree becomes too deep to walk."""

    def __init__(self, formula: str, tokens: list[Token]) -> None:
        self.formula = formula
        self.tokens = tokens
        self.place = 0
        self.nesting = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def is_sign(self, signs: str) -> bool:
        token = self.token
        return token.kind == "sign" and token.text in signs

    def refused(self, token: Token, problem: str, expected: str = "", next_step: str = "") -> FormulaError:
        return refused(self.formula, token.start, problem, expected, next_step)

    def unexpected(self, token: Token) -> FormulaError:
        if token.kind == "end":
            return self.refused(token, "it ends too early", _OPERAND)
        if token.kind == "sign" and token.text == ",":
            return self.refused(token, "a comma stands outside a function", "one range, or a decimal point")
        if token.kind == "sign":
            return self.refused(token, f"{token.text} stands where it cannot", _OPERAND)
        return self.refused(token, f"there is no operator before {token.text}", "+ - * / ^ & or a comparison")

    def expression(self, strength: int) -> tuple[Node, int]:
        self.nesting += 1
        if self.nesting > DEEPEST_NESTING:
            raise self.refused(
                self.token, f"it is nested more than {DEEPEST_NESTING} deep", "shorter steps in several cells"
            )
        left, height = self.operand()
        while self.token.kind == "sign":
            token = self.token
            if token.text == "%" and strength <= _PERCENT:
                self.place += 1
                left, height = Unary("%", left), self.checked(height + 1, token)
                continue
            own = _STRENGTH.get(token.text, 0)
            if own <= strength:
                break
            self.place += 1
            right, other = self.expression(own)
            left, height = Binary(token.text, left, right), self.checked(max(height, other) + 1, token)
        self.nesting -= 1
        return left, height

    def checked(self, height: int, token: Token) -> int:
        if height > DEEPEST_TREE:
            raise self.refused(token, f"more than {DEEPEST_TREE} operators follow each other", "SUM, or several cells")
        return height

    def operand(self) -> tuple[Node, int]:
        token = self.token
        self.place += 1
        match token.kind:
            case "number":
                return self.number(token), 1
            case "cell" | "columns" | "rows" | "sheet":
                return self.reference(token), 1
            case "function":
                return self.call(token)
            case "text" | "error":
                return self.constant(token), 1
            case "name":
                return self.name(token), 1
            case "sign" if token.text in "+-":
                operand, height = self.expression(_SIGN)
                return Unary(token.text, operand), self.checked(height + 1, token)
            case "sign" if token.text == "(":
                inner, height = self.expression(0)
                self.closing(")")
                return inner, height
            case "sign" if token.text == "{":
                return self.array(), 1
            case _:
                raise self.unexpected(token)

    def closing(self, sign: str) -> None:
        token = self.token
        if not self.is_sign(sign):
            if token.kind == "end":
                raise self.refused(token, f"a closing {sign} is missing")
            raise self.unexpected(token)
        self.place += 1

    def number(self, token: Token) -> Number:
        value = float(token.text)
        if value == float("inf"):
            raise self.refused(token, "a number is too large", "at most 1.8E308")
        return Number(value)

    def constant(self, token: Token) -> Constant:
        if token.kind == "text":
            return Text(token.text[1:-1].replace('""', '"'))
        return ErrorLiteral(ErrorValue(token.text.upper()))

    def name(self, token: Token) -> Node:
        upper = token.text.upper()
        return Boolean(upper == "TRUE") if upper in ("TRUE", "FALSE") else DefinedName(token.text)

    def reference(self, token: Token) -> Node:
        sheet: str | None = None
        if token.kind == "sheet":
            sheet = self.sheet(token)
            token = self.token
            self.place += 1
            if token.kind == "error":
                return self.constant(token)
            if token.kind == "name":
                return DefinedName(token.text)
            if token.kind not in ("cell", "columns", "rows"):
                raise self.refused(token, "no cell follows the name of a sheet", "such as Sheet1!A1")
        if token.kind != "cell":
            first, _, last = token.text.partition(":")
            return self.whole(token, sheet, first, last)
        first_cell = cell_reference(token.text, sheet)
        if not self.is_sign(":"):
            return first_cell
        colon = self.token
        self.place += 1
        token = self.token
        self.place += 1
        if token.kind == "sheet" and self.token.kind == "cell" and self.sheet(token) == sheet:
            token = self.token  # Sheet1!A1:Sheet1!B2
            self.place += 1
        if token.kind != "cell":
            raise self.refused(colon, "no cell follows the colon of a range", "such as A1:B3")
        if self.is_sign(":"):
            raise self.refused(self.token, "a range has more than two corners", "such as A1:B3")
        return RangeReference(first_cell, cell_reference(token.text, None))

    def whole(self, token: Token, sheet: str | None, first: str, last: str) -> RangeReference:
        fixed = first.startswith("$"), last.startswith("$")
        first, last = first.lstrip("$"), last.lstrip("$")
        if token.kind == "columns":
            left, right = column_number(first), column_number(last)
            if max(left, right) <= LAST_COLUMN:
                corner = Reference(sheet, 1, left, True, fixed[0])
                return RangeReference(corner, Reference(None, LAST_ROW, right, True, fixed[1]))
        else:
            upper, lower = int(first), int(last)
            if min(upper, lower) >= 1 and max(upper, lower) <= LAST_ROW:
                corner = Reference(sheet, upper, 1, fixed[0], True)
                return RangeReference(corner, Reference(None, lower, LAST_COLUMN, fixed[1], True))
        raise self.refused(token, "a range lies beyond the sheet", "columns up to XFD and rows up to 1048576")

    def sheet(self, token: Token) -> str:
        name = token.text[:-1]
        if name.startswith("'"):
            name = name[1:-1].replace("''", "'")
        if "[" in name or "\\" in name or "/" in name:
            raise self.refused(
                token,
                "it reads another workbook",
                "cells of this workbook, such as A1 or Sheet2!A1",
                "Other workbooks are never opened: copy the values that are needed into this one.",
            )
        if ":" in name:
            raise self.refused(token, "it reads several sheets at once", "one sheet, such as Sheet1!A1")
        return name

    def call(self, token: Token) -> tuple[Node, int]:
        name = token.text[:-1]
        while name.lower().startswith(_PREFIXES):
            name = name.partition(".")[2]
        arguments: list[Node] = []
        height = 1
        if self.is_sign(")"):
            self.place += 1
            return Call(name.upper(), ()), 1
        while True:
            if self.token.kind == "sign" and self.token.text in (",", ";", ")"):
                arguments.append(Missing())
            else:
                argument, own = self.expression(0)
                arguments.append(argument)
                height = max(height, own)
            if self.token.kind != "sign" or self.token.text not in (",", ";"):
                break
            self.place += 1
        self.closing(")")
        return Call(name.upper(), tuple(arguments)), self.checked(height + 1, token)

    def array(self) -> Array:
        rows: list[list[Constant]] = [[]]
        while True:
            rows[-1].append(self.element())
            if self.is_sign("}"):
                break
            if not self.is_sign(",;"):
                raise self.refused(self.token, "braces hold constants with , and ; between them", "such as {1,2;3,4}")
            if self.is_sign(";"):
                rows.append([])
            self.place += 1
        closing = self.token
        self.place += 1
        if len({len(row) for row in rows}) != 1:
            raise self.refused(closing, "the rows between braces differ in length", "such as {1,2;3,4}")
        return Array(tuple(map(tuple, rows)))

    def element(self) -> Constant:
        sign = 1.0
        if self.is_sign("+-"):
            sign = -1.0 if self.token.text == "-" else 1.0
            self.place += 1
            if self.token.kind != "number":
                raise self.refused(self.token, "no number follows a sign between braces", "such as {-1,2}")
        token = self.token
        self.place += 1
        match token.kind:
            case "number":
                return Number(sign * self.number(token).value)
            case "text" | "error":
                return self.constant(token)
            case "name" if token.text.upper() in ("TRUE", "FALSE"):
                return Boolean(token.text.upper() == "TRUE")
            case _:
                raise self.refused(token, "braces hold constants only", "such as {1,2;3,4}")


def cell_reference(text: str, sheet: str | None) -> Reference:
    """Return the reference that a cell's name such as "$B3" stands for."""
    is_column_fixed = text.startswith("$")
    letters = text.lstrip("$").rstrip("0123456789")
    is_row_fixed = letters.endswith("$")
    digits = text[len(letters) + is_column_fixed :]
    return Reference(sheet, int(digits), column_number(letters.rstrip("$")), is_row_fixed, is_column_fixed)
