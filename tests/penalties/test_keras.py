"""L1 and L2 against Keras 3 on its torch backend, values and gradients, several batch sizes.

Keras's torch backend multiplies and divides in float32 even when its floats are float64; hence the tolerance.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule.penalties import attach_penalties
from chainrule.tasks.penalty_spec import PenaltySpec

REGULARISERS = {"L1": {"L1": 0.03}, "L2": {"L2": 0.7}, "L1L2": {"L1": 0.02, "L2": 0.5}}
TOLERANCE = 1e-6
SHAPES = [(1, 4), (4, 4), (7, 4), (3, 5, 4)]
CASES = [(name, shape) for name in REGULARISERS for shape in SHAPES]


def model_and_inputs(shape: tuple[int, ...]) -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(shape[0])
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU()).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model, torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def keras_results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, tuple[int, ...]], dict]:
    told = []
    for name, shape in CASES:
        model, inputs = model_and_inputs(shape)
        layers = [[model[index].weight.T.tolist(), model[index].bias.tolist()] for index in (0, 2)]
        regulariser = [name, list(REGULARISERS[name].values())]
        told.append({"regulariser": regulariser, "layers": layers, "inputs": inputs.tolist()})
    process = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("keras_reference.py"))],
        input=json.dumps(told),
        env=os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path_factory.mktemp("keras"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return dict(zip(CASES, json.loads(process.stdout), strict=True))


def relative_distance(gradient: torch.Tensor, expected: list) -> float:
    reference = torch.tensor(expected, dtype=torch.float64)
    assert reference.norm() > 0
    return ((gradient - reference).norm() / reference.norm()).item()


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_equals_keras(keras_results, name, shape):
    model, inputs = model_and_inputs(shape)
    specs = [
        PenaltySpec(kind=kind, strength=strength, modules="type:ReLU") for kind, strength in REGULARISERS[name].items()
    ]
    with attach_penalties(model, specs) as attached:
        model(inputs)
        penalty = attached.value()
    penalty.backward()
    expected = keras_results[name, shape]
    assert penalty.item() > 0.1
    assert penalty.item() == pytest.approx(expected["penalty"], rel=TOLERANCE)
    for index, (weight, bias) in zip((0, 2), expected["gradients"], strict=True):
        assert relative_distance(model[index].weight.grad.T, weight) <= TOLERANCE
        assert relative_distance(model[index].bias.grad, bias) <= TOLERANCE
