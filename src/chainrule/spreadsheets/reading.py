"""The front door: a file read into a `Book`, whatever it is, and its formulas computed again."""

from pathlib import Path

from chainrule.spreadsheets.archive import check_signature
from chainrule.spreadsheets.book import Book, BookError, Limits
from chainrule.spreadsheets.csv_books import read_csv_book
from chainrule.spreadsheets.recalculation import recalculated
from chainrule.spreadsheets.xlsx_books import read_xlsx

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt")


def read_book(path: Path, *, limits: Limits | None = None) -> Book:
    """Read a workbook (.xlsx) or a table (.csv), and compute its formulas again.

    Nothing in the file is run, no other file is opened, and how much is read is bounded. What the file is, is told from
    its content; a .csv may be separated by commas, semicolons, tabs or bars, in UTF-8, UTF-16 or Windows-1252.

    Args:
        path: the file.
        limits: what is too large; the defaults of `Limits` without it.

    Raises:
        BookError: there is no such file, or it is of another kind, damaged, too large, or holds macros.
    """
    bounds = limits or Limits()
    content = _content(path, bounds)
    if content.startswith(_ZIP):
        return recalculated(read_xlsx(path, content, bounds), bounds)
    check_signature(path, content)
    if path.suffix.lower() not in _TEXT_ENDINGS:
        raise BookError(
            what="The file is not a workbook.",
            where=str(path),
            found=f"the first bytes {content[:8]!r}",
            expected="an .xlsx workbook or a .csv file",
            next_step="If it is a table in text, name it .csv.",
        )
    return recalculated(read_csv_book(path, content, bounds), bounds)


def _content(path: Path, limits: Limits) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limits.file_bytes + 1)
    except OSError as error:
        raise BookError(
            what="The workbook cannot be opened.",
            where=str(path),
            found=error.strerror or type(error).__name__,
            expected="an .xlsx workbook or a .csv file",
        ) from None
    if len(content) > limits.file_bytes:
        raise BookError(
            what="The workbook is too large.",
            where=str(path),
            found=f"more than {limits.file_bytes} bytes",
            next_step="Copy the table that is to be looked at into a workbook of its own.",
        )
    if not content:
        raise BookError(what="The file is empty.", where=str(path), expected="an .xlsx workbook or a .csv file")
    return content
