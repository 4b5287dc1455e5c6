"""The tree of a formula: what it adds, multiplies and calls, and which cells it reads."""

from dataclasses import dataclass
from typing import final

from chainrule.spreadsheets.addresses import Address


class ErrorValue(str):
    """What a cell shows when its formula failed: #DIV/0!, #REF!, ... A text that happens to read so is a plain str."""

    __slots__ = ()


@final
@dataclass(frozen=True, slots=True)
class Number:
    """A number written in the formula."""

    value: float


@final
@dataclass(frozen=True, slots=True)
class Text:
    """A text between double quotes, without them."""

    value: str


@final
@dataclass(frozen=True, slots=True)
class Boolean:
    """TRUE or FALSE."""

    value: bool


@final
@dataclass(frozen=True, slots=True)
class ErrorLiteral:
    """An error written in the formula: #REF! stands where a cell was deleted."""

    value: ErrorValue


@final
@dataclass(frozen=True, slots=True)
class Missing:
    """An argument that was left out, as the second of IF(A1,,3)."""


@final
@dataclass(frozen=True, slots=True)
class Reference:
    """A cell.

    Attributes:
        sheet: the sheet's name, or nothing for the sheet that the formula stands on.
        row: from 1.
        column: from 1.
        is_row_fixed: whether it was written with a $, so that a copy of the formula reads the same row.
        is_column_fixed: the same for the column.
    """

    sheet: str | None
    row: int
    column: int
    is_row_fixed: bool = False
    is_column_fixed: bool = False

    @property
    def address(self) -> Address:
        """The place on the sheet."""
        return Address(self.row, self.column)


@final
@dataclass(frozen=True, slots=True)
class RangeReference:
    """A rectangle of cells: A1:B3; whole columns (A:B) and rows (1:3) reach to the end of the sheet.

    Attributes:
        first: the corner written first, with the sheet.
        last: the corner written last; its sheet is nothing.
    """

    first: Reference
    last: Reference

    @property
    def sheet(self) -> str | None:
        """The sheet's name, or nothing for the sheet that the formula stands on."""
        return self.first.sheet

    @property
    def corners(self) -> tuple[Address, Address]:
        """The upper left and the lower right cell."""
        rows = sorted((self.first.row, self.last.row))
        columns = sorted((self.first.column, self.last.column))
        return Address(rows[0], columns[0]), Address(rows[1], columns[1])

    @property
    def size(self) -> int:
        """How many cells it has."""
        upper, lower = self.corners
        return (lower.row - upper.row + 1) * (lower.column - upper.column + 1)


@final
@dataclass(frozen=True, slots=True)
class DefinedName:
    """A name that the workbook may define. Trees of a book that was read have the cells in its place."""

    name: str


@final
@dataclass(frozen=True, slots=True)
class Array:
    """Numbers, texts, truth values and errors between braces: {1,2;3,4} has two rows."""

    rows: tuple[tuple["Number | Text | Boolean | ErrorLiteral", ...], ...]


@final
@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; the name is in capitals."""

    name: str
    arguments: "tuple[Node, ...]"


@final
@dataclass(frozen=True, slots=True)
class Unary:
    """An operator with one operand: - and + before it, % after it."""

    operator: str
    operand: "Node"


@final
@dataclass(frozen=True, slots=True)
class Binary:
    """An operator between two operands: ^ * / + - & = <> < > <= >=."""

    operator: str
    left: "Node"
    right: "Node"


@final
@dataclass(frozen=True, slots=True)
class Unread:
    """A formula of a workbook that cannot be read.

    Attributes:
        text: the formula.
        reason: why, as a sentence.
    """

    text: str
    reason: str


Constant = Number | Text | Boolean | ErrorLiteral
Node = Constant | Missing | Reference | RangeReference | DefinedName | Array | Call | Unary | Binary | Unread
