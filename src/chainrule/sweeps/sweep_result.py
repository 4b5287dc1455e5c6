"""What a sweep found: curves, phases, the best run, and where runs begin to fail."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

import numpy as np
import polars

from chainrule.documents import Shown
from chainrule.sweeps.axes import Axis
from chainrule.sweeps.borders import Border, Failure
from chainrule.sweeps.outcome import Numbers, Outcome
from chainrule.sweeps.phases import PHASES, Phase, Verdict
from chainrule.sweeps.points import Grid
from chainrule.tasks import Task

MARGIN: Final = 3.0
"""What is recommended is at least this factor below the first value that fails."""
_EVIDENCE: Final = (
    "start", "end", "last", "lowest", "first_rise", "lost_at", "solved_at", "rises", "rises_late", "undone", "movement",
    "pace", "gradient_first", "gradient_last", "pull",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Best:
    """The run that did best, or the one that is recommended.

    Attributes:
        run: its number.
        point: its values.
        value: of the main axis, or of the only one; None where there are several and none is a scale.
        verdict: on it.
        margin: the first value beyond it that fails, over its own; None where none fails or the axis is no scale.
    """

    run: int
    point: Mapping[str, Any]
    value: Any
    verdict: Verdict
    margin: float | None


@final
@dataclass(frozen=True, slots=True, eq=False)
class Sweep(Shown):
    """A task trained with many values of its hyperparameters.

    Attributes:
        task: what was trained.
        points: the values of each run.
        outcome: what became of the runs.
        verdicts: on each run, in the order of the points; None for runs that an interruption left out.
        axis: along which the borders lie: a learning rate, or the first scale; None where there is none.
        borders: where runs begin to diverge, and to saturate, for every combination of the other axes' values.
        extra_runs: how many runs were made to narrow the borders.
    """

    task: Task
    points: Grid
    outcome: Outcome
    verdicts: tuple[Verdict | None, ...]
    axis: Axis | None
    borders: tuple[Border, ...]
    extra_runs: int

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {phase}" for phase, count in self.counts.items() if count)
        return f"Sweep({self.task.name!r}, {len(self)} runs: {counts})"

    def __len__(self) -> int:
        return len(self.points)

    @property
    def curves(self) -> Numbers:
        """The losses, (runs, steps): before each update, NaN after the first that is not finite."""
        losses = self.outcome.losses
        return np.empty((len(self), 0)) if losses is None else losses

    @property
    def counts(self) -> dict[Phase, int]:
        """How many runs are in each phase."""
        phases = [verdict.phase for verdict in self.verdicts if verdict is not None]
        return {phase: phases.count(phase) for phase in PHASES}

    @property
    def best(self) -> Best | None:
        """The run that ends with the lowest loss, the sooner where several are solved; None when none trains."""
        return self._lowest(0.0)

    @property
    def recommended(self) -> Best | None:
        """The best of the runs that are a margin away from failing; the best of all when none is, or without scale."""
        return self._lowest(MARGIN) or self.best

    @property
    def edge(self) -> Border | None:
        """The border of divergence, of the other axes' first values; None without a scale."""
        return self.border("diverging")

    def border(self, phase: Failure) -> Border | None:
        """Return where runs begin to diverge or to saturate, of the other axes' first values; None without a scale."""
        return next((border for border in self.borders if border.phase == phase), None)

    def borders_at(self, point: Mapping[str, Any]) -> list[Border]:
        """Return the borders of the line on which a point lies."""
        return [border for border in self.borders if all(point[key] == value for key, value in border.others)]

    def _lowest(self, margin: float) -> Best | None:
        found: list[tuple[tuple[float, float], Best]] = []
        for run, verdict in enumerate(self.verdicts):
            if verdict is None or not verdict.trains:
                continue
            seen = verdict.evidence
            rank = (0.0, float(seen.solved_at)) if seen.solved_at is not None else (1.0, seen.end)
            best = self._best(run, verdict)
            if margin and best.margin is not None and best.margin < margin:
                continue
            found.append((rank, best))
        return min(found, key=_rank)[1] if found else None

    def _best(self, run: int, verdict: Verdict) -> Best:
        point = self.points[run]
        axis = self.axis or (self.points.axes[0] if len(self.points.axes) == 1 else None)
        value = None if axis is None else point[axis.key]
        margin = None if self.axis is None else self._margin(point, float(point[self.axis.key]))
        return Best(run, point, value, verdict, margin)

    def _margin(self, point: Mapping[str, Any], value: float) -> float | None:
        firsts = [border.first for border in self.borders_at(point) if border.first is not None]
        beyond = [first for first in firsts if first > value]
        return min(beyond) / value if beyond and value > 0 else None

    def to_polars(self) -> polars.DataFrame:
        """Return one row for each run: its values, its phase, why, and the numbers behind it."""
        rows: list[dict[str, Any]] = []
        for run, verdict in enumerate(self.verdicts):
            row: dict[str, Any] = {"run": run, **self.points[run]}
            if verdict is not None:
                evidence = asdict(verdict.evidence)
                row |= {"phase": verdict.phase, "reason": verdict.reason}
                row |= {name: evidence[name] for name in _EVIDENCE}
            rows.append(row)
        return polars.DataFrame(rows, infer_schema_length=None)

    def losses_to_polars(self) -> polars.DataFrame:
        """Return one row for each step of each run: run, its values, step, loss before that update."""
        runs, steps = self.curves.shape
        columns: dict[str, Any] = {"run": np.repeat(np.arange(runs), steps)}
        for axis in self.points.axes:
            values = [self.points[run][axis.key] for run in range(runs)]
            columns[axis.key] = polars.Series(values, strict=False).gather(polars.Series(columns["run"]))
        columns |= {"step": np.tile(np.arange(steps), runs), "loss": self.curves.reshape(-1)}
        return polars.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as JSON-able data, without the curves."""
        return {
            "task": self.task.name,
            "steps": self.outcome.steps,
            "runs": self.to_polars().to_dicts(),
            "phases": dict(self.counts),
            "best": _best_to_dict(self.best),
            "recommended": _best_to_dict(self.recommended),
            "borders": [_border_to_dict(border) for border in self.borders],
            "extra_runs": self.extra_runs,
            "was_interrupted": self.outcome.was_interrupted,
            "engine": self.outcome.engine,
            "why": self.outcome.why,
            "notes": list(self.outcome.notes),
            "seconds": self.outcome.seconds,
        }


def _rank(pair: tuple[tuple[float, float], Best]) -> tuple[float, float]:
    return pair[0]


def _best_to_dict(best: Best | None) -> dict[str, Any] | None:
    if best is None:
        return None
    evidence = best.verdict.evidence
    found = {"run": best.run, "point": dict(best.point), "phase": best.verdict.phase, "end": evidence.end}
    return {**found, "solved_at": evidence.solved_at, "margin": best.margin}


def _border_to_dict(border: Border) -> dict[str, Any]:
    return {
        "phase": border.phase,
        "key": border.key,
        "others": dict(border.others),
        "is_reached": border.is_reached,
        "below": border.below,
        "first": border.first,
        "largest": border.largest,
        "extra": [{"value": value, "phase": phase} for value, phase in border.extra],
        "returns": list(border.returns),
    }
