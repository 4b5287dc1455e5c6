"""Curves that are coloured by a number: where each number lies on its scale, and which curves can bear their names."""

import math
from collections.abc import Sequence
from typing import Final

from chainrule.documents import ColourScale
from chainrule.errors import ShapeError

NAMES_AT_MOST: Final = 9
_LINE: Final = 0.055  # of the chart's height: what a name takes
_WIDTH: Final = 0.12  # of its width
_AT_THE_RIM: Final = 0.97


def places_on(scale: ColourScale) -> tuple[float, ...]:
    """Return where each value lies on its scale, 0 for the least and 1 for the largest.

    Raises:
        ShapeError: a value is not finite, or not above 0 on a logarithmic scale.
    """
    is_log = scale.scale == "log"
    for value in scale.values:
        if not math.isfinite(value) or (is_log and value <= 0):
            raise ShapeError(
                what=f"The colour scale '{scale.label}' cannot show this value.",
                found=f"{value:g}",
                expected="finite numbers above 0" if is_log else "finite numbers",
            )
    values = [math.log(value) if is_log else value for value in scale.values]
    low, high = min(values, default=0.0), max(values, default=0.0)
    return tuple((value - low) / (high - low) if high > low else 0.5 for value in values)


def chosen_names(ends: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the curves to be named at their ends: spread over all of them, with no name on another.

    The first and the last curve come first, then those halfway between, and so on, as long as there is room.

    Args:
        ends: where each curve ends, in shares of the chart's width and height.
    """
    chosen: list[int] = []
    for index in _from_the_ends(len(ends)):
        if len(chosen) == NAMES_AT_MOST:
            break
        if all(not _covers(ends[index], ends[other]) for other in chosen):
            chosen.append(index)
    return tuple(sorted(chosen))


def _from_the_ends(count: int) -> list[int]:
    """Return 0 … count − 1: both ends first, then the middles of the longest stretches that are left."""
    order = [0, count - 1] if count > 1 else list(range(count))
    stretches = [(0, count - 1)]
    while stretches:
        low, high = stretches.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            stretches += [(low, middle), (middle, high)]
    return order


def _covers(one: tuple[float, float], other: tuple[float, float]) -> bool:
    are_at_the_rim = one[0] > _AT_THE_RIM and other[0] > _AT_THE_RIM
    return abs(one[1] - other[1]) < _LINE and (are_at_the_rim or abs(one[0] - other[0]) < _WIDTH)
