"""A workbook that was read: sheets, cells, formulas, and what the reader noticed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from chainrule.errors import ChainruleError
from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.patterns import Formula

Value = float | str | bool | None


class BookError(ChainruleError):
    """A workbook that cannot be read, or that is refused: damaged, of another kind, with macros, or too large."""


@final
@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read; a file beyond is refused before it is unpacked.

    Attributes:
        file_bytes: the size of the file.
        unpacked_bytes: the size of all that is packed in it.
        ratio: how many times smaller a part may be packed; only parts above 1 MB are looked at.
        parts: how many files are packed in it.
        elements: how many elements the XML of all parts has.
        sheets: how many sheets it has.
        cells: how many cells hold something.
        formula_characters: how long all formulas are together.
        different_characters: how long all formulas are that are no copies of others; further ones are not computed.
        range_cells: how many cells that hold something one range of a formula may read.
        steps: how many cells all formulas read, and operators and functions they compute, together.
    """

    file_bytes: int = 64_000_000
    unpacked_bytes: int = 128_000_000
    ratio: int = 200
    parts: int = 5_000
    elements: int = 6_000_000
    sheets: int = 250
    cells: int = 300_000
    formula_characters: int = 8_000_000
    different_characters: int = 1_000_000
    range_cells: int = 100_000
    steps: int = 8_000_000


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one cell.

    Attributes:
        address: where.
        value: a number, text, truth value or `ErrorValue`; where there is a formula, as computed again from it. A text
            that reads as a number ("0,5") is that number.
        formula: the formula, or nothing.
        stored: what the file says: the same where there is neither a formula nor a text that reads as a number; with a
            formula, what the program that saved the file had computed, or nothing.
    """

    address: Address
    value: Value
    formula: Formula | None = None
    stored: Value = None


@final
@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet.

    Attributes:
        name: as on its tab.
        cells: the cells that hold something, by address, row after row.
        is_hidden: whether the sheet is hidden.
        hidden_rows: the rows that are hidden, from 1.
        hidden_columns: the columns that are hidden, from 1.
        merged: the upper left and lower right cell of each group of merged cells; only the first can hold something.
        arrays: the rectangles that array formulas fill.
    """

    name: str
    cells: Mapping[Address, Cell]
    is_hidden: bool = False
    hidden_rows: frozenset[int] = frozenset()
    hidden_columns: frozenset[int] = frozenset()
    merged: tuple[tuple[Address, Address], ...] = ()
    arrays: tuple[tuple[Address, Address], ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Book:
    """A workbook.

    Attributes:
        path: the file.
        kind: what it is.
        sheets: in the order of their tabs.
        notes: what the reader noticed and did, as sentences for the reader of a report.
    """

    path: Path
    kind: Literal["xlsx", "csv"]
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...] = ()
