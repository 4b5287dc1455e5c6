"""The numbers in a name: w12 may be the twelfth weight or a place in a matrix, h12 unit 12 or unit 2 of layer 1."""

import re
from collections.abc import Iterator, Sequence

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def raised(number: int) -> str:
    """Return a sample's mark: "⁽²⁾"."""
    return f"⁽{number}⁾".translate(_RAISED)


def unit_numbers(numbers: Sequence[str]) -> Iterator[str]:
    """Yield what a hidden unit's numbers may be: "3"; "1_2" of 1 and 2; both "12" and "1_2" of 12."""
    if len(numbers) == 1:
        yield _plain(numbers[0])
        if _may_be_indices(numbers[0]) and len(numbers[0]) == 2:
            yield "_".join(numbers[0])
    elif len(numbers) == 2:
        yield "_".join(map(_plain, numbers))


def flat_numbers(numbers: Sequence[str]) -> Iterator[str]:
    """Yield what the numbers of an input, target, output or loss may be: of two, one is the sample's."""
    if len(numbers) == 1:
        yield _plain(numbers[0])
    elif len(numbers) == 2:
        first, second = map(_plain, numbers)
        yield first + raised(int(second))
        yield second + raised(int(first))


def parameter_numbers(numbers: Sequence[str]) -> Iterator[str]:
    """Yield what a weight's or a bias's numbers may be called: "5", "12", "1_2"."""
    if 1 <= len(numbers) <= 3:
        yield "_".join(map(_plain, numbers))


def indices_of(numbers: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers as indices, () if they are one count: (1, 2) of 12 and of 1 and 2, () of 5, 10 and 20."""
    if len(numbers) == 1:
        return tuple(map(int, numbers[0])) if _may_be_indices(numbers[0]) else ()
    return tuple(map(int, numbers))


def _plain(number: str) -> str:
    return str(int(number))


def _may_be_indices(number: str) -> bool:
    return re.fullmatch(r"[1-9]{2,3}", number) is not None
