"""What is asked of a sweep's runs, what became of them, and how it goes meanwhile."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
EngineName: TypeAlias = Literal["lanes", "vmap", "loop"]


@dataclass(frozen=True, slots=True)
class Want:
    """What is to be known of each run. What is not wanted is not computed, and takes no memory.

    Attributes:
        losses: the loss of every step.
        measure: a number for each run that is computed from all its losses without keeping them: "convergence" (how
            fast it converges, below 0, or diverges), "lowest_loss", "final_loss", or "steps_to:0.01" (updates until
            the loss is at most 0.01).
        parameters: the parameters after the last update.
        gradients: the norm of the gradient at the initial weights and after the last update.
        test: loss and metric of the test part after the last update.
    """

    losses: bool = True
    measure: str | None = None
    parameters: bool = False
    gradients: bool = False
    test: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of the runs of a sweep, one entry each, in the order of the points.

    A run whose loss was not finite once has NaN from the step after it on: `chainrule train` would have stopped.

    Attributes:
        steps: how many each run was asked for.
        losses: (runs, steps), before the update of that step; None when not wanted.
        final_loss: (runs,), of the last step, before its update; NaN or infinite for a run that diverged.
        measure: (runs,); None when not wanted.
        diverged: (runs,), whether a loss was not finite.
        steps_run: (runs,), the steps whose loss was finite.
        gradient_norms: (runs, 2): ‖∂L/∂w‖₂ over all trained weights on the first batch at the initial weights, and on
            the last batch after the last update; None when not wanted.
        parameters: name → (runs, *shape) after the last update; None when not wanted.
        test_loss: (runs,), of the test part after the last update; None when not wanted.
        test_metric: (runs,), accuracy or R² of the test part; None when not wanted or when it has none.
        metric_name: "accuracy" or "R²"; empty without one.
        is_done: (runs,), False for runs that an interruption left out; their numbers are NaN.
        engine: which engine computed them: "lanes", "vmap" or "loop", or several with commas between them.
        why: why that engine, and why a faster one could not, as sentences.
        notes: what the task says and a sweep does otherwise, as sentences.
        seconds: that it took in this process.
    """

    steps: int
    losses: Numbers | None
    final_loss: Numbers
    measure: Numbers | None
    diverged: NDArray[np.bool_]
    steps_run: NDArray[np.int64]
    gradient_norms: Numbers | None
    parameters: dict[str, NDArray[Any]] | None
    test_loss: Numbers | None
    test_metric: Numbers | None
    metric_name: str
    is_done: NDArray[np.bool_]
    engine: str
    why: str
    notes: tuple[str, ...]
    seconds: float

    def __len__(self) -> int:
        return len(self.final_loss)

    @property
    def was_interrupted(self) -> bool:
        """Whether some runs were left out."""
        return not bool(self.is_done.all())

    def __repr__(self) -> str:
        lost = int(self.diverged.sum())
        return f"Outcome({len(self)} runs, {self.steps} steps, {lost} diverged, engine={self.engine!r})"


@dataclass(frozen=True, slots=True)
class Status:
    """How far a sweep is.

    Attributes:
        runs_done: runs that are finished, those of an earlier process among them.
        runs: all of them.
        seconds: since it began in this process.
        seconds_left: at the speed so far; None while there is none.
        engine: which engine computes.
    """

    runs_done: int
    runs: int
    seconds: float
    seconds_left: float | None
    engine: str


@runtime_checkable
class Progress(Protocol):
    """Is told how a sweep goes."""

    def tell(self, status: Status) -> None:
        """Take note of how far it is."""
