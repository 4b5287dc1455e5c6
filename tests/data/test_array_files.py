import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from chainrule.data import load_data, save_arrays
from chainrule.data.array_files import read_array_file
from chainrule.errors import DataError
from chainrule.tasks.data_spec import DataSpec

GENERATOR = np.random.default_rng(11)
INPUTS = GENERATOR.normal(size=(40, 3))


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_array_file(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (INPUTS, GENERATOR.normal(size=40)),
        (INPUTS, GENERATOR.normal(size=(40, 2))),
        (INPUTS.astype(np.float32), GENERATOR.integers(0, 3, 40)),
        (INPUTS, ["no", "yes", "perhaps", "yes"] * 10),
        (INPUTS, [True, False] * 20),
        (INPUTS[:, 0], [[0], [1]] * 20),
        (INPUTS.reshape(20, 2, 3), list(range(20))),
        (pl.DataFrame(INPUTS, schema=["a", "b", "c"]), pl.Series(["u", "ü"] * 20)),
    ],
    ids=["numbers", "outputs", "integers", "words", "booleans", "column", "images", "frame"],
)
def test_a_task_on_the_saved_file_is_the_task_on_the_arrays(tmp_path, inputs, targets):
    save_arrays(tmp_path / "data.safetensors", inputs, targets)
    options = {"test": 0.2, "standardise_inputs": True}
    from_arrays = load_data(DataSpec(inputs=inputs, targets=targets, **options), seed=5)
    from_file = load_data(DataSpec(source="data.safetensors", **options), seed=5, folder=tmp_path)
    for part in ("train", "test"):
        first, second = getattr(from_arrays, part), getattr(from_file, part)
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)
        assert first.targets.dtype == second.targets.dtype
    assert from_arrays.kind == from_file.kind
    assert from_arrays.class_names == from_file.class_names
    assert from_arrays.input_names == from_file.input_names
    assert from_file.name == "data.safetensors"


def test_a_file_of_another_program_needs_no_names(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(
        {"inputs": torch.ones(2, 3).half(), "targets": torch.tensor([0.5, 1.5]), "weights": torch.ones(1)}, path
    )
    arrays = read_array_file(path)
    assert arrays.inputs.tolist() == [[1.0] * 3] * 2
    assert arrays.targets.tolist() == [0.5, 1.5]
    assert arrays.input_names == ()


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"a,b\n1,2\n")
    lines = refusal(path).splitlines()
    assert lines[:2] == ["'x.safetensors' is not a safetensors file, or is cut off.", f"  where: {path}"]
    assert lines[2].startswith("The reader says: ")
    assert lines[3:] == ["Write it again with chainrule.data.save_arrays."]


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_arrays(path, INPUTS, GENERATOR.normal(size=40))
    path.write_bytes(path.read_bytes()[:-8])
    assert refusal(path).startswith("'x.safetensors' is not a safetensors file, or is cut off.\n")


def test_a_file_without_targets_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"inputs": torch.ones(2, 3), "labels": torch.ones(2)}, path)
    assert (
        refusal(path)
        == f"""'x.safetensors' has no tensor 'targets'.
  where:    {path}
  found:    inputs, labels
  expected: inputs and targets"""
    )


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ("{", "{"),
        ("[]", "[]"),
        ('{"class_names": ["a"]}', '{"class_names": ["a"]}'),
        (
            '{"class_names": ["a"], "input_names": []}',
            "1 class name, and targets that are no positions among them",
        ),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, metadata, found):
    path = tmp_path / "x.safetensors"
    tensors = {"inputs": torch.ones(2, 3), "targets": torch.tensor([0, 1])}
    safetensors.torch.save_file(tensors, path, {"chainrule": metadata})
    assert (
        refusal(path)
        == f"""The names in 'x.safetensors' do not fit its tensors.
  where:    {path}
  found:    {found}
  expected: {{"class_names": [...], "input_names": [...]}} under the metadata key "chainrule"
Write it again with chainrule.data.save_arrays."""
    )


def test_arrays_that_are_no_data_are_not_saved(tmp_path):
    with pytest.raises(DataError):
        save_arrays(tmp_path / "x.safetensors", [[1.0]], [float("nan")])
    assert list(tmp_path.iterdir()) == []
