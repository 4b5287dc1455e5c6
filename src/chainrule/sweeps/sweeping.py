"""A task trained with many values of its hyperparameters: what became of each run, the best value and the borders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.data import load_data
from chainrule.sweeps.axes import Axis, Value, parse_axis
from chainrule.sweeps.borders import FAILURES, Border, borders_of, narrow
from chainrule.sweeps.keys import canonical_key
from chainrule.sweeps.outcome import Outcome, Progress, Want
from chainrule.sweeps.phases import Company, Evidence, Verdict, judge, measure_curve
from chainrule.sweeps.points import Grid, grid
from chainrule.sweeps.pull import PASSES_AT_MOST, least_pulls
from chainrule.sweeps.running import Scale, computing_at, run_points
from chainrule.sweeps.sweep_result import Sweep
from chainrule.tasks import Task, load_task

EngineChoice = Literal["auto", "lanes", "vmap", "loop"]
WORKED: Final = "two-two-two"
RATES_OF_THE_WORKED_EXAMPLE: Final = ".1,.2,.5,.8,1,2"
RATES: Final = "log:1e-4:10:40"
ROUNDS: Final = 2
EXTRA_AT_MOST: Final = 8
"""Values that are tried at each border in a round."""
_PULLS_AT_MOST: Final = 4000  # passes for the stuck runs of a sweep
_OTHER_PROBLEM: Final = ("model", "loss", "data", "penalty")  # what changes the lowest loss that can be reached


@dataclass(frozen=True, slots=True)
class How:
    """How a sweep is computed.

    Attributes:
        steps: updates of each run; as many as the task has when None.
        engine: "auto" takes the fastest that can.
        folder: where finished parts are kept, so that the same sweep goes on after an interruption.
        progress: is told how it goes.
        narrows: train a few more values between the two sides of a border.
        scale: "local" computes in this process, "ray" on a Ray cluster.
    """

    steps: int | None = None
    engine: EngineChoice = "auto"
    folder: Path | None = None
    progress: Progress | None = None
    narrows: bool = True
    scale: Scale = "local"


def sweep(
    task: str | Path | Mapping[str, Any] | Task,
    axes: Mapping[str, str | Sequence[Value]] | Sequence[Axis] | None = None,
    *,
    steps: int | None = None,
    engine: EngineChoice = "auto",
    folder: Path | None = None,
    progress: Progress | None = None,
    narrows: bool = True,
    scale: Scale = "local",
) -> Sweep:
    """Train a task once for every combination of values of some hyperparameters, and judge each run.

    Args:
        task: a Task, the path of a TOML file, the name of a built-in example, or a table.
        axes: hyperparameter → its values, as a list or as text: "log:1e-4:10:40", "lin:0:1:11" or ".1,.2,.5". Learning
            rates when not given: .1, .2, .5, .8, 1 and 2 for the worked examples, 40 from 1e-4 to 10 for other tasks.
        steps: updates of each run; as many as the task has when not given.
        engine: what computes the runs; "auto" takes the fastest that can.
        folder: where finished parts are kept, so that the same call goes on where another one was ended.
        progress: is told how it goes.
        narrows: train a few more values between the largest that trains and the smallest that does not: no more than
            the sweep itself has.
        scale: "ray" computes the runs on a Ray cluster; see docs/cluster.md.

    Raises:
        ChainruleError: the task, a hyperparameter or a value cannot be used.

    Example:
        >>> found = sweep("two-two-two-even", {"lr": [0.5, 2.0]}, steps=100)
        >>> [verdict.phase for verdict in found.verdicts]
        ['converging', 'converging']
        >>> found.best.value
        2.0
    """
    read = load_task(task)
    how = How(steps, engine, folder, progress, narrows, scale)
    return sweep_grid(read, grid(*_axes(read, axes)), how)


def _axes(task: Task, axes: Mapping[str, str | Sequence[Value]] | Sequence[Axis] | None) -> list[Axis]:
    if not axes:
        return [usual_axis(task)]
    if not isinstance(axes, Mapping):
        return list(axes)
    return [
        parse_axis(key, values) if isinstance(values, str) else Axis(key, tuple(values)) for key, values in axes.items()
    ]


def usual_axis(task: Task) -> Axis:
    """Return the learning rates that a task is swept over when nothing is said."""
    return parse_axis("lr", RATES_OF_THE_WORKED_EXAMPLE if task.name.startswith(WORKED) else RATES)


def sweep_grid(task: Task, points: Grid, how: How) -> Sweep:
    """Train every point of a grid and judge each run; see `sweep`."""
    with computing_at(how.scale):  # one cluster for the grid and for the values that are tried at its borders
        return _sweep_grid(task, points, how)


def _sweep_grid(task: Task, points: Grid, how: How) -> Sweep:
    keys = [canonical_key(axis.key, task) for axis in points.axes]
    is_same_problem = not any(key.partition(".")[0] in _OTHER_PROBLEM and key != "data.batch_size" for key in keys)
    changes_shapes = any(key.partition(".")[0] in ("model", "data") for key in keys)
    want = Want(losses=True, gradients=True, parameters=not changes_shapes)
    outcome = run_points(
        task,
        points,
        steps=how.steps,
        want=want,
        engine=how.engine,
        folder=_part(how, "runs"),
        progress=how.progress,
        scale=how.scale,
    )
    judging = _Judging(task, how, want, is_same_problem)
    verdicts = judging.verdicts(points, outcome)
    axis = main_axis(points.axes, keys)
    borders: tuple[Border, ...] = ()
    extra: list[Outcome] = []
    if axis is not None:
        found = [border for phase in FAILURES for border in borders_of(axis, points, verdicts, phase)]
        if how.narrows and _can_narrow(axis, keys[points.axes.index(axis)]) and not outcome.was_interrupted:
            found = narrow(found, ROUNDS, _extra(found, len(points)), lambda asked: judging.more(asked, extra))
        borders = tuple(found)
    parameterless = replace(outcome, parameters=None)
    return Sweep(task, points, parameterless, verdicts, axis, borders, sum(len(each) for each in extra))


def main_axis(axes: Sequence[Axis], keys: Sequence[str]) -> Axis | None:
    """Return the axis along which borders are looked for: a learning rate, or else the first that is a scale."""
    scales = [
        (axis, key) for axis, key in zip(axes, keys, strict=True) if axis.is_numeric and key != "seed" and len(axis) > 1
    ]
    rates = [axis for axis, key in scales if is_rate(key)]
    return next(iter([*rates, *(axis for axis, _ in scales)]), None)


def is_rate(key: str) -> bool:
    """Whether a key, in its one spelling, is a learning rate."""
    return key == "optimizer.lr" or key.startswith("lr.")


def _can_narrow(axis: Axis, key: str) -> bool:
    return is_rate(key) or (
        key.startswith(("optimizer.", "init.")) and not all(isinstance(v, int) for v in axis.values)
    )


def _extra(borders: Sequence[Border], runs: int) -> int:
    """Return how many values to try at each border in a round: no more in all than the sweep has runs."""
    are_open = sum(bool(border.between(1)) for border in borders)
    return min(EXTRA_AT_MOST, max(1, runs // (ROUNDS * max(are_open, 1))))


def _part(how: How, name: str) -> Path | None:
    return None if how.folder is None else how.folder / name


@dataclass(slots=True)
class _Judging:
    """Judges runs in the company of those of the grid."""

    task: Task
    how: How
    want: Want
    is_same_problem: bool
    company: Company | None = None
    rounds: int = 0
    samples: int = 0

    def verdicts(self, points: Sequence[Mapping[str, Any]], outcome: Outcome) -> tuple[Verdict | None, ...]:
        """Return the verdict on every run that was done."""
        evidence = [self._evidence(points[run], run, outcome) for run in range(len(outcome))]
        if self.company is None:
            self.company = _company(evidence, self.is_same_problem)
        reference = self.company.gradient
        stuck = [run for run, seen in enumerate(evidence) if seen is not None and seen.is_stuck(reference)]
        passes = max(4, min(PASSES_AT_MOST, _PULLS_AT_MOST // max(len(stuck), 1)))
        weights = [self._weights(points[run], run, outcome) for run in stuck]
        known = [(run, own) for run, own in zip(stuck, weights, strict=True) if own is not None]
        pulls = least_pulls(self.task, [points[run] for run, _ in known], [own for _, own in known], passes)
        for (run, _), pull in zip(known, pulls, strict=True):
            seen = evidence[run]
            if seen is not None:
                evidence[run] = replace(seen, pull=pull)
        return tuple(None if seen is None else judge(seen, self.company) for seen in evidence)

    def more(self, points: Sequence[Mapping[str, Any]], extra: list[Outcome]) -> tuple[Verdict | None, ...]:
        """Train more points and return their verdicts."""
        self.rounds += 1
        outcome = run_points(
            self.task,
            points,
            steps=self.how.steps,
            want=self.want,
            engine=self.how.engine,
            folder=_part(self.how, f"border-{self.rounds}"),
            scale=self.how.scale,
        )
        extra.append(outcome)
        return self.verdicts(points, outcome)

    def _evidence(self, point: Mapping[str, Any], run: int, outcome: Outcome) -> Evidence | None:
        if not outcome.is_done[run] or outcome.losses is None:
            return None
        precision = self.task.run.precision
        rounding = 2.0**-52 if precision == "float64" else 2.0**-23
        seen = measure_curve(
            outcome.losses[run],
            window=self._updates_of_an_epoch(point),
            target=self.task.stop.target_loss,
            rounding=rounding,
        )
        if outcome.gradient_norms is None:
            return seen
        first, last = outcome.gradient_norms[run].tolist()
        return replace(seen, gradient_first=first, gradient_last=last)

    def _updates_of_an_epoch(self, point: Mapping[str, Any]) -> int:
        size = point.get("data.batch_size", self.task.data.batch_size)
        if size == "full":
            return 1
        self.samples = self.samples or len(load_data(self.task.data, self.task.seed).train)
        return -(-self.samples // int(size))

    def _weights(self, point: Mapping[str, Any], run: int, outcome: Outcome) -> Mapping[str, NDArray[Any]] | None:
        """Return the weights after the last update; a run whose network has a shape of its own is made again."""
        if outcome.parameters is not None:
            return {name: value[run] for name, value in outcome.parameters.items()}
        want = Want(losses=False, parameters=True)
        again = run_points(self.task, [point], steps=self.how.steps, want=want, engine=self.how.engine)
        if again.parameters is None or again.was_interrupted:
            return None
        return {name: value[0] for name, value in again.parameters.items()}


def _company(evidence: Sequence[Evidence | None], is_same_problem: bool) -> Company:
    done = [seen for seen in evidence if seen is not None]
    ends = [seen.end for seen in done if seen.lost_at is None]
    gradients = [seen.gradient_first for seen in done if seen.gradient_first is not None]
    usual = float(np.median([value for value in gradients if np.isfinite(value)] or [0.0]))
    return Company(min(ends) if ends else None, usual, is_same_problem)
