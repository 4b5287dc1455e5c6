"""Points that can be computed side by side: those that differ in numbers alone, and not in what is built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import Problem, TaskError
from chainrule.sweeps.keys import LAYER_RATE, canonical_key, is_batched, is_beside_the_task, with_values
from chainrule.sweeps.points import Grid
from chainrule.tasks import Task

Columns: TypeAlias = dict[str, NDArray[Any]]
"""Key in its one spelling → the value of each run, whole numbers or floats."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Runs of one network, loss and optimizer.

    Attributes:
        task: with the values in which these runs agree.
        rows: which of all points they are.
        columns: what differs between them; never empty.
    """

    task: Task
    rows: NDArray[np.int64]
    columns: Columns


def groups_of(task: Task, points: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Split points into groups, in the order in which they first come.

    Raises:
        UnknownNameError: a key that nothing has.
        TaskError: no points, points with different keys, or a value that cannot be used.
    """
    if not len(points):
        raise TaskError(what="There is nothing to run.", found="no points", expected="at least one")
    columns = _columns(task, points)
    batched = {key: _numbers(key, values) for key, values in columns.items() if is_batched(key, values)}
    structural = {key: values for key, values in columns.items() if key not in batched}
    rows: dict[str, list[int]] = {}
    if structural:
        for row, values in enumerate(zip(*structural.values(), strict=True)):
            rows.setdefault(repr(values), []).append(row)
    else:
        rows[""] = list(range(len(points)))
    groups = []
    for members in rows.values():
        own = with_values(task, {key: values[members[0]] for key, values in structural.items()})
        index = np.array(members, np.int64)
        # Without any other column the seed says how many runs there are.
        numbers = {key: values[index] for key, values in batched.items()} or {"seed": np.full(len(index), own.seed)}
        group = Group(own, index, numbers)
        _check_extremes(group)
        groups.append(group)
    return groups


def _columns(task: Task, points: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    if isinstance(points, Grid):
        found: dict[str, list[Any]] = {}
        inner = len(points)
        for axis in points.axes:
            inner //= len(axis)
            once = [value for value in axis.values for _ in range(inner)]
            found[axis.key] = once * (len(points) // len(once))
    else:
        keys = list(points[0])
        for number, point in enumerate(points):
            if set(point) != set(keys):
                raise TaskError(
                    what="All points of a sweep have the same keys.",
                    where=f"point {number}",
                    found=", ".join(point) or "no keys",
                    expected=", ".join(keys) or "no keys",
                )
        found = {key: [point[key] for point in points] for key in keys}
    columns: dict[str, list[Any]] = {}
    for key, values in found.items():
        name = canonical_key(key, task)
        if name in columns:
            raise TaskError(what=f"The points say twice what '{name}' is.", found=", ".join(found))
        columns[name] = values
    return columns


def _numbers(key: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return a column as an array, in whole numbers where all are."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise _unusable(key, value, "a number")
        if key == "seed" and value != int(value):
            raise _unusable(key, value, "a whole number")
    are_whole = key == "seed" or all(isinstance(value, int) for value in values)
    return np.array(values, np.int64 if are_whole else np.float64)


def _check_extremes(group: Group) -> None:
    """Refuse values that the task does not take: its checks are bounds, so the ends of every column say it all."""
    for key, values in group.columns.items():
        for value in (values.min().item(), values.max().item()):
            if LAYER_RATE.fullmatch(key):
                with_values(group.task, {"optimizer.lr": value})
            elif not is_beside_the_task(key):
                with_values(group.task, {key: value})


def _unusable(key: str, value: object, expected: str) -> TaskError:
    return TaskError(what="A point cannot be run.", problems=(Problem(key, repr(value), expected),))
