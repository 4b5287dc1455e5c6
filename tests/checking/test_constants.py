"""Named numbers beside tables: which learning rate belongs to which table."""

from math import exp
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from chainrule.checking import SheetCheck, check_file

HEADERS = ("i1", "t1", "w1", "o1", "a_o1", "E1", "dE/dw1")
ROWS = 5


def write_table(page: Worksheet, top: int, left: int, rate: str, start: float = 0.3) -> None:
    """Write a table of one sigmoid unit whose header stands in row `top`; `rate` is what its updates multiply by."""
    names = {name: page.cell(top, left + place).column_letter for place, name in enumerate(HEADERS)}
    for place, name in enumerate(HEADERS):
        page.cell(top, left + place, name)
    for row in range(top + 1, top + 1 + ROWS):
        i, t, w, o, a = (f"{names[name]}{row}" for name in HEADERS[:5])
        before, slope = f"{names['w1']}{row - 1}", f"{names['dE/dw1']}{row - 1}"
        weight = start if row == top + 1 else f"={before}-{rate}*{slope}"
        values = (
            0.7,
            0.9,
            weight,
            f"={w}*{i}",
            f"=1/(1+EXP(-{o}))",
            f"=0.5*({t}-{a})^2",
            f"=({a}-{t})*{a}*(1-{a})*{i}",
        )
        for place, value in enumerate(values):
            page.cell(row, left + place, value)


def checked(folder: Path, book: Workbook) -> tuple[SheetCheck, ...]:
    path = folder / "rates.xlsx"
    book.save(path)
    return check_file(path).sheets


@pytest.mark.parametrize(("second_top", "second_left", "cell"), [(14, 1, "B12"), (3, 12, "M1")])
def test_every_table_has_the_rate_that_its_formulas_read(
    tmp_path: Path, second_top: int, second_left: int, cell: str
) -> None:
    book = Workbook()
    page = book.worksheets[0]
    page["A1"], page["B1"] = "η", 0.5
    page[cell].offset(0, -1).value, page[cell] = "η", 2.0
    write_table(page, 3, 1, "$B$1")
    write_table(page, second_top, second_left, f"${cell[0]}${cell[1:]}", start=-0.4)
    sheets = checked(tmp_path, book)
    assert [sheet.verdict for sheet in sheets] == ["right", "right"]
    assert [sheet.conventions["learning rate"] for sheet in sheets] == [0.5, 2.0]
    assert [sheet.conventions["learning rate from"] for sheet in sheets] == ["cell B1", f"cell {cell}"]


def test_a_table_without_formulas_has_the_rate_above_it_and_not_the_nearer_one_below(tmp_path: Path) -> None:
    book = Workbook()
    page = book.worksheets[0]
    write_table(page, 4, 1, "0.5")
    write_table(page, 13, 1, "2")
    checked(tmp_path, book)
    typed = load_workbook(tmp_path / "rates.xlsx")
    for top, rate in ((4, 0.5), (13, 2.0)):
        fill_in(typed.worksheets[0], top, rate)
    page = typed.worksheets[0]
    page["A1"], page["B1"], page["A11"], page["B11"] = "η", 0.5, "η", 2.0
    sheets = checked(tmp_path, typed)
    assert [sheet.conventions["learning rate from"] for sheet in sheets] == ["cell B1", "cell B11"]
    assert [sheet.verdict for sheet in sheets] == ["right", "right"]


def fill_in(page: Worksheet, top: int, rate: float) -> None:
    """Type numbers over the formulas of `write_table`."""
    weight = 0.3
    for row in range(top + 1, top + 1 + ROWS):
        net = weight * 0.7
        output = 1 / (1 + exp(-net))
        slope = (output - 0.9) * output * (1 - output) * 0.7
        for place, value in enumerate((weight, net, output, 0.5 * (0.9 - output) ** 2, slope)):
            page.cell(row, 3 + place, value)
        weight -= rate * slope


def test_a_rate_that_stands_once_under_its_header_is_a_constant(tmp_path: Path) -> None:
    book = Workbook()
    page = book.worksheets[0]
    write_table(page, 1, 1, "$H$2")
    page["H1"], page["H2"] = "η", 0.5
    page["C4"] = "=C3+$H$2*G3"
    (sheet,) = checked(tmp_path, book)
    assert sheet.conventions["learning rate"] == 0.5
    assert sheet.conventions["learning rate from"] == "cell H2"
    (wrong,) = [column for column in sheet.columns if column.is_right is False]
    assert wrong.quantity == "w1"
    assert wrong.expected_formula == "=C3-$H$2*G3"
    assert wrong.found is not None
    assert wrong.expected is not None
