"""A recorded step of a task is the step that a run takes: bit for bit, wherever the run is."""

from typing import Any

import pytest
import torch

from chainrule.data import load_data
from chainrule.errors import TaskError
from chainrule.shapes import Tensor
from chainrule.tasks import Task, load_task
from chainrule.trace import Statistics
from chainrule.training import train
from chainrule.training.recorded_step import record_step

SCHEDULED: dict[str, Any] = {
    "name": "scheduled",
    "data": {"source": "iris", "test": 0.2, "validation": 0.2, "batch_size": 16},
    "model": {"layers": [8, 3], "activation": "Tanh"},
    "loss": {"name": "CrossEntropyLoss"},
    "optimizer": {"name": "SGD", "lr": 0.1, "momentum": 0.9},
    "schedule": {"name": "OneCycleLR", "max_lr": 0.2},
    "stop": {"epochs": 3},
}
PENALISED = {
    **SCHEDULED,
    "name": "penalised",
    "schedule": {"name": "ExponentialLR", "gamma": 0.5},
    "penalty": [{"kind": "L2", "strength": 0.05, "modules": "type:Tanh"}],
}
TASKS = {"scheduled": SCHEDULED, "penalised": PENALISED}


def task_of(name: str, changes: dict[str, str] | None = None) -> Task:
    return load_task(TASKS.get(name, name), changes)


@pytest.mark.parametrize("name", ["two-two-two", "scheduled", "penalised"])
@pytest.mark.parametrize("step", [0, 1, 7, 12])
def test_the_recorded_step_is_the_step_of_the_run(name: str, step: int) -> None:
    changes = {"stop.epochs": "20"} if name == "two-two-two" else None
    history = train(task_of(name, changes)).history
    trace = record_step(task_of(name, changes), step)
    assert trace.loss is not None
    loss = trace.values[trace.loss].data
    assert isinstance(loss, Tensor)
    assert loss.item() == history["loss"].values[step]
    # The schedule of a whole run is not that of a shorter one: only rates that do not depend on the end are compared.
    if name != "scheduled":
        weights = train(task_of(name, {**(changes or {}), "stop.steps": str(step + 1)})).model.state_dict()
        for update in trace.updates:
            assert isinstance(update.after, Tensor)
            assert torch.equal(update.after, weights[update.parameter])
    rates = {update.hyperparameters["lr"] for update in trace.updates}
    assert rates == {history["lr"].values[history["lr"].steps.index(step)]}


def test_penalties_are_part_of_the_recorded_loss() -> None:
    plain = {key: part for key, part in PENALISED.items() if key != "penalty"}
    with_penalty, without = record_step(task_of("penalised")), record_step(load_task(plain))
    assert sum(op.phase == "loss" for op in with_penalty.ops) > sum(op.phase == "loss" for op in without.ops)


def test_bfloat16_is_recorded_as_it_is_trained() -> None:
    task = task_of("scheduled", {"run.precision": "bf16"})
    trace = record_step(task, 3)
    loss = trace.values[trace.loss or 0].data
    assert isinstance(loss, Tensor)
    assert loss.item() == train(task).history["loss"].values[3]
    assert {op.autocast for op in trace.ops_in("forward")} == {"bfloat16"}


def test_the_recording_knows_its_task_and_leaves_the_generators_alone() -> None:
    torch.manual_seed(11)
    state = torch.get_rng_state()
    trace = record_step(task_of("two-two-two"), 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert (trace.about["task"], trace.about["step"]) == ("two-two-two", 2)
    assert trace.about["loss"] == "E = ½ Σ (t − a)², the sum over samples and outputs"


def test_statistics_are_kept_when_they_are_asked_for() -> None:
    trace = record_step(task_of("scheduled"), keep="statistics")
    assert {type(value.data) for value in trace.values} == {Statistics}


ERRORS = {
    -1: "There is no such step.\n  found:    step -1\n  expected: 0 or more; 0 is the first",
    18: (
        "'scheduled' has no step 18.\n  found:    step 18\n  expected: 0 to 17\n"
        "A longer run has more steps: --stop.epochs."
    ),
}


@pytest.mark.parametrize("step", ERRORS)
def test_a_step_that_the_run_does_not_have(step: int) -> None:
    task = task_of("scheduled")
    assert -(-len(load_data(task.data, task.seed).train) // 16) * 3 == 18
    with pytest.raises(TaskError) as caught:
        record_step(task, step)
    assert str(caught.value) == ERRORS[step]


def test_a_run_that_ends_before_the_step_says_why() -> None:
    with pytest.raises(TaskError) as caught:
        record_step(task_of("two-two-two", {"stop.target_loss": "0.24"}), 50)
    assert str(caught.value).startswith("The run does not come as far as step 50.\n  found: it ended at step ")
    assert str(caught.value).endswith("Record an earlier step.")


def test_a_loss_that_is_no_longer_finite_can_itself_be_recorded() -> None:
    task = load_task(
        {
            "name": "diverging",
            "data": {"inputs": [[1.0, 2.0], [3.0, 4.0]], "targets": [[1.0], [2.0]]},
            "model": {"layers": [3, 1], "activation": "Softplus", "output_activation": "Identity"},
            "loss": {"name": "HalfSumOfSquares"},
            "optimizer": {"name": "SGD", "lr": 1e9},
            "stop": {"epochs": 50},
        }
    )
    with pytest.raises(TaskError) as caught:
        record_step(task, 40)
    text = str(caught.value)
    assert "the loss is no longer finite\n" in text
    step = int(text.split("it ended at step ")[1].split(":")[0])
    assert text.endswith(f"Record step {step} to see why.")
    trace = record_step(task, step)
    loss = trace.values[trace.loss or 0].data
    assert isinstance(loss, Tensor)
    assert not loss.isfinite()
