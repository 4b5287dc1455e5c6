"""The gradient check of a run: on a float64 twin, with penalties, dropout and running statistics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chainrule.task_files import example_names
from chainrule.tasks import Task, load_task
from chainrule.training import train

Make = Callable[..., Task]

MODULES = """
import torch
from torch import nn


class FloatOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 1)

    def forward(self, x):
        return self.inner(x.float())


class Slipped(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(context, upstream):
        (x,) = context.saved_tensors
        return upstream * (1 - x.tanh() ** 2) * 1.0003


class Wrong(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.second(Slipped.apply(self.first(x)))
"""


@pytest.mark.parametrize("name", example_names())
def test_the_examples_have_right_gradients(name: str) -> None:
    check = train(load_task(name, {"stop.epochs": 1})).check
    assert check.is_right
    assert check.checked == min(60, check.entries)
    assert check.worst < 1e-6


def test_a_noisy_module_with_penalties_is_checked_and_left_alone(small_task: Make, noisy: str) -> None:
    keys: dict[str, Any] = {
        "model": {"module": f"{noisy}:Noisy"},
        "penalty": [{"kind": "L1", "strength": 0.1, "modules": "activation"}],
        "data": {"batch_size": 6},
    }
    check = train(small_task(**keys)).check
    assert check.is_right, str(check)
    assert check.checked == check.entries == 3 * 6 + 6 + 6 + 6 + 6 + 1


def test_a_module_that_works_in_float32_only(small_task: Make, tmp_path: Path) -> None:
    (tmp_path / "modules.py").write_text(MODULES)
    run = train(small_task(model={"module": f"{tmp_path}/modules.py:FloatOnly"}))
    assert str(run.check) == (
        "gradients not checked: the model does not run in float64 on the CPU: RuntimeError: mat1 and mat2 must have "
        "the same dtype, but got Float and Double"
    )
    assert run.progress.stopped == "all 4 epochs are done"


def test_a_wrong_backward_of_the_users_own(small_task: Make, tmp_path: Path) -> None:
    (tmp_path / "modules.py").write_text(MODULES)
    check = train(small_task(model={"module": f"{tmp_path}/modules.py:Wrong"})).check
    assert not check.is_right
    assert check.where.startswith("first.")
    assert check.worst == pytest.approx(3e-4, rel=0.01)


def test_a_relu_network_at_a_corner(small_task: Make) -> None:
    """All weights and biases of the hidden layer are 0: every unit sits at the corner of its ReLU."""
    task = small_task(
        model={
            "layers": [2, 1],
            "activation": "ReLU",
            "weights": [[[0.0] * 3, [0.0] * 3], [[1.0, -1.0]]],
            "biases": [0.0, 0.0],
        }
    )
    check = train(task).check
    assert check.is_right
    assert set(check.kinks) >= {"hidden1.bias[0]", "hidden1.bias[1]"}
    assert torch.get_default_dtype() == torch.float32
