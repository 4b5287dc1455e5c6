from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from chainrule.data.dataset import ColumnInfo
from chainrule.data.tables import build_table_samples, read_table
from chainrule.errors import DataError
from chainrule.tasks.data_spec import DataSpec

PATH = Path("data/x.csv")


def build(text, **options):
    return build_table_samples(read_table(PATH, text.encode()), DataSpec(**options))


def refusal(text, **options):
    with pytest.raises(DataError) as caught:
        build(text, **options)
    return str(caught.value)


def test_all_columns_but_the_target_are_inputs():
    samples = build("a,flag,y\n1,true,2.5\n3,FALSE,-1\n", target="y")
    assert torch.equal(samples.inputs, torch.tensor([[1, 1], [3, 0]], dtype=torch.float64))
    assert torch.equal(samples.targets.values, torch.tensor([[2.5], [-1.0]], dtype=torch.float64))
    assert samples.input_names == ("a", "flag")
    assert samples.target_names == ("y",)
    assert samples.columns == (
        ColumnInfo("a", "integer", "input"),
        ColumnInfo("flag", "boolean", "input"),
        ColumnInfo("y", "number", "target"),
    )


def test_chosen_columns_come_in_their_order_and_the_others_are_left_out():
    samples = build(",a,b,y,when\n0,1,2,3,2024-01-01\n", target="y", columns=["b", "a"])
    assert samples.input_names == ("b", "a")
    assert samples.inputs.tolist() == [[2.0, 1.0]]
    assert samples.columns[0] == ColumnInfo("unnamed column 1", "integer", "left out", "it has no name")
    assert samples.columns[4] == ColumnInfo("when", "date", "left out", "it is not in data.columns")


def test_several_targets_make_a_regression():
    samples = build("a,y,z\n1,2,3\n4,5,6\n", target=["z", "y"])
    assert samples.targets.values.tolist() == [[3.0, 2.0], [6.0, 5.0]]
    assert samples.target_names == ("z", "y")


@pytest.mark.parametrize(
    ("column", "names", "ids"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        (["true", "false", "true"], ("false", "true"), [1, 0, 1]),
        (["10", "9", "10", "9"], ("9", "10"), [1, 0, 1, 0]),
    ],
)
def test_labels_become_class_ids(column, names, ids):
    samples = build("a,y\n" + "".join(f"1,{label}\n" for label in column), target="y")
    assert samples.targets.class_names == names
    assert samples.targets.values.tolist() == ids


def test_labels_that_are_mostly_numbers_are_classes_when_the_task_says_so():
    samples = build("a,y\n1,3\n1,4\n1,other\n", target="y", kind="classification")
    assert samples.targets.class_names == ("3", "4", "other")


def test_dropped_rows_are_counted_and_the_first_is_named():
    samples = build("a,b,y\n1,2,3\n,2,3\n1,2,\n4,5,6\n", target="y", missing="drop")
    assert samples.inputs.tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert samples.notes[-1] == "2 of 4 rows had a missing value and were dropped, line 3 the first."


def test_a_gap_in_a_column_that_is_left_out_drops_nothing():
    samples = build("a,b,y\n1,,3\n4,,6\n", target="y", columns=["a"])
    assert samples.inputs.tolist() == [[1.0], [4.0]]


def test_missing_inputs_stay_nan_until_the_training_part_is_known():
    samples = build("a,b,y\n1,,3\n4,x,6\n", target="y", missing="mean", categories="one-hot")
    assert samples.inputs[0, 0] == 1.0
    assert bool(samples.inputs[0, 1].isnan())
    assert samples.words == ((), ("x",))


def test_rounded_integers_are_noted():
    samples = build("a,y\n9007199254740993,1.5\n2,2.5\n", target="y")
    assert samples.notes[-1] == "Integers beyond 2^53 are rounded to float64, in column 'a'."


def test_parquet_and_csv_of_the_same_frame_agree(tmp_path):
    generator = np.random.default_rng(3)
    frame = pl.DataFrame({"a": generator.normal(size=50), "w": ["u", "v"] * 25, "y": generator.integers(0, 3, 50)})
    frame.write_csv(tmp_path / "x.csv")
    frame.write_parquet(tmp_path / "x.parquet")
    from_csv, from_parquet = (
        build_table_samples(read_table(path, path.read_bytes()), DataSpec(target="y", categories="one-hot"))
        for path in (tmp_path / "x.csv", tmp_path / "x.parquet")
    )
    assert torch.equal(from_csv.inputs, from_parquet.inputs)
    assert torch.equal(from_csv.targets.values, from_parquet.targets.values)
    assert from_csv.words == from_parquet.words
    assert from_csv.columns == from_parquet.columns


def test_a_target_must_be_named():
    assert (
        refusal("a,b,y\n1,2,3\n")
        == """The task does not say which column of 'x.csv' is the target.
  where:    data.target
  expected: one of a, b, y
Add target = "y" under [data], if that is the column to predict."""
    )


def test_an_unknown_target_gets_the_nearest_name():
    assert (
        refusal("area,rooms,price\n1,2,3\n", target="prise")
        == """'x.csv' has no column 'prise'.
  where:    data.target; the file is data/x.csv
  found:    prise
  expected: one of area, price, rooms
Did you mean 'price'?"""
    )


def test_an_unknown_input_column_gets_the_nearest_name():
    assert (
        refusal("area,rooms,price\n1,2,3\n", target="price", columns=["areas"])
        == """'x.csv' has no column 'areas'.
  where:    data.columns; the file is data/x.csv
  found:    areas
  expected: one of area, price, rooms
Did you mean 'area'?"""
    )


def test_a_column_cannot_be_input_and_target():
    assert (
        refusal("a,y\n1,2\n", target="y", columns=["a", "y"])
        == """The column 'y' is an input and a target at once.
  where:    data.columns and data.target
  found:    y
  expected: a target that is not among the inputs
Take it out of data.columns."""
    )


def test_a_column_cannot_be_listed_twice():
    assert (
        refusal("a,y\n1,2\n", target="y", columns=["a", "a"])
        == """The column 'a' is listed twice.
  where:    data.columns
  found:    a, a
  expected: once"""
    )


def test_an_input_column_must_be_left():
    assert (
        refusal(",y\n1,2\n", target="y")
        == """No column of 'x.csv' is left as an input.
  where:    data/x.csv
  found:    the target 'y' and no other column with a name
  expected: at least one input column"""
    )


def test_rows_that_are_all_dropped_are_refused():
    assert (
        refusal("a,b,y\n1,,3\n,5,6\n", target="y", missing="drop")
        == """Every row of 'x.csv' has a missing value, so none is left.
  where:    data/x.csv
  found:    2 rows
  expected: at least one row without a missing value
Leave columns out with data.columns, or set data.missing = "mean"."""
    )


def test_too_many_words_are_refused():
    text = "a,y\n" + "".join(f"word{row},{row}\n" for row in range(1001))
    assert (
        refusal(text, target="y", categories="one-hot")
        == """The column 'a' holds too many different words for one-hot.
  where:    data/x.csv, column 'a'
  found:    1001 different words in 1001 rows
  expected: at most 1000
Leave the column out with data.columns."""
    )


def test_a_single_class_names_the_column():
    assert (
        refusal("a,y\n1,no\n2,no\n", target="y")
        == """The target has one class only, so there is nothing to tell apart.
  where:    data/x.csv, column 'y'
  found:    'no' in all 2 rows
  expected: at least two classes
Check the target column."""
    )


def test_a_word_in_a_regression_names_the_line_of_the_rows_that_are_kept():
    assert (
        refusal("a,y\n,no\n2,yes\n", target="y", kind="regression", missing="drop")
        == """A regression needs numbers as its target, and this one holds words.
  where:    data/x.csv, line 3, column 'y'
  found:    'yes'
  expected: a number in every row
Choose another target, or set data.kind = "classification"."""
    )
