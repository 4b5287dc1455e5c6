"""The type of a column, inferred from all of its cells.

| type          | every cell that is not missing is                                                          |
|---------------|--------------------------------------------------------------------------------------------|
| integer       | an integer within 64 bits                                                                  |
| number        | an integer or a decimal number with a point, also as 1e-3, nan or inf                        |
| boolean       | true or false, in any case                                                                 |
| date          | a date such as 2024-01-31 or 31.1.2024, with or without a time                             |
| decimal comma | a number as in 1,5; at least one of them with the comma                                    |
| mixed         | a number in more than half of the cells, and something else in the others                  |
| text          | anything else                                                                              |
| empty         | (all cells are missing)                                                                    |
| nested        | a list or a record; in Parquet files only                                                  |
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

ColumnType = Literal["integer", "number", "boolean", "date", "decimal comma", "mixed", "text", "empty", "nested"]

DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ].*)?$"
DECIMAL_COMMA = r"^[+-]?\d+,\d+$"
MANY_DIGITS = r"^[+-]?\d{17,}$"
LARGEST_EXACT_INTEGER = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class TypedColumn:
    """A column with its type.

    Attributes:
        name: the column's name.
        type: its type as inferred.
        cells: the cells as they stand in the file, for messages; missing ones are null.
        values: the same as integers, floats, booleans or strings, by its type.
    """

    name: str
    type: ColumnType
    cells: pl.Series
    values: pl.Series

    @property
    def is_rounded(self) -> bool:
        """Whether it holds integers beyond 2^53, which float64 cannot all tell apart."""
        if self.type not in ("integer", "number") or self.values.is_null().all():
            return False
        largest = self.values.cast(pl.Float64).abs().max()
        if not isinstance(largest, float) or largest < LARGEST_EXACT_INTEGER:
            return False
        if self.values.dtype.is_integer():
            return bool(((self.values > LARGEST_EXACT_INTEGER) | (self.values < -LARGEST_EXACT_INTEGER)).any())
        return self.cells.dtype == pl.String and bool(self.cells.str.contains(MANY_DIGITS).any())

    def first_odd_row(self) -> int:
        """Return the first row whose cell is not a number, for a mixed column."""
        return int((self.cells.is_not_null() & _to_float(self.cells).is_null()).arg_true()[0])


def type_cells(name: str, cells: pl.Series) -> TypedColumn:
    """Infer the type of a column of a CSV file.

    Args:
        name: the column's name.
        cells: strings without surrounding spaces; missing ones are null.
    """
    present = len(cells) - cells.null_count()
    if present == 0:
        return TypedColumn(name, "empty", cells, cells)
    integers = cells.cast(pl.Int64, strict=False)
    if integers.null_count() == cells.null_count():
        return TypedColumn(name, "integer", cells, integers)
    floats = _to_float(cells)
    numbers = len(floats) - floats.null_count()
    if numbers == present:
        return TypedColumn(name, "number", cells, floats)
    lowered = cells.str.to_lowercase()
    if lowered.is_in(["true", "false"]).sum() == present:
        return TypedColumn(name, "boolean", cells, lowered == "true")
    return TypedColumn(name, _type_text(cells, present, numbers), cells, cells)


def _type_text(cells: pl.Series, present: int, numbers: int) -> ColumnType:
    if cells.str.contains(DATE).sum() == present:
        return "date"
    with_comma = int(cells.str.contains(DECIMAL_COMMA).sum())
    if with_comma and with_comma + numbers == present:
        return "decimal comma"
    return "mixed" if 2 * numbers > present else "text"


def type_values(name: str, values: pl.Series) -> TypedColumn:
    """Take the type of a column of a Parquet file, which states it."""
    dtype = values.dtype
    if values.is_null().all():
        return TypedColumn(name, "empty", values, values)
    if dtype.is_integer():
        return TypedColumn(name, "integer", values, values)
    if dtype.is_float() or dtype.is_decimal():
        return TypedColumn(name, "number", values, values.cast(pl.Float64))
    if dtype == pl.Boolean:
        return TypedColumn(name, "boolean", values, values)
    if dtype.is_temporal():
        return TypedColumn(name, "date", values, values)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        words = values.cast(pl.String)
        return TypedColumn(name, "text", words, words)
    return TypedColumn(name, "nested", values, values)


def _to_float(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.Float64, strict=False)
