"""Functions of single values over arrays, element by element; and how much all formulas may read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import final

from chainrule.spreadsheets.functions import Grid, Result, as_grid
from chainrule.spreadsheets.nodes import ErrorValue
from chainrule.spreadsheets.scalars import NOT_AVAILABLE, VALUE, Failure, Scalar


class TooMuchError(Exception):
    """All formulas together take more steps than the limit."""


@final
@dataclass(slots=True)
class Budget:
    """How many cells may still be read, and operators computed, by all formulas together."""

    left: int

    def spend(self, steps: int) -> None:
        """Count cells that are read or operators that are computed.

        Raises:
            TooMuchError: nothing is left.
        """
        self.left -= steps
        if self.left < 0:
            raise TooMuchError


def lifted(
    function: Callable[..., Result], arguments: list[Result], budget: Budget, sees_errors: bool = False
) -> Result:
    """Call a function of single values, element by element where an argument is a grid."""
    if not any(isinstance(argument, Grid) for argument in arguments):
        return _once(function, arguments, sees_errors)
    grids = [as_grid(argument) for argument in arguments]
    rows = max(grid.shape[0] for grid in grids)
    columns = max(grid.shape[1] for grid in grids)
    budget.spend(rows * columns)
    made: list[list[Scalar]] = [[None] * columns for _ in range(rows)]
    for row, column in product(range(rows), range(columns)):
        result = _once(function, [_element(grid, row, column) for grid in grids], sees_errors)
        made[row][column] = VALUE if isinstance(result, Grid) else result
    return Grid(made)


def _once(function: Callable[..., Result], arguments: Sequence[Result], sees_errors: bool) -> Result:
    """Call a function once; an error among the arguments is the result, unless the function wants to see errors."""
    if not sees_errors:
        for argument in arguments:
            if isinstance(argument, ErrorValue):
                return argument
    try:
        return function(*arguments)
    except Failure as failure:
        return failure.value


def _element(grid: Grid, row: int, column: int) -> Scalar:
    rows, columns = grid.shape
    row, column = (0 if rows == 1 else row), (0 if columns == 1 else column)
    return grid.rows[row][column] if row < rows and column < columns else NOT_AVAILABLE
