"""What several tests of training share: small data, modules of a user's own, and ways to interrupt a run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chainrule.tasks import Task
from chainrule.training import FirstUpdate, Run, State, observing, train
from chainrule.verification import GradientCheck

NOISY = '''
import numpy as np
import torch
from torch import nn


class Noisy(nn.Module):
    """Draws random numbers in every step, and keeps running statistics."""

    def __init__(self, inputs=3, outputs=1):
        super().__init__()
        self.first = nn.Linear(inputs, 6)
        self.norm = nn.BatchNorm1d(6)
        self.activation = nn.RReLU()
        self.dropout = nn.Dropout(0.25)
        self.second = nn.Linear(6, outputs)

    def forward(self, x):
        return self.second(self.dropout(self.activation(self.norm(self.first(x)))))


class NoisyReLU(nn.ReLU):
    def forward(self, x):
        return super().forward(x) + 0.01 * torch.rand_like(x)


class NoisyByInheritance(nn.Module):
    """An activation that draws, and is called by keyword."""

    def __init__(self):
        super().__init__()
        self.first, self.activation, self.tanh = nn.Linear(3, 4), NoisyReLU(), nn.Tanh()
        self.second = nn.Linear(4, 1)

    def forward(self, x):
        return self.second(self.tanh(input=self.activation(self.first(x))))


class NoisyInNumPy(nn.Module):
    """Draws from NumPy: in its first weights, and in every step a normal number; NumPy makes two and stores one."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)
        self.first.weight.data += np.random.rand()

    def forward(self, x):
        return self.second(torch.tanh(self.first(x) * (1 + 0.1 * np.random.randn())))
'''


class Silent:
    """A reporter that shows nothing; the others of these tests differ from it in one method."""

    def run_begins(self, state: State, check: GradientCheck) -> None: ...

    def first_update(self, state: State, first: FirstUpdate) -> None: ...

    def progress(self, state: State, loss: float) -> None: ...

    def metrics(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None: ...


class StopAt(Silent):
    """Asks for a stop after an update, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def progress(self, state: State, loss: float) -> None:
        state.stop_requested = state.stop_requested or state.progress.step == self.step


@pytest.fixture
def noisy(tmp_path: Path) -> str:
    """Return the path of a file with modules that draw random numbers."""
    file = tmp_path / "noisy.py"
    file.write_text(NOISY)
    return str(file)


@pytest.fixture
def told_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reporters hear of every step, and not of one every tenth of a second."""
    monkeypatch.setattr(observing, "REFRESH_SECONDS", 0.0)


@pytest.fixture
def interrupted(told_every_step: None) -> Callable[[Task, Path, int], Run]:
    """Return a function that trains a task and stops it after an update."""

    def run(task: Task, folder: Path, step: int) -> Run:
        stopped = train(task, folder=folder, reporters=[StopAt(step)])
        assert stopped.was_interrupted
        assert stopped.progress.step == step
        return stopped

    return run


def small_data(classes: int = 0, rows: int = 23) -> dict[str, Any]:
    """Return 23 samples of three numbers: with a number to predict, or a class."""
    inputs = torch.rand(rows, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    numbers = inputs[:, :1] * inputs[:, 1:2] + 0.5 * inputs[:, 2:]
    if not classes:
        return {"inputs": inputs.tolist(), "targets": numbers.tolist()}
    edges = torch.linspace(-0.4, 0.4, classes + 1)[1:-1]
    return {"inputs": inputs.tolist(), "targets": torch.bucketize(numbers[:, 0], edges).tolist()}


@pytest.fixture
def small_task() -> Callable[..., Task]:
    """Return a function that makes a small task: `classes`, the keys of [data], and other tables."""

    def make(classes: int = 0, data: dict[str, Any] | None = None, **keys: Any) -> Task:
        tables: dict[str, Any] = {
            "data": small_data(classes) | {"batch_size": 5} | (data or {}),
            "model": {"layers": [4, classes or 1], "activation": "Tanh"},
            "optimizer": {"name": "SGD", "lr": 0.05},
            "stop": {"epochs": 4},
            "run": {"device": "cpu"},
        }
        return Task(**(tables | keys))

    return make


@pytest.fixture
def assert_same_run() -> Callable[[Run, Run], None]:
    """Return a function that asserts that two runs are the same to the last bit."""

    def check(one: Run, two: Run) -> None:
        assert one.progress == two.progress
        assert one.history.to_polars().equals(two.history.to_polars(), null_equal=True)
        first, second = one.model.state_dict(), two.model.state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        for part, evaluation in one.evaluations.items():
            assert torch.equal(evaluation.predictions, two.evaluations[part].predictions)

    return check
