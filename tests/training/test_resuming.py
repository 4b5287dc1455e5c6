"""Stop anywhere, go on, and end where a run ends that never stopped: every optimizer, schedule and stop rule."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from chainrule.components import generators_outside_torch
from chainrule.errors import CheckpointError
from chainrule.registry import OPTIMIZERS, SCHEDULERS
from chainrule.tasks import Task, load_task
from chainrule.training import Run, train

Interrupt = Callable[[Task, Path, int], Run]
Same = Callable[[Run, Run], None]
Make = Callable[..., Task]

EMBEDDED = """
import torch
from torch import nn


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 3, sparse=True)

    def forward(self, x):
        return self.table((x.abs() * 3.99).long()).sum(dim=(1, 2)).unsqueeze(1)
"""

OF_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.05, "momentum": 0.9},
    "ASGD": {"lr": 0.05, "t0": 3},
    "LBFGS": {"lr": 0.3, "line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
    "Adam": {"amsgrad": True},
}

OF_SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [1, 3, 3]},
    "MultiplicativeLR": {"lr_lambda": "functions.py:shrink"},
    "LambdaLR": {"lr_lambda": "functions.py:shrink_by_epoch"},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 4},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.001, "max_lr": 0.1, "step_size_up": 3},
    "OneCycleLR": {"max_lr": 0.1},
    "PolynomialLR": {"total_iters": 4},
    "ReduceLROnPlateau": {"patience": 0, "factor": 0.5, "threshold": 0.2},
    "SequentialLR": {
        "schedulers": [{"name": "LinearLR", "total_iters": 2}, {"name": "ExponentialLR", "gamma": 0.5}],
        "milestones": [2],
    },
    "ChainedScheduler": {"schedulers": [{"name": "ConstantLR"}, {"name": "ExponentialLR", "gamma": 0.9}]},
}

FUNCTIONS = """
def shrink(epoch):
    return 0.9


def shrink_by_epoch(epoch):
    return 0.8**epoch
"""


def in_folder(arguments: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "functions.py").write_text(FUNCTIONS)
    return {
        key: f"{folder}/{value}" if isinstance(value, str) and ".py:" in value else value
        for key, value in arguments.items()
    }


@pytest.fixture
def resumed_ends_alike(interrupted: Interrupt, assert_same_run: Same, tmp_path: Path) -> Callable[..., Run]:
    def check(task: Task, *steps: int) -> Run:
        whole = train(task, folder=tmp_path / "whole")
        for step in steps:
            folder = tmp_path / f"stopped-at-{step}"
            interrupted(task, folder, step)
            resumed = train(load_task(folder / "task.toml"), folder=folder, resume=True)
            assert_same_run(resumed, whole)
            for file in ("model.safetensors", "metrics.parquet"):
                assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
            if whole.trajectory is not None:
                assert resumed.trajectory is not None
                assert resumed.trajectory.steps == whole.trajectory.steps
                assert torch.equal(torch.stack(resumed.trajectory.weights), torch.stack(whole.trajectory.weights))
                assert torch.equal(torch.stack(resumed.trajectory.gradients), torch.stack(whole.trajectory.gradients))
        return whole

    return check


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.members))
def test_every_optimizer(small_task: Make, resumed_ends_alike: Callable[..., Run], name: str, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"optimizer": {"name": name} | OF_OPTIMIZERS.get(name, {})}
    if name == "Muon":
        keys["model"] = {"layers": [4, 1], "bias": False}
    if name == "SparseAdam":
        (tmp_path / "embedded.py").write_text(EMBEDDED)
        keys["model"] = {"module": f"{tmp_path}/embedded.py:Embedded"}
    run = resumed_ends_alike(small_task(**keys), 3, 10)
    losses = run.history["loss"].values
    assert all(torch.isfinite(torch.tensor(losses)))
    assert len(set(losses)) == len(losses)


def test_numbers_that_numpy_draws(
    small_task: Make, resumed_ends_alike: Callable[..., Run], noisy: str, assert_same_run: Same
) -> None:
    task = small_task(model={"module": f"{noisy}:NoisyInNumPy"})
    before = generators_outside_torch()["numpy"]
    run = resumed_ends_alike(task, 3, 10)
    assert torch.equal(generators_outside_torch()["numpy"], before)
    assert_same_run(train(task), run)
    other = train(task.model_copy(update={"seed": task.seed + 1}))
    assert other.history["loss"].values != run.history["loss"].values


@pytest.mark.parametrize("name", sorted(SCHEDULERS.members))
def test_every_schedule(small_task: Make, resumed_ends_alike: Callable[..., Run], name: str, tmp_path: Path) -> None:
    """Each is stepped as the scheduler wants it; the rates in the history are those of torch, stepped by hand."""
    arguments = OF_SCHEDULERS[name]
    task = small_task(
        schedule={"name": name} | in_folder(arguments, tmp_path),
        optimizer={"name": "SGD", "lr": 0.05, "momentum": 0.9},
        data={"validation": 0.2},
        stop={"epochs": 6},
    )
    run = resumed_ends_alike(task, 3, 8)
    validation = run.history["epoch/validation_loss"].values
    assert list(run.history["lr"].values) == rates_by_hand(name, arguments, validation, per_epoch=4)


def rates_by_hand(name: str, arguments: dict[str, Any], validation: tuple[float, ...], per_epoch: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05, momentum=0.9)
    given = dict(arguments)
    if name == "OneCycleLR":
        given["total_steps"] = per_epoch * len(validation)
    if name == "MultiplicativeLR":
        given["lr_lambda"] = lambda epoch: 0.9
    if name == "LambdaLR":
        given["lr_lambda"] = lambda epoch: 0.8**epoch
    if "schedulers" in given:
        nested = [dict(each) for each in given.pop("schedulers")]
        built = [getattr(lr_scheduler, each.pop("name"))(optimizer, **each) for each in nested]
        scheduler = (
            lr_scheduler.SequentialLR(optimizer, built, **given)
            if name == "SequentialLR"
            else lr_scheduler.ChainedScheduler(built, optimizer)
        )
    else:
        scheduler = getattr(lr_scheduler, name)(optimizer, **given)
    rates = []
    for loss in validation:
        for _ in range(per_epoch):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if name in ("OneCycleLR", "CyclicLR"):
                scheduler.step()
        if name == "ReduceLROnPlateau":
            scheduler.step(loss)
        elif name not in ("OneCycleLR", "CyclicLR"):
            scheduler.step()
    return rates


def test_a_plateau_schedule_moved_its_rate(small_task: Make) -> None:
    """The table above would show nothing if the rate never moved."""
    schedule = {"name": "ReduceLROnPlateau"} | OF_SCHEDULERS["ReduceLROnPlateau"]
    run = train(small_task(schedule=schedule, data={"validation": 0.2}, stop={"epochs": 6}))
    assert len(set(run.history["lr"].values)) > 1


def test_a_plateau_schedule_may_watch_every_batch(small_task: Make, resumed_ends_alike: Callable[..., Run]) -> None:
    """Then it is given the loss of the update, and its rates are those of torch given the losses of the history."""
    schedule = {"name": "ReduceLROnPlateau", "per": "batch", "patience": 1, "factor": 0.5}
    run = resumed_ends_alike(small_task(schedule=schedule), 3, 8)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    by_hand = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    rates = []
    for loss in run.history["loss"].values:
        rates.append(optimizer.param_groups[0]["lr"])
        by_hand.step(loss)
    assert list(run.history["lr"].values) == rates
    assert len(set(rates)) > 1


def test_a_noisy_module_with_everything_on(
    small_task: Make, noisy: str, resumed_ends_alike: Callable[..., Run]
) -> None:
    task = small_task(
        model={"module": f"{noisy}:Noisy"},
        data={"batch_size": 6, "validation": 0.2},
        optimizer={"name": "Adam", "lr": 0.02},
        schedule={"name": "CyclicLR", "base_lr": 0.001, "max_lr": 0.05, "cycle_momentum": False},
        penalty=[{"kind": "L1", "strength": 0.01, "modules": "activation"}],
        stop={"epochs": 30, "early_stopping": 4},
    )
    run = resumed_ends_alike(task, 1, 7, 11)
    assert run.progress.stopped.startswith("early stopping")


def test_interrupted_again_and_again(
    small_task: Make, noisy: str, interrupted: Interrupt, assert_same_run: Same, tmp_path: Path
) -> None:
    task = small_task(model={"module": f"{noisy}:Noisy"}, data={"batch_size": 6}, optimizer={"name": "NAdam"})
    whole = train(task, folder=tmp_path / "whole")
    folder = tmp_path / "stopped"
    interrupted(task, folder, 2)
    for step in range(3, whole.progress.step):
        stopping = load_task(folder / "task.toml", {"stop.steps": step})
        assert train(stopping, folder=folder, resume=True).progress.step == step
    assert_same_run(train(load_task(folder / "task.toml"), folder=folder, resume=True), whole)


@pytest.mark.parametrize("batch_size", ["full", 5])
@pytest.mark.parametrize("first", [{"epochs": 3}, {"epochs": 9, "steps": 2}, {"epochs": 9, "target_loss": 0.14}])
def test_a_finished_run_goes_on_with_another_stop_rule(
    small_task: Make, tmp_path: Path, batch_size: Any, first: dict[str, Any]
) -> None:
    """All that it takes is a later stop: losses and weights are then those of one long run."""
    keys = {"data": {"batch_size": batch_size}, "optimizer": {"name": "Adam", "lr": 0.03}}
    short = train(small_task(stop=first, **keys), folder=tmp_path)
    long = train(small_task(stop={"epochs": 9}, **keys))
    changes = {"stop.epochs": 9} | {f"stop.{key}": value for key, value in {"steps": 10**6, "target_loss": 0.0}.items()}
    resumed = train(load_task(tmp_path / "task.toml", changes), folder=tmp_path, resume=True)
    assert short.progress.step < long.progress.step
    assert resumed.progress == long.progress
    for name in ("loss", "lr", "epoch/loss"):
        assert resumed.history[name] == long.history[name]
    for name, weights in long.model.state_dict().items():
        assert torch.equal(weights, resumed.model.state_dict()[name])


def test_early_stopping_goes_on_with_more_patience(small_task: Make, tmp_path: Path) -> None:
    keys = {"data": {"validation": 0.2}, "optimizer": {"name": "Adam", "lr": 0.3}}
    short = train(small_task(stop={"epochs": 40, "early_stopping": 2}, **keys), folder=tmp_path)
    long = train(small_task(stop={"epochs": 40, "early_stopping": 6}, **keys))
    resumed = train(load_task(tmp_path / "task.toml", {"stop.early_stopping": 6}), folder=tmp_path, resume=True)
    assert short.progress.epoch < long.progress.epoch < 40
    assert resumed.progress == long.progress
    assert resumed.history["loss"] == long.history["loss"]
    for name, weights in long.model.state_dict().items():
        assert torch.equal(weights, resumed.model.state_dict()[name])


def test_a_finished_run_that_is_resumed_as_it_is_stays_as_it_is(
    small_task: Make, assert_same_run: Same, tmp_path: Path
) -> None:
    task = small_task(data={"batch_size": "full"})
    done = train(task, folder=tmp_path)
    before = {
        file.name: file.read_bytes() for file in tmp_path.iterdir() if file.suffix in (".parquet", ".safetensors")
    }
    again = train(load_task(tmp_path / "task.toml"), folder=tmp_path, resume=True)
    assert_same_run(again, done)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_one_cycle_cannot_be_made_longer(small_task: Make, tmp_path: Path) -> None:
    train(small_task(schedule={"name": "OneCycleLR", "max_lr": 0.1}), folder=tmp_path)
    with pytest.raises(CheckpointError) as error:
        train(load_task(tmp_path / "task.toml", {"stop.epochs": 5}), folder=tmp_path, resume=True)
    assert (
        str(error.value)
        == f"""The schedule of this run cannot go on for so long.
  where:    {tmp_path}/checkpoints/step-000000000020
  found:    OneCycleLR made for 20 updates
  expected: 25 updates, as [stop] says now
Its rate comes down to the end that it was made for; another end would have meant other rates.
Resume with the [stop] that the run began with, or train again with the longer one."""
    )


def test_arrays_in_memory_go_on_from_those_in_the_folder(
    small_task: Make, interrupted: Interrupt, assert_same_run: Same, tmp_path: Path
) -> None:
    inputs = torch.rand(90, 3, generator=torch.Generator().manual_seed(2))
    keys: dict[str, Any] = {"data": {"inputs": inputs.numpy(), "targets": inputs.sum(dim=1).numpy(), "batch_size": 32}}
    whole = train(small_task(**keys))
    interrupted(small_task(**keys), tmp_path, 4)
    assert_same_run(train(small_task(**keys), folder=tmp_path, resume=True), whole)
    keys["data"]["targets"] = inputs.prod(dim=1).numpy()
    with pytest.raises(CheckpointError) as error:
        train(small_task(**keys), folder=tmp_path, resume=True)
    assert (
        str(error.value)
        == f"""The run began with other data.
  where:    {tmp_path}/data.safetensors
  found:    arrays that differ from it
  expected: the same inputs and targets
Resume with the arrays of the first time, or train again."""
    )


def test_no_run_to_resume(small_task: Make, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        train(small_task(), folder=tmp_path, resume=True)
    assert (
        str(error.value)
        == f"""There is no run to resume.
  where:    {tmp_path}
  found:    no task.toml
  expected: the folder of a run"""
    )


def test_no_folder_to_resume(small_task: Make) -> None:
    with pytest.raises(CheckpointError) as error:
        train(small_task(), resume=True)
    assert (
        str(error.value)
        == """There is no run to resume.
  found:    no folder
  expected: train(task, folder=..., resume=True)"""
    )


def test_killed_before_the_first_checkpoint(small_task: Make, assert_same_run: Same, tmp_path: Path) -> None:
    """The task is there, some metrics are, and no checkpoint is: the run begins anew."""
    task = small_task()
    whole = train(task, folder=tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "task.toml").write_bytes((tmp_path / "whole" / "task.toml").read_bytes())
    (tmp_path / "killed" / "metrics.jsonl").write_bytes(b'{"step": 0, "loss": 7.0, "lr": 0.1}\n{"step": 1, "lo')
    assert_same_run(train(task, folder=tmp_path / "killed", resume=True), whole)


def test_another_task_before_the_first_checkpoint(small_task: Make, tmp_path: Path) -> None:
    train(small_task(), folder=tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "task.toml").write_bytes((tmp_path / "whole" / "task.toml").read_bytes())
    with pytest.raises(CheckpointError, match=r"^The checkpoint is of another task\.\n"):
        train(small_task(seed=1), folder=tmp_path / "killed", resume=True)
