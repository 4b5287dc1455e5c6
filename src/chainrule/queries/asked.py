"""What may be asked of `explain`: a trace, a name, an element, and how far."""

import operator
from collections.abc import Iterable

from chainrule.errors import ChainruleError
from chainrule.trace import Trace, Value


def check_asked(trace: object, name: object, index: object, **numbers: object) -> None:
    """Refuse arguments that are of another type than they have to be, or numbers below 1.

    Args:
        trace: what is asked.
        name: of the value.
        index: of its element.
        **numbers: whole numbers from 1, by what they are called.

    Raises:
        ChainruleError: one of them is not what it has to be.
    """
    if not isinstance(trace, Trace):
        raise ChainruleError(
            what="What is explained is a trace.",
            found=_shown(trace),
            expected="a Trace, as chainrule.record and Trace.load return it",
        )
    if isinstance(name, bool) or not isinstance(name, str | int | Value):
        raise ChainruleError(
            what="That is no name of a value.",
            found=_shown(name),
            expected="a name such as 'fc1.weight', the path of a module, '%7' or 7 for an id, or a Value of the trace",
        )
    if index is not None and numbers_of(index) is None:
        raise ChainruleError(
            what="That is no index of an element.",
            found=_shown(index),
            expected="a whole number for each dimension, such as (1, 0), or None for the largest gradient",
        )
    for option, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise ChainruleError(what=f"{option} is a whole number.", found=_shown(number), expected="1 or more")
        if number < 1:
            raise ChainruleError(what=f"{option} is at least 1.", found=str(number), expected="1 or more")


def numbers_of(index: object) -> tuple[int, ...] | None:
    """Return the whole numbers that an index is, alone or one after the other; None when it is none."""
    alone = _whole(index)
    if alone is not None:
        return (alone,)
    if isinstance(index, str | bytes) or not isinstance(index, Iterable):
        return None
    try:
        numbers = [_whole(each) for each in index]
    except TypeError:  # a tensor without dimensions
        return None
    found = [number for number in numbers if number is not None]
    return tuple(found) if len(found) == len(numbers) else None


def _whole(number: object) -> int | None:
    """Return the whole number that something is, such as an int of Python, numpy or torch; None when it is none."""
    try:
        return operator.index(number)  # type: ignore[arg-type]  # that is the question
    except TypeError:
        return None


def _shown(something: object) -> str:
    text = " ".join(repr(something).split())
    return f"{type(something).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
