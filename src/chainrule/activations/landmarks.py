"""Where a function of one variable goes: its limits, turning points, kinks and jumps, found numerically.

Between two neighbouring landmarks the function only rises or only falls, so that its range and its monotony follow
from the values at the landmarks alone.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sympy import Expr, Float, Symbol

from chainrule.formulas import Piece, number_text, numeric, precise, smooth_branch, split

# A limit at infinity is read there, in 60 digits: exponentials have died out and 1/x is below every tolerance.
_FAR = 1e30
_INFINITE = 1e20
_ZERO = 1e-12
# Turning points are looked for where the slope is larger than its rounding error in float64.
_SIGNIFICANT = 1e-9
_WIDEST_PLACE = 1e4
_GRID = 1601

Numeric = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Span:
    """A set of numbers from `lower` to `upper`; an end belongs to it where it is attained."""

    lower: float
    upper: float
    lower_attained: bool
    upper_attained: bool

    def __str__(self) -> str:
        if self.lower == self.upper:
            return f"{{{number_text(self.lower)}}}"
        opening, closing = "[" if self.lower_attained else "(", "]" if self.upper_attained else ")"
        return f"{opening}{number_text(self.lower)}, {number_text(self.upper)}{closing}"


@dataclass(frozen=True, slots=True)
class Landmark:
    """A place and the value there; `is_attained` is False for limits that the function only approaches."""

    place: float
    value: float
    is_attained: bool


@dataclass(frozen=True, slots=True)
class SmoothPart:
    """A smooth piece of a function, with numbers in place of its parameters.

    Attributes:
        lower: where it begins (−∞ for the first).
        upper: where it ends (∞ for the last).
        value: the function, in float64.
        slope: its derivative, in float64.
        landmarks: limit at `lower`, turning points, limit at `upper`.
        flat_points: places inside where the derivative is zero.
        is_constant: whether the derivative is zero everywhere.
        end_slopes: the derivative's limits at `lower` and `upper`.
    """

    lower: float
    upper: float
    value: Numeric
    slope: Numeric
    landmarks: tuple[Landmark, ...]
    flat_points: tuple[float, ...]
    is_constant: bool
    end_slopes: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outline:
    """A function as smooth parts from left to right, and its values where two parts meet."""

    parts: tuple[SmoothPart, ...]
    meetings: tuple[Landmark, ...]

    def landmarks(self) -> tuple[Landmark, ...]:
        """Return the landmarks of all parts and the values between them, from left to right."""
        between: list[tuple[Landmark, ...]] = [(meeting,) for meeting in self.meetings]
        groups = itertools.zip_longest((part.landmarks for part in self.parts), between, fillvalue=())
        return tuple(landmark for pair in groups for group in pair for landmark in group)

    def value_range(self) -> tuple[Span, ...]:
        """Return the numbers that the function takes, as spans without overlap from the smallest up."""
        spans = [_hull(part.landmarks) for part in self.parts]
        spans += [Span(meeting.value, meeting.value, True, True) for meeting in self.meetings]
        return tuple(_united(spans))


def outline(expression: Expr, variable: Symbol, values: Mapping[Symbol, Expr]) -> Outline:
    """Return the outline of a formula for given values of its parameters."""
    known = dict(values)
    parts, meetings = [], []
    for piece in split(expression, variable, values):
        parts.append(_smooth_part(piece, variable, known))
        if math.isfinite(parts[-1].upper):
            place = Float(piece.upper.xreplace(known))
            here = smooth_branch(expression, {**known, variable: place}).xreplace(known)
            value = _limit(precise(here, variable), parts[-1].upper)
            meetings.append(Landmark(parts[-1].upper, value, is_attained=True))
    return Outline(tuple(parts), tuple(meetings))


def _smooth_part(piece: Piece, variable: Symbol, known: dict[Symbol, Expr]) -> SmoothPart:
    lower, upper = float(piece.lower.xreplace(known)), float(piece.upper.xreplace(known))
    expression = piece.expression.xreplace(known)
    slope_formula = expression.diff(variable)
    curvature_formula = slope_formula.diff(variable)
    slope = numeric(slope_formula, variable)
    exact_value, exact_slope = precise(expression, variable), precise(slope_formula, variable)
    points = _grid(lower, upper)
    turns: tuple[float, ...] = ()
    touches: tuple[float, ...] = ()
    if curvature_formula != 0:
        turns = tuple(_roots(slope, exact_slope, points))
        bends = _roots(numeric(curvature_formula, variable), precise(curvature_formula, variable), points)
        touches = tuple(place for place in bends if abs(float(exact_slope(place))) < _ZERO)
    is_constant = slope_formula == 0
    marks = [
        Landmark(lower, _limit(exact_value, lower), is_constant),
        *(Landmark(place, _limit(exact_value, place), True) for place in turns),
        Landmark(upper, _limit(exact_value, upper), is_constant),
    ]
    return SmoothPart(
        lower=lower,
        upper=upper,
        value=numeric(expression, variable),
        slope=slope,
        landmarks=tuple(marks),
        flat_points=tuple(sorted({*turns, *touches})),
        is_constant=is_constant,
        end_slopes=(_limit(exact_slope, lower), _limit(exact_slope, upper)),
    )


def _limit(function: Callable[[float], object], place: float) -> float:
    value = float(function(math.copysign(_FAR, place) if math.isinf(place) else place))  # type: ignore[arg-type]
    if abs(value) > _INFINITE:
        return math.copysign(math.inf, value)
    return 0.0 if math.isinf(place) and abs(value) < _ZERO else value


def _grid(lower: float, upper: float) -> np.ndarray:
    """Return places inside an open interval, dense near its finite ends and near 0, reaching out to 10⁴."""
    if math.isfinite(lower) and math.isfinite(upper):
        return np.linspace(lower, upper, _GRID + 2)[1:-1]
    reach = math.asinh(_WIDEST_PLACE)
    if math.isinf(lower) and math.isinf(upper):
        return np.sinh(np.linspace(-reach, reach, _GRID))
    outward = np.sinh(np.linspace(0.0, reach, _GRID))[1:]
    return lower + outward if math.isfinite(lower) else (upper - outward)[::-1]


def _roots(function: Numeric, exact: Callable[[float], object], points: np.ndarray) -> Iterator[float]:
    values = function(points)
    kept = np.isfinite(values) & (np.abs(values) > _SIGNIFICANT)
    places, signs = points[kept], np.sign(values[kept])
    for index in np.flatnonzero(signs[1:] != signs[:-1]):
        yield _bisected(exact, float(places[index]), float(places[index + 1]))


def _bisected(exact: Callable[[float], object], low: float, high: float) -> float:
    rises = exact(high) > 0  # type: ignore[operator]
    while low < (middle := 0.5 * (low + high)) < high and high - low > 1e-15:
        if (exact(middle) > 0) == rises:  # type: ignore[operator]
            high = middle
        else:
            low = middle
    return 0.0 if abs(high) < _ZERO else high


def _hull(landmarks: tuple[Landmark, ...]) -> Span:
    lower, upper = min(mark.value for mark in landmarks), max(mark.value for mark in landmarks)
    attained = [mark.value for mark in landmarks if mark.is_attained]
    return Span(lower, upper, lower in attained, upper in attained)


def _united(spans: list[Span]) -> Iterator[Span]:
    """Join the spans that overlap or touch; rounding does not tear two of them apart."""
    ordered = sorted(spans, key=lambda span: (span.lower, not span.lower_attained))
    current = ordered[0]
    for span in ordered[1:]:
        slack = _ZERO * max(1.0, abs(span.lower))
        touches = span.lower <= current.upper + slack
        shares_point = span.lower < current.upper - slack or span.lower_attained or current.upper_attained
        if not (touches and shares_point):
            yield current
            current = span
            continue
        longer = span if span.upper > current.upper + slack else current
        same_end = abs(span.upper - current.upper) <= slack or span.upper == current.upper
        attained = longer.upper_attained or (same_end and (span.upper_attained or current.upper_attained))
        current = Span(current.lower, longer.upper, current.lower_attained, attained)
    yield current
