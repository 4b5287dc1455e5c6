import pytest
import torch
from sklearn import datasets

from chainrule.data.scikit_learn import BUILT_IN_SETS, load_built_in
from chainrule.tasks.data_spec import SCIKIT_LEARN_SETS

CLASSIFICATIONS = ("iris", "wine", "breast_cancer", "digits")


def test_the_sets_are_those_that_a_task_may_name():
    assert tuple(BUILT_IN_SETS) == SCIKIT_LEARN_SETS


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_a_classification_is_what_scikit_learn_gives(name):
    bunch = getattr(datasets, f"load_{name}")()
    samples = load_built_in(name, None)
    assert torch.equal(samples.inputs, torch.from_numpy(bunch.data).double())
    assert torch.equal(samples.targets.values, torch.from_numpy(bunch.target).long())
    assert samples.targets.class_names == tuple(str(label) for label in bunch.target_names)
    assert samples.input_names == tuple(bunch.feature_names)


def test_diabetes_is_a_regression_in_its_own_units():
    bunch = datasets.load_diabetes(scaled=False)
    samples = load_built_in("diabetes", None)
    assert samples.targets.kind == "regression"
    assert torch.equal(samples.inputs, torch.from_numpy(bunch.data))
    assert torch.equal(samples.targets.values, torch.from_numpy(bunch.target)[:, None])
    assert samples.notes == (
        "The inputs are in their own units (scikit-learn's scaled=False).",
        "Regression, as the set is known.",
    )


def test_digits_are_raw_grey_levels():
    samples = load_built_in("digits", None)
    assert (samples.inputs.min().item(), samples.inputs.max().item()) == (0.0, 16.0)
    assert samples.notes == (
        "Each input is a grey level from 0 to 16.",
        "Classification, as the set is known: 10 classes.",
    )


def test_the_kind_of_the_task_overrides():
    samples = load_built_in("iris", "regression")
    assert samples.targets.class_names == ()
    assert samples.targets.values.shape == (150, 1)
    assert samples.targets.note == "Regression, as data.kind says."
