import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data.encoding import encode_inputs
from chainrule.data.samples import Samples
from chainrule.data.targets import Targets
from chainrule.errors import DataError

NAN = float("nan")


def make(inputs, words=()):
    matrix = torch.tensor(inputs, dtype=torch.float64)
    targets = Targets("regression", torch.zeros(len(matrix), 1, dtype=torch.float64), (), "")
    names = tuple("abcdef"[: matrix.shape[1]])
    return Samples("x.csv", matrix, targets, names, ("y",), (), (), words)


def rows(*indices):
    return torch.tensor(indices)


def test_numbers_pass_through():
    samples = make([[1.0, 2.0]])
    assert encode_inputs(samples, rows(0)).inputs is samples.inputs


def test_each_word_of_the_training_part_is_a_column():
    encoded = encode_inputs(make([[5, 2], [6, 0], [7, 1], [8, 2]], ((), ("u", "v", "w"))), rows(0, 1))
    assert encoded.names == ("a", "b=u", "b=w")
    assert encoded.inputs.tolist() == [[5, 0, 1], [6, 1, 0], [7, 0, 0], [8, 0, 1]]
    assert encoded.notes == ("Column 'b' becomes 2 one-hot columns. Not in the training part, so 0 in all of them: v.",)


def test_a_gap_becomes_the_mean_of_the_training_part_only():
    encoded = encode_inputs(make([[1.0], [NAN], [3.0], [100.0]]), rows(0, 1, 2))
    assert encoded.inputs.tolist() == [[1.0], [2.0], [3.0], [100.0]]
    assert encoded.notes == ("1 missing value is replaced by the mean of the column over the training part.",)


def test_a_missing_word_becomes_the_share_of_each_word():
    encoded = encode_inputs(make([[0], [0], [0], [1], [NAN]], (("u", "v"),)), rows(0, 1, 2, 3))
    assert encoded.inputs[4].tolist() == [0.75, 0.25]


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_a_training_row_has_one_1_in_the_column_of_its_word(codes):
    words = ("p", "q", "r", "s", "t")
    encoded = encode_inputs(make([[code] for code in codes], (words,)), torch.arange(len(codes)))
    assert bool((encoded.inputs.sum(dim=1) == 1).all())
    for row, code in enumerate(codes):
        assert encoded.names[int(encoded.inputs[row].argmax())] == f"a={words[code]}"


@pytest.mark.parametrize("words", [((), ()), ((), ("u",))])
def test_a_column_without_a_value_in_the_training_part_is_refused(words):
    with pytest.raises(DataError) as caught:
        encode_inputs(make([[1, NAN], [1, NAN], [1, 0]], words), rows(0, 1))
    assert (
        str(caught.value)
        == """The column 'b' has no value in the training part, so it has no mean to put in.
  where:    x.csv, column 'b'
  found:    2 training rows, all without a value
  expected: a value in at least one of them
Leave the column out with data.columns, or change the seed or the shares of the split."""
    )
