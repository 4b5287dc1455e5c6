import io
from pathlib import Path

import polars as pl
import pytest

from chainrule.data.parquet_files import read_parquet_file
from chainrule.errors import DataError

PATH = Path("data/x.parquet")


def content(frame):
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def refusal(data):
    with pytest.raises(DataError) as caught:
        read_parquet_file(PATH, data)
    return str(caught.value)


def test_columns_keep_their_names_types_and_values():
    frame = pl.DataFrame({"a": [1, None], "b": [0.5, 1.5], "c": ["x", "y"], "d": [True, False]})
    table = read_parquet_file(PATH, content(frame))
    assert {column.name: column.type for column in table.columns} == {
        "a": "integer",
        "b": "number",
        "c": "text",
        "d": "boolean",
    }
    assert [column.values.to_list() for column in table.columns] == [frame[name].to_list() for name in frame.columns]
    assert table.place(0) == "row 1"
    assert table.notes == ("'x.parquet' is read as Parquet.",)


def test_another_kind_of_file_is_refused():
    assert (
        refusal(b"a,b\n1,2\n")
        == """'x.parquet' is not a Parquet file, or is cut off.
  where:    data/x.parquet
  found:    8 bytes that do not both start and end with PAR1
  expected: a Parquet file"""
    )


def test_a_file_that_is_cut_off_is_refused():
    data = content(pl.DataFrame({"a": [1, 2]}))
    assert (
        refusal(data[:-9])
        == f"""'x.parquet' is not a Parquet file, or is cut off.
  where:    data/x.parquet
  found:    {len(data) - 9} bytes that do not both start and end with PAR1
  expected: a Parquet file"""
    )


def test_a_damaged_file_is_refused():
    lines = refusal(b"PAR1" + b"\xff" * 40 + b"PAR1").splitlines()
    assert lines[:2] == ["'x.parquet' cannot be read as a Parquet file.", "  where: data/x.parquet"]
    assert lines[2].startswith("Polars says: ")


def test_a_file_without_rows_is_refused():
    assert (
        refusal(content(pl.DataFrame({"a": [], "b": []}, schema={"a": pl.Int64, "b": pl.Int64})))
        == """'x.parquet' has no rows.
  where:    data/x.parquet
  found:    the columns a, b
  expected: at least one row"""
    )
