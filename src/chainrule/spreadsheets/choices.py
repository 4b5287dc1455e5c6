"""IF and its kin, which look at only those of their arguments that they need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from chainrule.spreadsheets.functions import Grid, Result
from chainrule.spreadsheets.nodes import ErrorValue
from chainrule.spreadsheets.scalars import NOT_AVAILABLE, VALUE, Scalar, number_of, truth_of

Arguments = Sequence[Callable[[], Result]]  # each computed when it is called


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """A function that chooses among its arguments.

    Attributes:
        choose: from the arguments to the result; raises `Failure`.
        least: how many arguments it takes at least.
        most: how many it takes at most.
    """

    choose: Callable[[Arguments], Scalar]
    least: int
    most: int


def _scalar(value: Result) -> Scalar:
    return value.rows[0][0] if isinstance(value, Grid) else value


def _shown(value: Result) -> Scalar:
    scalar = _scalar(value)
    return 0.0 if scalar is None else scalar  # a formula never gives an empty cell


def _if(arguments: Arguments) -> Scalar:
    if truth_of(_scalar(arguments[0]())):
        return _shown(arguments[1]())
    return _shown(arguments[2]()) if len(arguments) == 3 else False


def _ifs(arguments: Arguments) -> Scalar:
    for condition, value in zip(arguments[::2], arguments[1::2], strict=True):
        if truth_of(_scalar(condition())):
            return _shown(value())
    return NOT_AVAILABLE


def _if_error(arguments: Arguments) -> Scalar:
    value = arguments[0]()
    return _shown(arguments[1]() if isinstance(_scalar(value), ErrorValue) else value)


def _if_not_available(arguments: Arguments) -> Scalar:
    value = arguments[0]()
    scalar = _scalar(value)
    return _shown(arguments[1]() if isinstance(scalar, ErrorValue) and scalar == NOT_AVAILABLE else value)


def _choose(arguments: Arguments) -> Scalar:
    place = int(number_of(_scalar(arguments[0]())))
    return _shown(arguments[place]()) if 1 <= place < len(arguments) else VALUE


CHOICES = {
    "CHOOSE": Choice(_choose, 2, 255),
    "IF": Choice(_if, 2, 3),
    "IFERROR": Choice(_if_error, 2, 2),
    "IFNA": Choice(_if_not_available, 2, 2),
    "IFS": Choice(_ifs, 2, 254),
}
