"""Workbooks as files: what openpyxl, which XlsxWriter knows nothing of, reads in them."""

import io
import re
import zipfile
from collections.abc import Mapping

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from chainrule.documents.sheets import (
    LONGEST_TEXT,
    Area,
    Curve,
    FilledColumn,
    FormulaCell,
    NumberCell,
    Page,
    Sheet,
    SheetCell,
    SheetChart,
    Style,
    TextCell,
    Workbook,
    column_letters,
)
from chainrule.render.xlsx import workbook_bytes


def written(cells: Mapping[tuple[int, int], SheetCell], **others: object) -> bytes:
    return workbook_bytes(Workbook("a title", (Sheet("One", cells, **others),), {}))  # type: ignore[arg-type]


def opened(data: bytes, *, values: bool = False) -> Worksheet:
    return openpyxl.load_workbook(io.BytesIO(data), data_only=values).worksheets[0]


HOSTILE = [
    "=1+1",
    "+x",
    "@SUM(A1:A9)",
    "-2",
    "\t=1+1",
    "\n=1+1",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("https://example.com","here")',
    "{=1+1}",
    "http://example.com",
    "internal:One!A1",
    "1e5",
    "#REF!",
    "TRUE",
    "<f>1+1</f>",
    "a\x00b\x1bc",
    "_x0041_",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("span", [(1, 1), (1, 2)])
def test_text_is_never_a_formula_a_number_or_a_link(text: str, span: tuple[int, int]) -> None:
    data = written({(0, 0): TextCell(text, Style(), span)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        assert "<f>" not in sheet
        assert "hyperlink" not in sheet
        assert 't="s"' in sheet
        assert not [name for name in archive.namelist() if "external" in name.lower()]
    cell = opened(data)["A1"]
    assert cell.data_type == "s"
    assert cell.hyperlink is None
    assert cell.value == text.replace("\x00", "\\x00").replace("\x1b", "\\x1b")
    # Who edits the cell, or saves it as .csv, keeps text.
    assert bool(cell.quotePrefix) == text.startswith(("=", "+", "-", "@", "\t", "\n"))


@pytest.mark.parametrize("text", HOSTILE)
def test_the_title_of_workbook_and_chart_is_text(text: str) -> None:
    area = Area("One", 0, 0, 1, 0)
    chart = SheetChart(0, 3, 300, 200, text, text, text, (Curve(Area("One", 0, 0, 0, 0), area, area),))
    cells: Mapping[tuple[int, int], SheetCell] = {(0, 0): NumberCell(1.0), (1, 0): NumberCell(2.0)}
    data = workbook_bytes(Workbook(text, (Sheet("One", cells, charts=(chart,)),), {}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        drawn = archive.read("xl/charts/chart1.xml").decode()
    titles = re.findall("<c:title>.*?</c:title>", drawn, re.DOTALL)
    assert len(titles) == 3  # of the chart and of its axes
    assert all("<c:f>" not in title and "<a:t" in title for title in titles)


@pytest.mark.parametrize(
    "number", [0.1, 0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -2.0, 0.0, 123456789012345678.0]
)
def test_numbers_keep_every_bit(number: float) -> None:
    data = written({(0, 0): NumberCell(number), (0, 1): FormulaCell("A1", number)})
    sheet = opened(data, values=True)
    assert (sheet["A1"].value, sheet["B1"].value) == (number, number)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_spreadsheets_have_no_number_for_is_an_error_value(number: float) -> None:
    data = written({(0, 0): FormulaCell("LN(0)", number)}, columns=(FilledColumn(1, 0, "LN(0)", (number,)),))
    sheet = opened(data, values=True)
    assert [sheet[cell].value for cell in ("A1", "B1")] == ["#NUM!", "#NUM!"]
    assert [sheet[cell].data_type for cell in ("A1", "B1")] == ["e", "e"]


def test_a_column_is_filled_down() -> None:
    column = FilledColumn(27, 4, "A{row}*AB{above}", (1.0, 2.0, 4.0), first="start")
    sheet = opened(written({}, columns=(column,)))
    assert [sheet[f"AB{row}"].value for row in (5, 6, 7)] == ["=start", "=A6*AB5", "=A7*AB6"]
    sheet = opened(written({}, columns=(column,)), values=True)
    assert [sheet[f"AB{row}"].value for row in (5, 6, 7)] == [1, 2, 4]


def test_long_text_is_cut_to_what_a_cell_holds() -> None:
    cell = opened(written({(0, 0): TextCell("x" * (LONGEST_TEXT + 1))}))["A1"]
    assert cell.value == "x" * (LONGEST_TEXT - 1) + "…"


def test_a_cell_to_edit_takes_numbers_only() -> None:
    sheet = opened(written({(2, 1): NumberCell(0.5, Style("edit"))}))
    (rule,) = sheet.data_validations.dataValidation
    assert (str(rule.sqref), rule.type, rule.showErrorMessage) == ("B3", "decimal", True)
    assert sheet["B3"].fill.fgColor.rgb == "FFFFF8C5"


def test_the_page_and_what_stays_in_sight() -> None:
    page = Page(3, (3, 4), (0, 0))
    sheet = opened(written({(0, 0): TextCell("a")}, page=page, frozen=(5, 1), widths={1: 20.0}))
    assert sheet.freeze_panes == "B6"
    assert sheet.page_setup.orientation == "landscape"
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (3, 0)
    assert (sheet.print_title_rows, sheet.print_title_cols) == ("$4:$5", "$A:$A")
    assert round(sheet.column_dimensions["B"].width) == 21  # with the margin that Excel adds


def test_names_and_areas() -> None:
    cells: Mapping[tuple[int, int], SheetCell] = {(2, 1): NumberCell(0.5)}
    area = Area("It's 1", 2, 1, 2, 1)
    data = workbook_bytes(Workbook("t", (Sheet("It's 1", cells),), {"eta": area}))
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.defined_names["eta"].attr_text == "'It''s 1'!$B$3"
    assert str(Area("Run", 5, 0, 105, 0)) == "Run!$A$6:$A$106"


def test_letters_of_columns() -> None:
    assert [column_letters(n) for n in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]


def test_equal_workbooks_are_equal_bytes() -> None:
    cells: Mapping[tuple[int, int], SheetCell] = {(0, 0): TextCell("a"), (0, 1): NumberCell(1.0)}
    assert written(cells) == written(cells)
    assert written(cells) != written({(0, 0): TextCell("b")})
