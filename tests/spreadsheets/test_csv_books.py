from pathlib import Path

import pytest

from chainrule.spreadsheets import BookError, ErrorValue, Limits, Value, read_book

COMMA = "The file writes decimals with a comma; 0,5 was read as one half."


def _read(folder: Path, content: bytes | str, name: str = "table.csv") -> tuple[dict[str, Value], tuple[str, ...]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    book = read_book(path)
    assert (book.kind, len(book.sheets), book.sheets[0].name) == ("csv", 1, "table")
    return {str(address): cell.value for address, cell in book.sheets[0].cells.items()}, book.notes


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separators(tmp_path: Path, separator: str, newline: str) -> None:
    text = newline.join(["title", "", separator.join(["w1", "w2"]), separator.join(["0.15", "-2e-3"]), ""])
    assert _read(tmp_path, text) == ({"A1": "title", "A3": "w1", "B3": "w2", "A4": 0.15, "B4": -0.002}, ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    values, notes = _read(tmp_path, "∂E/∂w1,η,größe\n1,2,3\n".encode(encoding))
    assert (values["A1"], values["B1"], values["C1"], values["C2"]) == ("∂E/∂w1", "η", "größe", 3.0)
    assert notes == ()


def test_western_european_text_is_noted(tmp_path: Path) -> None:
    values, notes = _read(tmp_path, "größe;µ\n1;2\n".encode("cp1252"))
    assert (values["A1"], values["B1"]) == ("größe", "µ")
    assert notes == ("The file is not UTF-8; it was read as Western European text (Windows-1252).",)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a;b\n0,5;0,25\n1,234;2\n", {"A2": 0.5, "B2": 0.25, "A3": 1.234, "B3": 2.0}),
        ("a;b\n1,234;2,345\n", {"A2": 1.234, "B2": 2.345}),
        ('a,b\n"0,5","1,25"\n', {"A2": 0.5, "B2": 1.25}),
        ("a\tb\n0,5\t1.000,5\n", {"A2": 0.5, "B2": 1000.5}),
    ],
)
def test_decimal_commas(tmp_path: Path, text: str, values: dict[str, Value]) -> None:
    read, notes = _read(tmp_path, text)
    assert {name: value for name, value in read.items() if not name.endswith("1")} == values
    assert notes == (COMMA,)


def test_what_could_be_two_numbers_stays_text(tmp_path: Path) -> None:
    values, notes = _read(tmp_path, 'a,b\n"1,234",0.5\n')
    assert (values["A2"], values["B2"]) == ("1,234", 0.5)
    assert notes == (
        "1 cell could be two numbers, first A2 ('1,234'), and stayed text; write numbers without thousands separators.",
    )


def test_formulas_percents_truths_and_errors(tmp_path: Path) -> None:
    values, notes = _read(tmp_path, 'a,b,c\n2,"=A2*3","=MAX(A2,B2)"\n5%,TRUE,#DIV/0!\n=,="x",\n')
    assert values == {
        "A1": "a",
        "B1": "b",
        "C1": "c",
        "A2": 2.0,
        "B2": 6.0,
        "C2": 6.0,
        "A3": 0.05,
        "B3": True,
        "C3": ErrorValue("#DIV/0!"),
        "A4": "=",
        "B4": "x",
    }
    assert isinstance(values["C3"], ErrorValue)
    assert notes == ("table: 3 formulas had no stored value and got one by computing.",)


def test_formulas_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    values, _ = _read(tmp_path, 'a;b\n0,5;"=MAX(A2;0,75)*2"\n1;=A2*1,5\n')
    assert (values["B2"], values["B3"]) == (1.5, 0.75)


def test_a_line_that_names_the_separator(tmp_path: Path) -> None:
    assert _read(tmp_path, "sep=;\na,b;c\n1;2\n")[0] == {"A1": "a,b", "B1": "c", "A2": 1.0, "B2": 2.0}


def test_quoted_cells(tmp_path: Path) -> None:
    assert _read(tmp_path, '"a ""b""\nc",d\n1,2\n')[0] == {"A1": 'a "b"\nc', "B1": "d", "A2": 1.0, "B2": 2.0}


def test_too_many_cells_and_a_cell_without_end(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("1,2\n3,4\n")
    with pytest.raises(BookError) as caught:
        read_book(path, limits=Limits(cells=3))
    assert str(caught.value) == (
        f"The file has too many cells.\n  where: {path}\n  found: more than 3\nDelete the rows that are not needed."
    )
    path.write_text('a,"b\n' + "1,2\n" * 40_000)
    with pytest.raises(BookError) as caught:
        read_book(path)
    assert str(caught.value) == (
        f"The file cannot be read as a table.\n  where: {path}, line {caught.value.where.rpartition(' ')[2]}\n"
        "  found: field larger than field limit (131072)\n"
        "A quotation mark may be missing, so that a cell does not end."
    )
