"""The points of a sweep: the values that each run has for what varies."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from chainrule.sweeps.axes import Axis


@dataclass(frozen=True, slots=True)
class Grid(Sequence[Mapping[str, Any]]):
    """Every combination of the values of some axes; the last axis moves fastest.

    It is a sequence whose points are made when they are looked at, so a large one takes no memory.

    Attributes:
        axes: from the slowest to the fastest.
    """

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has, so that an array of all runs can be reshaped."""
        return tuple(len(axis) for axis in self.axes)

    def __len__(self) -> int:
        return math.prod(self.shape)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        rest = range(len(self))[index]
        point: dict[str, Any] = {}
        for axis in reversed(self.axes):
            rest, place = divmod(rest, len(axis))
            point[axis.key] = axis.values[place]
        return {axis.key: point[axis.key] for axis in self.axes}

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (self[index] for index in range(len(self)))


def grid(*axes: Axis) -> Grid:
    """Return the points of every combination of the axes' values; the last axis moves fastest."""
    return Grid(axes)
