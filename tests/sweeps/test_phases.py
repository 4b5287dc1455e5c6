"""Curves whose phase is known, each beside a near twin of another phase."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from chainrule.errors import ShapeError
from chainrule.sweeps.phases import PHASES, Company, Evidence, Phase, judge, measure_curve

Numbers = NDArray[np.float64]
K = np.arange(1000.0)


@dataclass(frozen=True)
class Case:
    """A curve, what is known besides, and its phase."""

    name: str
    losses: Numbers
    phase: Phase
    gradient: tuple[float, float] = (1.0, 0.5)
    pull: float | None = None
    lowest: float | None = None
    window: int = 1
    target: float | None = None
    usual_gradient: float = 0.0
    is_same_problem: bool = True


def decay(rate: float, floor: float = 0.0, start: float = 1.0, steps: int = 1000) -> Numbers:
    return floor + (start - floor) * np.exp(-rate * np.arange(steps))


def stuck_at(level: float, start: float = 1.0) -> Numbers:
    losses = np.full(1000, level)
    losses[:20] = np.linspace(start, level, 20)
    return losses


def noisy(losses: Numbers, share: float, seed: int = 0) -> Numbers:
    return losses * (1 + share * np.random.default_rng(seed).standard_normal(losses.size))


def batches(epoch_mean: Numbers, share: float, per_epoch: int, seed: int = 0) -> Numbers:
    """Losses of batches that differ from each other, while every epoch has the mean that is given."""
    spread = np.random.default_rng(seed).standard_normal((epoch_mean.size // per_epoch, per_epoch))
    spread -= spread.mean(axis=1, keepdims=True)
    return epoch_mean * (1 + share * spread.reshape(-1))


def lost(losses: Numbers, at: int, value: float = np.inf) -> Numbers:
    losses = losses.copy()
    losses[at:] = value
    return losses


def zigzag(level: Numbers, amplitude: float) -> Numbers:
    return level * (1 + amplitude * (-1.0) ** np.arange(level.size))


GONE = (1.0, 1e-9)
PAIRS: list[tuple[Case, Case]] = [
    (Case("falls to a hundredth", decay(0.005), "converging"), Case("falls by a hundredth", decay(1e-5), "too slow")),
    (
        Case("falls by 8 % at an even pace", 1 - 8e-5 * K, "too slow"),
        Case("falls by 8 % and settles", decay(0.02, 0.92), "converging"),
    ),
    (
        Case("falls by 8 % where 8.5 % can be had", 0.92 + 0.08 * np.exp(-0.01 * K), "converging", lowest=0.915),
        Case("falls by 8 % where all can be had", 0.92 + 0.08 * np.exp(-0.01 * K), "too slow", lowest=1e-4),
    ),
    (
        Case("falls by 12 %, the best by all", 1 - 1.2e-4 * K, "converging", lowest=0.0),
        Case("falls by 9 %, the best by all", 1 - 0.9e-4 * K, "too slow", lowest=0.0),
    ),
    (
        Case("still at a plateau, samples silent", stuck_at(0.5), "saturated", GONE, pull=1e-12),
        Case("still at a minimum, samples cancel", stuck_at(0.5), "converging", GONE, pull=0.4),
    ),
    (
        Case("still at 1e-4, samples silent", stuck_at(1e-4), "saturated", GONE, pull=1e-9),
        Case("still at 1e-4, samples nearly solved", stuck_at(1e-4), "converging", GONE, pull=1e-4),
    ),
    (
        Case("still at a plateau, another value gets lower", stuck_at(0.5), "saturated", GONE, 0.4, lowest=0.1),
        Case("still, all values end there", stuck_at(0.5), "converging", GONE, 0.4, lowest=0.4999999),
    ),
    (
        Case("still at 1e-4, another value gets to 1e-8", stuck_at(1e-4), "saturated", GONE, None, lowest=1e-8),
        Case("still at 1e-4, so do all", stuck_at(1e-4), "converging", GONE, None, lowest=0.99e-4),
    ),
    (
        Case(
            "still, a lower one has another network", stuck_at(0.5), "converging", GONE, 0.4, 0.1, is_same_problem=False
        ),
        Case("silent, and has another network", stuck_at(0.5), "saturated", GONE, 0.0, 0.1, is_same_problem=False),
    ),
    (
        Case("still, and gradients are gone", stuck_at(0.97), "saturated", GONE, pull=0.0),
        Case("still, and gradients are as at the start", stuck_at(0.97), "too slow", (1.0, 0.9), lowest=0.0),
    ),
    (
        Case(
            "does not move, as the gradient was tiny from the start",
            np.ones(1000),
            "saturated",
            (1e-12, 1e-12),
            0.0,
            usual_gradient=1.0,
        ),
        Case("does not move, as the rate is tiny", 1 - 1e-9 * K, "too slow", (1.0, 1.0), usual_gradient=1.0),
    ),
    (
        Case("1/updates, which is slow and moves", 1 / (1 + K), "converging", (1.0, 1e-3)),
        Case("1/updates, which then stands still", 1 / (1 + np.minimum(K, 300)), "saturated", GONE, pull=1e-14),
    ),
    (
        Case("a plateau that is left at last", np.where(K < 900, 0.5, 0.5 * np.exp(-0.1 * (K - 900))), "converging"),
        Case("a plateau that is not left", np.where(K < 10, 1.0, 0.5), "saturated", GONE, pull=0.0),
    ),
    (
        Case(
            "at zero, to rounding, with a rise now and then",
            np.where(K < 500, decay(0.2), 1e-32 * (1 + K % 3)),
            "converging",
            GONE,
            pull=0.0,
        ),
        Case(
            "at 1e-10 of the start",
            np.where(K < 500, np.maximum(decay(0.2), 1e-10), 1e-10),
            "saturated",
            GONE,
            pull=0.0,
        ),
    ),
    (
        Case("at the target, and still there", stuck_at(0.01), "converging", GONE, 0.0, target=0.011),
        Case("not at the target, and still", stuck_at(0.01), "saturated", GONE, 0.0, target=0.009),
    ),
    (
        Case("passes the target and stays", decay(0.01), "converging", target=0.01),
        Case(
            "passes the target and comes back up",
            np.concatenate([decay(0.05, steps=500), np.geomspace(0.01, 40, 500)]),
            "diverging",
            target=0.01,
        ),
    ),
    (
        Case("ends infinite", lost(decay(0.01), 700), "diverging"),
        Case("ends finite and low, after a peak", np.where(K == 20, 50.0, decay(0.01)), "converging"),
    ),
    (
        Case("NaN at the last step", lost(decay(0.01), 999, np.nan), "diverging"),
        Case("all finite", decay(0.01), "converging"),
    ),
    (
        Case("NaN at the first step", lost(decay(0.01), 0, np.nan), "diverging"),
        Case("a loss of 1e300 that falls", 1e300 * decay(0.01), "converging"),
    ),
    (
        Case("grows and stays finite", np.exp(0.01 * K), "diverging"),
        Case("grows at first, then falls", np.where(K < 100, np.exp(0.02 * K), 8 * decay(0.01)), "converging"),
    ),
    (
        Case("ends a little above the start", 1 + 1e-5 * K, "diverging"),
        Case("ends a little below the start", 1 - 1e-5 * K, "too slow"),
    ),
    (
        Case("stuck above the start, gradients gone", stuck_at(17.0), "saturated", GONE, pull=1e-12),
        Case("above the start, and gradients have grown", stuck_at(17.0), "diverging", (1.0, 30.0)),
    ),
    (
        Case("swings between two levels", zigzag(np.full(1000, 0.5), 0.4), "oscillating"),
        Case("two levels, 2 % apart", zigzag(stuck_at(0.5), 0.01), "converging"),
    ),
    (
        Case("swings around a level above the start", zigzag(np.full(1000, 2.0), -0.4) - 0.9, "diverging"),
        Case("swings around a level below the start", zigzag(np.full(1000, 0.5), 0.4) - 0.1, "oscillating"),
    ),
    (
        Case("zigzag on the way down", zigzag(decay(0.01), 0.3), "oscillating"),
        Case("no zigzag on the way down", decay(0.01), "converging"),
    ),
    (
        Case("swings of momentum that die out", decay(0.01) * (1.2 + np.cos(K / 5)) / 2.2, "oscillating"),
        Case(
            "swings of momentum that are lost in the fall",
            decay(0.05) * (1.2 + 0.2 * np.cos(K / 5)) / 1.4,
            "converging",
        ),
    ),
    (
        Case("one late peak", np.where(K == 950, 0.9, decay(0.005)), "converging"),
        Case("a peak every fifth step", np.where(K % 5 == 0, 0.5, 0.1 * decay(0.001)), "oscillating"),
    ),
    (
        Case("a limit cycle of forty steps", 0.5 + 0.3 * np.sin(2 * np.pi * K / 40), "oscillating"),
        Case("a swing that has died", 0.5 + 0.5 * np.cos(2 * np.pi * K / 40) * decay(0.02), "converging"),
    ),
    (
        Case("batches differ, epochs fall", batches(decay(0.003), 0.3, 20), "converging", window=20),
        Case(
            "epochs swing too",
            batches(zigzag(np.full(50, 0.5), 0.4).repeat(20), 0.3, 20) + 0.01,
            "oscillating",
            window=20,
        ),
    ),
    (
        Case("batches differ, epochs hardly fall", batches(decay(2e-5), 0.3, 20), "too slow", window=20),
        Case("batches differ, epochs rise", batches(1 + 1e-4 * K, 0.3, 20), "diverging", window=20),
    ),
    (
        Case(
            "leaps up in the first epoch and stays there",
            batches(np.where(K < 1, 1, 9 - 1e-3 * K), 0.1, 20),
            "diverging",
            window=20,
        ),
        Case("high in the first epoch", batches(9 - 6e-3 * K, 0.1, 20), "converging", window=20),
    ),
    (
        Case("half an epoch of noise", noisy(decay(1e-5), 0.2), "too slow", window=2000),
        Case("half an epoch that grows", noisy(np.exp(0.003 * K), 0.2), "diverging", window=2000),
    ),
    (
        Case("a negative loss that settles", decay(0.02, -3.0), "converging", (1.0, 1e-3), pull=0.3),
        Case("a negative loss that grows", -3 + 1e-2 * K, "diverging"),
    ),
    (
        Case("a single step", np.ones(1), "too slow", (1.0, 1.0)),
        Case("a step to NaN", np.array([1.0, np.nan]), "diverging"),
    ),
    (
        Case("two steps down", np.array([1.0, 0.5]), "converging"),
        Case("two steps up", np.array([1.0, 1.5]), "diverging"),
    ),
]
CASES = [case for pair in PAIRS for case in pair]


def verdict_of(case: Case, change: Callable[[Numbers], Numbers] = lambda losses: losses, factor: float = 1.0) -> Phase:
    target = None if case.target is None else case.target * factor
    evidence = measure_curve(change(case.losses), window=case.window, target=target)
    first, last = case.gradient
    evidence = replace(evidence, gradient_first=first, gradient_last=last, pull=case.pull)
    lowest = None if case.lowest is None else case.lowest * factor
    return judge(evidence, Company(lowest, case.usual_gradient, case.is_same_problem)).phase


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_phase_of_a_known_curve(case: Case) -> None:
    assert verdict_of(case) == case.phase


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_the_units_of_the_loss_do_not_matter(case: Case, factor: float) -> None:
    assert verdict_of(case, lambda losses: losses * factor, factor) == case.phase


def test_there_are_forty_curves_and_all_phases_among_them_and_twins_differ() -> None:
    assert len(CASES) >= 40
    assert {case.phase for case in CASES} == set(PHASES)
    assert len({case.name for case in CASES}) == len(CASES)
    different = [first.phase != second.phase for first, second in PAIRS]
    assert sum(different) == len(PAIRS)


def test_steps_after_a_loss_that_is_not_finite_are_not_looked_at() -> None:
    first, second = decay(0.01), decay(0.01)
    first[300:], second[300], second[301:] = np.nan, np.inf, -5.0
    assert measure_curve(first) == measure_curve(second)
    assert measure_curve(first).lost_at == 300


def test_the_numbers_of_a_small_curve() -> None:
    seen = measure_curve(np.array([8.0, 4.0, 5.0, 3.0, 1.0, 2.0, 1.0, 1.5, 1.0, 1.0]))
    assert (seen.start, seen.end, seen.last, seen.lowest, seen.steps) == (8.0, 1.0, 1.0, 1.0, 10)
    assert (seen.first_rise, seen.rises, seen.rises_late) == (1, 3 / 9, 1 / 4)
    assert seen.undone == 0.5 / 1.5
    assert (seen.movement, seen.pace, seen.lost_at, seen.solved_at) == (0.0, 0.0, None, None)


def test_solved_is_when_the_loss_came_to_stay() -> None:
    assert measure_curve(decay(1.0, steps=100)).solved_at == 37  # e⁻³⁷ is the first power below 2⁻⁵²
    assert measure_curve(decay(1.0, steps=100), rounding=2.0**-23).solved_at == 16
    assert measure_curve(np.array([1.0, 0.1, 0.5, 0.1, 0.05]), target=0.2).solved_at == 3
    assert measure_curve(np.array([1.0, 0.1, 0.5, 0.1, 0.3]), target=0.2).solved_at is None


def test_the_reason_quotes_the_numbers() -> None:
    stuck = replace(measure_curve(stuck_at(1e-4)), gradient_first=1.0, gradient_last=1e-9, pull=1e-9)
    reason = "the loss stands still at 0.0001, the gradient is 1e-09 of the first, "
    assert judge(stuck).reason == f"{reason}and no sample pulls on some layer any more"
    assert judge(replace(stuck, pull=None), Company(1e-8)).reason == f"{reason}and another value ends at 1e-08"
    assert judge(measure_curve(lost(decay(0.01), 700))).reason == "the loss is not finite after 700 updates"
    slow = measure_curve(decay(1e-5))
    assert judge(slow).reason == "the loss fell by 0.945%, and at the end as fast as at the start"
    assert judge(slow, Company(0.5)).reason == "the loss fell by 0.945%; with another value it falls by 50%"


def test_gradients_that_are_not_known_leave_nothing_stuck() -> None:
    seen: Evidence = measure_curve(stuck_at(0.5))
    assert not seen.is_stuck()
    assert seen.gradient_ratio() is None
    assert replace(seen, gradient_first=0.0, gradient_last=0.0).is_stuck()


@pytest.mark.parametrize("shape", [(0,), (3, 4)])
def test_losses_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as raised:
        measure_curve(np.ones(shape))
    assert str(raised.value) == (
        "The phase of a run is judged from the losses of its steps.\n"
        f"  found:    an array of shape {shape}\n"
        "  expected: shape (steps,), with one step at least"
    )
