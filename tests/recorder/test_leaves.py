"""Names of leaves and modules."""

import torch
from recorder_checks import network
from torch import nn

from chainrule.recorder.leaves import leaf_names, module_paths, named_tensors


def test_paths_of_model_and_loss() -> None:
    model, loss = network(), nn.Sequential(nn.MSELoss())
    assert list(module_paths(model, loss).values()) == ["", "0", "1", "2", "loss_fn", "loss_fn.0"]
    assert list(module_paths(model, nn.functional.mse_loss).values()) == ["", "0", "1", "2"]


def test_names_of_parameters_and_buffers() -> None:
    model, loss = nn.Sequential(nn.BatchNorm1d(2)), nn.PReLU()
    names = leaf_names(module_paths(model, loss))
    assert names[id(model[0].weight)] == ("parameter", "0.weight")
    assert names[id(model[0].running_mean)] == ("buffer", "0.running_mean")
    assert names[id(loss.weight)] == ("parameter", "loss_fn.weight")


def test_a_tied_parameter_has_the_name_that_comes_first() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert leaf_names(module_paths(model, None))[id(model[1].weight)] == ("parameter", "0.weight")


def test_names_of_inputs() -> None:
    one = torch.ones(1)
    names = {
        "input": one,
        "input[1]": (None, one),
        "x": {"x": one},
        "x[0][y]": {"x": [{"y": one}]},
    }
    for name, structure in names.items():
        assert [found for _, found in named_tensors(structure, "input")] == [name]
