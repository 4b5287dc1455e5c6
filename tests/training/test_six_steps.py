"""The six steps against loops that are written out as a tutorial does, to the last bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from chainrule.shapes import Tensor
from chainrule.tasks import Task, load_task
from chainrule.training import Run, observing, train
from chainrule.training.batches import Batches
from chainrule.training.devices import placement

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.01}),
    ("LBFGS", {"lr": 0.5, "line_search_fn": "strong_wolfe", "max_iter": 5}),
]


def plain_loop(task: Task, dtype: torch.dtype) -> tuple[list[float], dict[str, Tensor]]:
    """Train as a tutorial does: a model, a loss, an optimizer and two loops."""
    inputs = torch.tensor(task.data.inputs, dtype=torch.float64).to(dtype)
    targets = torch.tensor(task.data.targets, dtype=torch.float64).to(dtype)
    torch.manual_seed(task.seed)
    model = nn.Sequential(nn.Linear(3, 4, dtype=dtype), nn.Tanh(), nn.Linear(4, 1, dtype=dtype))
    loss_fn = nn.MSELoss()
    optimizer = getattr(torch.optim, task.optimizer.name)(model.parameters(), **task.optimizer.arguments)
    size = len(inputs) if task.data.batch_size == "full" else task.data.batch_size
    batches = Batches(inputs, targets, size, task.data.shuffle, task.seed)
    losses = []
    with placement("cpu", "float64") as place:
        for epoch in range(task.stop.epochs):
            for batch in batches.epoch(epoch, 0, place):

                def closure(x: Tensor = batch.inputs, y: Tensor = batch.targets) -> Tensor:
                    optimizer.zero_grad()
                    loss: Tensor = loss_fn(model(x), y)
                    loss.backward()
                    return loss.detach()

                losses.append(float(optimizer.step(closure)))
    names = ("hidden1.weight", "hidden1.bias", "output.weight", "output.bias")
    return losses, dict(zip(names, (each.detach() for each in model.parameters()), strict=True))


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", ["full", 5])
@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_the_same_numbers_as_a_plain_loop(
    small_task: Callable[..., Task], name: str, arguments: dict[str, Any], batch_size: Any, precision: str
) -> None:
    task = small_task(
        data={"batch_size": batch_size},
        loss="MSELoss",
        optimizer={"name": name} | arguments,
        stop={"epochs": 6},
        run={"device": "cpu", "precision": precision},
        seed=3,
    )
    with torch.random.fork_rng():
        losses, weights = plain_loop(task, getattr(torch, precision))
    run = train(task)
    assert list(run.history["loss"].values[: len(losses)]) == losses
    for key, wanted in weights.items():
        assert torch.equal(run.model.state_dict()[key], wanted)


@pytest.mark.parametrize("module", ["Noisy", "NoisyByInheritance"])
@pytest.mark.parametrize("penalty", [[], [{"kind": "L2", "strength": 0.1, "modules": "first"}]])
def test_looking_on_changes_nothing(
    small_task: Callable[..., Task],
    noisy: str,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    penalty: list[dict[str, Any]],
) -> None:
    task = small_task(
        model={"module": f"{noisy}:{module}"},
        data={"batch_size": 6, "validation": 0.2},
        penalty=penalty,
        optimizer={"name": "Adam", "lr": 0.01},
    )

    def run_sampled(interval: int) -> Run:
        monkeypatch.setattr(observing, "sample_interval", lambda steps: interval)
        return train(task)

    rarely, always = run_sampled(10**9), run_sampled(1)
    assert len(always.history["gradient_norm/first.weight"]) == always.progress.step
    assert len(rarely.history["gradient_norm/first.weight"]) == 1
    assert always.history["loss"] == rarely.history["loss"]
    assert always.history["epoch/validation_loss"] == rarely.history["epoch/validation_loss"]
    for name, weights in rarely.model.state_dict().items():
        assert torch.equal(weights, always.model.state_dict()[name])


def test_the_seed_decides(small_task: Callable[..., Task], assert_same_run: Callable[[Run, Run], None]) -> None:
    one, two, other = (train(small_task(seed=seed)) for seed in (5, 5, 6))
    assert_same_run(one, two)
    assert one.history["loss"].values[0] != other.history["loss"].values[0]
    assert not torch.equal(one.model.get_parameter("hidden1.weight"), other.model.get_parameter("hidden1.weight"))


def test_generators_of_the_caller_are_left_alone(small_task: Callable[..., Task], noisy: str) -> None:
    before = torch.random.get_rng_state()
    train(small_task(model={"module": f"{noisy}:Noisy"}, data={"batch_size": 6}))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_was_drawn_before_changes_nothing(small_task: Callable[..., Task], noisy: str) -> None:
    task = small_task(model={"module": f"{noisy}:Noisy"}, data={"batch_size": 6})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = train(task)
        torch.manual_seed(2)
        two = train(task)
    assert one.history["loss"] == two.history["loss"]


def test_penalties_are_part_of_every_loss_and_of_the_last(small_task: Callable[..., Task]) -> None:
    """The loss after the last update is the one that a longer run finds there, penalties and all."""
    penalty = [{"kind": "L2", "strength": 0.5, "modules": "hidden1_activation"}]
    short = train(small_task(data={"batch_size": "full"}, penalty=penalty, stop={"epochs": 3}))
    long = train(small_task(data={"batch_size": "full"}, penalty=penalty, stop={"epochs": 5}))
    assert short.history["loss"].values == long.history["loss"].values[:4]


def test_the_last_loss_of_a_noisy_module_is_that_of_a_longer_run(small_task: Callable[..., Task], noisy: str) -> None:
    tasks = [
        small_task(model={"module": f"{noisy}:Noisy"}, data={"batch_size": "full"}, stop={"epochs": epochs})
        for epochs in (3, 5)
    ]
    short, long = map(train, tasks)
    assert short.history["loss"].values == long.history["loss"].values[:4]


def test_statistics_at_every_step_leave_no_hook_behind(small_task: Callable[..., Task]) -> None:
    run = train(small_task(penalty=[{"kind": "L1", "strength": 0.1, "modules": "hidden1_activation"}]))
    for module in run.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks


def test_shuffled_batches_hold_every_sample_once_and_depend_on_the_epoch() -> None:
    inputs = torch.arange(23.0)[:, None]
    batches = Batches(inputs, inputs, 5, True, 4)
    with placement("cpu", "float64") as place:
        epochs = [[batch.inputs[:, 0] for batch in batches.epoch(epoch, 0, place)] for epoch in range(2)]
        rest = [batch.inputs[:, 0] for batch in batches.epoch(1, 3, place)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [5, 5, 5, 5, 3]
        assert torch.cat(epoch).sort().values.tolist() == list(range(23))
    assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist()
    assert torch.equal(torch.cat(rest), torch.cat(epochs[1][3:]))


def test_batches_without_shuffling_keep_their_order() -> None:
    inputs = torch.arange(7.0)[:, None]
    with placement("cpu", "float64") as place:
        found = [batch.inputs[:, 0].tolist() for batch in Batches(inputs, inputs, 3, False, 4).epoch(2, 0, place)]
    assert found == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0]]


def test_the_first_loss_of_the_worked_example_is_that_of_its_initial_weights() -> None:
    run = train(load_task("two-two-two", {"stop.steps": 1}))
    assert run.history["loss"].steps == (0, 1)
    assert run.history["loss"].values == pytest.approx((0.24251985734837728, 0.23549537787349017), rel=1e-14)
