"""When a run ends, and what it says then."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

from chainrule.tasks import Task, load_task
from chainrule.training import Run, train
from chainrule.training.stopping import spoiled

Make = Callable[..., Task]


def stopped(make: Make, stop: dict[str, Any], **keys: Any) -> Run:
    return train(make(stop=stop, **keys))


@pytest.mark.parametrize(
    ("stop", "text", "updates"),
    [
        ({"epochs": 3}, "all 3 epochs are done", 15),
        ({"epochs": 1}, "the one epoch is done", 5),
        ({"epochs": 3, "steps": 7}, "all 7 updates are done", 7),
        ({"epochs": 3, "steps": 1}, "the one update is done", 1),
        ({"epochs": 3, "steps": 10}, "all 10 updates are done", 10),
        ({"epochs": 3, "steps": 15}, "all 3 epochs are done", 15),
    ],
)
def test_limits(small_task: Make, stop: dict[str, Any], text: str, updates: int) -> None:
    run = stopped(small_task, stop)
    assert run.progress.stopped == text
    assert run.progress.step == updates == len(run.history["loss"])
    assert (run.progress.epoch, run.progress.batch) == divmod(updates, 5)


def test_target_loss_stops_at_the_first_epoch_that_reached_it(small_task: Make) -> None:
    free = stopped(small_task, {"epochs": 30}, optimizer={"name": "Adam", "lr": 0.05})
    means = free.history["epoch/loss"].values
    target = means[9] * 1.0001
    first = next(index for index, mean in enumerate(means) if mean <= target)
    run = stopped(small_task, {"epochs": 30, "target_loss": target}, optimizer={"name": "Adam", "lr": 0.05})
    assert run.progress.epoch == first + 1
    assert run.progress.stopped == f"the loss {means[first]:.6g} reached the target {target:g}"
    assert run.history["epoch/loss"].values == means[: first + 1]


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples(small_task: Make) -> None:
    run = stopped(small_task, {"epochs": 2})
    losses = run.history["loss"].values
    for epoch, mean in enumerate(run.history["epoch/loss"].values):
        own = losses[5 * epoch : 5 * epoch + 5]
        assert mean == pytest.approx(sum(loss * size for loss, size in zip(own, (5, 5, 5, 5, 3), strict=True)) / 23)


@pytest.mark.parametrize("patience", [1, 3])
def test_convergence(small_task: Make, patience: int) -> None:
    """It stops at the end of the first `patience` epochs in a row whose mean loss moved by less than the tolerance."""
    keys = {"optimizer": {"name": "SGD", "lr": 0.2}, "data": {"batch_size": "full"}}
    free = stopped(small_task, {"epochs": 60}, **keys)
    means = free.history["loss"].values[:60]
    moves = [abs(after - before) for before, after in pairwise(means)]
    tolerance = sorted(moves)[20]
    quiet = [move < tolerance for move in moves]
    first = next(index for index in range(len(quiet)) if all(quiet[index : index + patience])) + patience + 1
    run = stopped(small_task, {"epochs": 60, "tolerance": tolerance, "patience": patience}, **keys)
    assert run.progress.epoch == first < 60
    assert run.progress.stopped == f"converged: the loss moved by less than {tolerance:g} in {patience} epochs in a row"


def test_early_stopping_keeps_the_best_weights(small_task: Make) -> None:
    run = stopped(
        small_task,
        {"epochs": 200, "early_stopping": 5},
        optimizer={"name": "Adam", "lr": 0.3},
        data={"validation": 0.3},
    )
    losses = run.history["epoch/validation_loss"].values
    best = min(range(len(losses)), key=losses.__getitem__)
    assert run.progress.stopped == f"early stopping: the validation loss was lowest after epoch {best + 1}"
    assert run.progress.epoch == len(losses) == best + 1 + 5 < 200
    assert run.progress.best_loss == losses[best] == run.evaluations["validation"].loss
    assert losses[-1] > losses[best]


def test_the_best_weights_also_count_when_another_rule_ends_the_run(small_task: Make) -> None:
    keys = {"optimizer": {"name": "Adam", "lr": 0.3}, "data": {"validation": 0.3}}
    early = stopped(small_task, {"epochs": 200, "early_stopping": 5}, **keys)
    run = stopped(small_task, {"epochs": early.progress.epoch - 1, "early_stopping": 5}, **keys)
    assert run.progress.stopped == f"all {early.progress.epoch - 1} epochs are done"
    assert run.evaluations["validation"].loss == run.progress.best_loss


def test_without_early_stopping_the_last_weights_count(small_task: Make) -> None:
    run = stopped(small_task, {"epochs": 9}, optimizer={"name": "Adam", "lr": 0.3}, data={"validation": 0.3})
    assert run.evaluations["validation"].loss == run.history["epoch/validation_loss"].values[-1]


def test_full_batches_note_the_loss_after_the_last_update() -> None:
    run = train(load_task("two-two-two", {"stop.epochs": 3}))
    assert run.history["loss"].steps == (0, 1, 2, 3)
    assert run.evaluations["train"].loss == run.history["loss"].values[3]


def test_a_mask_of_infinities_is_not_spoiled_by_the_run() -> None:
    weights = {"mask": torch.tensor([0.0, -math.inf]), "weight": torch.ones(2), "count": torch.tensor(3)}
    assert spoiled(weights) == {"mask"}
    assert spoiled({"weight": torch.tensor([math.nan])}) == {"weight"}
