"""The errors for columns and cells that cannot be used: each names the column, the row, and what to set."""

import polars as pl

from chainrule.data.column_types import DECIMAL_COMMA, TypedColumn
from chainrule.data.dataset import Kind
from chainrule.data.table import Table
from chainrule.data.wording import count_of
from chainrule.errors import DataError

LEAVE_OUT = "leave the column out with data.columns"
MOST_SHOWN_CHARACTERS = 40


def refuse_unknown_column(table: Table, name: str, key: str) -> None:
    """Raise the error for a column that the file does not have, with the nearest name."""
    if name in table.names:
        return
    error = DataError.unknown_name("column", name, table.names, where=f"{key}; the file is {table.path}")
    error.what = f"'{table.path.name}' has no column '{name}'."
    raise error


def refuse_input_type(table: Table, column: TypedColumn, categories: str) -> None:
    """Raise the error for an input column that is no column of numbers, or of words under one-hot."""
    _refuse_common(table, column, f"Correct the cell, or {LEAVE_OUT}.")
    if column.type == "text" and categories == "refuse":
        row = _first_present(column)
        different = int(column.cells.drop_nulls().n_unique())
        raise DataError(
            what=f"The input column '{column.name}' holds words.",
            where=table.cell_place(row, column.name),
            found=f"{_show(column, row)}; {count_of(different, 'different word')} in all",
            expected="numbers",
            next_step=f'Set data.categories = "one-hot" for one column a word, or {LEAVE_OUT}.',
        )


def refuse_target_type(table: Table, column: TypedColumn, kind: Kind | None, is_only: bool) -> None:
    """Raise the error for a target column that holds neither numbers nor, as the only target, labels."""
    if column.type == "text" and not is_only:
        row = _first_present(column)
        raise DataError(
            what=f"The target column '{column.name}' holds words, and there are several targets.",
            where=table.cell_place(row, column.name),
            found=_show(column, row),
            expected="numbers: several targets make a regression",
            next_step="Name one target.",
        )
    if kind == "classification" and column.type == "mixed":
        return
    _refuse_common(table, column, 'Correct the cell, or set data.kind = "classification" if the cells are labels.')


def _refuse_common(table: Table, column: TypedColumn, mixed_next_step: str) -> None:
    name, found = column.name, ""
    if column.type == "empty":
        raise DataError(
            what=f"The column '{name}' holds no values.",
            where=f"{table.path}, column '{name}'",
            found=f"a missing value in all {len(column.cells)} rows" if len(column.cells) > 1 else "a missing value",
            expected="a value in at least one row",
            next_step=f"{LEAVE_OUT.capitalize()}.",
        )
    row = _first_present(column)
    if column.type in ("date", "nested"):
        found = _show(column, row)
        raise DataError(
            what=f"The column '{name}' holds {'dates' if column.type == 'date' else 'lists or records'}.",
            where=table.cell_place(row, name),
            found=found,
            expected="numbers",
            next_step=f"Turn it into numbers, such as days since a start, or {LEAVE_OUT}."
            if column.type == "date"
            else f"Make a column of each part, or {LEAVE_OUT}.",
        )
    if column.type == "decimal comma":
        row = int(column.cells.str.contains(DECIMAL_COMMA).fill_null(value=False).arg_true()[0])
        raise DataError(
            what=f"The column '{name}' holds numbers that are written with a comma.",
            where=table.cell_place(row, name),
            found=_show(column, row),
            expected="a number with a point, as in 1.5",
            cause="A decimal comma and a separator of thousands look the same, so neither is guessed.",
            next_step="Save the file with decimal points and without separators of thousands.",
        )
    if column.type == "mixed":
        row = column.first_odd_row()
        raise DataError(
            what=f"The column '{name}' holds numbers, and a cell that is none.",
            where=table.cell_place(row, name),
            found=_show(column, row),
            expected="a number, or an empty cell for a missing value",
            next_step=mixed_next_step,
        )


def refuse_infinite(table: Table, column: TypedColumn) -> None:
    """Raise the error for a cell that is NaN, infinite, or too large for a float64."""
    if column.type != "number":
        return
    wrong = column.values.is_finite().fill_null(value=True).not_()
    count = int(wrong.sum())
    if count == 0:
        return
    row = int(wrong.arg_true()[0])
    raise DataError(
        what=f"The column '{column.name}' holds a number that is not finite.",
        where=table.cell_place(row, column.name),
        found=_show(column, row) + (f", the first of {count}" if count > 1 else ""),
        expected="a finite number, or an empty cell for a missing value",
        next_step="Empty the cell, and let data.missing say what happens with missing values.",
    )


def refuse_missing(table: Table, columns: list[TypedColumn], missing: str) -> None:
    """Raise the error for the first missing value, by row, and say how many there are.

    Args:
        table: the file.
        columns: those that may not have missing values.
        missing: "refuse", or "mean" when the columns are targets only.
    """
    gaps = {column.name: column.values.is_null() for column in columns if column.values.null_count()}
    if not gaps:
        return
    name = min(gaps, key=lambda candidate: int(gaps[candidate].arg_true()[0]))
    row = int(gaps[name].arg_true()[0])
    count = sum(int(gap.sum()) for gap in gaps.values())
    is_target = missing == "mean"
    next_step = 'Set data.missing = "drop" to leave such rows out'
    next_step += (
        "; a target is never filled in." if is_target else ', or "mean" to put in the mean of the training part.'
    )
    raise DataError(
        what=f"A {'target' if is_target else 'value'} is missing in '{table.path.name}'.",
        where=table.cell_place(row, name),
        found=f"{count_of(count, 'missing value')} in {count_of(len(gaps), 'column')}",
        expected="a value in every cell that is used",
        next_step=next_step,
    )


def _first_present(column: TypedColumn) -> int:
    return int(column.cells.is_not_null().arg_true()[0])


def _show(column: TypedColumn, row: int) -> str:
    cell = column.cells[row]
    text = str(cell.to_list() if isinstance(cell, pl.Series) else cell)
    return f"'{text}'" if len(text) <= MOST_SHOWN_CHARACTERS else f"'{text[:MOST_SHOWN_CHARACTERS]}…'"
