"""The cells of one sheet of an .xlsx as its part writes them, in one pass."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from chainrule.spreadsheets.addresses import Address, column_number
from chainrule.spreadsheets.archive import Archive
from chainrule.spreadsheets.book import BookError, Limits
from chainrule.spreadsheets.markup import read_markup

_PLACE = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")


@final
@dataclass(frozen=True, slots=True)
class RawCell:
    """One cell as the file writes it.

    Attributes:
        address: where.
        kind: n, s (a shared text's number), str, inlineStr, b, e or d.
        style: the number of its style.
        text: the value, or nothing where none is stored.
        formula: the formula's text, or nothing where the cell has no formula of its own.
        formula_kind: normal, shared, array or dataTable; empty where there is no formula.
        shared: the number of the shared formula.
        area: the cells that a shared or array formula is for.
    """

    address: Address
    kind: str
    style: int
    text: str | None
    formula: str
    formula_kind: str
    shared: str
    area: str


@final
@dataclass(slots=True)
class RawSheet:
    """What a sheet's part holds."""

    cells: list[RawCell] = field(default_factory=list)
    merged: list[tuple[Address, Address]] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)


def read_sheet_part(archive: Archive, part: str, name: str, limits: Limits, cells_before: int) -> RawSheet:
    """Read the cells of a sheet that hold something.

    Args:
        archive: the workbook.
        part: the sheet's part.
        name: the sheet's name, for error texts.
        limits: how many cells there may be.
        cells_before: how many the sheets before it hold.

    Raises:
        BookError: the part is damaged, or there are too many cells.
    """
    listener = _Cells(archive, name, limits.cells - cells_before)
    read_markup(archive, part, listener)
    return listener.sheet


def read_area(text: str) -> tuple[Address, Address] | None:
    """Return the corners of an area such as "A1:B3" or "A1"; nothing where it is none on a sheet."""
    first, _, last = text.partition(":")
    ends = _PLACE.fullmatch(first), _PLACE.fullmatch(last or first)
    if ends[0] is None or ends[1] is None:
        return None
    corners = [Address(int(end[2]), column_number(end[1])) for end in ends if end is not None]
    upper = Address(min(corners[0].row, corners[1].row), min(corners[0].column, corners[1].column))
    lower = Address(max(corners[0].row, corners[1].row), max(corners[0].column, corners[1].column))
    return (upper, lower) if upper.is_on_a_sheet and lower.is_on_a_sheet else None


@final
class _Cells:
    def __init__(self, archive: Archive, name: str, most: int) -> None:
        self.sheet = RawSheet()
        self._path, self._name, self._most = archive.path, name, most
        self._seen: set[Address] = set()
        self._row = 0
        self._column = 0
        self._cell: dict[str, str] | None = None
        self._formula: dict[str, str] | None = None
        self._formula_text: list[str] = []
        self._value: list[str] | None = None
        self._listening: list[str] | None = None
        self._phonetic = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "c":
            self._cell = dict(attributes)
            self._formula, self._formula_text, self._value = None, [], None
        elif tag == "v" and self._cell is not None:
            self._value = self._listening = []
        elif tag == "f" and self._cell is not None:
            self._formula = dict(attributes)
            self._listening = self._formula_text
        elif tag == "t" and self._cell is not None and not self._phonetic:
            self._value = self._value if self._value is not None else []
            self._listening = self._value
        elif tag == "rPh":
            self._phonetic += 1
        elif tag == "row":
            number = attributes.get("r", "")
            self._row = int(number) if number.isdigit() else self._row + 1
            self._column = 0
            if attributes.get("hidden") in ("1", "true"):
                self.sheet.hidden_rows.add(self._row)
        elif tag == "col" and attributes.get("hidden") in ("1", "true"):
            self._hide(attributes)
        elif tag == "mergeCell":
            area = read_area(attributes.get("ref", ""))
            if area is not None and len(self.sheet.merged) < self._most:
                self.sheet.merged.append(area)

    def data(self, text: str) -> None:
        if self._listening is not None:
            self._listening.append(text)

    def end(self, tag: str) -> None:
        self._listening = None
        if tag == "rPh":
            self._phonetic -= 1
        elif tag == "c" and self._cell is not None:
            self._add(self._cell)
            self._cell = None

    def _hide(self, attributes: Mapping[str, str]) -> None:
        first, last = attributes.get("min", ""), attributes.get("max", "")
        if first.isdigit() and last.isdigit():
            self.sheet.hidden_columns.update(range(int(first), min(int(last), 16_384) + 1))

    def _add(self, cell: dict[str, str]) -> None:
        address = self._address(cell.get("r"))
        self._column = address.column
        if self._formula is None and self._value is None:
            return  # only a format
        if len(self.sheet.cells) >= self._most:
            raise BookError(
                what="The workbook has too many cells.",
                where=f"{self._path}, sheet {self._name!r}",
                found=f"more than {self._most} left for this sheet",
                next_step="Delete the rows that are not needed, or copy the table into a workbook of its own.",
            )
        if address in self._seen:
            raise BookError(
                what="The workbook is damaged: a cell stands in it twice.",
                where=f"{self._path}, sheet {self._name!r}",
                found=str(address),
                expected="each cell once",
                next_step="Open it in a spreadsheet program and save it again.",
            )
        self._seen.add(address)
        formula = self._formula if self._formula is not None else {}
        text = "".join(self._formula_text).strip()
        kind = formula.get("t", "normal") if self._formula is not None else ""
        if kind == "normal" and not text:
            kind = ""
        style = cell.get("s", "0")
        self.sheet.cells.append(
            RawCell(
                address,
                cell.get("t", "n"),
                int(style) if style.isdigit() else 0,
                None if self._value is None else "".join(self._value),
                text,
                kind,
                formula.get("si", ""),
                formula.get("ref", ""),
            )
        )

    def _address(self, text: str | None) -> Address:
        if text is None:
            return Address(self._row, self._column + 1)  # a file may leave the places out
        match = _PLACE.fullmatch(text)
        address = Address(int(match[2]), column_number(match[1])) if match else Address(0, 0)
        if not address.is_on_a_sheet:
            raise BookError(
                what="The workbook is damaged: a cell lies beyond the sheet.",
                where=f"{self._path}, sheet {self._name!r}",
                found=text,
                expected="cells from A1 to XFD1048576",
            )
        return address
