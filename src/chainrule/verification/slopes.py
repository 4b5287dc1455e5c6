"""The slope of a function along a line, by central differences, with an estimate of how far off it is."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from chainrule.verification.branches import Branches, Kink
from chainrule.verification.finite_differences import EPSILON

Along = Callable[[float, bool], tuple[float, Branches | None]]

TOLERANCE = 1e-7  # of the larger of gradient, difference and floor: more is an error
GUARD = 10  # by how much an error must exceed the estimated uncertainty of the difference

STEP = 2.0**-15
_SMALLEST, _LARGEST = 2.0**-31, 2.0**-5
_LONGEST_FIRST = 2.0**-8
_DOWN, _UP, _PAST_KINKS = 2.0**-5, 2.0**3, 2.0**-8
_ROUNDING = 3  # by how many noises over the step the extrapolation is off
_LEVELS = 5
EVALUATIONS = 6 * _LEVELS  # at most, for one slope
_CORNER = 0.75  # gap of a half step over gap of a step: 0.5 for a smooth function, 1 for a corner


@dataclass(frozen=True, slots=True)
class Slope:
    """A difference quotient.

    Attributes:
        value: the slope, by Richardson's extrapolation of the quotients of a step and of its half.
        uncertainty: how far off it may be: what the extrapolation changed (truncation), the noise of the function
            over the step (rounding), and half the difference of the slopes at both sides where a kink was crossed.
        step: the step.
        kinks: ops that took another branch within the step.
        is_corner: whether the slopes at both sides differ, however short the step is.
    """

    value: float
    uncertainty: float
    step: float
    kinks: tuple[Kink, ...] = ()
    is_corner: bool = False

    @property
    def floor(self) -> float:
        """Below this size, a gradient's error of `TOLERANCE` of itself is not seen."""
        return GUARD * self.uncertainty / TOLERANCE


@dataclass(frozen=True, slots=True)
class Expected:
    """What a slope is held against.

    Attributes:
        exact: what the backward pass says that it is.
        scale: a slope that is known to within `TOLERANCE` of this is known well enough.
        noise: by how much a value of the function is off.
        here: the function at 0.
        branches: the branches that it takes at 0.
    """

    exact: float
    scale: float
    noise: float
    here: float
    branches: Callable[[], Branches | None]

    def agrees(self, slope: "Slope") -> bool:
        """Return whether the slope is what was expected, as far as can be told."""
        size = max(abs(self.exact), abs(slope.value), self.scale)
        return abs(slope.value - self.exact) <= max(TOLERANCE * size, GUARD * slope.uncertainty)

    def suffices(self, slope: "Slope") -> bool:
        """Return whether the slope is known well enough."""
        return GUARD * slope.uncertainty <= TOLERANCE * max(abs(self.exact), abs(slope.value), self.scale)


def measure_slope(along: Along, expected: Expected, size: float) -> Slope:
    """Return the slope of a function at 0.

    With step h and its half: D(h) = (φ(h) − φ(−h)) / 2h, slope = (4·D(h/2) − D(h)) / 3. The step begins at 2⁻¹⁵ of
    `size`, longer for a small slope, and is made shorter where truncation or a kink dominates and longer where
    rounding does, until the slope is known well enough. Branches are looked at only when the slope is not what was
    expected.

    Args:
        along: the function at a place on the line, and the branches that it took when they are asked for.
        expected: what it is held against.
        size: the length over which the function may be expected to change.
    """
    step, best = _first_step(expected) * size, Slope(math.nan, math.inf, 0.0)
    shortest, longest, is_between = 0.0, math.inf, False  # steps that were tried and found too short, too long
    for _ in range(_LEVELS):
        slope, is_too_long = _with_step(along, expected, step)
        if slope.uncertainty < best.uncertainty or math.isnan(best.value):
            best = slope
        if expected.suffices(best):
            break
        if is_too_long:
            longest = step
        else:
            shortest = step
        if shortest and longest < math.inf:
            between = 2.0 ** round(math.log2(math.sqrt(shortest * longest)))
            if is_between or not shortest < between < longest:
                break
            step, is_between = between, True
        elif is_too_long:
            step *= _PAST_KINKS if slope.kinks or slope.is_corner else _DOWN
        else:
            step *= _UP
        if not _SMALLEST * size < step < _LARGEST * size:
            break
    return best


def _first_step(expected: Expected) -> float:
    """Return the shortest step whose rounding lets the slope be known well enough, a power of two."""
    step, wanted = STEP, TOLERANCE * max(abs(expected.exact), expected.scale)
    while GUARD * _ROUNDING * expected.noise > wanted * step / 2 and step < _LONGEST_FIRST:
        step *= 2
    return step


def _with_step(along: Along, expected: Expected, step: float) -> tuple[Slope, bool]:
    """Return the slope that a step gives, and whether the step is rather too long than too short."""
    above, below = along(step, False)[0], along(-step, False)[0]
    half_above, half_below = along(step / 2, False)[0], along(-step / 2, False)[0]
    wide, near = (above - below) / (2 * step), (half_above - half_below) / step
    value = (4 * near - wide) / 3
    truncation, rounding = abs(near - wide) / 3, _ROUNDING * expected.noise / step
    slope = Slope(value, truncation + rounding + EPSILON * abs(value), step)
    if not math.isfinite(slope.uncertainty):
        return Slope(math.nan, math.inf, step), True
    if expected.suffices(slope) and expected.agrees(slope):
        return slope, False
    gap = abs(above - 2 * expected.here + below) / step
    near_gap = abs(half_above - 2 * expected.here + half_below) / (step / 2)
    is_corner = near_gap > _CORNER * gap and near_gap > GUARD * rounding
    kinks = _crossed(along, expected.branches(), step)
    if not kinks and not is_corner:
        return slope, truncation > rounding
    # Autograd chooses a side for every element, so that its gradient may lie outside of the slopes at both sides.
    unknown = max(slope.uncertainty + max(gap, near_gap) / 2, abs(value - expected.exact))
    return Slope(value, unknown, step, kinks, is_corner), True


def _crossed(along: Along, here: Branches | None, step: float) -> tuple[Kink, ...]:
    if here is None:
        return ()
    found: dict[str, Kink] = {}
    for place in (step, -step):
        there = along(place, True)[1]
        found |= {str(kink): kink for kink in (() if there is None else here.differences(there))}
    return tuple(found.values())
