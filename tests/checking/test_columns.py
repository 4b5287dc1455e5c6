"""Columns of a table: typed numbers of few digits, formulas that read nothing, cells without a number."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook

from chainrule.checking import ColumnCheck, check_file
from chainrule.programs import Layer, layered_program, run_program

START = {"t1": 0.01, "t2": 0.99, "i1": 0.05, "i2": 0.1}
START |= {"w1": 0.15, "w2": 0.2, "w3": 0.25, "w4": 0.3, "w5": 0.4, "w6": 0.45, "w7": 0.5, "w8": 0.55}
FORWARD = "t1 t2 i1 i2 w1 w2 w3 w4 h1 a_h1 h2 a_h2 w5 w6 w7 w8 o1 a_o1 o2 a_o2 E1 E2 E_total"
NAMES = [*FORWARD.split(), *(f"∂E/∂w{number}" for number in range(1, 9))]
ROWS = 8
TOP = 3  # the header's row


def typed(
    path: Path,
    decimals: int,
    changes: Mapping[tuple[str, int], object] | None = None,
    start: Mapping[str, float] | None = None,
) -> Path:
    """Write a right training with η = 0.5 whose numbers are typed, rounded; `changes` stand in their places."""
    run = run_program(layered_program(2, [Layer(2), Layer(2)]), ROWS - 1, {**START, **(start or {}), "η": 0.5})
    book = Workbook()
    page = book.active
    page["A1"], page["B1"] = "η", 0.5
    for column, name in enumerate(NAMES, 1):
        page.cell(TOP, column, name)
        numbers = np.broadcast_to(run[name], (ROWS,))
        for row in range(ROWS):
            is_start = name in START and row == 0
            number = float(numbers[row]) if is_start else round(float(numbers[row]), decimals)
            page.cell(TOP + 1 + row, column, (changes or {}).get((name, row), number))
    book.save(path)
    return path


def column_of(path: Path, name: str) -> ColumnCheck:
    (sheet,) = check_file(path).sheets
    return next(column for column in sheet.columns if column.quantity == name)


@pytest.mark.parametrize("decimals", [2, 3, 4, 6])
def test_rounded_numbers_are_right_where_small_gradients_are_all_written_as_0(tmp_path: Path, decimals: int) -> None:
    assert check_file(typed(tmp_path / "typed.xlsx", decimals)).verdict == "right"


def test_one_longer_number_does_not_make_the_others_wrong(tmp_path: Path) -> None:
    assert check_file(typed(tmp_path / "long.xlsx", 4, {("w5", 1): 0.363901})).verdict == "right"


def test_weights_that_start_with_more_digits_than_follow_are_right(tmp_path: Path) -> None:
    start = {"w1": 0.151234, "w2": 0.201357, "w5": 0.412346, "w6": 0.451239}
    assert check_file(typed(tmp_path / "start.xlsx", 4, start=start)).verdict == "right"


def test_a_wrong_number_of_a_rounded_column_is_still_found(tmp_path: Path) -> None:
    column = column_of(typed(tmp_path / "wrong.xlsx", 4, {("∂E/∂w5", 3): 0.0712}), "∂E/∂w5")
    assert (column.is_right, column.wrong_cells, column.found) == (False, 1, 0.0712)
    assert column.slip == "mistyped number: 0.0712 does not follow from its row, and the others are right"


@pytest.mark.parametrize("formula", ["=5", "=0", "=1/0", "=SUM(ZZ1:ZZ9)"])
def test_a_formula_that_reads_no_quantity_is_wrong(tmp_path: Path, formula: str) -> None:
    column = column_of(typed(tmp_path / "constant.xlsx", 6, {("∂E/∂w6", 2): formula}), "∂E/∂w6")
    assert (column.is_right, column.wrong_cells, column.first_wrong_cell) == (False, 1, "AC6")
    assert column.found_formula == formula
    assert column.slip == "constant formula: it reads no quantity of the row"


@pytest.mark.parametrize(
    ("value", "reason"), [("soon", "the text 'soon'"), ("#N/A", "#N/A"), (None, "empty"), ("", "empty")]
)
def test_a_cell_without_a_number_is_named(tmp_path: Path, value: object, reason: str) -> None:
    (sheet,) = check_file(typed(tmp_path / "gap.xlsx", 6, {("o1", 3): value})).sheets
    assert sheet.verdict == "right"
    assert sheet.remarks == (f"Passed over, because there is no number to judge: Q7 in column o1 ({reason}).",)


def test_empty_cells_below_a_column_are_not_named(tmp_path: Path) -> None:
    (sheet,) = check_file(typed(tmp_path / "short.xlsx", 6, {("o1", ROWS - 1): None})).sheets
    assert (sheet.verdict, sheet.remarks) == ("right", ())
