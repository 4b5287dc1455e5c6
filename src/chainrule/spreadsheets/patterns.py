"""Formulas as copies of one another: the same formula, seen from another cell.

A table has hundreds of rows and a dozen formulas. Each formula is written with its cells relative to the cell that it
stands in, which is its key; and only the first of each key is parsed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import final

from chainrule.spreadsheets.addresses import (
    LAST_COLUMN,
    LAST_ROW,
    Address,
    column_letters,
    column_number,
    read_address,
)
from chainrule.spreadsheets.nodes import (
    Binary,
    Call,
    DefinedName,
    ErrorLiteral,
    ErrorValue,
    Node,
    RangeReference,
    Reference,
    Unary,
    Unread,
)
from chainrule.spreadsheets.parsing import cell_reference, parse_formula
from chainrule.spreadsheets.tokens import LONGEST_FORMULA, FormulaError

_HERE = Address(1, 1)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """What formulas that are copies of one another have in common.

    Attributes:
        key: the formula with its cells relative to its own, in R1C1 style; equal for copies, on one sheet.
        tree: as read at `at`.
        at: the cell that the first of the copies stands in.
    """

    key: str
    tree: Node
    at: Address


@final
@dataclass(frozen=True)
class Formula:
    """A formula in a cell.

    Attributes:
        at: the cell that it stands in.
        pattern: the same for all copies of the formula on its sheet; what is found out about one holds for all.
        original: the formula as it was written, perhaps in another cell.
        original_at: the cell that `original` was written in.
    """

    at: Address
    pattern: Pattern = field(compare=False, repr=False)
    original: str
    original_at: Address

    @cached_property
    def text(self) -> str:
        """The formula without the equals sign."""
        if self.at == self.original_at:
            return self.original
        return copied_text(self.original, self.original_at, self.at)

    @cached_property
    def tree(self) -> Node:
        """The formula as a tree; defined names of the book are replaced by what they stand for."""
        here, there = self.at, self.pattern.at
        return moved(self.pattern.tree, here.row - there.row, here.column - there.column)


def parse_spreadsheet_formula(text: str, at: Address = _HERE) -> Formula:
    """Read a formula.

    Args:
        text: in A1 style, with or without the equals sign before it; arguments are separated by , or ;.
        at: the cell that it stands in.

    Raises:
        FormulaError: it is no formula, or one that reads other workbooks, tables, unions or intersections of ranges;
            it says where.
    """
    return Formula(at, Pattern(_key(text.removeprefix("="), at), parse_formula(text), at), text.removeprefix("="), at)


@final
@dataclass(slots=True)
class Allowance:
    """How many characters of formulas that are no copies of one another may still be parsed."""

    characters: int


@final
class Patterns:
    """The formulas of one sheet, each pattern parsed once.

    Args:
        names: what the defined names stand for, by their name in capitals.
        allowance: how much may still be parsed; shared by the sheets of a workbook.
    """

    def __init__(self, names: Mapping[str, Node], allowance: Allowance | None = None) -> None:
        self._names = names
        self._allowance = allowance or Allowance(LONGEST_FORMULA * 1000)
        self._known: dict[str, Pattern] = {}

    def formula(self, text: str, at: Address) -> Formula:
        """Return the formula of a cell; one that cannot be read has a tree that says so."""
        if len(text) > LONGEST_FORMULA:
            return self.unread(text, "it is too long", at)
        key = _key(text, at)
        pattern = self._known.get(key)
        if pattern is None:
            self._allowance.characters -= len(text)
            if self._allowance.characters < 0:
                return self.unread(text, "the workbook has too many different formulas", at)
            try:
                tree = _resolved(parse_formula(text), self._names)
            except FormulaError as error:
                tree = Unread(text, error.what)
            pattern = self._known[key] = Pattern(key, tree, at)
        return Formula(at, pattern, text, at)

    def unread(self, text: str, reason: str, at: Address) -> Formula:
        """Return a formula that is not read, for a reason that is not in its text."""
        return Formula(at, Pattern(text, Unread(text, reason), at), text, at)


def copied_formula(first: Formula, at: Address) -> Formula:
    """Return the copy of a formula in another cell of its sheet."""
    return Formula(at, first.pattern, first.original, first.original_at)


def copied_text(text: str, first: Address, at: Address) -> str:
    """Write the formula of the cell `first` as its copy in the cell `at`; what moves off the sheet becomes #REF!."""
    rows, columns = at.row - first.row, at.column - first.column
    return _MOVING.sub(lambda match: _moved_text(match, rows, columns), text)


def moved(node: Node, rows: int, columns: int) -> Node:
    """Return the tree as its copy some rows further down and some columns further right reads."""
    if rows == 0 and columns == 0:
        return node
    match node:
        case Reference():
            return _moved_reference(node, rows, columns)
        case RangeReference(first, last):
            corners = _moved_reference(first, rows, columns), _moved_reference(last, rows, columns)
            if isinstance(corners[0], ErrorLiteral):
                return corners[0]
            return corners[1] if isinstance(corners[1], ErrorLiteral) else RangeReference(corners[0], corners[1])
        case Binary(operator, left, right):
            return Binary(operator, moved(left, rows, columns), moved(right, rows, columns))
        case Unary(operator, operand):
            return Unary(operator, moved(operand, rows, columns))
        case Call(name, arguments):
            return Call(name, tuple([moved(argument, rows, columns) for argument in arguments]))
        case _:
            return node


def _moved_reference(reference: Reference, rows: int, columns: int) -> Reference | ErrorLiteral:
    address = Address(
        reference.row + (0 if reference.is_row_fixed else rows),
        reference.column + (0 if reference.is_column_fixed else columns),
    )
    if not address.is_on_a_sheet:
        return ErrorLiteral(ErrorValue("#REF!"))
    fixed = reference.is_row_fixed, reference.is_column_fixed
    return Reference(reference.sheet, address.row, address.column, *fixed)


def _resolved(node: Node, names: Mapping[str, Node]) -> Node:
    match node:
        case DefinedName(name):
            return names.get(name.upper(), node)
        case Binary(operator, left, right):
            return Binary(operator, _resolved(left, names), _resolved(right, names))
        case Unary(operator, operand):
            return Unary(operator, _resolved(operand, names))
        case Call(name, arguments):
            return Call(name, tuple([_resolved(argument, names) for argument in arguments]))
        case _:
            return node


# Texts and names of sheets, which stay as they are; then whole columns, whole rows and cells, as the tokens have them.
_MOVING = re.compile(
    r"""
    "(?:[^"]|"")*" | '(?:[^']|'')*'
    | (?<![\w.$?\\]) (?:
        (?P<columns>\$?[A-Z]{1,3}:\$?[A-Z]{1,3})
        | (?P<rows>\$?[0-9]{1,7}:\$?[0-9]{1,7})
        | (?P<cell>\$?[A-Z]{1,3}\$?[0-9]{1,7})
    ) (?![\w.(!?\\$])
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _key(text: str, at: Address) -> str:
    return _MOVING.sub(lambda match: _relative(match, at), text)


def _relative(match: re.Match[str], at: Address) -> str:
    kind, text = match.lastgroup, match[0]
    if kind == "cell":
        reference = _reference(text)
        if reference is None:
            return text
        row = f"R{reference.row}" if reference.is_row_fixed else f"R[{reference.row - at.row}]"
        column = f"C{reference.column}" if reference.is_column_fixed else f"C[{reference.column - at.column}]"
        return row + column
    if kind is None:
        return text
    sides = []
    for side in text.split(":"):
        number = column_number(side.lstrip("$")) if kind == "columns" else int(side.lstrip("$"))
        own, letter = (at.column, "C") if kind == "columns" else (at.row, "R")
        sides.append(f"{letter}{number}" if side.startswith("$") else f"{letter}[{number - own}]")
    return ":".join(sides)


def _moved_text(match: re.Match[str], rows: int, columns: int) -> str:
    kind, text = match.lastgroup, match[0]
    if kind == "cell":
        reference = _reference(text)
        if reference is None:
            return text
        moved_cell = _moved_reference(reference, rows, columns)
        if isinstance(moved_cell, ErrorLiteral):
            return str(moved_cell.value)
        fixed = "$" if moved_cell.is_column_fixed else "", "$" if moved_cell.is_row_fixed else ""
        return f"{fixed[0]}{column_letters(moved_cell.column)}{fixed[1]}{moved_cell.row}"
    if kind is None:
        return text
    sides = []
    for side in text.split(":"):
        if side.startswith("$"):
            sides.append(side)
            continue
        number = column_number(side) + columns if kind == "columns" else int(side) + rows
        if not 1 <= number <= (LAST_COLUMN if kind == "columns" else LAST_ROW):
            return "#REF!"
        sides.append(column_letters(number) if kind == "columns" else str(number))
    return ":".join(sides)


@lru_cache(maxsize=16384)
def _reference(text: str) -> Reference | None:
    return None if read_address(text) is None else cell_reference(text, None)
