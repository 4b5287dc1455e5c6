"""Settings that a schedule moves, as torch's own schedulers move them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from plain_loop import relative_difference
from torch import nn
from torch.optim import lr_scheduler

from chainrule.errors import ShapeError, UnknownNameError
from chainrule.lanes import Group, Runs, Scheduled, StepDescription, Varying, compile_runs, supervised

STEPS = 24
RATES = np.array([0.01, 0.05, 0.3])
Schedule = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]

CASES: dict[str, tuple[str, Schedule]] = {
    "a factor": ("SGD", lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9)),
    "steps": ("Adam", lambda optimizer: lr_scheduler.StepLR(optimizer, 7, 0.2)),
    "a factor and an offset": ("AdamW", lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 10, 0.002)),
}


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def samples() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {
        "inputs": torch.randn(6, 3, generator=generator, dtype=torch.float64),
        "targets": torch.randn(6, 2, generator=generator, dtype=torch.float64),
    }


def describe(optimizer: str, settings: dict[str, Any], precision: Any = "float64") -> StepDescription:
    own = network()
    group = Group(tuple(name for name, _ in own.named_parameters()), settings)
    return StepDescription(own, supervised(nn.functional.mse_loss), optimizer, (group,), samples(), precision=precision)


def plain(name: str, make: Schedule, rate: float) -> tuple[Any, list[dict[str, Any]]]:
    """Return the losses of a plain run with torch's scheduler, and the group's settings in each step."""
    own, data = network(), samples()
    optimizer = getattr(torch.optim, name)(own.parameters(), lr=rate)
    scheduler = make(optimizer)
    losses, seen = [], []
    for _ in range(STEPS):
        seen.append({key: value for key, value in optimizer.param_groups[0].items() if key != "params"})
        loss = nn.functional.mse_loss(own(data["inputs"]), data["targets"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return np.array(losses), seen


def line_of(name: str, make: Schedule) -> Any:
    """Return factor and offset of each step, from what the scheduler makes of the rates 1 and 0."""
    one, zero = ([step["lr"] for step in plain(name, make, rate)[1]] for rate in (1.0, 0.0))
    return np.stack([np.subtract(one, zero), zero], axis=-1)


@pytest.mark.parametrize("case", CASES)
def test_a_schedule_moves_the_rate_of_each_run(case: str) -> None:
    optimizer, make = CASES[case]
    kernel = compile_runs(describe(optimizer, {"lr": Scheduled("moved", Varying("lr", 0.05))}))
    losses = kernel.run(Runs(3, settings={"lr": RATES}, schedules={"moved": line_of(optimizer, make)}), STEPS).losses
    assert losses is not None
    for run, rate in enumerate(RATES):
        assert relative_difference(losses[run], plain(optimizer, make, float(rate))[0]) < 1e-12
    unmoved = np.tile([1.0, 0.0], (STEPS, 1))
    other = kernel.run(Runs(3, settings={"lr": RATES}, schedules={"moved": unmoved}), STEPS).losses
    assert other is not None
    assert relative_difference(other[1], losses[1]) > 1e-3  # the schedule is not passed over


def test_a_schedule_moves_momentum_beside_the_rate() -> None:
    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        return lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=STEPS + 1)

    expected, seen = plain("Adam", make, 0.1)
    settings = {"lr": Scheduled("rate"), "beta1": Scheduled("beta1"), "beta2": 0.999}
    tables = {
        "rate": np.array([[step["lr"], 0.0] for step in seen]),
        "beta1": np.array([[step["betas"][0], 0.0] for step in seen]),
    }
    outcome = compile_runs(describe("Adam", settings)).run(Runs(1, schedules=tables), STEPS)
    assert outcome.losses is not None
    assert relative_difference(outcome.losses[0], expected) < 1e-12


def test_a_run_with_a_schedule_has_the_same_bits_among_others() -> None:
    kernel = compile_runs(describe("SGD", {"lr": Scheduled("moved", Varying("lr", 0.05))}, "float32"))
    table = line_of("SGD", CASES["a factor"][1])
    rates = np.linspace(0.01, 0.5, 70)
    many = kernel.run(Runs(70, settings={"lr": rates}, schedules={"moved": table}), STEPS, threads=2).losses
    one = kernel.run(Runs(1, settings={"lr": rates[37:38]}, schedules={"moved": table}), STEPS).losses
    assert many is not None
    assert one is not None
    np.testing.assert_array_equal(many[37], one[0])


def test_schedules_that_are_not_given() -> None:
    kernel = compile_runs(describe("SGD", {"lr": Scheduled("moved", 0.1)}))
    with pytest.raises(UnknownNameError) as absent:
        kernel.run(Runs(1), 3)
    assert str(absent.value) == (
        "The schedule 'moved' moves a setting, but the runs say nothing of it.\n"
        "  expected: an array of shape [3, 2], with a factor and an offset for each step"
    )
    with pytest.raises(UnknownNameError) as unknown:
        kernel.run(Runs(1, schedules={"mved": np.ones((3, 2))}), 3)
    assert str(unknown.value) == (
        "There is no schedule 'mved'.\n  found:    mved\n  expected: one of moved\nDid you mean 'moved'?"
    )
    with pytest.raises(ShapeError) as shape:
        kernel.run(Runs(1, schedules={"moved": np.ones((4, 2))}), 3)
    assert str(shape.value) == (
        "The numbers given for 'moved' have another shape.\n  found:    [4, 2]\n  expected: [3, 2]"
    )


def test_a_kernel_is_printed_in_a_line() -> None:
    kernel = compile_runs(describe("SGD", {"lr": 0.1}))
    assert repr(kernel) == (
        f"Kernel(Sequential, SGD, float64, {kernel.lanes} runs a block, "
        f"about {kernel.code.work:,} vector operations a step)"
    )
