"""Strings and numbers of a document as plain text that every output can carry.

Names and cells come from users' data: they can hold line breaks, terminal escape sequences, characters that XML
forbids, and marks that turn the reading direction around. Renderers pass every string through here, once.
"""

import re
from collections.abc import Sequence

from chainrule.documents import Cell, Formula, Table

CALLOUT_WORDS: dict[str, str] = {"good": "Good", "note": "Note", "warning": "Warning", "error": "Error"}

# Control characters but tab and line feed, lone surrogates, direction overrides, and the two non-characters of XML.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def printable(text: str) -> str:
    r"""Return the text with each character that an output cannot carry spelled out, such as \x1b for escape."""
    return _UNPRINTABLE.sub(_spelled, text.replace("\r\n", "\n"))


def printable_line(text: str) -> str:
    """Return the printable text on one line; each run of white space becomes one space."""
    return " ".join(printable(text).split())


def shortened(text: str, length: int) -> str:
    """Return the text, or its beginning and an ellipsis when it is longer than `length` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def print_cell(cell: Cell, number_format: str) -> str:
    """Return a cell of a table as text.

    Whole numbers are printed in full where the format counts significant digits ('.6g' would make 12345678 out to be
    1.23457e+07). A missing value is an empty cell.
    """
    if cell is None:
        return ""
    if isinstance(cell, Formula):
        return printable(cell.text)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        return printable(cell)
    if isinstance(cell, int) and number_format[-1:].lower() in ("g", ""):
        return str(cell)
    return format(cell, number_format)


def print_row(table: Table, row: Sequence[Cell]) -> list[str]:
    """Return one row of a table as text, each cell by its column's format."""
    return [print_cell(cell, column.number_format) for cell, column in zip(row, table.columns, strict=True)]


def is_number_column(table: Table, index: int) -> bool:
    """Say whether a column holds numbers, and nothing but numbers and missing values."""
    cells = [row[index] for row in table.rows if row[index] is not None]
    return bool(cells) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
