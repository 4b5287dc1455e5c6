from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.worksheet.formula import ArrayFormula

from chainrule.spreadsheets import (
    Address,
    BookError,
    Cell,
    ErrorValue,
    Number,
    RangeReference,
    Reference,
    Unread,
    Value,
    parse_formula,
    read_book,
)

from .packing import cells_xml, parts, saved, sheet_xml


def _cells(path: Path, sheet: int = 0) -> dict[str, Cell]:
    return {str(address): cell for address, cell in read_book(path).sheets[sheet].cells.items()}


def _values(path: Path, sheet: int = 0) -> dict[str, Value]:
    return {address: cell.value for address, cell in _cells(path, sheet).items()}


def test_every_kind_of_cell(tmp_path: Path) -> None:
    strings = "<si><t>w1</t></si><si><r><t>a_</t></r><r><t>h1</t></r><rPh><t>x</t></rPh></si>"
    strings += "<si><t>_x0041__x000A__xD800_</t></si>"
    rows = """
    <row r="2"><c r="B2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c><c r="D2" t="s"><v>2</v></c>
    <c r="E2" s="3"/></row>
    <row r="3"><c r="B3"><v>0.15</v></c><c r="C3" t="b"><v>1</v></c><c r="D3" t="e"><v>#DIV/0!</v></c></row>
    <row r="4"><c r="B4" t="inlineStr"><is><t>in</t><r><t>line</t></r></is></c>
    <c r="C4" t="str"><f>"x"</f><v>x</v></c></row>
    <row><c><v>1</v></c><c><v>2E-3</v></c><c r="F5"><v>3</v></c><c><v>4</v></c></row>
    <row r="9"><c r="A9" t="s"><v>99</v></c><c r="B9" t="n"><v></v></c><c r="C9"><v>1e999</v></c></row>
    """
    path = saved(tmp_path, parts({"Sheet1": sheet_xml(rows)}, strings=strings))
    assert _values(path) == {
        "B2": "w1",
        "C2": "a_h1",
        "D2": "A\n_xD800_",
        "B3": 0.15,
        "C3": True,
        "D3": ErrorValue("#DIV/0!"),
        "B4": "inline",
        "C4": "x",
        "A5": 1.0,
        "B5": 0.002,
        "F5": 3.0,
        "G5": 4.0,
        "C9": ErrorValue("#NUM!"),
    }
    assert isinstance(_values(path)["D3"], ErrorValue)


def test_shared_formulas_stand_in_every_cell(tmp_path: Path) -> None:
    rows = """
    <row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>10</v></c></row>
    <row r="2"><c r="A2"><f t="shared" ref="A2:A3" si="0">A1+$B$1</f><v>11</v></c></row>
    <row r="3"><c r="A3"><f t="shared" si="0"/><v>21</v></c><c r="C3"><f t="shared" si="7"/><v>5</v></c></row>
    """
    cells = _cells(saved(tmp_path, parts({"Sheet1": sheet_xml(rows)})))
    formula = cells["A3"].formula
    assert formula is not None
    assert (formula.text, cells["A3"].value) == ("A2+$B$1", 21.0)
    assert formula.tree == parse_formula("A2+$B$1")
    orphan = cells["C3"].formula
    assert orphan is not None
    assert orphan.tree == Unread("", "the formula that it shares is not in the file")
    assert cells["C3"].value == 5.0


def test_array_formulas_fill_their_cells(tmp_path: Path) -> None:
    path = tmp_path / "array.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    for row, value in enumerate((1.0, 2.0, 3.0), 1):
        sheet.cell(row, 1, value)
        sheet.cell(row, 2, -1.0)
    sheet["B1"] = ArrayFormula("B1:B3", "=A1:A3*2")
    sheet["C1"] = "=SUM(B1:B3)"
    book.save(path)
    cells = _cells(path)
    assert [cells[name].value for name in ("B1", "B2", "B3", "C1")] == [2.0, 4.0, 6.0, 12.0]
    assert cells["B3"].formula == cells["B1"].formula
    assert read_book(path).sheets[0].arrays == ((Address(1, 2), Address(3, 2)),)


def test_defined_names_stand_for_their_cells(tmp_path: Path) -> None:
    names = (
        '<definedName name="lr">Sheet1!$B$1</definedName><definedName name="inputs">Sheet1!$A$1:$A$2</definedName>'
        '<definedName name="half">0.5</definedName><definedName name="gone">Sheet1!#REF!</definedName>'
        '<definedName name="beside">Sheet1!A1</definedName><definedName name="lr" localSheetId="1">2</definedName>'
        '<definedName name="_xlnm.Print_Area">Sheet1!$A$1</definedName><definedName name="far">[1]S!$A$1</definedName>'
    )
    rows = cells_xml(
        {
            "A1": "<c><v>3</v></c>",
            "A2": "<c><v>4</v></c>",
            "B1": "<c><v>10</v></c>",
            "C1": "<c><f>LR*half</f></c>",
            "C2": "<c><f>SUM(inputs)</f></c>",
            "C3": "<c><f>beside</f><v>7</v></c>",
            "C4": "<c><f>far+gone</f><v>8</v></c>",
        }
    )
    path = saved(
        tmp_path,
        parts({"Sheet1": sheet_xml(rows), "Two": sheet_xml(cells_xml({"A1": "<c><f>lr</f></c>"}))}, names=names),
    )
    cells = _cells(path)
    assert [cells[name].value for name in ("C1", "C2", "C3", "C4")] == [5.0, 7.0, 7.0, 8.0]
    assert _values(path, 1) == {"A1": 2.0}
    formula = cells["C2"].formula
    assert formula is not None
    assert formula.text == "SUM(inputs)"
    corners = Reference("Sheet1", 1, 1, True, True), Reference(None, 2, 1, True, True)
    assert formula.tree == parse_formula("SUM(Sheet1!$A$1:$A$2)")
    assert formula.tree.arguments == (RangeReference(*corners),)  # type: ignore[union-attr]
    assert Number(0.5) not in formula.tree.arguments  # type: ignore[union-attr]
    assert read_book(path).notes[-3:-1] == (
        "Sheet1: 1 formula was not computed; the stored value is used. First C3, which uses the name beside, which "
        "stands for no cells that could be found.",
        "Sheet1: 1 formula was not computed; the stored value is used. First C4, which uses the name far, which "
        "stands for no cells that could be found.",
    )


def test_numbers_stored_as_text_are_numbers_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "texts.xlsx"
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("S")
    for row, text in enumerate(["w1", "0,5", " 0.5 ", "1e-3", "1,234", "#N/A", "-"]):
        sheet.write_string(row, 0, text)
    sheet.write_formula("B2", "=A2*2", None, 1.0)
    book.close()
    cells = _cells(path)
    assert [cells[f"A{row}"].value for row in range(1, 8)] == ["w1", 0.5, 0.5, 0.001, "1,234", "#N/A", "-"]
    assert [cells[f"A{row}"].stored for row in range(1, 8)] == ["w1", "0,5", " 0.5 ", "1e-3", "1,234", "#N/A", "-"]
    assert not isinstance(cells["A6"].value, ErrorValue)
    assert cells["B2"].value == 1.0
    assert read_book(path).notes == (
        "S: 3 numbers are stored as text, first A2 ('0,5'), and read as numbers.",
        "S: 1 text could be two numbers, first A5 ('1,234'), and stayed text; write numbers without thousands "
        "separators.",
    )


def test_dates_hidden_things_and_merged_cells(tmp_path: Path) -> None:
    path = tmp_path / "shown.xlsx"
    book = xlsxwriter.Workbook(str(path))
    sheet, hidden = book.add_worksheet("S"), book.add_worksheet("H")
    sheet.write("A1", 0.05, book.add_format({"num_format": "0%"}))
    sheet.write("A2", 44317, book.add_format({"num_format": "dd. mmm"}))
    sheet.write("A3", 44318, book.add_format({"num_format": 14}))
    sheet.write("A4", 3.0, book.add_format({"num_format": '0.00 "days"'}))
    sheet.write("A5", 4.0, book.add_format({"num_format": "[Red]0.00"}))
    sheet.write("A6", 5.0, book.add_format({"num_format": "0.00E+00"}))
    sheet.merge_range("C1:D2", "header")
    sheet.set_row(3, None, None, {"hidden": True})
    sheet.set_row(20, None, None, {"hidden": True})
    sheet.set_column(2, 2, None, None, {"hidden": True})
    hidden.write("A1", 1.0)
    hidden.very_hidden()
    book.close()
    read = read_book(path)
    assert read.sheets[0].merged == ((Address(1, 3), Address(2, 4)),)
    assert read.sheets[0].hidden_rows == frozenset({4, 21})
    assert read.sheets[0].hidden_columns == frozenset({3})
    assert [sheet.is_hidden for sheet in read.sheets] == [False, True]
    assert read.sheets[0].cells[Address(2, 1)].value == 44317.0
    assert read.notes == (
        "S: 1 hidden row with content was read like the others.",
        "S: 1 hidden column with content was read like the others.",
        "S: 2 cells show dates, first A2 (2021-05-01), read as its number of days, 44317. A number typed with the "
        "decimal sign of another country becomes a date.",
        "H: the sheet is hidden; it was read all the same.",
    )


def test_sheets_of_charts_have_no_cells(tmp_path: Path) -> None:
    path = tmp_path / "chart.xlsx"
    book = xlsxwriter.Workbook(str(path))
    chart = book.add_chart({"type": "line"})
    book.add_chartsheet("Picture").set_chart(chart)
    book.add_worksheet("Numbers").write("A1", 1.0)
    chart.add_series({"values": "=Numbers!$A$1:$A$1"})
    book.close()
    assert [sheet.name for sheet in read_book(path).sheets] == ["Numbers"]


def test_the_strict_kind_of_xlsx_is_read_too(tmp_path: Path) -> None:
    made = parts({"S": sheet_xml('<row r="1"><c r="A1" t="s"><v>0</v></c></row>')}, strings="<si><t>w1</t></si>")
    old = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    )
    new = "http://purl.oclc.org/ooxml/spreadsheetml/main", "http://purl.oclc.org/ooxml/officeDocument/relationships"
    strict = {}
    for name, xml in made.items():
        strict[name] = xml.replace(old[0], new[0]).replace(old[1], new[1])
    assert _values(saved(tmp_path, strict)) == {"A1": "w1"}


def test_a_what_if_table_keeps_its_values(tmp_path: Path) -> None:
    rows = '<row r="1"><c r="A1"><f t="dataTable" ref="A1:A2" r1="B1"/><v>5</v></c></row>'
    path = saved(tmp_path, parts({"S": sheet_xml(rows)}))
    assert _values(path) == {"A1": 5.0}
    assert read_book(path).notes == (
        "S: 1 formula was not computed; the stored value is used. First A1, which could not be read (it is "
        "a what-if table).",
    )


CONTENT = st.one_of(
    st.none(),
    st.floats(-1e300, 1e300),
    st.booleans(),
    st.text(alphabet="abcw_ é<&\"'\n∂", min_size=1, max_size=8),
    st.sampled_from(["=A1+1", "='My sheet'!$B$2*2", '="x"&"<&>"', "=SUM(A1:B2)^2"]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(CONTENT, min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_openpyxl_writes_and_reads_is_read_alike(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[Value]]
) -> None:
    path = tmp_path_factory.mktemp("openpyxl") / "book.xlsx"
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    ours = read_book(path).sheets[0].cells
    for row in openpyxl.load_workbook(path).active.iter_rows():
        for cell in row:
            own = ours.get(Address(cell.row, cell.column))
            if cell.data_type == "f":
                assert own is not None
                assert own.formula is not None
                assert "=" + own.formula.text == cell.value
            elif cell.value is None:
                assert own is None
            else:
                assert own is not None
                assert own.value == cell.value
                assert isinstance(own.value, bool) == isinstance(cell.value, bool)


def test_a_workbook_with_the_same_cell_twice_is_refused(tmp_path: Path) -> None:
    rows = '<row r="1"><c r="A1"><v>1</v></c><c r="A1"><v>2</v></c></row>'
    path = saved(tmp_path, parts({"S": sheet_xml(rows)}))
    with pytest.raises(BookError) as caught:
        read_book(path)
    assert str(caught.value) == (
        f"The workbook is damaged: a cell stands in it twice.\n  where:    {path}, sheet 'S'\n  found:    A1\n"
        "  expected: each cell once\nOpen it in a spreadsheet program and save it again."
    )
