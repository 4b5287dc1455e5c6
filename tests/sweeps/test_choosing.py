"""Which engine computes a sweep, and what is said about it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chainrule.errors import TaskError
from chainrule.sweeps import choosing, grid, parse_axis, run_points
from chainrule.sweeps.outcome import Outcome
from chainrule.tasks import Task, load_task
from chainrule.training import train


@pytest.fixture
def small() -> Task:
    return load_task("xor", {"run.precision": "float64", "run.device": "cpu"})


def swept(task: Task, runs: int) -> Outcome:
    return run_points(task, grid(parse_axis("lr", f"log:1e-3:1e-1:{runs}")), steps=2)


def test_few_updates_are_done_by_the_plain_loop(small: Task) -> None:
    outcome = swept(small, 3)
    assert (outcome.engine, outcome.why) == ("loop", "3 runs of 2 updates are few.")


def test_many_runs_of_a_small_network_are_done_by_lanes(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    outcome = swept(small, 8)
    assert (outcome.engine, outcome.why) == ("lanes", "lanes is the fastest for many runs of a small network.")


@pytest.mark.parametrize(
    ("lanes", "vmap", "runs", "engine", "why"),
    [
        (10, 30_000, 8, "vmap", "vmap computes many runs as one. lanes gains nothing at 17 trained numbers a run."),
        (10, 10, 8, "loop", "One run after the other. lanes gains nothing at 17 trained numbers a run. "
         "vmap gains nothing at 17 trained numbers a run."),
        (10, 30_000, 3, "loop", "One run after the other. lanes gains nothing at 17 trained numbers a run. "
         "vmap gains nothing with 3 runs."),
    ],
)  # fmt: skip
def test_large_networks_go_where_they_are_as_fast(
    small: Task, monkeypatch: pytest.MonkeyPatch, lanes: int, vmap: int, runs: int, engine: str, why: str
) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    monkeypatch.setattr(choosing, "_LARGE", {"lanes": lanes, "vmap": vmap})
    outcome = swept(small, runs)
    assert (outcome.engine, outcome.why) == (engine, why)


def test_a_few_runs_of_a_large_network_do_not_fill_the_lanes(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    monkeypatch.setattr(choosing, "_A_RUN", 5)
    outcome = swept(small, 3)
    assert (outcome.engine, outcome.why) == (
        "loop",
        "One run after the other. lanes gains nothing with 3 runs of 17 trained numbers. "
        "vmap gains nothing with 3 runs.",
    )
    assert swept(small, 4).engine == "lanes"


def test_bfloat16_runs_one_by_one(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    outcome = run_points(small, grid(parse_axis("lr", "log:1e-3:1e-1:8")), steps=2, precision="bf16")
    assert outcome.engine == "loop"
    assert outcome.why == (
        "One run after the other. lanes could not: bfloat16 autocast runs one by one. "
        "vmap could not: bfloat16 autocast runs one by one."
    )


NOISY = """
import random

import numpy as np
import torch
from torch import nn


class Noisy(nn.Module):
    def __init__(self, source):
        super().__init__()
        self.one, self.source = nn.Linear(2, 1), source

    def forward(self, x):
        draw = {"python": random.random, "numpy": np.random.rand, "torch": lambda: torch.rand(()).item()}
        return self.one(x) * (1 + draw[self.source]())
"""


TWICE = """
import sys
from chainrule.sweeps import run_points
from chainrule.tasks import load_task
from chainrule.training import train
model = {"module": f"{sys.argv[1]}/noisy.py:Noisy", "arguments": {"source": "python"}}
task = load_task("xor", {"model": model, "stop": {"steps": 6}, "run.precision": "float64", "run.device": "cpu"})
for _ in range(2):
    print(list(train(task).history["loss"].values[:6]))
print(run_points(task, [{"seed": 3}, {"seed": task.seed}], steps=6).losses[1].tolist())
"""


@pytest.mark.parametrize("source", ["python", "numpy", "torch"])
def test_a_model_that_draws_is_trained_one_run_after_the_other(small: Task, source: str, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    task = load_task(
        small,
        {"model": {"module": f"{tmp_path}/noisy.py:Noisy", "arguments": {"source": source}}, "stop": {"steps": 6}},
    )
    points = [{"lr": 0.01}, {"lr": 0.1}]
    outcome = run_points(task, points, steps=6)
    assert outcome.why == (
        "The model draws random numbers in its forward pass, and only one run after the other draws those of "
        f"chainrule train{'; lanes draws others, with engine lanes' if source == 'torch' else ''}."
    )
    if source == "python":
        # The type checks of these tests draw from Python's generator too, so the runs have a process of their own.
        told = subprocess.run(
            [sys.executable, "-c", TWICE, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert len(told) == 3
        assert len(set(told)) == 1
        return
    assert outcome.losses is not None
    np.testing.assert_array_equal(run_points(task, points, steps=6, engine="loop").losses, outcome.losses)
    alone = train(load_task(task, {"optimizer.lr": 0.1})).history["loss"].values
    np.testing.assert_array_equal(alone[:6], outcome.losses[1])
    if source == "torch":
        return
    with pytest.raises(TaskError) as caught:
        run_points(task, points, steps=6, engine="lanes")
    assert str(caught.value) == (
        "The lanes engine cannot compute this sweep.\n"
        "  found: engine lanes\n"
        "The model draws random numbers with Python's random or numpy.random in its forward pass, and only one run "
        "after the other draws those of chainrule train.\n"
        "The engine auto takes the fastest that can."
    )
