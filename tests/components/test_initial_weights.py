"""Weights from a file: put as they are, and refused where they are those of another model."""

from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule.components import build_network
from chainrule.errors import TaskError
from chainrule.tasks import ModelSpec, Task, load_task
from chainrule.tensor_files import pack_tensors
from chainrule.training import train

KEYS = {"layers": [3, 1], "activation": "Tanh"}


def saved(folder: Path, tensors: dict[str, torch.Tensor]) -> str:
    path = folder / "weights.safetensors"
    path.write_bytes(pack_tensors(tensors))
    return str(path)


def made(initial: str | None, dtype: torch.dtype = torch.float64) -> nn.Module:
    return build_network(ModelSpec(**KEYS, initial=initial), (2,), 0, dtype)


def refused(initial: str) -> str:
    with pytest.raises(TaskError) as caught:
        made(initial)
    return str(caught.value)


def other_weights() -> dict[str, torch.Tensor]:
    return {name: value.detach() + 1 for name, value in made(None).named_parameters()}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_parameter_is_as_in_the_file_in_the_precision_of_the_model(tmp_path, dtype):
    weights = other_weights()
    for name, value in made(saved(tmp_path, weights), dtype).named_parameters():
        assert value.dtype == dtype
        assert value.requires_grad
        assert torch.equal(value, weights[name].to(dtype))


def test_a_run_begins_with_what_another_run_has_written(tmp_path):
    first = train(load_task("xor", {"stop.epochs": 20}), folder=tmp_path / "first")
    (file,) = (tmp_path / "first").glob("*.safetensors")
    second = train(load_task("xor", {"model.initial": str(file), "stop.epochs": 1}))
    assert second.history["loss"].values[0] == first.history["loss"].values[-1]


def test_a_path_counts_from_the_folder_of_the_task_file(tmp_path):
    saved(tmp_path, other_weights())
    (tmp_path / "task.toml").write_text(
        """
        data = {inputs = [[0, 1], [1, 0]], targets = [[0.5], [1.5]]}
        model = {layers = [3, 1], activation = "Tanh", initial = "weights.safetensors"}
        """
    )
    task = load_task(tmp_path / "task.toml")
    assert task.model.initial == str(tmp_path / "weights.safetensors")
    assert load_task(task) == task


def test_tensors_of_another_model_are_all_named(tmp_path):
    weights = other_weights()
    weights["hidden1.weigth"] = weights.pop("hidden1.weight")
    weights["output.bias"] = torch.zeros(2)
    file = saved(tmp_path, weights)
    assert refused(file) == (
        "The initial weights are not those of this model.\n"
        f"  where: {file}\n"
        "model.initial: hidden1.weight\n"
        "  found:    nothing\n"
        "  expected: a tensor of shape (3, 2)\n"
        "model.initial: hidden1.weigth\n"
        "  found:    a tensor that the model does not have\n"
        "  expected: one of hidden1.weight, hidden1.bias, output.weight, output.bias\n"
        "  Did you mean 'hidden1.weight'?\n"
        "model.initial: output.bias\n"
        "  found:    shape (2,)\n"
        "  expected: shape (1,)"
    )


def test_files_that_cannot_be_read(tmp_path):
    missing = tmp_path / "none.safetensors"
    assert refused(str(missing)) == (
        "The file of the initial weights cannot be read.\n"
        "  where:    model.initial\n"
        f"  found:    {missing}: No such file or directory\n"
        "  expected: a .safetensors file"
    )
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no tensors")
    assert refused(str(broken)).startswith("'broken.safetensors' is not a safetensors file, or is cut off.\n")


@pytest.mark.parametrize(
    ("key", "value"),
    [("init", "ones_"), ("bias_init", "ones_"), ("biases", [0, 0]), ("weights", [[[1, 1]] * 3, [[1, 1, 1]]])],
)
def test_weights_are_said_once(key, value):
    with pytest.raises(TaskError) as caught:
        Task(data={"inputs": [[0, 1]], "targets": [[0.5]]}, model={**KEYS, "initial": "file.safetensors", key: value})
    assert str(caught.value) == (
        f"The task cannot be trained as it is written.\nmodel.{key}\n  found:    a value\n"
        "  expected: nothing: model.initial is a file with all of them"
    )
