"""Two processes that share every batch come to the losses and weights of one.

The processes are started by torchrun's module as a user would; each prints nothing, and the main one writes what came
of several tasks into a folder.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest
import torch
from safetensors.torch import load_file

from chainrule.tasks import Task, load_task, task_toml
from chainrule.training import train

Make = Callable[..., Task]

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TORCHRUN += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--local-addr", "localhost"]

PROGRAM = """
import os, sys
from pathlib import Path
import torch
from chainrule.tasks import load_task
from chainrule.tensor_files import pack_tensors
from chainrule.training import train

torch.set_num_threads(1)
folder = Path(sys.argv[1])
for file in sorted(folder.glob("*.toml")):
    run = train(load_task(file), folder=folder / file.stem)
    rank = os.environ["RANK"]
    (folder / f"{file.stem}.{rank}.safetensors").write_bytes(pack_tensors(run.model.state_dict()))
    (folder / f"{file.stem}.{rank}.findings").write_text("\\n".join(map(str, run.findings)))
"""

PARTS = '''
import torch
from torch import nn


class Partly(nn.Module):
    """Has a branch that no sample takes, and one that only some processes take."""

    def __init__(self):
        super().__init__()
        self.first, self.never, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.sometimes = nn.Linear(4, 1)

    def forward(self, x):
        hidden = self.first(x).tanh()
        y = self.last(hidden)
        rows = x[:, 0] > 0.3
        return y + rows[:, None] * self.sometimes(hidden) if rows.any() else y


class Ruined(nn.Module):
    """One sample of all gives a NaN, in one process only."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 1), Guard()

    def forward(self, x):
        return self.first(x) + self.second(x)


class Guard(nn.Module):
    def forward(self, x):
        return torch.where(x[:, :1] > 0.96, torch.nan, 0.0)
'''


def shared_tasks(make: Make, folder: Path) -> dict[str, Task]:
    """Return tasks of 23 samples in batches of 11: the last batch has one sample, and one process has none of it."""
    (folder / "parts.py").write_text(PARTS)
    keys: dict[str, Any] = {"data": {"batch_size": 11}, "stop": {"epochs": 3}, "optimizer": {"name": "SGD", "lr": 0.1}}
    classes: dict[str, Any] = {"classes": 3, **keys}
    penalty = {"kind": "L2", "strength": 0.2, "modules": "hidden1_activation"}
    weight = [1.0, 0.0, 3.0]
    return {
        "mean": make(loss="MSELoss", **keys),
        "sum": make(loss={"name": "MSELoss", "reduction": "sum"}, **keys | {"optimizer": {"name": "SGD", "lr": 0.01}}),
        "half": make(loss="HalfSumOfSquares", **keys | {"optimizer": {"name": "SGD", "lr": 0.01}}),
        "weighted": make(loss={"name": "CrossEntropyLoss", "weight": weight}, **classes),
        "weighted-sum": make(loss={"name": "CrossEntropyLoss", "weight": weight, "reduction": "sum"}, **classes),
        "penalties": make(
            loss={"name": "CrossEntropyLoss", "weight": weight},
            penalty=[
                penalty | {"normalisation": "sum"},
                penalty | {"normalisation": "mean", "kind": "L1"},
                penalty | {"normalisation": "per-sample", "modules": "hidden1"},
                penalty | {"kind": "AR"},
            ],
            **classes,
        ),
        "lbfgs": make(**keys | {"optimizer": {"name": "LBFGS", "line_search_fn": "strong_wolfe", "max_iter": 4}}),
        "full": make(**keys | {"data": {"batch_size": "full", "validation": 0.2}}),
        "unused": make(
            model={"module": f"{folder}/parts.py:Partly"},
            **keys | {"optimizer": {"name": "AdamW", "lr": 0.01, "weight_decay": 0.3}},
        ),
        "adam-float32": make(run={"device": "cpu"}, **keys | {"optimizer": {"name": "Adam", "lr": 0.01}}),
    }


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_two_processes_are_as_one(small_task: Make, tmp_path: Path) -> None:
    tasks = shared_tasks(small_task, tmp_path)
    float64 = {"device": "cpu", "precision": "float64"}
    tasks = {
        name: task if name.endswith("32") else load_task(task, {f"run.{key}": value for key, value in float64.items()})
        for name, task in tasks.items()
    }
    ruined = small_task(model={"module": f"{tmp_path}/parts.py:Ruined"}, data={"batch_size": 11}, run=float64)
    for name, task in {**tasks, "ruined": ruined}.items():
        (tmp_path / f"{name}.toml").write_text(task_toml(task))
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    command = [*TORCHRUN, str(tmp_path / "program.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    for name, task in tasks.items():
        one = train(task)
        tolerance = 1e-5 if name.endswith("32") else 1e-12
        table = polars.read_parquet(tmp_path / name / "metrics.parquet")
        for curve in ("loss", "lr", "epoch/loss", "epoch/validation_loss", "data_loss"):
            values = table.filter(name=curve)["value"].to_list()
            assert values == pytest.approx(list(one.history[curve].values), rel=tolerance), (name, curve)
        penalties = [curve for curve in one.history if curve.startswith("penalty/")]
        for curve in penalties:
            values = table.filter(name=curve)["value"].to_list()
            assert values == pytest.approx(list(one.history[curve].values), rel=tolerance), (name, curve)
        assert len(penalties) == (4 if name == "penalties" else 0)
        weights = [load_file(tmp_path / f"{name}.{rank}.safetensors") for rank in (0, 1)]
        for key, wanted in one.model.state_dict().items():
            assert torch.equal(weights[0][key], weights[1][key]), (name, key)
            assert torch.allclose(weights[0][key], wanted, rtol=tolerance * 10, atol=tolerance * 10), (name, key)
        assert load_file(tmp_path / name / "model.safetensors").keys() == one.model.state_dict().keys()
    findings = [(tmp_path / f"ruined.{rank}.findings").read_text() for rank in (0, 1)]
    assert findings[0] == findings[1]
    assert "the output of second (Guard) is the first that is not." in findings[0]


def command_line(folder: Path, *arguments: str) -> list[str]:
    return [*TORCHRUN, "-m", "chainrule", "train", *arguments, "-q"]


@pytest.mark.long
def test_digits_on_the_command_line(tmp_path: Path) -> None:
    """As the README has it, with a batch size that leaves one sample for the last batch: 1437 = 4 · 359 + 1."""
    changes = ["--stop.epochs", "2", "--data.batch_size", "359", "--run.device", "cpu"]
    command = command_line(tmp_path, "digits", *changes)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()  # no --output: one folder all the same
    one = train(load_task("digits", {"stop.epochs": 2, "data.batch_size": 359, "run.device": "cpu"}))
    table = polars.read_parquet(folder / "metrics.parquet").filter(name="loss")
    assert len(table) == 10
    assert table["value"].to_list() == pytest.approx(list(one.history["loss"].values), rel=1e-5)
    assert (folder / "report.html").is_file()
    result = json.loads((folder / "result.json").read_text())
    assert result["test"]["accuracy"] == pytest.approx(one.evaluations["test"].metric, abs=0.003)


@pytest.mark.long
def test_stopped_and_resumed_under_two_processes(small_task: Make, noisy: str, tmp_path: Path) -> None:
    """Ctrl-C in the terminal reaches torchrun and both processes; both stop, and the rest is as it would have been."""
    task = small_task(
        model={"module": f"{noisy}:Noisy"},
        data={"batch_size": 12, "validation": 0.2},
        optimizer={"name": "Adam", "lr": 0.01},
        stop={"epochs": 1500},
        run={"device": "cpu", "checkpoint_steps": 500},
    )
    (tmp_path / "task.toml").write_text(task_toml(task))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    command = command_line(tmp_path, str(tmp_path / "task.toml"), "-o", str(whole))
    subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=300)
    command = command_line(tmp_path, str(tmp_path / "task.toml"), "-o", str(stopped))
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not list((stopped / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=100) != 0
    steps = [int(path.name[5:]) for path in (stopped / "checkpoints").glob("step-*")]
    assert 500 <= max(steps) < 3000
    assert not (stopped / "metrics.parquet").exists()
    resume = [*TORCHRUN, "-m", "chainrule", "train", "--resume", str(stopped), "-q"]
    subprocess.run(resume, env=environment(), check=True, capture_output=True, timeout=300)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (stopped / "metrics.parquet").read_bytes() == (whole / "metrics.parquet").read_bytes()
