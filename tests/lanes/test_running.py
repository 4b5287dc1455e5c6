"""Minibatches, penalties, early stops and measures."""

import dataclasses

import numpy as np
import pytest
import torch
from plain_loop import plain_losses, relative_difference
from torch import nn

from chainrule.errors import ShapeError
from chainrule.lanes import (
    Group,
    Measure,
    Runs,
    StepDescription,
    Varying,
    compile_runs,
    convergence,
    lowest_loss,
    steps_to,
    supervised,
)

RATES = np.array([0.001, 0.1, 1.0])


def classes(**changes: object) -> StepDescription:
    torch.manual_seed(4)
    network = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    samples = {"inputs": torch.randn(20, 5), "targets": torch.arange(20) % 3}
    names = tuple(name for name, _ in network.named_parameters())
    group = Group(names, {"lr": Varying("lr", 0.05)})
    description = StepDescription(network, supervised(nn.functional.cross_entropy), "Adam", (group,), samples)
    return dataclasses.replace(description, **changes)  # type: ignore[arg-type]  # the tests' own


def growing(activation: type[nn.Module] = nn.Identity) -> StepDescription:
    """A network whose losses overflow at a rate that is too high."""
    torch.manual_seed(5)
    network = nn.Sequential(nn.Linear(3, 4), activation(), nn.Linear(4, 1))
    samples = {"inputs": torch.randn(8, 3), "targets": torch.randn(8, 1)}
    names = tuple(name for name, _ in network.named_parameters())
    group = Group(names, {"lr": Varying("lr", 0.05)})
    return StepDescription(network, supervised(nn.functional.mse_loss), "SGD", (group,), samples)


def test_minibatches_in_one_order() -> None:
    description = classes(batch_size=8)
    order = np.random.default_rng(0).integers(0, 20, (30, 8))
    outcome = compile_runs(description).run(Runs(3, settings={"lr": RATES}, order=order), 30)
    assert outcome.losses is not None
    for run, rate in enumerate(RATES):
        plain = plain_losses(description, {"lr": rate}, 30, order=order)
        assert relative_difference(outcome.losses[run], plain) < 1e-12


def test_minibatches_in_an_order_of_each_run() -> None:
    description = classes(batch_size=7, order="own")
    order = np.random.default_rng(0).integers(0, 20, (3, 30, 7))
    outcome = compile_runs(description).run(Runs(3, settings={"lr": RATES}, order=order), 30)
    assert outcome.losses is not None
    for run, rate in enumerate(RATES):
        plain = plain_losses(description, {"lr": rate}, 30, order=order[run])
        assert relative_difference(outcome.losses[run], plain) < 1e-12


def test_the_strength_of_a_penalty() -> None:
    def objective(network: nn.Module, data: dict[str, torch.Tensor], read: dict[str, torch.Tensor]) -> torch.Tensor:
        penalty = sum(parameter.abs().sum() for parameter in network.parameters())
        return nn.functional.cross_entropy(network(data["inputs"]), data["targets"]) + read["strength"] * penalty

    description = classes(objective=objective, objective_settings=(Varying("strength", 0.01),))
    settings = {"lr": np.full(2, 0.01), "strength": np.array([0.0, 0.03])}
    outcome = compile_runs(description).run(Runs(2, settings=settings), 30)
    assert outcome.losses is not None
    for run in range(2):
        plain = plain_losses(description, {name: float(v[run]) for name, v in settings.items()}, 30)
        assert relative_difference(outcome.losses[run], plain) < 1e-12


@pytest.mark.parametrize("activation", [nn.Identity, nn.ReLU])
def test_stopping_early_changes_nothing(activation: type[nn.Module]) -> None:
    rates = np.geomspace(0.01, 1e4, 48)
    kernel = compile_runs(growing(activation), measure=convergence())
    early = kernel.run(Runs(48, settings={"lr": rates}), 400)
    late = kernel.run(Runs(48, settings={"lr": rates}, stops_early=False), 400)
    assert np.array_equal(early.losses, late.losses, equal_nan=True)
    assert np.array_equal(early.measure, late.measure)
    assert np.array_equal(early.lost_at, late.lost_at)
    assert (late.steps_run == 400).all()
    assert early.steps_run.min() < 400
    assert (early.steps_run >= np.where(early.lost_at < 0, 400, early.lost_at)).all()
    assert early.diverged.tolist() == (~np.isfinite(late.losses).all(axis=1)).tolist()


def published_measure(losses: np.ndarray, cap: float = 1e6, window: int = 20) -> np.ndarray:
    value = np.where(np.isfinite(losses), losses, cap)
    value = np.minimum(value / value[:, :1], cap)
    return np.where(value[:, -window:].mean(1) < 1, -value.sum(1), (1 / value).sum(1))


def test_the_measure_of_convergence() -> None:
    rates = np.geomspace(0.01, 1e3, 32)
    kernel = compile_runs(growing(), measure=convergence())
    kept = kernel.run(Runs(32, settings={"lr": rates}), 120)
    assert kept.losses is not None
    assert np.allclose(kept.measure, published_measure(kept.losses), rtol=1e-12)
    assert (kept.measure < 0).any()
    assert (kept.measure > 0).any()
    without = kernel.run(Runs(32, settings={"lr": rates}, keeps_losses=False), 120)
    assert without.losses is None
    assert np.array_equal(without.measure, kept.measure)


def law(measure: str, losses: np.ndarray) -> np.ndarray:
    if measure == "lowest":
        return np.fmin.reduce(losses, axis=1)
    reached = losses <= 0.5
    return np.where(reached.any(1), reached.argmax(1), losses.shape[1])


@pytest.mark.parametrize(("name", "measure"), [("lowest", lowest_loss()), ("steps", steps_to(0.5))])
def test_other_measures(name: str, measure: Measure) -> None:
    rates = np.geomspace(0.001, 10.0, 20)
    outcome = compile_runs(growing(), measure=measure).run(Runs(20, settings={"lr": rates}), 60)
    assert outcome.losses is not None
    assert np.array_equal(outcome.measure, law(name, outcome.losses))


def test_many_calls_are_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    description = classes(batch_size=8)
    order = np.random.default_rng(0).integers(0, 20, (30, 8))
    kernel = compile_runs(description)
    runs = Runs(40, settings={"lr": np.geomspace(1e-3, 1.0, 40)}, order=order, keeps_states=True)
    whole = kernel.run(runs, 30)
    monkeypatch.setattr("chainrule.lanes.running._CALL", kernel.code.work * 4)
    parts = kernel.run(runs, 30)
    assert np.array_equal(whole.losses, parts.losses)
    assert whole.states is not None
    assert parts.states is not None
    assert all(np.array_equal(whole.states[name], parts.states[name]) for name in whole.states)


@pytest.mark.parametrize(
    ("description", "order", "text"),
    [
        (
            classes(batch_size=8),
            None,
            "Each step takes some of the samples, and nothing says which.\n"
            "  expected: order of shape [5, 8], with numbers of samples",
        ),
        (
            classes(batch_size=8),
            np.zeros((3, 5, 8), int),
            "The numbers given for 'order' have another shape.\n  found:    [3, 5, 8]\n  expected: [5, 8]",
        ),
        (
            classes(batch_size=8),
            np.full((5, 8), 20),
            "The order names samples that there are not.\n"
            "  found:    numbers from 20 to 20\n  expected: numbers from 0 to 19",
        ),
        (
            classes(),
            np.zeros((5, 20), int),
            "There is an order of samples, but every step takes all of them.",
        ),
    ],
)
def test_an_order_that_does_not_fit(description: StepDescription, order: np.ndarray | None, text: str) -> None:
    kernel = compile_runs(description)
    with pytest.raises(ShapeError) as refused:
        kernel.run(Runs(3, settings={"lr": RATES}, order=order), 5)
    assert str(refused.value) == text
