"""What varies between the runs of a sweep: a key of the task and the values that it takes."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from chainrule.errors import TaskError
from chainrule.task_files import parse_value

Value: TypeAlias = float | int | bool | str
Scale: TypeAlias = Literal["log", "linear", "list"]

_FORMS = '"log:1e-4:10:40", "lin:0:1:11" or the values themselves, such as ".1,.2,.5"'
_USUAL_COUNT = 40


@dataclass(frozen=True, slots=True)
class Axis:
    """A key of the task, and the values that it takes from run to run.

    Attributes:
        key: as it was given: "lr", "momentum", "lr.0", "init.scale", "seed", "model.activation", ...
        values: in the order of the axis; at least one.
        scale: how they are spaced: "log", "linear", or "list" for values that were written out.
    """

    key: str
    values: tuple[Value, ...]
    scale: Scale = "list"

    def __post_init__(self) -> None:
        if not self.values:
            raise TaskError(what=f"The axis '{self.key}' has no values.", expected=_FORMS)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_numeric(self) -> bool:
        """Whether every value is a number, so that the axis can be drawn as one."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)


def parse_axis(key: str, text: str, count: int | None = None) -> Axis:
    """Read the values of an axis as they are typed.

    Args:
        key: what varies.
        text: "log:LOW:HIGH:COUNT" or "lin:LOW:HIGH:COUNT", both ends included, or values with commas between them.
            Values that are whole at both ends and in every step of a "lin" stay whole numbers.
        count: how many values, where the text does not say; 40 when neither does.

    Raises:
        TaskError: the text is none of these, or an end cannot be used.

    Example:
        >>> parse_axis("lr", "lin:0:1:3").values
        (0.0, 0.5, 1.0)
    """
    kind, _, rest = text.partition(":")
    if kind in ("log", "lin", "linear"):
        return _spaced(key, text, rest, is_log=kind == "log", count=count)
    values = tuple(parse_value(part.strip()) for part in text.split(","))
    if any(isinstance(value, list | dict) or value == "" for value in values):
        raise _unreadable(key, text)
    return Axis(key, values, "list")


def _spaced(key: str, text: str, rest: str, *, is_log: bool, count: int | None) -> Axis:
    numbers = [parse_value(part) for part in rest.split(":")]
    if len(numbers) not in (2, 3) or not all(_is_number(number) for number in numbers):
        raise _unreadable(key, text)
    if not all(math.isfinite(number) for number in numbers[:2]):
        raise TaskError(what=f"The ends of the axis '{key}' are not finite.", found=text, expected="two finite numbers")
    low, high = numbers[0], numbers[1]
    number = numbers[2] if len(numbers) == 3 else count or _USUAL_COUNT
    if not isinstance(number, int) or number < 1 or (number == 1 and low != high):
        raise TaskError(
            what=f"The axis '{key}' cannot have so many values.",
            found=f"{numbers[-1]} in {text}",
            expected="a whole number of values from 2 on",
        )
    if is_log and (low <= 0 or high <= 0):
        raise TaskError(
            what=f"The axis '{key}' is logarithmic and cannot hold 0 or less.",
            found=text,
            expected="two ends above 0",
            next_step=f'Evenly spaced values may begin at 0: "lin:{rest}".',
        )
    values = np.geomspace(low, high, number) if is_log else np.linspace(low, high, number)
    are_whole = isinstance(low, int) and isinstance(high, int) and not is_log and np.all(values == np.rint(values))
    plain = tuple(int(value) if are_whole else float(value) for value in values)
    return Axis(key, plain, "log" if is_log else "linear")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unreadable(key: str, text: str) -> TaskError:
    return TaskError(what=f"The values of the axis '{key}' cannot be read.", found=text, expected=_FORMS)
