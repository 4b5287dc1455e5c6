"""Value and derivative of an activation along a line, for a chart."""

import math
from dataclasses import dataclass

import numpy as np

from chainrule.activations.landmarks import Outline, SmoothPart, outline
from chainrule.activations.lookup import bind
from chainrule.activations.rule import Argument, VectorRule, X

CURVE_REACH = 6.0
_POINTS_PER_UNIT = 20
_SMOOTH_TOLERANCE = 1e-6  # smaller steps cannot be seen


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a function; a NaN in y where the line is broken.

    Attributes:
        x: the places, rising; a place where two parts meet occurs more than once.
        y: the values, of the same length.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]


def sample_curves(name: str, **arguments: Argument) -> tuple[Curve, Curve]:
    """Return value and derivative over [−6, 6], exact up to both sides of each kink and jump.

    An activation of several inputs gives the function of its own input that `ActivationFacts.slice_meaning` names.

    Raises:
        UnknownNameError: there is no such activation, argument or choice.
        ChainruleError: a value is no finite number, or the formula makes no sense with it.
    """
    bound = bind(name, arguments)
    expression = bound.rule.slice if isinstance(bound.rule, VectorRule) else bound.rule.expression
    shape = outline(expression, X, bound.values)
    return _curve(shape, of_slope=False), _curve(shape, of_slope=True)


def _curve(shape: Outline, of_slope: bool) -> Curve:
    x: list[float] = []
    y: list[float] = []
    for part in shape.parts:
        low, high = max(part.lower, -CURVE_REACH), min(part.upper, CURVE_REACH)
        if low >= high:
            continue
        places, values = _sampled(part, low, high, of_slope)
        if y and abs(values[0] - y[-1]) > _SMOOTH_TOLERANCE:
            x.append(low)
            y.append(math.nan)
        x += places
        y += values
    return Curve(tuple(x), tuple(y))


def _sampled(part: SmoothPart, low: float, high: float, of_slope: bool) -> tuple[list[float], list[float]]:
    places = np.linspace(low, high, max(2, round((high - low) * _POINTS_PER_UNIT) + 1))
    values = (part.slope if of_slope else part.value)(places).tolist()
    # At an end of the part the limit from inside counts, which the formula may not be able to compute there.
    ends = part.end_slopes if of_slope else (part.landmarks[0].value, part.landmarks[-1].value)
    if low == part.lower:
        values[0] = ends[0]
    if high == part.upper:
        values[-1] = ends[1]
    return places.tolist(), values
