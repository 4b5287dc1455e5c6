"""An .xlsx file read into a `Book`: each cell's value, and formulas as the program stored them, not yet computed."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import final

from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.archive import Archive
from chainrule.spreadsheets.book import Book, BookError, Cell, Limits, Sheet, Value
from chainrule.spreadsheets.nodes import (
    Array,
    Boolean,
    ErrorLiteral,
    ErrorValue,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
)
from chainrule.spreadsheets.number_texts import decimal_sign
from chainrule.spreadsheets.parsing import parse_formula
from chainrule.spreadsheets.parts import NamePart, WorkbookParts, plain_text, read_workbook_parts
from chainrule.spreadsheets.patterns import Allowance, Formula, Patterns, copied_formula
from chainrule.spreadsheets.sheet_parts import RawCell, RawSheet, read_area, read_sheet_part
from chainrule.spreadsheets.text_cells import date_note, numbers_from_texts
from chainrule.spreadsheets.tokens import FormulaError

_NUMBER = re.compile("[0-9]{1,9}")


def read_xlsx(path: Path, content: bytes, limits: Limits) -> Book:
    """Read a workbook.

    Args:
        path: the file, for error texts.
        content: all its bytes.
        limits: what is too large.

    Raises:
        BookError: the file is damaged, holds macros, or is larger than the limits.
    """
    archive = Archive(path, content, limits)
    parts = read_workbook_parts(archive)
    if len(parts.sheets) > limits.sheets:
        raise BookError(
            what="The workbook has too many sheets.",
            where=str(path),
            found=str(len(parts.sheets)),
            expected=f"at most {limits.sheets}",
        )
    sheets: list[Sheet] = []
    notes = list(parts.notes)
    cells = characters = 0
    allowance = Allowance(limits.different_characters)
    for number, part in enumerate(parts.sheets):
        if part.part is None:
            continue  # a sheet that is a chart
        raw = read_sheet_part(archive, part.part, part.name, limits, cells)
        cells += len(raw.cells)
        characters += sum(len(cell.formula) for cell in raw.cells)
        if characters > limits.formula_characters:
            raise BookError(
                what="The formulas of the workbook are too long.",
                where=str(path),
                found=f"more than {limits.formula_characters} characters in all formulas together",
                next_step="Copy the table that is to be looked at into a workbook of its own.",
            )
        reader = _SheetReader(parts, Patterns(_names_on(parts.names, number), allowance))
        sheets.append(reader.sheet(raw, part.name, part.is_hidden))
        notes += reader.notes(part.name, part.is_hidden)
    decimal = decimal_sign(
        cell.value for sheet in sheets for cell in sheet.cells.values() if type(cell.value) is str and not cell.formula
    )
    read = []
    for sheet in sheets:
        changed, own = numbers_from_texts(sheet, decimal)
        read.append(changed)
        notes += own
    return Book(path, "xlsx", tuple(read), tuple(notes))


@final
class _SheetReader:
    def __init__(self, parts: WorkbookParts, patterns: Patterns) -> None:
        self._parts = parts
        self._patterns = patterns
        self._shared: dict[str, Formula] = {}
        self._dates: list[tuple[Address, float]] = []
        self._hidden_rows: list[int] = []
        self._hidden_columns: list[int] = []

    def sheet(self, raw: RawSheet, name: str, is_hidden: bool) -> Sheet:
        cells: dict[Address, Cell] = {}
        arrays: list[tuple[Address, Address]] = []
        values: dict[Address, Value] = {}
        array_formulas: list[tuple[Formula, tuple[Address, Address]]] = []
        for raw_cell in raw.cells:
            value = values[raw_cell.address] = self._value(raw_cell)
            formula = self._formula(raw_cell)
            if formula is not None and raw_cell.formula_kind == "array":
                area = read_area(raw_cell.area)
                if area is not None and area[0] == raw_cell.address:
                    arrays.append(area)
                    array_formulas.append((formula, area))
            if formula is not None or value is not None:
                cells[raw_cell.address] = Cell(raw_cell.address, value, formula, value)
        for formula, (upper, lower) in array_formulas:
            for address in [address for address in cells if _is_within(address, upper, lower)]:
                if cells[address].formula is None:
                    cells[address] = Cell(address, values[address], formula, values[address])
        self._hidden_rows = sorted({address.row for address in cells} & raw.hidden_rows)
        self._hidden_columns = sorted({address.column for address in cells} & raw.hidden_columns)
        return Sheet(
            name,
            dict(sorted(cells.items())),
            is_hidden,
            frozenset(raw.hidden_rows),
            frozenset(raw.hidden_columns),
            tuple(raw.merged),
            tuple(arrays),
        )

    def notes(self, name: str, is_hidden: bool) -> Iterator[str]:
        if is_hidden:
            yield f"{name}: the sheet is hidden; it was read all the same."
        for hidden, word in ((self._hidden_rows, "row"), (self._hidden_columns, "column")):
            if hidden:
                count = f"{len(hidden)} hidden {word}{'s' if len(hidden) > 1 else ''}"
                yield f"{name}: {count} with content {'were' if len(hidden) > 1 else 'was'} read like the others."
        if self._dates:
            yield date_note(name, self._dates)

    def _value(self, cell: RawCell) -> Value:
        text = cell.text
        if text is None:
            return None
        match cell.kind:
            case "s":
                number = int(text) if _NUMBER.fullmatch(text.strip()) else -1
                return self._parts.texts[number] if 0 <= number < len(self._parts.texts) else None
            case "b":
                return text.strip() in ("1", "true")
            case "e":
                return ErrorValue(text.strip())
            case "str" | "inlineStr" | "d":
                return plain_text(text)
            case _:
                return self._number(cell, text)

    def _number(self, cell: RawCell, text: str) -> Value:
        if not text.strip():
            return None
        try:
            number = float(text)
        except ValueError:
            return text
        if not math.isfinite(number):
            return ErrorValue("#NUM!")
        if cell.style in self._parts.date_styles:
            self._dates.append((cell.address, number))
        return number

    def _formula(self, cell: RawCell) -> Formula | None:
        match cell.formula_kind:
            case "":
                return None
            case "shared" if not cell.formula:
                first = self._shared.get(cell.shared)
                if first is None:
                    return self._patterns.unread("", "the formula that it shares is not in the file", cell.address)
                return copied_formula(first, cell.address)
            case "dataTable":
                return self._patterns.unread(cell.formula, "it is a what-if table", cell.address)
            case _:
                formula = self._patterns.formula(cell.formula, cell.address)
                if cell.formula_kind == "shared":
                    self._shared[cell.shared] = formula
                return formula


def _is_within(address: Address, upper: Address, lower: Address) -> bool:
    return upper.row <= address.row <= lower.row and upper.column <= address.column <= lower.column


def _names_on(names: tuple[NamePart, ...], sheet: int) -> dict[str, Node]:
    """Return what the defined names stand for on a sheet; its own come before the workbook's."""
    found: dict[str, Node] = {}
    for part in sorted(names, key=lambda name: name.sheet is not None):
        if part.sheet not in (None, sheet):
            continue
        try:
            tree = parse_formula(part.text)
        except FormulaError:
            continue  # a formula that uses the name says so
        if _is_settled(tree):
            found[part.name.upper()] = tree
    return found


def _is_settled(tree: Node) -> bool:
    """Whether a name stands for the same cells or constant wherever it is used."""
    match tree:
        case Reference():
            return tree.is_row_fixed and tree.is_column_fixed
        case RangeReference(first, last):
            fixed = (first.is_row_fixed and last.is_row_fixed, first.is_column_fixed and last.is_column_fixed)
            return all(fixed)
        case Unary(_, operand):
            return isinstance(operand, Number)
        case Number() | Text() | Boolean() | ErrorLiteral() | Array():
            return True
        case _:
            return False
