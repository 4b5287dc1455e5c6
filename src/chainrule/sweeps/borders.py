"""Where along an axis the phase changes for the worse: where runs begin to diverge, and where to saturate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from chainrule.sweeps.axes import Axis
from chainrule.sweeps.phases import Phase, Verdict

Failure = Literal["diverging", "saturated"]
FAILURES: Final[tuple[Failure, ...]] = ("diverging", "saturated")
CLOSE_ENOUGH: Final = 1.05
"""A border is not narrowed further when its two sides are nearer than this factor."""

Judge = Callable[[Sequence[Mapping[str, Any]]], Sequence[Verdict | None]]
"""Trains some points and returns their verdicts; None for runs that an interruption left out."""


@dataclass(frozen=True, slots=True)
class Border:
    """Where runs begin to diverge, or to saturate, as the value of one axis grows.

    Attributes:
        phase: which of the two.
        key: of the axis.
        others: the values of the other axes.
        below: the largest value before the first that fails so; None when already the smallest one does.
        first: the smallest value that fails so; None when none does: the border was not reached.
        largest: the largest value that was tried.
        extra: values that were tried besides, to narrow the border, and their phases.
        returns: values beyond the border that train all the same.
    """

    phase: Failure
    key: str
    others: tuple[tuple[str, Any], ...]
    below: float | None
    first: float | None
    largest: float
    extra: tuple[tuple[float, Phase], ...] = ()
    returns: tuple[float, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether some value fails so."""
        return self.first is not None

    def between(self, count: int) -> tuple[float, ...]:
        """Return so many values between the two sides, evenly spaced by factors; none when they are near enough."""
        low, high = self.below, self.first
        if low is None or high is None or high - low <= (CLOSE_ENOUGH - 1) * abs(high):
            return ()
        spaced = np.geomspace(low, high, count + 2) if low > 0 else np.linspace(low, high, count + 2)
        return tuple(spaced[1:-1].tolist())

    def narrowed(self, tried: Sequence[tuple[float, Phase]]) -> "Border":
        """Return the border with the phases of values between its sides, which come in ascending order."""
        extra = (*self.extra, *tried)
        first = next((place for place, (_, phase) in enumerate(tried) if phase == self.phase), None)
        if first is None:
            return replace(self, below=tried[-1][0] if tried else self.below, extra=extra)
        return replace(self, below=tried[first - 1][0] if first else self.below, first=tried[first][0], extra=extra)


def borders_of(
    axis: Axis, points: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict | None], phase: Failure
) -> list[Border]:
    """Return the border along a numeric axis for every combination of the other axes' values, in their order."""
    lines: dict[tuple[tuple[str, Any], ...], list[tuple[float, Verdict]]] = {}
    for point, verdict in zip(points, verdicts, strict=True):
        others = tuple((key, value) for key, value in point.items() if key != axis.key)
        line = lines.setdefault(others, [])
        if verdict is not None:
            line.append((float(point[axis.key]), verdict))
    return [_border(axis.key, others, sorted(line, key=_value), phase) for others, line in lines.items() if line]


def _value(pair: tuple[float, Verdict]) -> float:
    return pair[0]


def _border(key: str, others: tuple[tuple[str, Any], ...], line: list[tuple[float, Verdict]], phase: Failure) -> Border:
    values = [value for value, _ in line]
    failing = [place for place, (_, verdict) in enumerate(line) if verdict.phase == phase]
    if not failing:
        return Border(phase, key, others, values[-1], None, values[-1])
    first = failing[0]
    returns = tuple(value for value, verdict in line[first:] if verdict.trains)
    return Border(phase, key, others, values[first - 1] if first else None, values[first], values[-1], (), returns)


def narrow(borders: Sequence[Border], rounds: int, count: int, judge: Judge) -> list[Border]:
    """Try values between the two sides of each border, some times, all borders in one call for each round.

    Args:
        borders: as `borders_of` found them.
        rounds: how often.
        count: how many values of each border in a round.
        judge: trains points.
    """
    found = list(borders)
    for _ in range(rounds):
        asked = [(place, value) for place, border in enumerate(found) for value in border.between(count)]
        if not asked:
            break
        points = [{**dict(found[place].others), found[place].key: value} for place, value in asked]
        verdicts = judge(points)
        if any(verdict is None for verdict in verdicts):
            break
        phases = [verdict.phase for verdict in verdicts if verdict is not None]
        for place in range(len(found)):
            tried = [(value, phase) for (of, value), phase in zip(asked, phases, strict=True) if of == place]
            if tried:
                found[place] = found[place].narrowed(tried)
    return found
