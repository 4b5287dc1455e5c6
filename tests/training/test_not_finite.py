"""A loss that is no longer finite: which step, which tensor, what to try, and what is left in the folder."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from chainrule.tasks import Task, load_task
from chainrule.training import Run, train
from chainrule.training.checkpoints import find_checkpoints

Make = Callable[..., Task]

MODULES = '''
import torch
from torch import nn


class Logarithm(nn.Module):
    """Takes the logarithm of what becomes negative after some updates."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 1)
        nn.init.constant_(self.inner.weight, 0.0)
        nn.init.constant_(self.inner.bias, 0.3)
        self.logarithm = Log()

    def forward(self, x):
        return self.logarithm(self.inner(x))


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Root(nn.Module):
    """Its value at 0 is finite, and its slope is not."""

    def __init__(self, start=2):
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", torch.tensor([0.0, -float("inf")]))
        self.start, self.calls = start, 0

    def forward(self, x):
        self.calls += self.training
        inner = self.norm(self.inner(x))
        if self.training and self.calls > self.start:
            inner = inner * 0.0
        return inner.square().sum(dim=1, keepdim=True).sqrt()
'''


@pytest.fixture
def modules(tmp_path: Path) -> str:
    (tmp_path / "modules.py").write_text(MODULES)
    return f"{tmp_path}/modules.py"


def assert_left_over(run: Run, folder: Path) -> None:
    """The history ends in the loss that is not finite; the weights in the folder are finite."""
    assert run.diverged
    assert run.progress.stopped == "the loss is no longer finite"
    curve = run.history["loss"]
    assert curve.steps[-1] == run.progress.step
    assert not math.isfinite(curve.values[-1])
    assert all(map(math.isfinite, curve.values[:-1]))
    weights = load_file(folder / "model.safetensors")
    assert all(tensor.isfinite().all() for name, tensor in weights.items() if name != "mask")
    assert (folder / "metrics.parquet").is_file()


def test_the_output_of_a_module(small_task: Make, modules: str, tmp_path: Path) -> None:
    task = small_task(
        model={"module": f"{modules}:Logarithm"},
        data={"inputs": [[0.0, 0.0, 0.0]], "targets": [[-5.0]], "batch_size": "full"},
        loss="L1Loss",
        optimizer={"name": "SGD", "lr": 0.06},
        run={"device": "cpu", "precision": "float64"},
    )
    run = train(task, folder=tmp_path / "run")
    assert_left_over(run, tmp_path / "run")
    (finding,) = run.findings
    # b ← .3 − .06/.3 = .1, then b ← .1 − .06/.1 = −.5, and log −.5 is NaN.
    assert (
        str(finding)
        == """The loss is nan at step 3: the weights are finite, and the output of logarithm (Log) is the first that \
is not.
  where:    output of logarithm
  evidence: loss = nan, updates done = 2, learning rate = 0.06, largest |weight| = 0.5
Try a learning rate ten times lower: --optimizer.lr 0.006. Or look at what logarithm computes: an overflow, a division \
by 0, a logarithm of 0."""
    )
    assert (finding.code, finding.severity) == ("loss-not-finite", "error")
    assert run.model.get_parameter("inner.bias").item() == pytest.approx(-0.5)
    assert run.to_dict()["train"] == {"loss": None}


def test_a_rate_that_explodes(small_task: Make, tmp_path: Path) -> None:
    """w ← w − η·2(w − 1) with η = 1e60: the loss overflows long before the weight does."""
    task = small_task(
        model={"layers": [1], "bias": False, "weights": [[[0.0]]]},
        data={"inputs": [[1.0]], "targets": [[1.0]], "batch_size": "full"},
        optimizer={"name": "SGD", "lr": 1e60},
        run={"device": "cpu", "precision": "float64"},
    )
    run = train(task, folder=tmp_path)
    assert_left_over(run, tmp_path)
    largest = run.model.get_parameter("output.weight").abs().max().item()
    assert largest == pytest.approx(8e180)
    assert (
        str(run.findings[0])
        == f"""The loss is inf at step 4: the weights and the prediction are finite, and the loss itself is not.
  where:    loss MSELoss
  evidence: loss = inf, updates done = 3, learning rate = 1e+60, largest |weight| = {largest}
Try a learning rate ten times lower: --optimizer.lr 1e+59. Or check that predictions and targets lie where MSELoss is \
defined."""
    )


def test_a_gradient_that_is_nan_while_the_loss_is_finite(small_task: Make, modules: str, tmp_path: Path) -> None:
    """The update of step 3 spoils the weights; step 4 finds it, and the weights of the last snapshot are left."""
    task = small_task(
        model={"module": f"{modules}:Root"},
        data={"batch_size": 6},
        optimizer={"name": "SGD", "lr": 0.01},
        stop={"epochs": 30},
    )
    run = train(task, folder=tmp_path / "run")
    assert_left_over(run, tmp_path / "run")
    assert (
        str(run.findings[0])
        == """The loss is nan at step 4: the gradient of inner.weight was already not finite in the update before.
  where:    gradient of inner.weight
  evidence: loss = nan, updates done = 3, learning rate = 0.01, entries not finite = 6, of = 6, weights kept = those \
after update 0
Try a learning rate ten times lower: --optimizer.lr 0.001. If that does not help, clip or rescale what inner.weight \
feeds."""
    )
    assert math.isfinite(run.evaluations["train"].loss)


@pytest.mark.parametrize(("epochs", "kept"), [(8, 2 * 4), (160, 0)])
def test_the_snapshots_are_taken_twenty_times_in_a_run(
    small_task: Make, modules: str, tmp_path: Path, epochs: int, kept: int
) -> None:
    """Spoiled in the third epoch: a run of 8 epochs keeps the weights of every one, a run of 160 of every eighth."""
    task = small_task(
        model={"module": f"{modules}:Root", "arguments": {"start": 10}}, data={"batch_size": 6}, stop={"epochs": epochs}
    )
    (finding,) = train(task).findings
    assert finding.evidence["weights kept"] == f"those after update {kept}"


def test_weights_that_an_update_spoils(small_task: Make) -> None:
    """A step that overflows: the gradient is finite, the rate times the gradient is not."""
    task = small_task(
        model={"layers": [1], "bias": False, "weights": [[[0.0]]]},
        data={"inputs": [[1.0]], "targets": [[1e10]], "batch_size": "full"},
        optimizer={"name": "SGD", "lr": 1e300},
        run={"device": "cpu", "precision": "float64"},
    )
    run = train(task)
    assert (
        str(run.findings[0])
        == """The loss is inf at step 2: the weights of output.weight are not finite after the last update."""
        """
  where:    output.weight
  evidence: loss = inf, updates done = 1, learning rate = 1e+300, entries not finite = 1, of = 1, weights kept = \
those after update 0
Try a learning rate ten times lower: --optimizer.lr 1e+299."""
    )
    assert run.model.get_parameter("output.weight").item() == 0.0


def test_no_checkpoint_of_the_ruin_is_written_and_a_resume_finds_the_same(
    small_task: Make, modules: str, tmp_path: Path
) -> None:
    keys: dict[str, Any] = {
        "model": {"layers": [1], "bias": False},
        "optimizer": {"name": "SGD", "lr": 30.0},
        "run": {"device": "cpu", "checkpoint_steps": 4},
        "stop": {"epochs": 60},
    }
    run = train(small_task(**keys), folder=tmp_path)
    assert_left_over(run, tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    newest = find_checkpoints(tmp_path / "checkpoints")[-1].name
    assert newest == f"step-{run.progress.step // 4 * 4:012d}"
    again = train(load_task(tmp_path / "task.toml"), folder=tmp_path, resume=True)
    assert list(map(str, again.findings)) == list(map(str, run.findings))
    assert again.history["loss"].steps == run.history["loss"].steps
    assert again.history["loss"].values[:-1] == run.history["loss"].values[:-1]
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_hooks_are_taken_off(small_task: Make) -> None:
    run = train(small_task(optimizer={"name": "SGD", "lr": 1e30}, stop={"epochs": 60}))
    assert run.diverged
    assert not any(module._forward_hooks for module in run.model.modules())
    assert all(torch.isfinite(tensor).all() for tensor in run.model.state_dict().values())
