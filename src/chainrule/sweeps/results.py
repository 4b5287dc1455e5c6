"""What an engine hands back, and how a measure is read from losses."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import TaskError, UnknownNameError
from chainrule.lanes import Measure, convergence, final_loss, lowest_loss, steps_to
from chainrule.shapes import Tensor
from chainrule.sweeps.outcome import EngineName, Numbers, Want
from chainrule.sweeps.problem import Problem

Rows: TypeAlias = NDArray[np.int64]
Tell: TypeAlias = Callable[[float], None]
"""Is told which share of the runs under way is computed, from 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What became of some runs, before it is looked at.

    Attributes:
        losses: (runs, steps) as computed; None when not wanted.
        final_loss: (runs,), of the last step, as computed.
        measure: (runs,); None when not wanted.
        steps_run: (runs,), the steps before the first loss that is not finite.
        states: parameters and buffers after the last update, [run, *shape]; None when not wanted.
    """

    losses: Numbers | None
    final_loss: Numbers
    measure: Numbers | None
    steps_run: NDArray[np.int64]
    states: dict[str, Tensor] | None


@runtime_checkable
class Engine(Protocol):
    """Trains runs of one group."""

    @property
    def name(self) -> EngineName:
        """Which engine it is."""

    def train(self, rows: Rows, want: Want, tell: Tell) -> Trained:
        """Train some runs of the group."""

    def on(self, problem: Problem) -> "Engine":
        """Return the engine for other values or another number of steps of the same group."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an engine cannot compute a group, as a sentence."""

    engine: EngineName
    reason: str


def needs_states(want: Want) -> bool:
    """Return whether what is wanted is read from the weights after the last update."""
    return want.parameters or want.gradients or want.test


def measure_named(name: str) -> Measure:
    """Return the measure that a name such as "convergence" or "steps_to:0.01" means.

    Raises:
        UnknownNameError: there is none of that name.
        TaskError: a target that is no finite number.
    """
    kind, colon, text = name.partition(":")
    if kind == "steps_to" and colon:
        try:
            target = float(text)
        except ValueError:
            target = math.nan
        if not math.isfinite(target):
            raise TaskError(what="The target of a measure is no finite number.", found=name, expected="steps_to:0.01")
        return steps_to(target)
    known = {"convergence": convergence, "lowest_loss": lowest_loss, "final_loss": final_loss}
    if name not in known:
        raise UnknownNameError.unknown_name("measure", name, [*known, "steps_to:TARGET"])
    return known[name]()


def measured(name: str, losses: Numbers) -> Numbers:
    """Return the measure of runs from all their losses, by the formulas of `chainrule.lanes.measures`.

    Args:
        name: as `measure_named` takes it.
        losses: (runs, steps), as computed.
    """
    with np.errstate(all="ignore"):
        found: Numbers = _measured(name, losses)
    return found


def _measured(name: str, losses: Numbers) -> Any:
    kind, _, text = name.partition(":")
    steps = losses.shape[1]
    if kind == "steps_to":
        there = losses <= float(text)
        return np.where(there.any(axis=1), there.argmax(axis=1), steps).astype(np.float64)
    if kind == "lowest_loss":
        return np.where(losses < np.inf, losses, np.inf).min(axis=1)  # a NaN is below nothing
    if kind == "final_loss":
        return losses[:, -1].copy()
    cap, window = 1e6, 20
    value = np.where(np.isfinite(losses), losses, cap)
    value = value / value[:, :1]
    value = np.where(value > cap, cap, value)
    late = value[:, -window:].sum(axis=1) / min(window, steps)
    return np.where(late < 1, -value.sum(axis=1), (1 / value).sum(axis=1))


def finite_steps(losses: Numbers) -> NDArray[np.int64]:
    """Return how many losses of each run are finite before the first that is not, for losses (runs, steps)."""
    lost = ~np.isfinite(losses)
    steps: NDArray[np.int64] = np.where(lost.any(axis=1), lost.argmax(axis=1), losses.shape[1]).astype(np.int64)
    return steps


def cut_at_divergence(losses: Numbers, steps_run: NDArray[Any]) -> Numbers:
    """Return the losses with NaN after the first that is not finite, where `chainrule train` stops."""
    return np.where(np.arange(losses.shape[1]) > steps_run[:, None], np.nan, losses)
