"""Where along an axis the phase changes for the worse: where runs begin to diverge, and where to saturate."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

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

    def next_value(self) -> float | None:
        """Return the value between the two sides that is to be tried next; None when they are near enough."""
        low, high = self.below, self.first
        if low is None or high is None:
            return None
        if low > 0:
            return math.sqrt(low) * math.sqrt(high) if high / low > CLOSE_ENOUGH else None
        middle = low + (high - low) / 2
        return middle if high - middle > (CLOSE_ENOUGH - 1) * abs(high) else None

    def narrowed(self, value: float, phase: Phase) -> "Border":
        """Return the border with the verdict on a value between its sides."""
        extra = (*self.extra, (value, phase))
        return (
            replace(self, first=value, extra=extra) if phase == self.phase else replace(self, below=value, extra=extra)
        )


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


def narrow(borders: Sequence[Border], rounds: int, judge: Judge) -> list[Border]:
    """Halve the gap at each border some times, all borders in one call for each round.

    Args:
        borders: as `borders_of` found them.
        rounds: how often.
        judge: trains points.
    """
    found = list(borders)
    for _ in range(rounds):
        asked = [(place, value) for place, border in enumerate(found) if (value := border.next_value()) is not None]
        if not asked:
            break
        points = [{**dict(found[place].others), found[place].key: value} for place, value in asked]
        verdicts = judge(points)
        for (place, value), verdict in zip(asked, verdicts, strict=True):
            if verdict is not None:
                found[place] = found[place].narrowed(value, verdict.phase)
        if any(verdict is None for verdict in verdicts):
            break
    return found
