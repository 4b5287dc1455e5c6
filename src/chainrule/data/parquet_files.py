"""Parquet files, read by polars; the types are those that the file states."""

import io
from pathlib import Path

import polars as pl

from chainrule.data.column_types import type_values
from chainrule.data.table import Table
from chainrule.errors import DataError

MAGIC = b"PAR1"


def read_parquet_file(path: Path, content: bytes) -> Table:
    """Read a Parquet file into columns with types. Its rows count from 1.

    Raises:
        DataError: the file is no Parquet file, is cut off, or has no rows.
    """
    if content[:4] != MAGIC or content[-4:] != MAGIC:
        raise DataError(
            what=f"'{path.name}' is not a Parquet file, or is cut off.",
            where=str(path),
            found=f"{len(content)} bytes that do not both start and end with PAR1",
            expected="a Parquet file",
        )
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise DataError(
            what=f"'{path.name}' cannot be read as a Parquet file.",
            where=str(path),
            cause=f"Polars says: {error}",
        ) from error
    if len(frame) == 0:
        raise DataError(
            what=f"'{path.name}' has no rows.",
            where=str(path),
            found=f"the columns {', '.join(frame.columns)}" if frame.columns else "no columns",
            expected="at least one row",
        )
    columns = tuple(type_values(column.name, column) for column in frame.get_columns())
    note = f"'{path.name}' is read as Parquet."
    return Table(path, columns, frozenset(), lambda row: f"row {row + 1}", (note,))
