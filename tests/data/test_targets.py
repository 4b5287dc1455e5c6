import numpy as np
import pytest
import torch

from chainrule.data.targets import TargetSource, build_targets
from chainrule.errors import DataError

SOURCE = TargetSource("the target", lambda row: f"row {row}")


def build(values, kind=None, dtype=None):
    return build_targets(np.array(values, dtype=dtype), kind, SOURCE)


def refusal(values, kind=None, dtype=None):
    with pytest.raises(DataError) as caught:
        build(values, kind, dtype)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "note"),
    [
        (["b", "a"], object, "classification", "Classification, because the target holds words: 2 classes (a, b)."),
        (
            [True, False],
            bool,
            "classification",
            "Classification, because the target is boolean: 2 classes (false, true).",
        ),
        (
            [0, 1, 1, 0],
            int,
            "classification",
            "Classification, because the target holds 2 different integers (at most 20 different ones and two rows of "
            "each on average make classes): 2 classes (0, 1).",
        ),
        (
            [0, 1, 2],
            int,
            "regression",
            "Regression, because the target holds 3 different integers in 3 rows (at most 20 different ones and two "
            "rows of each on average make classes).",
        ),
        (
            list(range(21)) * 5,
            int,
            "regression",
            "Regression, because the target holds 21 different integers in 105 rows (at most 20 different ones and two "
            "rows of each on average make classes).",
        ),
        (
            [0.0, 1.0, 1.0, 0.0],
            float,
            "regression",
            "Regression, because the target holds numbers that are not of an integer type.",
        ),
        ([[0, 1], [1, 0]], int, "regression", "Regression, because there are 2 targets a row."),
    ],
)
def test_the_kind_follows_from_the_target_and_says_why(values, dtype, kind, note):
    targets = build(values, dtype=dtype)
    assert targets.kind == kind
    assert targets.note == note


def test_class_ids_count_the_sorted_labels():
    targets = build([10, 2, 10, 2, 3, 3], dtype=int)
    assert targets.class_names == ("2", "3", "10")
    assert torch.equal(targets.values, torch.tensor([2, 0, 2, 0, 1, 1]))


def test_the_kind_of_the_task_overrides():
    numbers = build([0, 1, 1, 0], "regression", int)
    assert numbers.note == "Regression, as data.kind says."
    assert torch.equal(numbers.values, torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=torch.float64))
    classes = build([[0.0], [5.0]], "classification", float)
    assert classes.class_names == ("0", "5")
    assert torch.equal(classes.values, torch.tensor([0, 1]))


def test_words_are_no_regression():
    assert (
        refusal(["a", "b"], "regression", object)
        == """A regression needs numbers as its target, and this one holds words.
  where:    row 0
  found:    'a'
  expected: a number in every row
Choose another target, or set data.kind = "classification"."""
    )


def test_fractions_are_no_classes():
    assert (
        refusal([1.0, 0.5], "classification", float)
        == """A classification needs classes as its target, and this one holds fractions.
  where:    row 1
  found:    0.5
  expected: integers, booleans or words
Set data.kind = "regression", or choose another target."""
    )


def test_several_targets_are_no_classification():
    assert (
        refusal([[0, 1], [1, 0]], "classification", int)
        == """A classification has one target column, and this task has several.
  where:    the target
  found:    2 target columns
  expected: 1
Name one target, or set data.kind = "regression"."""
    )


def test_one_class_of_words_is_refused():
    assert (
        refusal(["a", "a"], None, object)
        == """The target has one class only, so there is nothing to tell apart.
  where:    the target
  found:    'a' in all 2 rows
  expected: at least two classes
Check the target column."""
    )


def test_one_class_of_integers_may_be_a_number():
    assert (
        refusal([7], "classification", int)
        == """The target has one class only, so there is nothing to tell apart.
  where:    the target
  found:    '7' in the only row
  expected: at least two classes
Check the target column, or set data.kind = "regression" if it is a number."""
    )
