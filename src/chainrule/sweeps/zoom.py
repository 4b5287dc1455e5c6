"""Windows of a map: the same axes around another point, closer."""

import math
from collections.abc import Sequence

import numpy as np

from chainrule.errors import TaskError
from chainrule.sweeps.axes import Axis, Value


def zoomed(axis: Axis, at: float, factor: float) -> Axis:
    """Return an axis of as many values around a point, over a window that is `factor` times shorter.

    On a logarithmic axis the point is the geometric middle of the new window, and the window is shorter in decades.

    Args:
        axis: logarithmic or linear.
        at: the middle of the new window, in the axis's own units.
        factor: above 1 zooms in, below 1 out.

    Raises:
        TaskError: the axis is a list; the point or the factor cannot be used; there are not so many different
            numbers in float64 within the window.

    Example:
        >>> zoomed(Axis("lr", (0.01, 1.0, 100.0), "log"), 1.0, 2.0).values
        (0.1, 1.0, 10.0)
    """
    if axis.scale == "list" or len(axis) < 2:
        raise TaskError(
            what=f"The axis '{axis.key}' cannot be zoomed.",
            found="a list of values" if axis.scale == "list" else "one value",
            expected="a range, such as log:1e-4:10",
        )
    if not math.isfinite(factor) or factor <= 0:
        raise TaskError(what="A map cannot be zoomed by this factor.", found=f"{factor:g}", expected="a number above 0")
    is_log = axis.scale == "log"
    if not math.isfinite(at) or (is_log and at <= 0):
        raise TaskError(
            what=f"A map cannot be zoomed to this value of '{axis.key}'.",
            found=f"{at:g}",
            expected="a number above 0, as the axis is logarithmic" if is_log else "a finite number",
        )
    low, high = _on_scale(axis.values[0], is_log), _on_scale(axis.values[-1], is_log)
    middle, half = _on_scale(at, is_log), (high - low) / (2 * factor)
    places = np.linspace(middle - half, middle + half, len(axis))
    with np.errstate(over="ignore", under="ignore"):
        values = 10.0**places if is_log else places
    if len(values) % 2:
        values[len(values) // 2] = at  # the point itself, to the last digit
    if not np.isfinite(values).all() or (is_log and values[0] <= 0):
        raise TaskError(
            what=f"The window of '{axis.key}' leaves the numbers of float64.",
            found=f"{places[0]:.4g} to {places[-1]:.4g} decades" if is_log else f"{places[0]:.4g} to {places[-1]:.4g}",
            next_step="A larger factor stays nearer to the point.",
        )
    check_is_ascending(axis.key, values.tolist())
    return Axis(axis.key, tuple(values.tolist()), axis.scale)


def check_is_ascending(key: str, values: Sequence[Value]) -> None:
    """Refuse the values of a range that do not grow from one to the next.

    Raises:
        TaskError: the window is turned around, or too narrow for so many numbers.
    """
    numbers = np.array(values, np.float64)
    if numbers[0] >= numbers[-1]:
        raise TaskError(
            what=f"The window of '{key}' is empty or turned around.",
            found=f"from {values[0]} to {values[-1]}",
            expected="the lower end first",
        )
    if not (np.diff(numbers) > 0).all():
        raise TaskError(
            what=f"The window of '{key}' is too narrow: neighbouring pixels would have the same number in float64.",
            found=f"{len(numbers)} pixels from {values[0]} to {values[-1]}",
            next_step="Zoom less far, or take a smaller resolution.",
        )


def spread_of(axis: Axis) -> float:
    """Return how long a range is: in decades on a logarithmic axis, else in its own units."""
    is_log = axis.scale == "log"
    return _on_scale(axis.values[-1], is_log) - _on_scale(axis.values[0], is_log)


def _on_scale(value: Value, is_log: bool) -> float:
    return math.log10(float(value)) if is_log else float(value)
