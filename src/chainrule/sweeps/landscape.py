"""What a map says: the share of runs that succeed, the best of them, how far the border is, and how rough it is."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chainrule.sweeps.axes import Axis
from chainrule.sweeps.box_counting import Calibration, Dimension, box_dimension, calibrate, edge_of
from chainrule.sweeps.outcome import Numbers

MARGIN: Final = 3.0
"""What is recommended has no run that fails within this factor along both axes."""
LINEAR_MARGIN: Final = 0.1
"""The same along a linear axis, in shares of its length."""
NEAR: Final = 0.5
"""Decades on both sides of a border within which its roughness is counted."""
SIDE_AT_LEAST: Final = 64
"""Pixels a side, below which box counting is not tried: at 24 it makes 0 of a straight line, and of noise."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Spot:
    """A run of a map.

    Attributes:
        row: from the bottom up.
        column: from the left.
        x: its value along x.
        y: its value along y.
        beyond: for x and for y, the next value above that fails, over its own (on a linear axis: minus its own);
            None where none fails up to the end of the map, or of the runs beside it that were made.
        below: for x and for y, its own value over the next one below that fails; None as above.
        known: along x and along y, the first and the last value around it up to which every run was made.
    """

    row: int
    column: int
    x: Any
    y: Any
    beyond: tuple[float | None, float | None]
    below: tuple[float | None, float | None]
    known: tuple[tuple[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Roughness:
    """How often lines along one axis cross the border.

    Attributes:
        lines: how many lines cross it at all.
        crossings: how often such a line does, on average: 1 is a clean border.
        per_decade: crossings within half a decade of a line's first one, over the decades that were looked at,
            averaged over lines; None on an axis that is not logarithmic.
    """

    lines: int
    crossings: float
    per_decade: float | None


@dataclass(frozen=True, slots=True)
class Landscape:
    """What a map says.

    Attributes:
        done: how many runs are known.
        share: of them that succeed.
        best: the best run; None when none succeeds.
        recommended: the best that keeps a margin to the runs that fail, where every run within the margin was made;
            None when none does.
        may_recommend: whether runs that were not made could turn another one into what is recommended.
        roughness: of the border along x and along y.
        dimension: of the border by box counting; None where the map is too small, not whole, or has no border.
        calibration: what the same estimator makes of sets whose dimension is known; None as above.
    """

    done: int
    share: float
    best: Spot | None
    recommended: Spot | None
    may_recommend: bool
    roughness: tuple[Roughness, Roughness]
    dimension: Dimension | None
    calibration: Calibration | None

    def to_dict(self, x: Axis, y: Axis) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "share": self.share,
            "best": _spot_to_dict(self.best, x, y),
            "recommended": _spot_to_dict(self.recommended, x, y),
            "may_recommend": self.may_recommend,
            "roughness": {axis.key: asdict(rough) for axis, rough in zip((x, y), self.roughness, strict=True)},
            "dimension": None if self.dimension is None else asdict(self.dimension),
            "calibration": None if self.calibration is None else asdict(self.calibration),
        }


def look_at(x: Axis, y: Axis, ranking: Numbers, succeeds: NDArray[np.bool_], is_done: NDArray[np.bool_]) -> Landscape:
    """Return what a map says.

    Args:
        x: the horizontal axis.
        y: the vertical axis.
        ranking: [row, column], the lower the better.
        succeeds: which runs succeed.
        is_done: which runs are known.
    """
    done = int(is_done.sum())
    fails = is_done & ~succeeds
    best = _lowest(x, y, ranking, succeeds, is_done, fails)
    is_safe = ~_near(fails, reach(x), reach(y))
    is_known = ~_near(~is_done, reach(x), reach(y))
    recommended = _lowest(x, y, ranking, succeeds & is_safe & is_known, is_done, fails)
    signs = np.where(is_done, np.where(succeeds, -1.0, 1.0), np.nan)
    edge = edge_of(signs) if min(signs.shape) > 1 else np.zeros((0, 0), np.bool_)
    has_dimension = min(signs.shape) >= SIDE_AT_LEAST and bool(edge.any()) and done == is_done.size
    return Landscape(
        done,
        float(succeeds.sum() / done) if done else math.nan,
        best,
        recommended,
        bool((is_safe & ~is_known & (succeeds | ~is_done)).any()),
        (_roughness(x, signs), _roughness(y, signs.T)),
        box_dimension(edge) if has_dimension else None,
        calibrate(min(signs.shape)) if has_dimension else None,
    )


def reach(axis: Axis) -> int:
    """Return how many pixels along an axis lie within the margin, 1 at least; 0 on an axis that is no range."""
    if axis.scale == "list" or len(axis) < 2:
        return 0
    low, high = float(axis.values[0]), float(axis.values[-1])
    share = math.log(MARGIN) / math.log(high / low) if axis.scale == "log" else LINEAR_MARGIN
    return max(1, int(share * (len(axis) - 1) * (1 + _ROUNDING)))


def _near(fails: NDArray[np.bool_], columns: int, rows: int) -> NDArray[np.bool_]:
    """Return which pixels have one that fails within a box of so many columns and rows on each side."""
    sums = np.zeros((fails.shape[0] + 1, fails.shape[1] + 1), np.int64)
    sums[1:, 1:] = fails.cumsum(0).cumsum(1)
    first_row, last_row = _ends(fails.shape[0], rows)
    first_column, last_column = _ends(fails.shape[1], columns)
    inside = (
        sums[last_row][:, last_column]
        - sums[first_row][:, last_column]
        - sums[last_row][:, first_column]
        + sums[first_row][:, first_column]
    )
    return np.asarray(inside > 0)


def _ends(count: int, reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places = np.arange(count)
    return np.maximum(places - reach, 0), np.minimum(places + reach + 1, count)


def _lowest(
    x: Axis,
    y: Axis,
    ranking: Numbers,
    allowed: NDArray[np.bool_],
    is_done: NDArray[np.bool_],
    fails: NDArray[np.bool_],
) -> Spot | None:
    ranked = np.where(allowed & ~np.isnan(ranking), ranking, np.inf)
    if not allowed.any() or not np.isfinite(ranked).any():
        return None
    row, column = (int(place) for place in np.unravel_index(int(ranked.argmin()), ranked.shape))
    known_x, known_y = _stretch(is_done[row], column), _stretch(is_done[:, column], row)
    beyond_x, below_x = _distances(x, fails[row], column, known_x)
    beyond_y, below_y = _distances(y, fails[:, column], row, known_y)
    ends = (_values_at(x, known_x), _values_at(y, known_y))
    return Spot(row, column, x.values[column], y.values[row], (beyond_x, beyond_y), (below_x, below_y), ends)


def _stretch(is_done: NDArray[np.bool_], place: int) -> tuple[int, int]:
    """Return the first and the last place around one that was run, with nothing left out between them."""
    above, below = np.flatnonzero(~is_done[place:]), np.flatnonzero(~is_done[:place])
    return int(below[-1]) + 1 if below.size else 0, place + int(above[0]) - 1 if above.size else len(is_done) - 1


def _values_at(axis: Axis, places: tuple[int, int]) -> tuple[Any, Any]:
    return axis.values[places[0]], axis.values[places[1]]


def _distances(
    axis: Axis, fails: NDArray[np.bool_], place: int, known: tuple[int, int]
) -> tuple[float | None, float | None]:
    """Return how far the next value above and the next below that fail are, among those that are known."""
    first, last = known
    above, below = np.flatnonzero(fails[place : last + 1]), np.flatnonzero(fails[first : place + 1])
    if axis.scale == "list":
        return None, None

    def apart(low: int, high: int) -> float:
        first, second = float(axis.values[low]), float(axis.values[high])
        return second / first if axis.scale == "log" else second - first

    return (
        apart(place, place + int(above[0])) if above.size else None,
        apart(first + int(below[-1]), place) if below.size else None,
    )


def _roughness(axis: Axis, signs: Numbers) -> Roughness:
    """Return how often lines [line, place] change their sign."""
    changes = signs[:, 1:] * signs[:, :-1] < 0
    crossing = changes.any(axis=1)
    lines = int(crossing.sum())
    if lines == 0:
        return Roughness(0, 0.0, None)
    crossings = float(changes[crossing].sum() / lines)
    if axis.scale != "log":
        return Roughness(lines, crossings, None)
    places = np.log10(np.array(axis.values, np.float64))
    middles = (places[1:] + places[:-1]) / 2
    firsts = middles[changes[crossing].argmax(axis=1)]
    is_near = np.abs(middles[None, :] - firsts[:, None]) <= NEAR
    looked_at = np.minimum(firsts + NEAR, places[-1]) - np.maximum(firsts - NEAR, places[0])
    per_decade = float(((changes[crossing] & is_near).sum(axis=1) / looked_at).mean())
    return Roughness(lines, crossings, per_decade)


def _spot_to_dict(spot: Spot | None, x: Axis, y: Axis) -> dict[str, Any] | None:
    if spot is None:
        return None
    return {
        "row": spot.row,
        "column": spot.column,
        "point": {x.key: spot.x, y.key: spot.y},
        "beyond": {x.key: spot.beyond[0], y.key: spot.beyond[1]},
        "below": {x.key: spot.below[0], y.key: spot.below[1]},
        "known": {x.key: list(spot.known[0]), y.key: list(spot.known[1])},
    }
