"""A .csv file read into a `Book` of one sheet: the separator, the encoding and the decimal sign are found out.

A cell that begins with = is a formula, as spreadsheet programs take it.
"""

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.book import Book, BookError, Cell, Limits, Sheet, Value
from chainrule.spreadsheets.nodes import ErrorValue
from chainrule.spreadsheets.number_texts import Decimal, decimal_sign, number_of_text
from chainrule.spreadsheets.patterns import Allowance, Patterns
from chainrule.spreadsheets.tokens import ERROR_VALUES

_SEPARATORS = {"\t": "a tab", ";": "a semicolon", ",": "a comma", "|": "a bar"}
_LINES_LOOKED_AT = 200
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_csv_book(path: Path, content: bytes, limits: Limits) -> Book:
    """Read a .csv file.

    Args:
        path: the file; its name without the ending is the sheet's name.
        content: all its bytes.
        limits: how many cells there may be.

    Raises:
        BookError: it is no text, or it has too many cells or too long ones.
    """
    text, notes = _decoded(path, content)
    text, separator = _separator(text)
    rows = _rows(path, text, separator, limits)
    texts = [cell for row in rows for cell in row if not cell.startswith("=")]
    decimal = decimal_sign(texts)
    if (
        decimal == "unknown"
        and separator == ";"
        and any("," in cell and number_of_text(cell, "comma") for cell in texts)
    ):
        decimal = "comma"  # the countries that separate by semicolons need the comma for decimals
    if decimal == "comma":
        notes.append("The file writes decimals with a comma; 0,5 was read as one half.")
    patterns = Patterns({}, Allowance(limits.different_characters))
    cells: dict[Address, Cell] = {}
    unclear: list[tuple[Address, str]] = []
    for row, fields in enumerate(rows, start=1):
        for column, field in enumerate(fields, start=1):
            address = Address(row, column)
            if field.startswith("=") and len(field) > 1:
                cells[address] = Cell(address, None, patterns.formula(field[1:], address))
                continue
            value = _value(field, decimal)
            if value is None:
                continue
            cells[address] = Cell(address, value, None, value)
            if isinstance(value, str) and any(number_of_text(value, other) is not None for other in _EITHER):
                unclear.append((address, value))
    if unclear:
        address, value = unclear[0]
        several = f"{len(unclear)} cell{'s' if len(unclear) > 1 else ''}"
        notes.append(
            f"{several} could be two numbers, first {address} ({value!r}), and stayed text; write numbers without "
            "thousands separators."
        )
    return Book(path, "csv", (Sheet(path.stem, cells),), tuple(notes))


_EITHER: tuple[Decimal, ...] = ("comma", "point")


def _decoded(path: Path, content: bytes) -> tuple[str, list[str]]:
    marked = [(mark, encoding) for mark, encoding in _BYTE_ORDER_MARKS if content.startswith(mark)]
    mark, encoding = marked[0] if marked else (b"", _without_mark(content))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or mark:
            raise _no_text(path, f"bytes that are not {encoding} at {error.start}") from None
        text, encoding = content.decode("cp1252", errors="replace"), "cp1252"
    if "\0" in text:
        raise _no_text(path, "zero bytes")
    notes = []
    if encoding == "cp1252":
        notes.append("The file is not UTF-8; it was read as Western European text (Windows-1252).")
    return text, notes


def _without_mark(content: bytes) -> str:
    head = content[:2000]
    if head and head[1::2].count(0) > len(head) // 4 and head[::2].count(0) == 0:
        return "utf-16-le"
    if head and head[::2].count(0) > len(head) // 4 and head[1::2].count(0) == 0:
        return "utf-16-be"
    return "utf-8"


def _no_text(path: Path, found: str) -> BookError:
    return BookError(
        what="The file is not a text file.",
        where=str(path),
        found=found,
        expected="a .csv file, or an .xlsx workbook",
        next_step="Open it in the program that made it and save it as .xlsx or as CSV UTF-8.",
    )


def _separator(text: str) -> tuple[str, str]:
    """Return the text without a line that only names its separator, and the separator."""
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        return rest, first.strip()[4]
    counts = {separator: _regularity(text, separator) for separator in _SEPARATORS}
    best = max(counts.values())
    # A comma may be the decimal sign, so that lines have about as many; the others hardly occur within numbers.
    near = [separator for separator in _SEPARATORS if counts[separator] and counts[separator] >= 0.5 * best]
    return text, near[0] if near else ","


def _regularity(text: str, separator: str) -> int:
    """Return how many of the first lines have the commonest number of fields above one."""
    reader = csv.reader(
        io.StringIO("\n".join(text.split("\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT])), delimiter=separator
    )
    counts: Counter[int] = Counter()
    try:
        for row in reader:
            counts[len(row)] += len(row) > 1
    except csv.Error:
        return 0
    return max(counts.values(), default=0)


def _rows(path: Path, text: str, separator: str, limits: Limits) -> list[list[str]]:
    rows = []
    cells = 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            rows.append([field.strip() for field in row])
            cells += len(row)
            if cells > limits.cells:
                raise BookError(
                    what="The file has too many cells.",
                    where=str(path),
                    found=f"more than {limits.cells}",
                    next_step="Delete the rows that are not needed.",
                )
    except csv.Error as error:
        raise BookError(
            what="The file cannot be read as a table.",
            where=f"{path}, line {reader.line_num}",
            found=str(error),
            cause="A quotation mark may be missing, so that a cell does not end.",
        ) from None
    return rows


def _value(field: str, decimal: Decimal) -> Value:
    if not field:
        return None
    if field.upper() in ERROR_VALUES:
        return ErrorValue(field.upper())
    if field.upper() in ("TRUE", "FALSE"):
        return field.upper() == "TRUE"
    number = number_of_text(field, decimal)
    return field if number is None else number
