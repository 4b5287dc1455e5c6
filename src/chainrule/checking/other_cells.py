"""A table without one of its columns, for the search of what made that column."""

import numpy as np

from chainrule.checking.readings import Named, Reading
from chainrule.checking.targets import Rows


class OtherCells:
    """A table as one column sees it: a number that equals itself says nothing of where it comes from.

    Args:
        table: the table.
        name: the quantity of the column.
    """

    def __init__(self, table: Rows, name: str) -> None:
        self._table, self._own = table, Named(name)

    def row_value_of(self, part: Named) -> np.ndarray:
        """Return the numbers of a quantity in every row; NaN for the column itself."""
        numbers = self._table.row_value_of(part)
        return np.full_like(numbers, np.nan) if part == self._own else numbers

    def from_parts(self, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        """Return what a formula gives row by row, and by how much rounding can move that."""
        return self._table.from_parts(reading)
