"""What stands in a cell, as a target that slips are tried on: a formula at random points, or typed numbers in rows."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from chainrule.checking.derivations import Product, flat_reading
from chainrule.checking.readings import Named, Reading, UnreadableError, compute

_CLOSE = 1e-6  # of formulas; 2.718281828 for e is as good as EXP


@runtime_checkable
class Rows(Protocol):
    """A table row by row."""

    def row_value_of(self, part: Named) -> np.ndarray:
        """Return the numbers of a quantity in every row."""

    def from_parts(self, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        """Return what a formula gives row by row, and by how much rounding can move that."""


class FormulaTarget:
    """A formula that stands in a cell, at random points."""

    def __init__(self, compute_at: Callable[[Reading], np.ndarray], target: np.ndarray) -> None:
        self._compute_at, self._target = compute_at, target

    def numbers(self, reading: Reading) -> np.ndarray:
        """Return a formula's numbers at the points."""
        return self._compute_at(reading)

    def matches(self, numbers: np.ndarray) -> np.ndarray:
        """Return which sets of numbers are the formula's."""
        return np.asarray(_agree(numbers, self._target).all(axis=-1))

    def confirms(self, products: Sequence[Product]) -> bool:
        """Return whether a sum of products is the formula, computed afresh."""
        try:
            return close(self._compute_at(flat_reading(products)), self._target)
        except UnreadableError:
            return False


class NumbersTarget:
    """Numbers that were typed in rows of a column, to their digits.

    Args:
        table: the table.
        values: the numbers of the column, (rows,).
        allowed: how far each may be off, (rows,).
        rows: which of them are looked at.
    """

    def __init__(self, table: Rows, values: np.ndarray, allowed: np.ndarray, rows: np.ndarray) -> None:
        self._table, self._rows, self._count = table, rows, len(values)
        self._values, self._allowed = values[rows], allowed[rows]
        # The last row has no row below it, which a slip may read.
        self._is_last = (rows == len(values) - 1) & (len(rows) > 2)

    def numbers(self, reading: Reading) -> np.ndarray:
        """Return a formula's numbers in the rows."""
        try:
            numbers = np.asarray(compute(reading, self._table.row_value_of))
        except KeyError as error:
            raise UnreadableError(str(error)) from error
        return np.asarray(np.broadcast_to(numbers, (self._count,))[self._rows])

    def matches(self, numbers: np.ndarray) -> np.ndarray:
        """Return which sets of numbers are near enough to look at more closely."""
        return self._are_within(numbers, 4 * self._allowed + 1e-3 * np.abs(self._values))

    def confirms(self, products: Sequence[Product]) -> bool:
        """Return whether a sum of products gives the numbers, to their digits and those of what it reads."""
        return self.confirms_reading(flat_reading(products))

    def confirms_reading(self, reading: Reading) -> bool:
        """Return the same of a formula."""
        try:
            numbers = self.numbers(reading)
            if not self.matches(numbers):
                return False
            _, moved = self._table.from_parts(reading)
        except (UnreadableError, KeyError):
            return False
        return bool(self._are_within(numbers, self._allowed + moved[self._rows]))

    def _are_within(self, numbers: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        distance = np.abs(self._values - numbers)
        is_known = np.isfinite(distance) & ~self._is_last
        is_right = (distance <= allowed) | ~is_known
        return np.asarray(is_right.all(axis=-1) & (2 * is_known.sum(axis=-1) >= len(self._rows) - self._is_last.sum()))


def close(numbers: np.ndarray, others: np.ndarray) -> bool:
    """Return whether numbers agree at every random point."""
    return bool(_agree(np.broadcast_to(numbers, others.shape), others).all())


def _agree(numbers: np.ndarray, others: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        distance = np.abs(numbers - others)
        scale = np.maximum(np.abs(others), 1e-9 * np.max(np.abs(others[np.isfinite(others)]), initial=0.0))
        return np.asarray(distance <= _CLOSE * scale + 1e-300)
