import numpy as np
import pytest
import torch

from chainrule.data.array_values import read_labels, read_numbers
from chainrule.errors import DataError


def refusal(values, read=read_numbers, name="inputs"):
    with pytest.raises(DataError) as caught:
        read(values, name)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint64, np.int64, np.float16, np.float32, np.float64])
def test_numbers_keep_their_type(dtype):
    values = np.array([[0, 1], [1, 0]], dtype=dtype)
    assert read_numbers(values, "inputs").dtype == dtype
    assert read_labels(values, "targets").dtype == dtype


def test_integers_beyond_64_bits_become_floats():
    assert read_numbers([[10**30]], "inputs").tolist() == [[1e30]]


def test_words_stay_python_strings():
    labels = read_labels(["a", "bb"], "targets")
    assert labels.dtype == object
    assert labels.tolist() == ["a", "bb"]


@pytest.mark.parametrize(("values", "shape"), [([], "(0,)"), ([[], []], "(2, 0)"), (np.zeros((0, 3)), "(0, 3)")])
@pytest.mark.parametrize("read", [read_numbers, read_labels])
def test_empty_arrays_are_refused(values, shape, read):
    assert (
        refusal(values, read)
        == f"""data.inputs is empty.
  where:    data.inputs
  found:    shape {shape}
  expected: at least one row"""
    )


def test_a_single_value_is_refused():
    assert (
        refusal(3.5)
        == """data.inputs is a single value.
  where:    data.inputs
  found:    3.5
  expected: at least one row"""
    )


def test_nan_is_refused_with_its_index():
    assert (
        refusal([[1.0, 2.0], [3.0, float("nan")]])
        == """data.inputs holds a number that is not finite.
  where:    data.inputs[1][1]
  found:    nan
  expected: a finite number
Leave the row out, or put in a value: data.missing is for files."""
    )


def test_infinities_are_counted():
    assert (
        refusal(torch.tensor([1.0, float("inf"), float("-inf")]), read_labels, "targets")
        == """data.targets holds a number that is not finite.
  where:    data.targets[1]
  found:    inf, the first of 2
  expected: a finite number
Leave the row out, or put in a value: data.missing is for files."""
    )


@pytest.mark.parametrize(("read", "name"), [(read_numbers, "inputs"), (read_labels, "targets")])
def test_none_is_refused_with_its_index(read, name):
    assert (
        refusal([1.0, None], read, name)
        == f"""A value is missing in data.{name}.
  where:    data.{name}[1]
  found:    None
  expected: a value
Leave the row out, or put in a value: data.missing is for files."""
    )


def test_a_word_among_the_inputs_is_refused_with_its_index():
    assert (
        refusal([[1, 2], [3, "four"]])
        == """data.inputs holds a value that is not a number.
  where:    data.inputs[1][1]
  found:    'four'
  expected: a number
Rows with words can be read from a CSV or Parquet file, where data.categories says what becomes of them."""
    )


def test_another_object_is_refused_with_its_index():
    assert (
        refusal([[1, 2], [3, {}]])
        == """data.inputs holds a value that is not a number.
  where:    data.inputs[1][1]
  found:    {}
  expected: a number"""
    )


@pytest.mark.parametrize(("labels", "index", "found"), [(["a", 1], 1, "1"), ([1, "a"], 1, "'a'")])
def test_labels_of_two_kinds_are_refused(labels, index, found):
    assert (
        refusal(labels, read_labels, "targets")
        == f"""data.targets mixes words and other values.
  where:    data.targets[{index}]
  found:    {found}
  expected: words throughout, or numbers throughout"""
    )


@pytest.mark.parametrize(
    ("values", "type_name"),
    [(np.array([1j]), "complex128"), (np.array(["2024-01-01"], dtype="datetime64[D]"), "datetime64[D]")],
)
def test_other_types_are_refused(values, type_name):
    assert (
        refusal(values)
        == f"""data.inputs holds values that are not numbers.
  where:    data.inputs
  found:    values of type {type_name}
  expected: booleans, integers or floats"""
    )


def test_what_numpy_cannot_read_is_refused_in_its_words():
    class Unreadable:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("no array in here")

    assert (
        refusal(Unreadable())
        == """data.inputs cannot be read as an array.
  where:    data.inputs
  found:    Unreadable
  expected: a list of rows, a NumPy array, a tensor or a data frame
NumPy says: no array in here"""
    )
