"""A file's columns with their types, and how messages name a row of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chainrule.data.column_types import TypedColumn


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What a CSV or Parquet file holds.

    Attributes:
        path: the file.
        columns: all of its columns.
        unnamed: those that have no name in the file; they are left out.
        place: "line 7" of a CSV file or "row 6" of a Parquet file, for a row counted from 0.
        notes: sentences on how it was read.
    """

    path: Path
    columns: tuple[TypedColumn, ...]
    unnamed: frozenset[str]
    place: Callable[[int], str]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> TypedColumn:
        """Return the column of that name."""
        return self.columns[self.names.index(name)]

    def cell_place(self, row: int, column: str) -> str:
        """Name a cell: "houses.csv, line 7, column 'price'"."""
        return f"{self.path}, {self.place(row)}, column '{column}'"
