from pathlib import Path

import polars as pl
import pytest

from chainrule.data.tables import build_table_samples, read_table
from chainrule.errors import DataError
from chainrule.tasks.data_spec import DataSpec

PATH = Path("data/x.csv")


def refusal(text, **options):
    with pytest.raises(DataError) as caught:
        build_table_samples(read_table(PATH, text.encode()), DataSpec(**{"target": "y"} | options))
    return str(caught.value)


def test_words_are_refused_with_the_way_out():
    assert (
        refusal("a,town,y\n1,,2\n1,Bonn,2\n1,Köln,3\n")
        == """The input column 'town' holds words.
  where:    data/x.csv, line 3, column 'town'
  found:    'Bonn'; 2 different words in all
  expected: numbers
Set data.categories = "one-hot" for one column a word, or leave the column out with data.columns."""
    )


def test_a_word_among_numbers_is_named():
    assert (
        refusal("a,y\n1,2\n2,3\n1.o5,4\n", categories="one-hot")
        == """The column 'a' holds numbers, and a cell that is none.
  where:    data/x.csv, line 4, column 'a'
  found:    '1.o5'
  expected: a number, or an empty cell for a missing value
Correct the cell, or leave the column out with data.columns."""
    )


def test_a_word_among_the_numbers_of_the_target_is_named():
    assert (
        refusal("a,y\n1,2\n2,3\n3,n.a.\n")
        == """The column 'y' holds numbers, and a cell that is none.
  where:    data/x.csv, line 4, column 'y'
  found:    'n.a.'
  expected: a number, or an empty cell for a missing value
Correct the cell, or set data.kind = "classification" if the cells are labels."""
    )


def test_dates_are_refused():
    assert (
        refusal("day,y\n2024-01-31,1\n2024-02-01,2\n", categories="one-hot")
        == """The column 'day' holds dates.
  where:    data/x.csv, line 2, column 'day'
  found:    '2024-01-31'
  expected: numbers
Turn it into numbers, such as days since a start, or leave the column out with data.columns."""
    )


def test_decimal_commas_are_refused():
    assert (
        refusal("a;y\n2;1\n1,5;2\n")
        == """The column 'a' holds numbers that are written with a comma.
  where:    data/x.csv, line 3, column 'a'
  found:    '1,5'
  expected: a number with a point, as in 1.5
A decimal comma and a separator of thousands look the same, so neither is guessed.
Save the file with decimal points and without separators of thousands."""
    )


def test_a_column_without_values_is_refused():
    assert (
        refusal("a,b,y\n1,,2\n1,NA,3\n", missing="mean")
        == """The column 'b' holds no values.
  where:    data/x.csv, column 'b'
  found:    a missing value in all 2 rows
  expected: a value in at least one row
Leave the column out with data.columns."""
    )


def test_nested_columns_are_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [[1, 2], [3]], "y": [1, 2]}).write_parquet(path)
    with pytest.raises(DataError) as caught:
        build_table_samples(read_table(path, path.read_bytes()), DataSpec(target="y"))
    assert (
        str(caught.value)
        == f"""The column 'a' holds lists or records.
  where:    {path}, row 1, column 'a'
  found:    '[1, 2]'
  expected: numbers
Make a column of each part, or leave the column out with data.columns."""
    )


@pytest.mark.parametrize("cell", ["nan", "inf", "-Infinity", "1e400"])
def test_numbers_that_are_not_finite_are_refused(cell):
    assert (
        refusal(f"a,y\n1,2.5\n{cell},3\n")
        == f"""The column 'a' holds a number that is not finite.
  where:    data/x.csv, line 3, column 'a'
  found:    '{cell}'
  expected: a finite number, or an empty cell for a missing value
Empty the cell, and let data.missing say what happens with missing values."""
    )


def test_numbers_that_are_not_finite_are_counted():
    assert (
        refusal("a,y\n1,nan\n2,inf\n3,\n4,1.5\n", missing="drop")
        == """The column 'y' holds a number that is not finite.
  where:    data/x.csv, line 2, column 'y'
  found:    'nan', the first of 2
  expected: a finite number, or an empty cell for a missing value
Empty the cell, and let data.missing say what happens with missing values."""
    )


def test_missing_values_are_refused_with_the_first_and_the_count():
    assert (
        refusal("a,b,y\n1,2,3\n1,,3\n,,3\n")
        == """A value is missing in 'x.csv'.
  where:    data/x.csv, line 3, column 'b'
  found:    3 missing values in 2 columns
  expected: a value in every cell that is used
Set data.missing = "drop" to leave such rows out, or "mean" to put in the mean of the training part."""
    )


def test_a_missing_target_is_never_filled_in():
    assert (
        refusal("a,y\n1,3\n,4\n1,\n", missing="mean")
        == """A target is missing in 'x.csv'.
  where:    data/x.csv, line 4, column 'y'
  found:    1 missing value in 1 column
  expected: a value in every cell that is used
Set data.missing = "drop" to leave such rows out; a target is never filled in."""
    )


def test_words_among_several_targets_are_refused():
    assert (
        refusal("a,y,z\n1,u,3\n", target=["z", "y"])
        == """The target column 'y' holds words, and there are several targets.
  where:    data/x.csv, line 2, column 'y'
  found:    'u'
  expected: numbers: several targets make a regression
Name one target."""
    )


def test_a_long_cell_is_cut():
    assert (
        refusal(f"a,y\n{'x' * 60},3\n")
        == f"""The input column 'a' holds words.
  where:    data/x.csv, line 2, column 'a'
  found:    '{"x" * 40}…'; 1 different word in all
  expected: numbers
Set data.categories = "one-hot" for one column a word, or leave the column out with data.columns."""
    )
