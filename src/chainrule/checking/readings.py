"""What a cell's formula says about quantities: the formula with names in the place of cells.

A name carries how many rows away it stands: w5 of the row above is ("w5", −1). So the formulas of a column that was
filled down are one reading, judged once, and a formula that drifted to another row is another one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

Array = np.ndarray


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """A number written into the formula, or a cell that holds one and has no name."""

    value: float
    cell: str = ""


@final
@dataclass(frozen=True, slots=True)
class Named:
    """A quantity, in the row of the formula (offset 0) or `offset` rows below it."""

    name: str
    offset: int = 0


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """An operator or a function with its arguments."""

    operator: str
    arguments: "tuple[Reading, ...]"


@final
@dataclass(frozen=True, slots=True)
class Cells:
    """A range of cells."""

    items: "tuple[Reading, ...]"


@final
@dataclass(frozen=True, slots=True)
class Unclear:
    """What cannot be read, and why."""

    reason: str


FIRST = -1_000_000  # the offset of the first row, where a table has only numbers and no formula says which row

Reading = Constant | Named | Operation | Cells | Unclear
ValueOf = Callable[[Named], Array | float]


class UnreadableError(Exception):
    """A formula cannot be computed here; caught where the formula is judged, and said there."""


def names_in(reading: Reading) -> Iterator[Named]:
    """Yield the quantities in a formula, from left to right, each as often as it stands there."""
    if isinstance(reading, Named):
        yield reading
    elif isinstance(reading, Operation | Cells):
        for part in reading.arguments if isinstance(reading, Operation) else reading.items:
            yield from names_in(part)


def constants_in(reading: Reading) -> Iterator[Constant]:
    """Yield the numbers in a formula."""
    if isinstance(reading, Constant):
        yield reading
    elif isinstance(reading, Operation | Cells):
        for part in reading.arguments if isinstance(reading, Operation) else reading.items:
            yield from constants_in(part)


def replaced(reading: Reading, change: Callable[[Reading], Reading | None]) -> Reading:
    """Return a formula in which `change` was asked for every part, the whole first; None keeps what stands there."""
    new = change(reading)
    if new is not None:
        return new
    if isinstance(reading, Operation):
        return replace(reading, arguments=tuple(replaced(part, change) for part in reading.arguments))
    if isinstance(reading, Cells):
        return replace(reading, items=tuple(replaced(part, change) for part in reading.items))
    return reading


def renamed(reading: Reading, names: Mapping[str, str]) -> Reading:
    """Return a formula in which some quantities have other names."""
    return replaced(
        reading,
        lambda part: Named(names[part.name], part.offset) if isinstance(part, Named) and part.name in names else None,
    )


def in_row(reading: Reading, offset: int) -> Reading:
    """Return a formula that reads everything from the row `offset` rows below."""
    return replaced(reading, lambda part: Named(part.name, offset) if isinstance(part, Named) else None)


def compute(reading: Reading, value_of: ValueOf) -> Array:
    """Return the formula's numbers.

    Args:
        reading: the formula.
        value_of: the numbers of a quantity; several, to compute the formula at several points at once.

    Raises:
        UnreadableError: there is something in it that has no number.
    """
    with np.errstate(all="ignore"):
        return np.asarray(_compute(reading, value_of), dtype=np.float64)


def _compute(reading: Reading, value_of: ValueOf) -> Any:
    if isinstance(reading, Constant):
        return reading.value
    if isinstance(reading, Named):
        return value_of(reading)
    if isinstance(reading, Operation):
        operator = reading.operator
        if operator in _OPERATORS:
            return _OPERATORS[operator](*(_compute(part, value_of) for part in reading.arguments))
        if operator in _LISTS:
            return _LISTS[operator]([np.asarray(x, float) for x in _flat(reading.arguments, value_of)])
        if operator in ("SUMPRODUCT", "SUMXMY2"):
            return _pairwise(operator, reading.arguments, value_of)
        raise UnreadableError(f"{operator} is not a function that is known here")
    if isinstance(reading, Unclear):
        raise UnreadableError(reading.reason)
    raise UnreadableError("a range of cells stands where one number is needed")


def _flat(parts: Sequence[Reading], value_of: ValueOf) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, Cells):
            yield from _flat(part.items, value_of)
        else:
            yield _compute(part, value_of)


def _pairwise(operator: str, parts: Sequence[Reading], value_of: ValueOf) -> Any:
    columns = [list(_flat([part], value_of)) for part in parts]
    if len({len(column) for column in columns}) != 1:
        raise UnreadableError(f"{operator} is given ranges of different lengths")
    if operator == "SUMXMY2":
        return sum((x - y) ** 2 for x, y in zip(*columns, strict=True))
    return sum(np.prod(np.broadcast_arrays(*row), axis=0) for row in zip(*columns, strict=True))


def _power(x: Any, y: Any) -> Any:
    return np.power(np.asarray(x, float), y)


def _if(condition: Any, then: Any = 1.0, otherwise: Any = 0.0) -> Any:
    return np.where(np.asarray(condition) != 0, then, otherwise)


_OPERATORS: Mapping[str, Callable[..., Any]] = {
    "+": lambda *x: x[0] if len(x) == 1 else x[0] + x[1],
    "-": lambda *x: -x[0] if len(x) == 1 else x[0] - x[1],
    "*": lambda x, y: x * y,
    "/": lambda x, y: np.divide(x, y),
    "^": _power,
    "%": lambda x: x / 100,
    "=": lambda x, y: np.equal(x, y) * 1.0,
    "<>": lambda x, y: np.not_equal(x, y) * 1.0,
    "<": lambda x, y: np.less(x, y) * 1.0,
    ">": lambda x, y: np.greater(x, y) * 1.0,
    "<=": lambda x, y: np.less_equal(x, y) * 1.0,
    ">=": lambda x, y: np.greater_equal(x, y) * 1.0,
    "EXP": np.exp,
    "LN": np.log,
    "LOG": lambda x, base=10.0: np.log(x) / np.log(base),
    "LOG10": np.log10,
    "SQRT": np.sqrt,
    "POWER": _power,
    "ABS": np.abs,
    "SIGN": np.sign,
    "TANH": np.tanh,
    "SINH": np.sinh,
    "COSH": np.cosh,
    "SIN": np.sin,
    "COS": np.cos,
    "TAN": np.tan,
    "ATAN": np.arctan,
    "INT": np.floor,
    "PI": lambda: np.pi,
    "IF": _if,
    "IFERROR": lambda x, y: np.where(np.isfinite(x), x, y),
    "NOT": lambda x: np.equal(x, 0) * 1.0,
    "N": lambda x: x,
    "ROUND": lambda x, digits: np.round(x, int(np.asarray(digits))),
}
_LISTS: Mapping[str, Callable[[list[Array]], Any]] = {
    "SUM": lambda items: sum(items, start=np.float64(0.0)),
    "PRODUCT": lambda items: np.prod(np.broadcast_arrays(*items), axis=0),
    "AVERAGE": lambda items: sum(items, start=np.float64(0.0)) / len(items),
    "MAX": lambda items: np.max(np.broadcast_arrays(*items), axis=0),
    "MIN": lambda items: np.min(np.broadcast_arrays(*items), axis=0),
    "SUMSQ": lambda items: sum(item**2 for item in items),
    "AND": lambda items: np.all([item != 0 for item in np.broadcast_arrays(*items)], axis=0) * 1.0,
    "OR": lambda items: np.any([item != 0 for item in np.broadcast_arrays(*items)], axis=0) * 1.0,
}
_RANK = {"=": 0, "<>": 0, "<": 0, ">": 0, "<=": 0, ">=": 0, "+": 1, "-": 1, "*": 2, "/": 2, "^": 3}


@dataclass(frozen=True, slots=True)
class _Style:
    """How signs, names and numbers are written."""

    times: str
    minus: str
    name: Callable[[Named], str]
    number: Callable[[float], str]
    function: Callable[[str], str]
    has_raised_digits: bool


def reading_text(reading: Reading, of_row: Callable[[int], str] = lambda offset: f" [{offset:+d}]") -> str:
    """Return a formula with names in the place of cells, in the order and with the brackets that it has.

    Args:
        reading: the formula.
        of_row: what to write behind a name of another row, from its offset.
    """
    style = _Style(
        "·",
        "−",
        lambda part: part.name + (of_row(part.offset) if part.offset else ""),
        lambda number: f"{number:.12g}".replace("-", "−"),
        str.lower,
        has_raised_digits=True,
    )
    return _text(reading, 0, style)


def cell_text(reading: Reading, place: Callable[[Named], str]) -> str:
    """Return a formula as a spreadsheet takes it, with "=" before it.

    Args:
        reading: the formula.
        place: the cell of a quantity.
    """
    style = _Style("*", "-", place, lambda number: f"{number:.15g}", str, has_raised_digits=False)
    return "=" + _text(reading, 0, style)


def _text(reading: Reading, rank: int, style: _Style) -> str:
    if isinstance(reading, Constant):
        text = style.number(reading.value)
        return f"({text})" if reading.value < 0 and rank > 0 else text
    if isinstance(reading, Named):
        return style.name(reading)
    if isinstance(reading, Cells):
        return ",".join(_text(item, 0, style) for item in reading.items)
    if isinstance(reading, Unclear):
        return "?"
    operator, parts = reading.operator, reading.arguments
    if operator == "%":
        return _text(parts[0], 4, style) + "%"
    if operator == "-" and len(parts) == 1:
        # Spreadsheets take -x^2 as (-x)^2, so what is negated is bracketed down to a single number.
        inner = style.minus + _text(parts[0], 3 if style.has_raised_digits else 4, style)
        return f"({inner})" if rank > 1 else inner
    if operator == "+" and len(parts) == 1:
        return _text(parts[0], rank, style)
    if operator not in _RANK:
        return f"{style.function(operator)}({', '.join(_text(part, 0, style) for part in parts)})"
    own = _RANK[operator]
    left, right = parts
    # a − (b + c), a/(b·c): the right side of − and / needs its brackets.
    before = _text(left, own + (operator == "^"), style)
    behind = _text(right, own + (operator in "-/^"), style)
    if operator == "^" and style.has_raised_digits and behind in _RAISED:
        text = before + _RAISED[behind]
    else:
        sign = {"*": style.times, "/": "/", "^": "^", "-": f" {style.minus} "}.get(operator, f" {operator} ")
        if not style.has_raised_digits:
            sign = sign.strip()
        text = before + sign + behind
    return f"({text})" if own < rank else text


_RAISED = {"2": "²", "3": "³"}
