"""A chart's series made ready to draw: gaps for what cannot be drawn, and fewer points where nobody sees the loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from chainrule.documents import Chart, Series
from chainrule.errors import ShapeError

Numbers = npt.NDArray[np.float64]
Scale = Literal["linear", "log"]

LARGEST_DRAWN = 1e300
"""Beyond this an axis's own arithmetic overflows."""
SMALLEST_LOGARITHMIC = 1e-300
"""Below this a logarithmic axis's own arithmetic underflows."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as arrays of one length. A point that cannot be drawn has NaN for y, and for x if x is at fault.

    Attributes:
        series: where it comes from.
        x: positions, in the chart's units.
        y: values, in the chart's units.
        not_finite: how many points were NaN, infinite or beyond 1e300.
        not_positive: how many finite points a logarithmic axis cannot show.
    """

    series: Series
    x: Numbers
    y: Numbers
    not_finite: int
    not_positive: int

    @property
    def is_empty(self) -> bool:
        """Whether no point is left to draw."""
        return not bool(np.isfinite(self.y).any())


def curves_of(chart: Chart) -> tuple[Curve, ...]:
    """Return the chart's series as arrays, with gaps for what its axes cannot show.

    Raises:
        ShapeError: a series has more positions than values, or fewer.
    """
    return tuple(_curve(series, chart) for series in chart.series)


def remarks_on(curves: tuple[Curve, ...]) -> tuple[str, ...]:
    """Return the sentences that say what of the data is not drawn."""
    not_finite = sum(curve.not_finite for curve in curves)
    not_positive = sum(curve.not_positive for curve in curves)
    remarks = []
    if not_finite:
        count = f"{not_finite} point is" if not_finite == 1 else f"{not_finite} points are"
        remarks.append(f"{count} NaN, infinite or beyond 1e300, shown as gaps.")
    if not_positive:
        count = f"{not_positive} point is" if not_positive == 1 else f"{not_positive} points are"
        remarks.append(f"{count} zero, negative or below 1e-300 and left out: the axis is logarithmic.")
    return tuple(remarks)


def thin(curve: Curve, x_scale: Scale, columns: int) -> tuple[Numbers, Numbers]:
    """Return at most about 4 · columns points that draw like all of them at this width.

    Each pixel column keeps its lowest and its highest point, and each unbroken run its first and last, so spikes
    survive. Scattered points keep one of each cell of a columns × columns grid, and all four extremes. A series whose
    x goes back and forth is cut into stretches of equal length, which keep their extremes in x and in y.

    Args:
        curve: what to thin.
        x_scale: the scale of the x axis; columns are equally wide on it.
        columns: how many columns the picture has.

    Returns:
        x and y, with one NaN in both between runs.
    """
    drawable = np.flatnonzero(np.isfinite(curve.y))
    if curve.x.size <= 2 * columns or drawable.size == 0:
        return curve.x, curve.y
    x, y = curve.x[drawable], curve.y[drawable]
    if curve.series.style == "points":
        cell = _slots(_scaled(x, x_scale), columns) * columns + _slots(y, columns)
        kept = np.unique(np.concatenate([np.unique(cell, return_index=True)[1], _extremes(y), _extremes(x)]))
        return x[kept], y[kept]
    is_sorted = bool((np.diff(x) >= 0).all())
    column = _slots(_scaled(x, x_scale), columns) if is_sorted else np.arange(x.size) * columns // x.size
    breaks = np.diff(drawable) > 1
    if np.count_nonzero(breaks) > columns:
        breaks &= np.diff(column) > 1  # More gaps than columns: those narrower than a column cannot be seen.
    run = np.concatenate([[0], np.cumsum(breaks)])
    kept_parts = [_extremes_by_group(run * columns + column, y), _ends(run)]
    if not is_sorted:
        kept_parts.append(_extremes_by_group(run * columns + column, x))
    kept = np.unique(np.concatenate(kept_parts))
    gaps = np.flatnonzero(np.diff(run[kept])) + 1
    return np.insert(x[kept], gaps, np.nan), np.insert(y[kept], gaps, np.nan)


def lone_points(y: Numbers) -> npt.NDArray[np.bool_]:
    """Say which points have gaps on both sides; a line through them alone would be invisible."""
    drawable = np.concatenate([[False], np.isfinite(y), [False]])
    alone: npt.NDArray[np.bool_] = drawable[1:-1] & ~drawable[:-2] & ~drawable[2:]
    return alone


def _curve(series: Series, chart: Chart) -> Curve:
    if len(series.x) != len(series.y):
        raise ShapeError(
            what=f"The series '{series.name}' has not as many positions as values.",
            where=f"chart '{chart.key}'",
            found=f"{len(series.x)} x and {len(series.y)} y",
            expected="as many x as y",
        )
    x, y = np.array(series.x, dtype=np.float64), np.array(series.y, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        finite_x, finite_y = np.abs(x) <= LARGEST_DRAWN, np.abs(y) <= LARGEST_DRAWN
        positive_x = x > SMALLEST_LOGARITHMIC if chart.x_scale == "log" else np.ones_like(finite_x)
        positive_y = y > SMALLEST_LOGARITHMIC if chart.y_scale == "log" else np.ones_like(finite_y)
    finite, positive = finite_x & finite_y, positive_x & positive_y
    x[~(finite_x & positive_x)] = np.nan
    y[~(finite & positive)] = np.nan
    return Curve(series, x, y, int((~finite).sum()), int((finite & ~positive).sum()))


def _scaled(values: Numbers, scale: Scale) -> Numbers:
    return np.log10(values) if scale == "log" else values


def _slots(values: Numbers, count: int) -> npt.NDArray[np.int64]:
    """Number the slot of each value when their range is cut into `count` slots of equal width."""
    low, high = values.min(), values.max()
    if high == low:
        return np.zeros(values.size, dtype=np.int64)
    slots: npt.NDArray[np.int64] = np.minimum(((values - low) / (high - low) * count).astype(np.int64), count - 1)
    return slots


def _extremes(values: Numbers) -> npt.NDArray[np.int64]:
    return np.array([values.argmin(), values.argmax()])


def _extremes_by_group(group: npt.NDArray[np.int64], values: Numbers) -> npt.NDArray[np.int64]:
    order = np.lexsort((values, group))
    extremes: npt.NDArray[np.int64] = order[_ends(group[order])]
    return extremes


def _ends(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the first and the last index of each stretch of equal numbers."""
    changes = np.flatnonzero(np.diff(group))
    return np.unique(np.concatenate([[0], changes, changes + 1, [group.size - 1]]))


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Return heights in [0, 1] moved as little as is needed for labels there to be `apart` from each other."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    for lower, upper in pairwise(order):
        placed[upper] = max(placed[upper], placed[lower] + apart)
    ceiling = 1.0
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - apart
    return placed
