"""From the columns of a file to samples: which are used, which cells are missing, which columns are refused."""

from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from chainrule.data.column_refusals import (
    refuse_infinite,
    refuse_input_type,
    refuse_missing,
    refuse_target_type,
    refuse_unknown_column,
)
from chainrule.data.column_types import TypedColumn
from chainrule.data.csv_files import read_csv_file
from chainrule.data.dataset import ColumnInfo
from chainrule.data.parquet_files import read_parquet_file
from chainrule.data.samples import Samples
from chainrule.data.table import Table
from chainrule.data.targets import TargetSource, build_targets
from chainrule.data.wording import count_of, join_names
from chainrule.errors import DataError
from chainrule.tasks.data_spec import DataSpec

NUMERIC_TYPES = ("integer", "number", "boolean")
MOST_WORDS = 1000


def read_table(path: Path, content: bytes) -> Table:
    """Read the columns of a CSV or Parquet file, by the file's suffix."""
    return read_parquet_file(path, content) if path.suffix.lower() == ".parquet" else read_csv_file(path, content)


def build_table_samples(table: Table, spec: DataSpec) -> Samples:
    """Pick the input and target columns of a table, deal with missing values and refuse what is no number.

    A column of words is kept as positions in its words, and a missing value as NaN: both are settled after the split,
    on the training part.

    Raises:
        DataError: no or an unknown target; a column that cannot be used; a missing or infinite value.
    """
    target_names = _choose_targets(table, spec)
    input_names = _choose_inputs(table, spec, target_names)
    for name in target_names:
        refuse_target_type(table, table.column(name), spec.kind, is_only=len(target_names) == 1)
    for name in input_names:
        refuse_input_type(table, table.column(name), spec.categories)
    for name in (*input_names, *target_names):
        refuse_infinite(table, table.column(name))
    kept, drop_notes = _choose_rows(table, input_names, target_names, spec)
    inputs = [_read_input(table, table.column(name), kept) for name in input_names]
    source = TargetSource(
        f"{table.path}, column {_quote(target_names)}",
        lambda row: table.cell_place(int(kept[row]), target_names[0]),
    )
    targets = build_targets(_read_targets([table.column(name) for name in target_names], kept), spec.kind, source)
    words = tuple(words for _, words in inputs)
    matrix = np.stack([numbers for numbers, _ in inputs], axis=1)
    columns = tuple(_describe(table, column, input_names, target_names) for column in table.columns)
    notes = (*table.notes, targets.note, *drop_notes, *_remark_on_rounding(table, (*input_names, *target_names)))
    return Samples(
        name=table.path.name,
        inputs=torch.from_numpy(matrix),
        targets=targets,
        input_names=input_names,
        target_names=target_names,
        columns=columns,
        notes=notes,
        words=words if any(words) else (),
    )


def _choose_targets(table: Table, spec: DataSpec) -> tuple[str, ...]:
    names = (spec.target,) if isinstance(spec.target, str) else tuple(spec.target or ())
    if not names:
        raise DataError(
            what=f"The task does not say which column of '{table.path.name}' is the target.",
            where="data.target",
            expected=f"one of {', '.join(sorted(table.names, key=str.lower))}",
            next_step=f'Add target = "{table.names[-1]}" under [data], if that is the column to predict.',
        )
    for name in names:
        refuse_unknown_column(table, name, "data.target")
    return names


def _choose_inputs(table: Table, spec: DataSpec, target_names: tuple[str, ...]) -> tuple[str, ...]:
    if spec.columns is None:
        names = tuple(name for name in table.names if name not in target_names and name not in table.unnamed)
    else:
        names = tuple(spec.columns)
        for name in names:
            refuse_unknown_column(table, name, "data.columns")
    both = [name for name in names if name in target_names]
    if both:
        raise DataError(
            what=f"The column '{both[0]}' is an input and a target at once.",
            where="data.columns and data.target",
            found=both[0],
            expected="a target that is not among the inputs",
            next_step="Take it out of data.columns.",
        )
    for listed, key in ((names, "data.columns"), (target_names, "data.target")):
        twice = [name for position, name in enumerate(listed) if name in listed[:position]]
        if twice:
            raise DataError(
                what=f"The column '{twice[0]}' is listed twice.", where=key, found=join_names(listed), expected="once"
            )
    if not names:
        raise DataError(
            what=f"No column of '{table.path.name}' is left as an input.",
            where="data.columns" if spec.columns is not None else str(table.path),
            found=f"the target {_quote(target_names)} and no other column with a name",
            expected="at least one input column",
        )
    return names


def _choose_rows(
    table: Table, input_names: tuple[str, ...], target_names: tuple[str, ...], spec: DataSpec
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the rows to use, counted from 0, and a sentence on those that are dropped."""
    rows = len(table.columns[0].cells)
    used = [table.column(name) for name in (*input_names, *target_names)]
    if spec.missing == "drop":
        is_missing = np.zeros(rows, dtype=bool)
        for column in used:
            is_missing |= column.values.is_null().to_numpy()
        if not is_missing.any():
            return np.arange(rows), ()
        if is_missing.all():
            raise DataError(
                what=f"Every row of '{table.path.name}' has a missing value, so none is left.",
                where=str(table.path),
                found=count_of(rows, "row"),
                expected="at least one row without a missing value",
                next_step='Leave columns out with data.columns, or set data.missing = "mean".',
            )
        dropped = int(is_missing.sum())
        first = table.place(int(np.flatnonzero(is_missing)[0]))
        note = f"{dropped} of {rows} rows had a missing value and {'was' if dropped == 1 else 'were'} dropped"
        return np.flatnonzero(~is_missing), (f"{note}, {first} the first.",)
    never_filled = used if spec.missing == "refuse" else used[len(input_names) :]
    refuse_missing(table, never_filled, spec.missing)
    return np.arange(rows), ()


def _read_input(
    table: Table, column: TypedColumn, kept: NDArray[np.int64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return a column as float64, missing values as NaN; words as positions in the sorted words."""
    values = column.values.gather(kept)
    if column.type in NUMERIC_TYPES:
        return values.cast(pl.Float64).to_numpy(writable=True), ()
    words = tuple(sorted(values.drop_nulls().unique().to_list()))
    if len(words) > MOST_WORDS:
        raise DataError(
            what=f"The column '{column.name}' holds too many different words for one-hot.",
            where=f"{table.path}, column '{column.name}'",
            found=f"{len(words)} different words in {len(kept)} rows",
            expected=f"at most {MOST_WORDS}",
            next_step="Leave the column out with data.columns.",
        )
    codes = {word: float(position) for position, word in enumerate(words)}
    return values.replace_strict(codes, default=None, return_dtype=pl.Float64).to_numpy(writable=True), words


def _read_targets(columns: list[TypedColumn], kept: NDArray[np.int64]) -> NDArray[np.generic]:
    if len(columns) > 1:
        return np.stack([column.values.gather(kept).cast(pl.Float64).to_numpy() for column in columns], axis=1)
    values = columns[0].values.gather(kept)
    if columns[0].type in NUMERIC_TYPES:
        is_wide = columns[0].type == "integer" and bool((values.cast(pl.Int64, strict=False)).is_null().any())
        return values.cast(pl.Float64).to_numpy() if is_wide else values.to_numpy()
    words: NDArray[np.generic] = np.array(values.to_list(), dtype=object)
    return words


def _describe(
    table: Table, column: TypedColumn, input_names: tuple[str, ...], target_names: tuple[str, ...]
) -> ColumnInfo:
    if column.name in target_names:
        return ColumnInfo(column.name, column.type, "target")
    if column.name in input_names:
        return ColumnInfo(column.name, column.type, "input")
    remark = "it has no name" if column.name in table.unnamed else "it is not in data.columns"
    return ColumnInfo(column.name, column.type, "left out", remark)


def _remark_on_rounding(table: Table, names: tuple[str, ...]) -> tuple[str, ...]:
    rounded = [name for name in names if table.column(name).is_rounded]
    if not rounded:
        return ()
    return (f"Integers beyond 2^53 are rounded to float64, in column {_quote(rounded)}.",)


def _quote(names: tuple[str, ...] | list[str]) -> str:
    return join_names([f"'{name}'" for name in names])
