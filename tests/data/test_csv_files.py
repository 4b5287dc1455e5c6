import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data.csv_files import MISSING_CELLS, read_csv_file
from chainrule.errors import DataError

PATH = Path("data/x.csv")
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Zs")), max_size=6)


def read(text):
    return read_csv_file(PATH, text if isinstance(text, bytes) else text.encode())


def cells(text):
    return [column.cells.to_list() for column in read(text).columns]


def refusal(text):
    with pytest.raises(DataError) as caught:
        read(text)
    return str(caught.value)


@settings(deadline=None)
@given(
    st.integers(2, 5).flatmap(lambda width: st.lists(st.tuples(*[CELLS] * width), min_size=1, max_size=8)),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_pythons_writer_writes_is_read_back(rows, line_end):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    names = [f"name {position}" for position in range(len(rows[0]))]
    writer.writerows([names, *rows])
    table = read(stream.getvalue())
    assert list(table.names) == names
    read_back = list(zip(*(column.cells.to_list() for column in table.columns), strict=True))
    assert read_back == [tuple(None if cell in MISSING_CELLS else cell for cell in row) for row in rows]
    assert [table.place(row) for row in range(len(rows))] == [f"line {row + 2}" for row in range(len(rows))]


@pytest.mark.parametrize(("separator", "name"), [(",", "a comma"), (";", "a semicolon"), ("\t", "a tab")])
def test_the_separator_is_detected_and_stated(separator, name):
    table = read(f"a{separator}b\n1{separator}2\n")
    assert table.names == ("a", "b")
    assert table.notes == (f"'x.csv' is read as CSV with {name} between the columns.",)


def test_the_separator_fits_the_first_row_too():
    assert read("price, in euro, all;y\n1;2\n").names == ("price, in euro, all", "y")


def test_a_separator_inside_quotes_separates_nothing():
    assert cells('"a;b;c",y\n"1;2;3",4\n') == [["1;2;3"], ["4"]]


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert read(b"\xef\xbb\xbfa,b\n1,2\n").names == ("a", "b")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_ends_a_line(end):
    assert cells(end.join(["a,b", "1,2", "3,4", ""])) == [["1", "3"], ["2", "4"]]


def test_blank_lines_are_skipped_and_still_count():
    table = read("\na,b\n\n1,2\n  \n,\n3,4\n\n\n")
    assert [column.cells.to_list() for column in table.columns] == [["1", None, "3"], ["2", None, "4"]]
    assert [table.place(row) for row in range(3)] == ["line 4", "line 6", "line 7"]


def test_a_row_over_several_lines_is_named_by_its_first():
    table = read('a,b\n"1\n\n1",2\n3,4\n')
    assert [table.place(row) for row in range(2)] == ["line 2", "line 5"]


def test_missing_cells_and_spaces():
    assert cells("a, b ,c\n NA , 1,N/A\nnull,NULL, ?\n,,\n") == [[None] * 3, ["1", None, None], [None] * 3]


def test_columns_without_a_name_are_marked():
    table = read(",a,b\n0,1,2\n")
    assert table.names == ("unnamed column 1", "a", "b")
    assert table.unnamed == {"unnamed column 1"}


def test_many_rows_with_gaps_in_the_last_column():
    generator = np.random.default_rng(4)
    table = generator.random((5000, 2))
    table[generator.random(5000) < 0.5, 1] = math.nan
    rows = table.tolist()
    text = "a,b\n" + "".join(f"{first},{'' if math.isnan(last) else last}\n" for first, last in rows)
    first, last = (column.values.to_list() for column in read(text).columns)
    assert first == [row[0] for row in rows]
    assert last == [None if math.isnan(row[1]) else row[1] for row in rows]


def test_an_empty_file_is_refused():
    assert (
        refusal("\n \n")
        == """'x.csv' is empty.
  where:    data/x.csv
  found:    3 bytes
  expected: a header and at least one row"""
    )


def test_a_header_without_rows_is_refused():
    assert (
        refusal("a,b\n\n")
        == """'x.csv' has a header and no rows.
  where:    data/x.csv
  found:    the header a, b
  expected: at least one row after it"""
    )


def test_text_that_is_not_utf_8_is_refused_with_line_and_byte():
    assert (
        refusal("a,b\n1,2\ncafé,3\n".encode("latin-1"))
        == """'x.csv' is not text in UTF-8.
  where:    data/x.csv, line 3, byte 11 (counted from 0)
  found:    the byte 0xe9
  expected: text in UTF-8
The file may be in an older encoding.
Save it as UTF-8 (spreadsheets call it 'CSV UTF-8')."""
    )


def test_utf_16_is_recognised():
    assert (
        refusal("a,b\n1,2\n".encode("utf-16"))
        == """'x.csv' is not text in UTF-8.
  where:    data/x.csv, line 1, byte 0 (counted from 0)
  found:    the byte 0xff
  expected: text in UTF-8
The file starts as UTF-16 files do.
Save it as UTF-8 (spreadsheets call it 'CSV UTF-8')."""
    )


def test_a_row_that_is_too_long_is_named():
    assert (
        refusal("a,b,y\n1,2,3\n1,5,2,5\n")
        == """A row of 'x.csv' has 4 fields where the header has 3.
  where:    data/x.csv, line 3
  found:    1 | 5 | 2 | 5
  expected: a | b | y
A cell that holds the separator must be quoted, and a number is written with a point, as in 1.5."""
    )


def test_a_row_that_is_too_short_is_named():
    assert (
        refusal("a,b,y\n1,2,3\n\n1,2,\n1,5\n")
        == """A row of 'x.csv' has 2 fields where the header has 3.
  where:    data/x.csv, line 5
  found:    1 | 5
  expected: a | b | y
A cell that holds the separator must be quoted, and a number is written with a point, as in 1.5."""
    )


def test_a_long_row_is_cut_in_the_message():
    names = ",".join("abcdefghij")
    assert (
        refusal(f"{names}\n1,2,3,4,5,6,7,8,9\n")
        == """A row of 'x.csv' has 9 fields where the header has 10.
  where:    data/x.csv, line 2
  found:    1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | …
  expected: a | b | c | d | e | f | g | h | …
A cell that holds the separator must be quoted, and a number is written with a point, as in 1.5."""
    )


def test_a_quote_that_is_not_closed_is_refused():
    assert (
        refusal('a,b\n1,2\n3,"4\n')
        == """'x.csv' cannot be read: a row after line 2 is not well-formed.
  where: data/x.csv
  found: unexpected end of data
A quote may be missing; a quote inside a quoted cell is written twice."""
    )


def test_a_header_with_an_open_quote_is_refused():
    assert (
        refusal('a,"b\n1,2\n')
        == """'x.csv' cannot be read: its header is not well-formed.
  where: data/x.csv
  found: unexpected end of data
A quote may be missing; a quote inside a quoted cell is written twice."""
    )


def test_a_single_column_is_refused():
    assert (
        refusal("a b\n1 2\n")
        == """'x.csv' has one column only.
  where:    data/x.csv
  found:    the header a b
  expected: at least one input column and a target column, with a comma, a semicolon or a tab between them"""
    )


def test_a_header_of_numbers_is_refused():
    assert (
        refusal("5.1,3.5,0\n4.9,3.0,0\n")
        == """The first line of 'x.csv' holds numbers, and not the names of the columns.
  where:    data/x.csv
  found:    5.1, 3.5, 0
  expected: a header with a name for each column
Put a line with names above the numbers."""
    )


def test_two_columns_of_one_name_are_refused():
    assert (
        refusal("a,b, a\n1,2,3\n")
        == """Two columns of 'x.csv' have the same name.
  where:    data/x.csv, header
  found:    'a' in columns 1 and 3
  expected: a different name for each column
Rename one of them."""
    )


def test_a_very_long_cell_is_read():
    long = "x" * 200_000
    assert cells(f"a,b\n1,{long}\n") == [["1"], [long]]
    assert read(f"a,b\n{long},2\n3,4\n").place(1) == "row 2"
