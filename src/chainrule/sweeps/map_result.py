"""A map: what became of the runs over a grid of two hyperparameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, final

import numpy as np
import polars
from numpy.typing import NDArray

from chainrule.documents import Shown
from chainrule.shapes import Bool, Float
from chainrule.sweeps.axes import Axis, Value
from chainrule.sweeps.landscape import Landscape, look_at
from chainrule.sweeps.outcome import Numbers
from chainrule.tasks import Task

State = Literal["not run", "converged", "diverged"]
STATES: Final[tuple[State, ...]] = ("not run", "converged", "diverged")


@dataclass(frozen=True, slots=True)
class MapPlan:
    """What a map is of.

    Attributes:
        x: the horizontal axis, from left to right.
        y: the vertical axis, from the bottom up.
        fixed: what a task has no key for and all runs have in common, such as lr.2.
        measure: the number of each run: "convergence", "final_loss", "lowest_loss", "steps_to:0.01" or
            "test_accuracy".
        steps: updates of each run; as many as the task has when None.
        engine: as it was asked for.
    """

    x: Axis
    y: Axis
    fixed: Mapping[str, Value]
    measure: str
    steps: int | None = None
    engine: Literal["auto", "lanes", "vmap", "loop"] = "auto"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y), len(self.x)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Map(Shown):
    """A map of complete trainings over two hyperparameters.

    Every array has a row for each value of y, from the bottom up, and a column for each value of x.

    Attributes:
        task: what was trained.
        plan: the axes and the measure.
        steps: updates of each run.
        measure: the number of each run; NaN where it was not run or has none, as "steps_to" of a run that never reaches
            the target.
        convergence: the published measure of how fast a run converges (below 0) or diverges (above); None where the
            measure of the map could not be computed beside it.
        final_loss: before the last update; NaN or infinite for a run that diverged.
        diverged: whether a loss was not finite.
        steps_run: the steps whose loss was finite.
        is_done: False for runs that an interruption left out.
        metric_name: of a test metric, "accuracy" or "R²"; else empty.
        engine: which engine computed the runs.
        why: why that one, as sentences.
        notes: what the task says and a map does otherwise, as sentences.
        seconds: that it took in the process that finished it.
    """

    task: Task
    plan: MapPlan
    steps: int
    measure: Float[np.ndarray, "rows columns"]
    convergence: Float[np.ndarray, "rows columns"] | None
    final_loss: Float[np.ndarray, "rows columns"]
    diverged: Bool[np.ndarray, "rows columns"]
    steps_run: NDArray[np.int64]
    is_done: Bool[np.ndarray, "rows columns"]
    metric_name: str
    engine: str
    why: str
    notes: tuple[str, ...]
    seconds: float

    def __repr__(self) -> str:
        rows, columns = self.measure.shape
        done = f"{int(self.is_done.sum())} of " if self.was_interrupted else ""
        return (
            f"Map({self.task.name!r}, {self.plan.x.key} by {self.plan.y.key}, {done}{columns} by {rows} runs, "
            f"measure={self.plan.measure!r})"
        )

    def __len__(self) -> int:
        return self.measure.size

    @property
    def was_interrupted(self) -> bool:
        """Whether some runs were left out."""
        return not bool(self.is_done.all())

    @property
    def x_values(self) -> Numbers:
        """The values along x, where they are numbers."""
        return np.array(self.plan.x.values, np.float64)

    @property
    def y_values(self) -> Numbers:
        """The values along y, where they are numbers."""
        return np.array(self.plan.y.values, np.float64)

    @property
    def succeeds(self) -> NDArray[np.bool_]:
        """Which runs did what is asked for: they converged, or what the measure says instead.

        By the sign of the published measure (the mean of the last 20 losses is below the first loss) where it is
        known; for "steps_to" runs that reach the target; for "lowest_loss" runs whose loss stays finite.
        """
        if self.convergence is not None:
            return np.asarray(self.is_done & (self.convergence < 0))
        if self.plan.measure.startswith("steps_to"):
            return np.asarray(self.is_done & (self.measure < self.steps))
        return np.asarray(self.is_done & ~self.diverged)

    @property
    def states(self) -> NDArray[np.uint8]:
        """What became of each run, as a place in STATES."""
        return np.where(self.is_done, np.where(self.succeeds, 1, 2), 0).astype(np.uint8)

    def landscape(self) -> Landscape:
        """Return what the map says: the share that converges, the best runs, and what the border is like."""
        return look_at(self.plan.x, self.plan.y, self.ranking, self.succeeds, self.is_done)

    @property
    def ranking(self) -> Numbers:
        """A number that is the lower the better: the measure, or what it is the other way round."""
        is_upward = self.plan.measure in ("convergence", "test_accuracy")
        return np.asarray(-self.measure if is_upward else self.measure)

    def point(self, row: int, column: int) -> dict[str, Value]:
        """Return the values that a run has for what varies."""
        return {
            **self.plan.fixed,
            self.plan.y.key: self.plan.y.values[row],
            self.plan.x.key: self.plan.x.values[column],
        }

    def to_polars(self) -> polars.DataFrame:
        """Return one row for each run, row by row from the bottom left: its values, its state and its numbers."""
        rows, columns = self.measure.shape
        states = np.array(STATES)[self.states.reshape(-1)]
        data: dict[str, Any] = {
            self.plan.x.key: polars.Series(list(self.plan.x.values) * rows, strict=False),
            self.plan.y.key: polars.Series(
                [value for value in self.plan.y.values for _ in range(columns)], strict=False
            ),
            "state": states.tolist(),
            "measure": self.measure.reshape(-1),
            "final_loss": self.final_loss.reshape(-1),
            "diverged": self.diverged.reshape(-1),
            "steps_run": self.steps_run.reshape(-1),
        }
        if self.convergence is not None and self.plan.measure != "convergence":
            data["convergence"] = self.convergence.reshape(-1)
        return polars.DataFrame(data)

    def to_dict(self) -> dict[str, Any]:
        """Return what the map says as JSON-able data, without the numbers of each run."""
        return {
            "task": self.task.name,
            "x": _axis_to_dict(self.plan.x),
            "y": _axis_to_dict(self.plan.y),
            "fixed": dict(self.plan.fixed),
            "measure": self.plan.measure,
            "steps": self.steps,
            "runs": len(self),
            "done": int(self.is_done.sum()),
            **self.landscape().to_dict(self.plan.x, self.plan.y),
            "was_interrupted": self.was_interrupted,
            "engine": self.engine,
            "why": self.why,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }


def _axis_to_dict(axis: Axis) -> dict[str, Any]:
    return {"key": axis.key, "first": axis.values[0], "last": axis.values[-1], "count": len(axis), "scale": axis.scale}
