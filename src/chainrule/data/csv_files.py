"""CSV files, read by polars; a file that cannot be read is read again slowly, to name the line that is wrong.

The separator is a comma, a semicolon or a tab: the one that cuts the header and the first row into the same number of
fields, or else the header into most. The first line is the header. Cells may be quoted with ", and "" stands for a
quote inside. Spaces around a cell are dropped; lines that are blank are skipped. A cell that is empty, NA, N/A, null,
NULL or ? is missing. Lines count from 1, so the header is line 1 where no blank line precedes it.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from chainrule.data.column_types import type_cells
from chainrule.data.table import Table
from chainrule.data.wording import count_of
from chainrule.errors import DataError

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
MISSING_CELLS = ("", "NA", "N/A", "null", "NULL", "?")


@dataclass(frozen=True, slots=True)
class CsvText:
    """The text of a CSV file, and how its header reads.

    Attributes:
        path: the file.
        text: all of it.
        separator: between the fields.
        names: the header's fields without surrounding spaces.
        body_start: where the rows start in `text`.
    """

    path: Path
    text: str
    separator: str
    names: tuple[str, ...]
    body_start: int

    def lines_and_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row after the header with the line that it starts on, blank lines left out."""
        records = _records(self.text, self.separator)
        next(records)
        return records

    def place(self, row: int) -> str:
        """Return the line that a row starts on."""
        try:
            line, _ = next(itertools.islice(self.lines_and_rows(), row, None))
        except csv.Error:
            # Python's reader refuses a cell above 131072 characters, which polars takes.
            return f"row {row + 1}"
        return f"line {line}"


def read_csv_file(path: Path, content: bytes) -> Table:
    """Read a CSV file into columns with types.

    Raises:
        DataError: the file is empty, not UTF-8 or ragged, has no header or no rows, or a quote is not closed.
    """
    source = _read_header(path, _decode(path, content))
    body = source.text[source.body_start :]
    if not body.strip():
        raise DataError(
            what=f"'{path.name}' has a header and no rows.",
            where=str(path),
            found=f"the header {', '.join(source.names)}",
            expected="at least one row after it",
        )
    frame = _parse(source, body)
    names = tuple(name or f"unnamed column {position + 1}" for position, name in enumerate(source.names))
    columns = [type_cells(name, cells) for name, cells in zip(names, frame.get_columns(), strict=True)]
    note = f"'{path.name}' is read as CSV with {SEPARATORS[source.separator]} between the columns."
    unnamed = frozenset(name for name, given in zip(names, source.names, strict=True) if not given)
    return Table(path, tuple(columns), unnamed, source.place, (note,))


def _decode(path: Path, content: bytes) -> str:
    if not content.strip():
        raise DataError(
            what=f"'{path.name}' is empty.",
            where=str(path),
            found=count_of(len(content), "byte"),
            expected="a header and at least one row",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        is_utf_16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(
            what=f"'{path.name}' is not text in UTF-8.",
            where=f"{path}, line {line}, byte {error.start} (counted from 0)",
            found=f"the byte 0x{content[error.start]:02x}",
            expected="text in UTF-8",
            cause="The file starts as UTF-16 files do." if is_utf_16 else "The file may be in an older encoding.",
            next_step="Save it as UTF-8 (spreadsheets call it 'CSV UTF-8').",
        ) from None
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _read_header(path: Path, text: str) -> CsvText:
    separator = _detect_separator(text)
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    try:
        fields = next(fields for fields in reader if not _is_blank(fields))
    except csv.Error as error:
        raise _broken_quotes(path, "its header", str(error)) from None
    names = tuple(field.strip() for field in fields)
    if len(names) == 1:
        raise DataError(
            what=f"'{path.name}' has one column only.",
            where=str(path),
            found=f"the header {names[0]}",
            expected="at least one input column and a target column, with a comma, a semicolon or a tab between them",
        )
    if all(_is_number(name) for name in names):
        raise DataError(
            what=f"The first line of '{path.name}' holds numbers, and not the names of the columns.",
            where=str(path),
            found=", ".join(names[:8]),
            expected="a header with a name for each column",
            next_step="Put a line with names above the numbers.",
        )
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise DataError(
                what=f"Two columns of '{path.name}' have the same name.",
                where=f"{path}, header",
                found=f"'{name}' in columns {names.index(name) + 1} and {position + 1}",
                expected="a different name for each column",
                next_step="Rename one of them.",
            )
    body_start = sum(len(line) for line in itertools.islice(_lines(text), reader.line_num))
    return CsvText(path, text, separator, names, body_start)


def _detect_separator(text: str) -> str:
    def fitness(separator: str) -> tuple[bool, int]:
        records = _records(text, separator)
        try:
            header, first = (len(fields) for _, fields in (next(records, (0, [])), next(records, (0, []))))
        except csv.Error:
            return False, next(_lines(text)).count(separator) + 1
        return header == first > 1, header

    return max(SEPARATORS, key=fitness)


def _parse(source: CsvText, body: str) -> pl.DataFrame:
    """Parse the rows as strings; where polars stops, or fills up a short row, look for the line in Python."""
    # A header of our own: names that are plain and differ, and a width that holds for every row.
    names = [f"c{position}" for position in range(len(source.names))]
    header = source.separator.join(names)
    try:
        frame = pl.read_csv(f"{header}\n{body}".encode(), separator=source.separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        _count_rows(source)
        raise _broken_quotes(source.path, "a row", str(error).splitlines()[0]) from None
    # Polars fills up a short row with nulls, and takes a blank line for a row of nulls.
    if frame.get_column(names[-1]).null_count() and _count_rows(source) != len(frame):
        columns = zip(*(fields for _, fields in source.lines_and_rows()), strict=True)
        frame = pl.DataFrame(dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.String))
    trimmed = pl.all().str.strip_chars()
    return frame.select(pl.when(trimmed.is_in(MISSING_CELLS)).then(None).otherwise(trimmed).name.keep())


def _count_rows(source: CsvText) -> int:
    """Count the rows, and raise the error for the first that is ragged or badly quoted."""
    count, line = 0, 1
    try:
        for line, fields in source.lines_and_rows():
            if len(fields) != len(source.names):
                raise _ragged(source, line, fields)
            count += 1
    except csv.Error as error:
        raise _broken_quotes(source.path, f"a row after line {line}", str(error)) from None
    return count


def _ragged(source: CsvText, line: int, fields: list[str]) -> DataError:
    found = count_of(len(fields), "field")
    return DataError(
        what=f"A row of '{source.path.name}' has {found} where the header has {len(source.names)}.",
        where=f"{source.path}, line {line}",
        found=_show(fields),
        expected=_show(source.names),
        cause="A cell that holds the separator must be quoted, and a number is written with a point, as in 1.5.",
    )


def _show(fields: Sequence[str], shown: int = 8) -> str:
    return " | ".join(fields[:shown]) + (" | …" if len(fields) > shown else "")


def _broken_quotes(path: Path, part: str, error: str) -> DataError:
    return DataError(
        what=f"'{path.name}' cannot be read: {part} is not well-formed.",
        where=str(path),
        found=error,
        cause="A quote may be missing; a quote inside a quoted cell is written twice.",
    )


def _records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank with the line that it starts on."""
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    start = 1
    for fields in reader:
        if not _is_blank(fields):
            yield start, fields
        start = reader.line_num + 1


def _lines(text: str) -> Iterator[str]:
    """Yield the lines one by one with their ends; a file is large, and most calls want its first lines only."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _is_blank(fields: list[str]) -> bool:
    return len(fields) <= 1 and not "".join(fields).strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
