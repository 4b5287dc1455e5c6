"""Values of cells as operators and functions take them: as a number, a text or a truth value, and what is equal."""

import math
from typing import NoReturn, final

from chainrule.spreadsheets.nodes import ErrorValue
from chainrule.spreadsheets.number_texts import number_of_text
from chainrule.spreadsheets.writing import number_text

_LONGEST_TEXT = 32_767  # characters, as in Excel

Scalar = float | str | bool | None

DIVISION = ErrorValue("#DIV/0!")
NOT_AVAILABLE = ErrorValue("#N/A")
NAME = ErrorValue("#NAME?")
NUMBER = ErrorValue("#NUM!")
REFERENCE = ErrorValue("#REF!")
VALUE = ErrorValue("#VALUE!")
CIRCULAR = ErrorValue("#CIRCULAR!")


@final
class NumberText(str):
    """A text in a cell that reads as a number: sums over ranges leave it out, arithmetic takes it.

    Attributes:
        number: what it reads as.
    """

    __slots__ = ("number",)
    number: float

    def __new__(cls, text: str, number: float) -> "NumberText":
        """Return the text with its number."""
        made = super().__new__(cls, text)
        made.number = number
        return made


@final
class Failure(Exception):  # noqa: N818  # not an error of chainrule: what a formula computes
    """A formula fails with an error value; caught where the formula's function was called."""

    def __init__(self, value: ErrorValue) -> None:
        super().__init__(str(value))
        self.value = value


def fail(value: ErrorValue) -> NoReturn:
    """End the function with an error value."""
    raise Failure(value)


def number_of(value: Scalar) -> float:
    """Return a value as arithmetic takes it: an empty cell is 0, TRUE is 1, a text must read as a number.

    Raises:
        Failure: it is an error or a text that is no number.
    """
    if isinstance(value, float):
        return value
    if value is None:
        return 0.0
    if isinstance(value, bool):
        return 1.0 if value else 0.0
    if isinstance(value, ErrorValue):
        raise Failure(value)
    number = value.number if isinstance(value, NumberText) else number_of_text(value)
    return number if number is not None else fail(VALUE)


def finite(value: float) -> float:
    """Return a finite number as it is.

    Raises:
        Failure: #NUM!, for it is infinite or not a number.
    """
    return value if math.isfinite(value) else fail(NUMBER)


def text_of(value: Scalar) -> str:
    """Return a value as & takes it; numbers with 15 digits.

    Raises:
        Failure: it is an error.
    """
    if isinstance(value, ErrorValue):
        raise Failure(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return number_text(float(f"{value:.15g}")) if isinstance(value, float) else str(value)


def joined(*values: Scalar) -> str:
    """Return values as one text, as & does.

    Raises:
        Failure: one of them is an error, or the text is longer than a cell's may be.
    """
    texts = [text_of(value) for value in values]
    if sum(map(len, texts)) > _LONGEST_TEXT:
        fail(VALUE)
    return "".join(texts)


def truth_of(value: Scalar) -> bool:
    """Return a value as a condition: numbers but 0 are true.

    Raises:
        Failure: it is an error, or a text other than TRUE and FALSE.
    """
    if isinstance(value, str) and not isinstance(value, ErrorValue):
        folded = value.strip().upper()
        return folded == "TRUE" if folded in ("TRUE", "FALSE") else fail(VALUE)
    return number_of(value) != 0.0


def compared(left: Scalar, right: Scalar) -> int:
    """Return -1, 0 or 1: numbers before texts before truth values; texts without regard to case.

    Numbers are equal when their first 15 digits are, so that 0.1+0.2 is 0.3, as in spreadsheets.

    Raises:
        Failure: one of them is an error.
    """
    for value in (left, right):
        if isinstance(value, ErrorValue):
            raise Failure(value)
    first, second = _filled(left, right), _filled(right, left)
    ranks = _rank(first), _rank(second)
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if isinstance(first, float) and isinstance(second, float):
        if first == second or f"{first:.14e}" == f"{second:.14e}":
            return 0
        return -1 if first < second else 1
    texts = str(first).lower(), str(second).lower()  # of truth values: false before true
    return (texts[0] > texts[1]) - (texts[0] < texts[1])


def _filled(value: Scalar, other: Scalar) -> Scalar:
    """Return what an empty cell counts as beside the other value."""
    if value is not None:
        return value
    if isinstance(other, bool):
        return False
    return "" if isinstance(other, str) else 0.0


def _rank(value: Scalar) -> int:
    return 2 if isinstance(value, bool) else 1 if isinstance(value, str) else 0
