import numpy as np
import polars as pl
import pytest
import torch

from chainrule.data.arrays import build_samples, check_arrays
from chainrule.data.dataset import ColumnInfo
from chainrule.errors import DataError

ROWS = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
NUMBERS = [0.5, 1.5, 2.5]


def build(inputs, targets, kind=None):
    return build_samples(check_arrays(inputs, targets), kind, "arrays")


def refusal(inputs, targets):
    with pytest.raises(DataError) as caught:
        check_arrays(inputs, targets)
    return str(caught.value)


@pytest.mark.parametrize(
    "inputs",
    [
        ROWS,
        tuple(tuple(row) for row in ROWS),
        np.array(ROWS),
        np.array(ROWS, dtype=np.float32),
        np.array(ROWS, dtype=np.int16),
        np.array(ROWS, dtype=object),
        torch.tensor(ROWS, requires_grad=True),
        torch.tensor(ROWS, dtype=torch.bfloat16),
        [np.array(row) for row in ROWS],
        pl.DataFrame(ROWS, orient="row"),
    ],
    ids=lambda inputs: type(inputs).__name__,
)
def test_whatever_python_calls_an_array_gives_the_same_rows(inputs):
    samples = build(inputs, NUMBERS)
    assert torch.equal(samples.inputs, torch.tensor(ROWS, dtype=torch.float64))


@pytest.mark.parametrize("targets", [NUMBERS, np.array(NUMBERS), torch.tensor(NUMBERS), pl.Series(NUMBERS)])
def test_numbers_become_one_output_a_row(targets):
    samples = build(ROWS, targets)
    assert samples.targets.kind == "regression"
    assert torch.equal(samples.targets.values, torch.tensor(NUMBERS, dtype=torch.float64)[:, None])


def test_the_worked_example_is_one_row_with_two_outputs():
    samples = build([[0.05, 0.10]], [[0.01, 0.99]])
    assert samples.targets.kind == "regression"
    assert samples.inputs.tolist() == [[0.05, 0.10]]
    assert samples.targets.values.tolist() == [[0.01, 0.99]]
    assert samples.input_names == ("x1", "x2")
    assert samples.target_names == ("y1", "y2")


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ([[0], [1], [1], [0]], ("0", "1")),
        ([0, 1, 1, 0], ("0", "1")),
        (torch.tensor([0, 1, 1, 0]), ("0", "1")),
        (np.array([3, 7, 7, 3], dtype=np.uint8), ("3", "7")),
        ([False, True, True, False], ("false", "true")),
        (["no", "yes", "yes", "no"], ("no", "yes")),
        ([["no"], ["yes"], ["yes"], ["no"]], ("no", "yes")),
        (np.array(["no", "yes", "yes", "no"]), ("no", "yes")),
        (pl.Series(["no", "yes", "yes", "no"]), ("no", "yes")),
    ],
    ids=str,
)
def test_integers_booleans_and_words_become_classes(targets, names):
    samples = build([[0, 0], [0, 1], [1, 0], [1, 1]], targets)
    assert samples.targets.class_names == names
    assert torch.equal(samples.targets.values, torch.tensor([0, 1, 1, 0]))


def test_the_kind_of_the_task_overrides():
    samples = build([[0, 0], [0, 1], [1, 0], [1, 1]], [[0], [1], [1], [0]], "regression")
    assert samples.targets.values.tolist() == [[0.0], [1.0], [1.0], [0.0]]


def test_one_dimension_is_one_feature_and_said():
    samples = build([1.0, 2.0, 3.0], NUMBERS)
    assert samples.inputs.tolist() == [[1.0], [2.0], [3.0]]
    assert samples.notes[0] == "The inputs have one dimension, so each number is a row with one feature."


def test_images_keep_their_shape():
    samples = build(np.zeros((4, 2, 3), dtype=np.uint8), [0, 1, 0, 1])
    assert samples.inputs.shape == (4, 2, 3)
    assert samples.input_names == ()
    assert samples.columns == (
        ColumnInfo("inputs", "integer", "input", "2 × 3 a row"),
        ColumnInfo("y", "integer", "target"),
    )


def test_a_frame_names_its_columns():
    samples = build(pl.DataFrame({"width": [1, 2], "height": [3, 4]}), [0.5, 1.5])
    assert samples.input_names == ("width", "height")


def test_the_users_array_is_copied():
    array = np.array(ROWS)
    samples = build(array, NUMBERS)
    array[:] = -1
    assert samples.inputs.tolist() == ROWS


def test_integers_beyond_float64_are_noted():
    samples = build([[2**53 + 1], [0]], [0.5, 1.5])
    assert samples.notes[0] == "The inputs hold integers beyond 2^53, which float64 rounds."


def test_ragged_rows_are_named():
    assert (
        refusal([[1, 2], [3, 4], [5]], NUMBERS)
        == """The rows of data.inputs differ in their length.
  where:    data.inputs[2]
  found:    1 value
  expected: 2 values, as in row 0"""
    )


def test_a_row_that_is_a_number_is_named():
    assert (
        refusal([[1, 2], 3, [4, 5]], NUMBERS)
        == """The rows of data.inputs differ in their length.
  where:    data.inputs[1]
  found:    a single value
  expected: 2 values, as in row 0"""
    )


def test_a_row_that_is_itself_uneven_is_named():
    assert (
        refusal([[[1], [2, 3]], [[4], [5]]], [1, 2])
        == """The rows of data.inputs differ in their length.
  where:    data.inputs[0]
  found:    a row that is itself uneven
  expected: rows of one length"""
    )


def test_images_of_different_sizes_are_named():
    assert (
        refusal([np.zeros((2, 2)).tolist(), np.zeros((2, 3)).tolist()], [1, 2])
        == """The rows of data.inputs differ in their length.
  where:    data.inputs[1]
  found:    values of shape (2, 3)
  expected: values of shape (2, 2), as in row 0"""
    )


def test_different_numbers_of_rows_are_refused():
    assert (
        refusal([[1], [2], [3], [4], [5]], [1, 2, 3, 4])
        == """The inputs and the targets differ in their number of rows.
  where:    data.inputs and data.targets
  found:    5 inputs and 4 targets
  expected: one target for each input"""
    )


def test_inputs_need_targets():
    assert (
        refusal([[1]], None)
        == """The task gives inputs and no targets.
  where:    data.targets
  expected: targets, as many rows as inputs"""
    )


def test_targets_need_inputs():
    assert (
        refusal(None, [1])
        == """The task gives targets and no inputs.
  where:    data.inputs
  expected: inputs, as many rows as targets"""
    )


def test_targets_of_three_dimensions_are_refused():
    assert (
        refusal([[1]], [[[1.0]]])
        == """The targets have more than two dimensions.
  where:    data.targets
  found:    shape (1, 1, 1)
  expected: shape (rows,) or (rows, outputs)"""
    )


def test_words_in_two_columns_are_refused():
    with pytest.raises(DataError) as caught:
        build(ROWS, [["a", "b"], ["c", "d"], ["e", "f"]])
    assert (
        str(caught.value)
        == """A regression needs numbers as its target, and this one holds words.
  where:    data.targets[0]
  found:    'a'
  expected: a number in every row
Choose another target, or set data.kind = "classification"."""
    )
