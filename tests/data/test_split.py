import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data.split import split_rows
from chainrule.errors import DataError

SHARES = st.floats(min_value=0.0, max_value=0.4, allow_nan=False)


def zeros(rows):
    return torch.zeros(rows, dtype=torch.int64)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), SHARES, SHARES, st.integers(0, 2**31), st.randoms())
def test_a_split_is_a_partition_that_keeps_every_class_in_the_training(counts, validation, test, seed, random):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    random.shuffle(labels)
    classes = torch.tensor(labels)
    try:
        split = split_rows(classes, validation, test, seed)
    except DataError:
        # Refused for a reason: a part would round to no rows, or a class would lose its last training row.
        rows = len(labels)
        held_out = [int(share * rows + 0.5) for share in (validation, test)]
        is_empty = any(share > 0 and count == 0 for share, count in zip((validation, test), held_out, strict=True))
        assert is_empty or sum(held_out) > rows - len(counts)
        return
    together = torch.cat([split.training, split.validation, split.test])
    assert torch.equal(together.sort().values, torch.arange(len(labels)))
    assert set(classes[split.training].tolist()) == set(labels)
    assert len(split.validation) == int(validation * len(labels) + 0.5)
    assert len(split.test) == int(test * len(labels) + 0.5)


@settings(deadline=None)
@given(st.lists(st.integers(10, 40), min_size=1, max_size=5), st.integers(0, 1000))
def test_a_class_gives_its_proportion_to_within_one_row(counts, seed):
    classes = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    split = split_rows(classes, 0.0, 0.3, seed)
    held_out = torch.bincount(classes[split.test], minlength=len(counts))
    total = len(split.test)
    for count, taken in zip(counts, held_out.tolist(), strict=True):
        assert abs(taken - total * count / sum(counts)) < 1


def test_each_part_keeps_the_order_of_the_rows():
    split = split_rows(zeros(50), 0.2, 0.2, 3)
    for part in (split.training, split.validation, split.test):
        assert torch.equal(part, part.sort().values)


def test_without_held_out_parts_all_rows_train_in_their_order():
    split = split_rows(torch.tensor([1, 0, 1, 0]), 0.0, 0.0, 5)
    assert torch.equal(split.training, torch.arange(4))
    assert len(split.validation) == len(split.test) == 0


def test_the_seed_decides_the_split_and_nothing_else_does():
    first = split_rows(zeros(100), 0.2, 0.2, 1)
    torch.manual_seed(77)
    assert torch.equal(first.test, split_rows(zeros(100), 0.2, 0.2, 1).test)
    assert not torch.equal(first.test, split_rows(zeros(100), 0.2, 0.2, 2).test)


def test_the_global_generator_stays_where_it_is():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    split_rows(zeros(100), 0.2, 0.2, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_class_of_one_row_is_never_held_out():
    classes = torch.tensor([0] * 9 + [1])
    for seed in range(30):
        split = split_rows(classes, 0.0, 0.5, seed)
        assert 9 in split.training.tolist()
        assert len(split.test) == 5


def test_a_part_that_would_be_empty_is_refused():
    with pytest.raises(DataError) as caught:
        split_rows(zeros(4), 0.0, 0.1, 0)
    assert (
        str(caught.value)
        == """The test part would be empty.
  where:    data.test
  found:    a share of 0.1 of 4 rows
  expected: a share of at least 0.125, or 0 for no test part
Hold out a larger share, or give more rows."""
    )


def test_a_single_row_cannot_be_split():
    with pytest.raises(DataError) as caught:
        split_rows(zeros(1), 0.2, 0.0, 0)
    assert (
        str(caught.value)
        == """The validation part would be empty.
  where:    data.validation
  found:    a share of 0.2 of 1 row
  expected: 0
Hold out a larger share, or give more rows."""
    )


def test_every_class_needs_a_training_row():
    with pytest.raises(DataError) as caught:
        split_rows(torch.tensor([0, 1, 2, 0]), 0.25, 0.25, 0)
    assert (
        str(caught.value)
        == """Too few rows would be left for the training.
  where:    data.test and data.validation
  found:    4 rows: 1 for the test, 1 for the validation
  expected: at least 3 left over, one for each class
Hold out a smaller share, or give more rows."""
    )


def test_shares_that_take_everything_are_refused():
    with pytest.raises(DataError) as caught:
        split_rows(zeros(10), 0.5, 0.5, 0)
    assert (
        str(caught.value)
        == """Too few rows would be left for the training.
  where:    data.test and data.validation
  found:    10 rows: 5 for the test, 5 for the validation
  expected: at least 1 left over
Hold out a smaller share, or give more rows."""
    )
