"""The functions that formulas may call, computed in float64.

Each takes values or grids of cells and returns a value or a grid; it fails as Excel's does. What is not in `FUNCTIONS`
keeps the value that the file stores.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Literal, final

from chainrule.spreadsheets.nodes import ErrorValue
from chainrule.spreadsheets.scalars import (
    DIVISION,
    NOT_AVAILABLE,
    NUMBER,
    REFERENCE,
    VALUE,
    Failure,
    Scalar,
    compared,
    fail,
    finite,
    joined,
    number_of,
    truth_of,
)

_LONGEST_PRODUCT = 2_000_000  # multiplications of one MMULT


@final
@dataclass(frozen=True, slots=True)
class Grid:
    """A rectangle of values.

    Attributes:
        rows: all equally long, at least one with at least one value.
        is_from_cells: whether it is what cells hold, of which sums leave out texts and truth values.
    """

    rows: list[list[Scalar]]
    is_from_cells: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.rows[0])

    def values(self) -> Iterator[Scalar]:
        """Yield the values, row after row."""
        for row in self.rows:
            yield from row


Result = float | str | bool | Grid | None


@final
@dataclass(frozen=True, slots=True)
class Function:
    """A function of spreadsheets.

    Attributes:
        compute: from the arguments to the result; raises `Failure`.
        least: how many arguments it takes at least.
        most: how many it takes at most.
        takes: "values", one by one, over each element of an array; "cells", ranges as a whole; "arrays", ranges as a
            whole, in which operators between ranges work element by element (SUMPRODUCT).
        sees_errors: whether errors are given to it and do not end it (ISERROR).
    """

    compute: Callable[..., Result]
    least: int = 1
    most: int = 1
    takes: Literal["values", "cells", "arrays"] = "values"
    sees_errors: bool = False


def _of_one(function: Callable[[float], float]) -> Function:
    def compute(value: Scalar) -> float:
        try:
            return finite(function(number_of(value)))
        except (ValueError, OverflowError):
            return fail(NUMBER)

    return Function(compute)


def _of_two(function: Callable[[float, float], float], second: float | None = None) -> Function:
    def compute(first: Scalar, other: Scalar = second) -> float:
        try:
            return finite(function(number_of(first), number_of(other)))
        except (ValueError, OverflowError):
            return fail(NUMBER)

    return Function(compute, 2 if second is None else 1, 2)


def power(base: float, exponent: float) -> float:
    """Return base^exponent.

    Raises:
        Failure: 0^0, 0 to a negative power, a negative base to a broken power, or overflow.
    """
    if base == 0.0 and exponent <= 0.0:
        fail(NUMBER if exponent == 0.0 else DIVISION)
    try:
        result = base**exponent
    except OverflowError:
        fail(NUMBER)
    return result if isinstance(result, float) else fail(NUMBER)  # Python makes a complex number of (-8)^(1/3)


def quotient(above: float, below: float) -> float:
    """Return above/below.

    Raises:
        Failure: #DIV/0!.
    """
    return finite(above / below) if below != 0.0 else fail(DIVISION)


def _logarithm(value: float, base: float) -> float:
    if value <= 0.0 or base <= 0.0:
        fail(NUMBER)
    if base == 10.0:
        return math.log10(value)
    return math.log2(value) if base == 2.0 else quotient(math.log(value), math.log(base))


def _remainder(value: float, divisor: float) -> float:
    if divisor == 0.0:
        fail(DIVISION)
    return value - divisor * math.floor(value / divisor)


def _rounding(mode: str) -> Callable[[float, float], float]:
    def rounded(value: float, digits: float) -> float:
        # By the digits that are shown: ROUND(2.675,2) is 2.68, though the float lies below.
        whole = int(digits)
        if whole > 300 or value == 0.0:
            return value
        if whole < -310:
            return 0.0
        exact = Decimal(repr(value))
        if -exact.as_tuple().exponent <= whole:  # type: ignore[operator]  # a finite number's exponent is an int
            return value
        return float((exact.scaleb(whole)).to_integral_value(rounding=mode).scaleb(-whole))

    return rounded


def _sign(value: float) -> float:
    return float((value > 0) - (value < 0))


def _arc_tangent(x: float, y: float) -> float:
    return math.atan2(y, x) if x or y else fail(DIVISION)  # spreadsheets take x first


def _log_gamma(value: float) -> float:
    return math.lgamma(value) if value > 0 else fail(NUMBER)


def _factorial(value: float) -> float:
    return float(math.factorial(int(value))) if 0 <= value <= 170 else fail(NUMBER)


def _normal(value: Scalar, is_cumulative: Scalar = True) -> float:
    x = number_of(value)
    if truth_of(is_cumulative):
        return 0.5 * math.erfc(-x / math.sqrt(2.0))
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _error_function(lower: Scalar, upper: Scalar = None) -> float:
    low = math.erf(number_of(lower))
    return low if upper is None else math.erf(number_of(upper)) - low


def numbers_in(arguments: Sequence[Result]) -> Iterator[float]:
    """Yield the numbers that sums take: of cells only what is a number, of other arguments all.

    Raises:
        Failure: there is an error among them, or an argument that is no number.
    """
    for argument in arguments:
        if not isinstance(argument, Grid):
            yield number_of(argument)
            continue
        for value in argument.values():
            if type(value) is float:
                yield value
            elif isinstance(value, ErrorValue):
                raise Failure(value)


def _over(function: Callable[[list[float]], float]) -> Function:
    def compute(*arguments: Result) -> float:
        try:
            return finite(function(list(numbers_in(arguments))))
        except OverflowError:
            return fail(NUMBER)

    return Function(compute, 1, 255, "cells")


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else fail(DIVISION)


def _variance(values: list[float], freedom: int) -> float:
    if len(values) <= freedom:
        fail(DIVISION)
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - freedom)


def _median(values: list[float]) -> float:
    if not values:
        fail(NUMBER)
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _truths(arguments: Sequence[Result]) -> list[bool]:
    found = []
    for argument in arguments:
        for value in argument.values() if isinstance(argument, Grid) else [argument]:
            is_left_out = isinstance(argument, Grid) and (value is None or _is_text(value))
            if not is_left_out:
                found.append(truth_of(value))
    return found or fail(VALUE)


def _is_text(value: Result) -> bool:
    return isinstance(value, str) and not isinstance(value, ErrorValue)


def _counting(counts: Callable[[Scalar], bool]) -> Function:
    def compute(*arguments: Result) -> float:
        return float(
            sum(
                counts(value)
                for argument in arguments
                for value in (argument.values() if isinstance(argument, Grid) else [argument])
            )
        )

    return Function(compute, 1, 255, "cells", sees_errors=True)


def as_grid(value: Result) -> Grid:
    """Return a single value as a grid of one."""
    return value if isinstance(value, Grid) else Grid([[value]])


def _single(value: Result) -> Scalar:
    """Return the value of an argument that is one cell."""
    if not isinstance(value, Grid):
        return value
    return value.rows[0][0] if value.shape == (1, 1) else fail(VALUE)


def _pairs(first: Result, second: Result) -> Iterator[tuple[float, float]]:
    left, right = as_grid(first), as_grid(second)
    if left.shape[0] * left.shape[1] != right.shape[0] * right.shape[1]:
        fail(NOT_AVAILABLE)
    for one, other in zip(left.values(), right.values(), strict=True):
        for value in (one, other):
            if isinstance(value, ErrorValue):
                raise Failure(value)
        if type(one) is float and type(other) is float:
            yield one, other


def _over_pairs(function: Callable[[float, float], float]) -> Function:
    def compute(first: Result, second: Result) -> float:
        return finite(math.fsum(function(one, other) for one, other in _pairs(first, second)))

    return Function(compute, 2, 2, "arrays")


def _sum_of_products(*arguments: Result) -> float:
    grids = [as_grid(argument) for argument in arguments]
    if any(grid.shape != grids[0].shape for grid in grids):
        fail(VALUE)
    products = []
    for values in zip(*(grid.values() for grid in grids), strict=True):
        product = 1.0
        for value in values:
            if isinstance(value, ErrorValue):
                raise Failure(value)
            product *= value if type(value) is float else 0.0  # texts and truth values count as 0
        products.append(finite(product))
    return finite(math.fsum(products))


def _numeric_rows(value: Result) -> list[list[float]]:
    rows = as_grid(value).rows
    for row in rows:
        for element in row:
            if type(element) is not float:
                raise Failure(element if isinstance(element, ErrorValue) else VALUE)
    return rows  # type: ignore[return-value]  # just checked


def _matrix_product(first: Result, second: Result) -> Grid:
    left, right = _numeric_rows(first), _numeric_rows(second)
    if len(left[0]) != len(right):
        fail(VALUE)
    if len(left) * len(right) * len(right[0]) > _LONGEST_PRODUCT:
        fail(NUMBER)
    columns = list(zip(*right, strict=True))
    return Grid([[finite(math.fsum(map(float.__mul__, row, column))) for column in columns] for row in left])


def _transposed(value: Result) -> Grid:
    return Grid([list(column) for column in zip(*as_grid(value).rows, strict=True)])


def _indexed(cells: Result, row: Result, column: Result = None) -> Result:
    grid = as_grid(cells)
    rows, columns = grid.shape
    first, second = int(number_of(_single(row))), int(number_of(_single(column)))
    if column is None and rows == 1:
        first, second = 1, first
    elif column is None and columns == 1:
        second = 1
    if not (0 <= first <= rows and 0 <= second <= columns):
        fail(REFERENCE)
    chosen = grid.rows if first == 0 else [grid.rows[first - 1]]
    if second:
        chosen = [[line[second - 1]] for line in chosen]
    return chosen[0][0] if len(chosen) == 1 and len(chosen[0]) == 1 else Grid(chosen, grid.is_from_cells)


def _matched(wanted: Result, cells: Result, kind: Result = 1.0) -> float:
    value_wanted, direction = _single(wanted), number_of(_single(kind))
    if isinstance(value_wanted, ErrorValue):
        raise Failure(value_wanted)
    values = list(as_grid(cells).values())
    best = 0
    for place, value in enumerate(values, start=1):
        if value is None or isinstance(value, ErrorValue) or type(value) is not type(value_wanted):
            continue
        order = compared(value, value_wanted)
        if direction == 0 and order == 0:
            return float(place)
        if direction != 0 and order * direction <= 0:
            best = place
    return float(best) if best else fail(NOT_AVAILABLE)


def _number_or_zero(value: Scalar) -> float:
    if isinstance(value, ErrorValue):
        raise Failure(value)
    return 0.0 if isinstance(value, str) else number_of(value)


def _seen(test: Callable[[Scalar], bool]) -> Function:
    return Function(test, sees_errors=True)


FUNCTIONS: dict[str, Function] = {
    "ABS": _of_one(abs),
    "ACOS": _of_one(math.acos),
    "ACOSH": _of_one(math.acosh),
    "AND": Function(lambda *values: all(_truths(values)), 1, 255, "cells"),
    "ASIN": _of_one(math.asin),
    "ASINH": _of_one(math.asinh),
    "ATAN": _of_one(math.atan),
    "ATAN2": _of_two(_arc_tangent),
    "ATANH": _of_one(math.atanh),
    "AVERAGE": _over(_mean),
    "CONCAT": Function(joined, 1, 255),
    "CONCATENATE": Function(joined, 1, 255),
    "COS": _of_one(math.cos),
    "COSH": _of_one(math.cosh),
    "COUNT": _counting(lambda value: type(value) is float),
    "COUNTA": _counting(lambda value: value is not None),
    "COUNTBLANK": _counting(lambda value: value is None or value == ""),
    "DEGREES": _of_one(math.degrees),
    "ERF": Function(_error_function, 1, 2),
    "ERF.PRECISE": _of_one(math.erf),
    "ERFC": _of_one(math.erfc),
    "ERFC.PRECISE": _of_one(math.erfc),
    "EXP": _of_one(math.exp),
    "FACT": _of_one(_factorial),
    "FALSE": Function(lambda: False, 0, 0),
    "GAMMA": _of_one(math.gamma),
    "GAMMALN": _of_one(_log_gamma),
    "GAMMALN.PRECISE": _of_one(_log_gamma),
    "INDEX": Function(_indexed, 2, 3, "arrays"),
    "INT": _of_one(lambda value: float(math.floor(value))),
    "ISBLANK": _seen(lambda value: value is None),
    "ISERR": _seen(lambda value: isinstance(value, ErrorValue) and value != NOT_AVAILABLE),
    "ISERROR": _seen(lambda value: isinstance(value, ErrorValue)),
    "ISLOGICAL": _seen(lambda value: isinstance(value, bool)),
    "ISNA": _seen(lambda value: isinstance(value, ErrorValue) and value == NOT_AVAILABLE),
    "ISNUMBER": _seen(lambda value: type(value) is float),
    "ISTEXT": _seen(_is_text),
    "LN": _of_one(math.log),
    "LOG": _of_two(_logarithm, 10.0),
    "LOG10": _of_one(math.log10),
    "MATCH": Function(_matched, 2, 3, "cells"),
    "MAX": _over(lambda values: max(values, default=0.0)),
    "MEDIAN": _over(_median),
    "MIN": _over(lambda values: min(values, default=0.0)),
    "MMULT": Function(_matrix_product, 2, 2, "arrays"),
    "MOD": _of_two(_remainder),
    "N": Function(_number_or_zero),
    "NA": Function(lambda: fail(NOT_AVAILABLE), 0, 0),
    "NORM.S.DIST": Function(_normal, 2, 2),
    "NORMSDIST": Function(lambda value: _normal(value)),
    "NOT": Function(lambda value: not truth_of(value)),
    "OR": Function(lambda *values: any(_truths(values)), 1, 255, "cells"),
    "PI": Function(lambda: math.pi, 0, 0),
    "POWER": _of_two(power),
    "PRODUCT": _over(lambda values: math.prod(values) if values else 0.0),
    "QUOTIENT": _of_two(lambda above, below: float(math.trunc(quotient(above, below)))),
    "RADIANS": _of_one(math.radians),
    "ROUND": _of_two(_rounding(ROUND_HALF_UP)),
    "ROUNDDOWN": _of_two(_rounding(ROUND_DOWN)),
    "ROUNDUP": _of_two(_rounding(ROUND_UP)),
    "SIGN": _of_one(_sign),
    "SIN": _of_one(math.sin),
    "SINH": _of_one(math.sinh),
    "SQRT": _of_one(math.sqrt),
    "STDEV": _over(lambda values: math.sqrt(_variance(values, 1))),
    "STDEV.P": _over(lambda values: math.sqrt(_variance(values, 0))),
    "STDEV.S": _over(lambda values: math.sqrt(_variance(values, 1))),
    "STDEVP": _over(lambda values: math.sqrt(_variance(values, 0))),
    "SUM": _over(math.fsum),
    "SUMPRODUCT": Function(_sum_of_products, 1, 255, "arrays"),
    "SUMSQ": _over(lambda values: math.fsum(value * value for value in values)),
    "SUMX2MY2": _over_pairs(lambda one, other: one * one - other * other),
    "SUMX2PY2": _over_pairs(lambda one, other: one * one + other * other),
    "SUMXMY2": _over_pairs(lambda one, other: (one - other) ** 2),
    "TAN": _of_one(math.tan),
    "TANH": _of_one(math.tanh),
    "TRANSPOSE": Function(_transposed, 1, 1, "arrays"),
    "TRUE": Function(lambda: True, 0, 0),
    "TRUNC": _of_two(_rounding(ROUND_DOWN), 0.0),
    "VALUE": Function(number_of),
    "VAR": _over(lambda values: _variance(values, 1)),
    "VAR.P": _over(lambda values: _variance(values, 0)),
    "VAR.S": _over(lambda values: _variance(values, 1)),
    "VARP": _over(lambda values: _variance(values, 0)),
    "XOR": Function(lambda *values: sum(_truths(values)) % 2 == 1, 1, 255, "cells"),
}
