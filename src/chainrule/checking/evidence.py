"""What a table's columns say, in one form for formulas and for typed numbers.

A guess (these weights, this activation, this loss) is measured by how badly it fits them.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from chainrule.checking.cells import CellReader
from chainrule.checking.readings import Reading, UnreadableError, compute, names_in
from chainrule.spreadsheets import Formula

_POINTS = 8
_NEGATIVE = 3  # of the points: both signs for every name, or ReLU would be the identity there
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Observed:
    """What a column says.

    Attributes:
        numbers: of the column, at random points for a formula, or row by row.
        value_of: the numbers of the other quantities there; NaN where they are not known.
        names: the quantities that the formula reads; empty for typed numbers.
        is_formula: whether it is a formula.
    """

    numbers: np.ndarray
    value_of: Callable[[str], np.ndarray]
    names: frozenset[str]
    is_formula: bool

    def misfit(self, guess: np.ndarray) -> float:
        """Return how badly a guess fits: 0 or 1 for a formula, the relative distance for numbers."""
        with np.errstate(all="ignore"):
            distance = np.abs(self.numbers - guess) / np.maximum(np.abs(self.numbers), np.abs(guess))
        distance = np.where(self.numbers == guess, 0.0, distance)  # 0 and 0 agree
        if self.is_formula:
            # Outside of what a formula is defined for (the logarithm of a negative number) both have no number.
            undefined = np.isnan(self.numbers) & np.isnan(guess)
            return 0.0 if bool(np.all(undefined | (distance < _CLOSE)) and not np.all(undefined)) else 1.0
        distance = distance[~np.isnan(distance)]
        return float(min(1.0, np.median(distance))) if len(distance) else 1.0


@runtime_checkable
class Source(Protocol):
    """What a network can be read from: the columns of a table, or the equations of a file."""

    def has(self, name: str) -> bool:
        """Return whether a quantity has a column or an equation."""

    def observed(self, name: str) -> Observed | None:
        """Return what it says of a quantity; None where it says nothing that can be computed."""

    @property
    def stated(self) -> Mapping[str, np.ndarray]:
        """The numbers of all quantities, row by row; nothing where there are only formulas."""


def free_numbers(name: str) -> np.ndarray:
    """Return random numbers for a quantity, of its own, as if nothing had been computed from anything."""
    random = np.random.default_rng([7, *name.encode()])
    signs = np.where(np.arange(_POINTS) < _NEGATIVE, -1.0, 1.0)
    return np.asarray(random.uniform(0.3, 1.3, _POINTS) * random.permutation(signs))


def observed_formula(reading: Reading, value_of: Callable[[str], np.ndarray]) -> Observed | None:
    """Return what a formula says at random points; None where it cannot be computed."""
    try:
        numbers = np.broadcast_to(compute(reading, lambda part: value_of(part.name)), (_POINTS,))
    except UnreadableError:
        return None
    return Observed(numbers, value_of, frozenset(part.name for part in names_in(reading)), is_formula=True)


class Evidence:
    """The columns of a table, read."""

    def __init__(self, reader: CellReader) -> None:
        self.reader, self.table = reader, reader.table
        self._readings: dict[str, tuple[Reading | None, ...]] = {}
        self._free: dict[str, np.ndarray] = {}

    def has(self, name: str) -> bool:
        """Return whether a quantity has a column."""
        return name in self.table.columns

    def is_known(self, name: str) -> bool:
        """Return whether a quantity has a column or a named number beside the table."""
        return name in self.table.columns or name in self.reader.constants

    def formulas(self, name: str) -> tuple[Formula | None, ...]:
        """Return the formulas of a column, row by row."""
        return tuple(self.reader.formula(name, row) for row in range(self.table.rows))

    def readings(self, name: str) -> tuple[Reading | None, ...]:
        """Return the formulas of a column over quantities, row by row; None where there is no formula."""
        if name not in self._readings:
            self._readings[name] = tuple(
                None if formula is None else self.reader.reading(formula, row)
                for row, formula in enumerate(self.formulas(name))
            )
        return self._readings[name]

    def forget(self) -> None:
        """Read the formulas again, because the reader has learned of another named number."""
        self._readings.clear()

    def commonest(self, name: str, from_row: int = 0) -> Reading | None:
        """Return the formula that most cells of a column have."""
        found = Counter(reading for reading in self.readings(name)[from_row:] if reading is not None)
        return found.most_common(1)[0][0] if found else None

    @cached_property
    def stated(self) -> Mapping[str, np.ndarray]:
        """The numbers of all columns and constants, row by row; NaN where a cell has none."""
        rows = range(self.table.rows)
        numbers = {name: labelled.value for name, labelled in self.reader.constants.items()}
        stated = {name: np.full(self.table.rows, value) for name, value in numbers.items()}
        for name in self.table.columns:
            values = (self.reader.value(name, row) for row in rows)
            stated[name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        return stated

    def free(self, name: str) -> np.ndarray:
        """Return random numbers for a quantity, of its own, as if nothing had been computed from anything."""
        if name not in self._free:
            self._free[name] = free_numbers(name)
        return self._free[name]

    def observed(self, name: str) -> Observed | None:
        """Return what a column says; None where there is no such column, or nothing in it can be computed."""
        if name not in self.table.columns:
            return None
        reading = self.commonest(name)
        if reading is not None:
            return observed_formula(reading, self.free)
        values = self.stated[name]
        if not np.isfinite(values).any():
            return None
        unknown = np.full(self.table.rows, np.nan)
        return Observed(values, lambda other: self.stated.get(other, unknown), frozenset(), is_formula=False)
