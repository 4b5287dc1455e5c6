import numpy as np
import pytest
import torch

from chainrule.data import load_data
from chainrule.data.dataset import ColumnInfo
from chainrule.errors import DataError
from chainrule.tasks.data_spec import SCIKIT_LEARN_SETS, DataSpec


def rows_of(dataset):
    return [
        None if part is None else (part.inputs, part.targets)
        for part in (dataset.train, dataset.validation, dataset.test)
    ]


def refusal(**options):
    with pytest.raises(DataError) as caught:
        load_data(DataSpec(**options), seed=0)
    return str(caught.value)


@pytest.mark.parametrize("name", SCIKIT_LEARN_SETS)
def test_the_same_spec_and_seed_give_the_same_tensors(name):
    spec = DataSpec(source=name, test=0.2, validation=0.1, standardise_inputs=True)
    torch.manual_seed(1)
    first = load_data(spec, seed=3)
    torch.manual_seed(2)
    second = load_data(spec, seed=3)
    for (inputs, targets), (others, other_targets) in zip(rows_of(first), rows_of(second), strict=True):
        assert torch.equal(inputs, others)
        assert torch.equal(targets, other_targets)
    assert not torch.equal(first.test.inputs, load_data(spec, seed=4).test.inputs)


def test_the_global_generators_stay_where_they_are():
    torch.manual_seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    load_data(DataSpec(source="iris", test=0.2), seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before


@pytest.mark.parametrize("name", SCIKIT_LEARN_SETS)
def test_the_parts_are_the_rows_of_the_set(name):
    whole = load_data(DataSpec(source=name), seed=0).train.inputs
    parts = load_data(DataSpec(source=name, test=0.2, validation=0.1), seed=0)
    together = torch.cat([inputs for inputs, _ in rows_of(parts)])
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, whole.tolist()))


def test_the_standardisation_is_fitted_on_the_training_part_only():
    options = {"source": "diabetes", "test": 0.3, "validation": 0.2}
    raw = load_data(DataSpec(**options), seed=1)
    scaled = load_data(DataSpec(**options, standardise_inputs=True, standardise_targets=True), seed=1)
    assert torch.equal(scaled.input_scaling.means, raw.train.inputs.mean(dim=0))
    assert torch.equal(scaled.target_scaling.deviations, raw.train.targets.std(dim=0, correction=0))
    for (inputs, targets), (raw_inputs, raw_targets) in zip(rows_of(scaled), rows_of(raw), strict=True):
        assert torch.equal(inputs, scaled.input_scaling.apply(raw_inputs))
        assert torch.allclose(scaled.target_scaling.undo(targets), raw_targets, rtol=1e-14)
    assert float(scaled.test.inputs.mean().abs()) > 1e-3


def test_held_out_rows_do_not_reach_the_training_part(tmp_path):
    """Change every held-out row of a file with gaps and words: the training part stays the same."""
    generator = np.random.default_rng(2)
    lines = [f"{value:.6f},{'uvw'[row % 3]},{row}.5" for row, value in enumerate(generator.normal(size=60))]
    lines[5], lines[40] = ",u,5.5", ",,40.5"
    spec = DataSpec(source="x.csv", target="y", test=0.3, missing="mean", categories="one-hot", standardise_inputs=True)
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["a,w,y", *lines]))
    before = load_data(spec, seed=9, folder=tmp_path)
    held_out = {int(target) for target in before.test.targets.flatten().tolist()}
    changed = [f"1e5,z,{row}.5" if row in held_out else line for row, line in enumerate(lines)]
    path.write_text("\n".join(["a,w,y", *changed]))
    after = load_data(spec, seed=9, folder=tmp_path)
    assert torch.equal(before.train.inputs, after.train.inputs)
    assert torch.equal(before.train.targets, after.train.targets)
    assert not torch.equal(before.test.inputs, after.test.inputs)


def test_no_split_is_all_rows_in_their_order():
    dataset = load_data(DataSpec(inputs=[[0.05, 0.10]], targets=[[0.01, 0.99]]), seed=0)
    assert dataset.train.inputs.tolist() == [[0.05, 0.10]]
    assert dataset.train.targets.tolist() == [[0.01, 0.99]]
    assert len(dataset.train) == 1
    assert dataset.validation is None
    assert dataset.test is None
    assert dataset.input_scaling is None
    assert dataset.notes == (
        "Regression, because there are 2 targets a row.",
        "1 row, all for training: nothing is held out.",
    )


def test_the_notes_state_everything(tmp_path):
    lines = [f"{row},{'uv'[row % 2]},7,{'' if row == 3 else row % 2}" for row in range(20)]
    (tmp_path / "x.csv").write_text("\n".join(["a;w;c;y", *lines]).replace(",", ";"))
    spec = DataSpec(
        source="x.csv",
        target="y",
        missing="drop",
        categories="one-hot",
        validation=0.1,
        test=0.2,
        standardise_inputs=True,
    )
    dataset = load_data(spec, seed=8, folder=tmp_path)
    assert dataset.notes == (
        "'x.csv' is read as CSV with a semicolon between the columns.",
        "Classification, because the target holds 2 different integers (at most 20 different ones and two rows of each "
        "on average make classes): 2 classes (0, 1).",
        "1 of 20 rows had a missing value and was dropped, line 5 the first.",
        "19 rows: 13 for training, 2 for validation and 4 for the test, drawn with seed 8, each class in proportion.",
        "Column 'w' becomes 2 one-hot columns.",
        "The inputs are standardised: minus the mean, divided by the standard deviation (over N) of the training part.",
        "Column 'c' is constant in the training part.",
    )
    assert dataset.columns[2] == ColumnInfo("c", "integer", "input", "constant in the training part")
    assert dataset.input_names == ("a", "w=u", "w=v", "c")
    assert dataset.class_names == ("0", "1")


def test_classes_that_are_too_small_to_be_held_out_are_counted():
    targets = ["a"] * 10 + ["b"] * 10 + ["c"]
    dataset = load_data(DataSpec(inputs=[[row] for row in range(21)], targets=targets, test=0.2), seed=0)
    assert dataset.notes[1] == (
        "21 rows: 17 for training and 4 for the test, drawn with seed 0, each class in proportion. "
        "1 class has too few rows to be held out."
    )


def test_both_standardisations_are_said_in_one_sentence():
    spec = DataSpec(source="diabetes", standardise_inputs=True, standardise_targets=True)
    assert load_data(spec, seed=0).notes[-1] == (
        "The inputs and the targets are standardised: minus the mean, divided by the standard deviation (over N) of "
        "the training part."
    )


def test_images_are_split_and_scaled_feature_by_feature():
    images = np.random.default_rng(0).normal(size=(20, 4, 4))
    images[:, 0, 0] = 1.0
    dataset = load_data(DataSpec(inputs=images, targets=[0, 1] * 10, test=0.2, standardise_inputs=True), seed=0)
    assert dataset.train.inputs.shape == (16, 4, 4)
    assert dataset.input_scaling.means.shape == (4, 4)
    assert torch.allclose(dataset.train.inputs.mean(dim=0), torch.zeros(4, 4).double(), atol=1e-12)
    assert dataset.notes[-1] == "1 input feature is constant in the training part."


def test_classes_cannot_be_standardised():
    assert (
        refusal(source="iris", standardise_targets=True)
        == """The targets are classes, which cannot be standardised.
  where:    data.standardise_targets
  found:    true
  expected: false for a classification
Take it out, or set data.kind = "regression"."""
    )


def test_a_batch_larger_than_the_training_part_is_refused():
    assert (
        refusal(source="iris", test=0.2, batch_size=121)
        == """The batch is larger than the training part.
  where:    data.batch_size
  found:    121
  expected: 1 to 120, or "full\""""
    )
    assert load_data(DataSpec(source="iris", test=0.2, batch_size=120), seed=0).train.inputs.shape[0] == 120
    assert (
        refusal(inputs=[[1.0]], targets=[0.5], batch_size=2)
        == """The batch is larger than the training part.
  where:    data.batch_size
  found:    2
  expected: 1, or "full\""""
    )
