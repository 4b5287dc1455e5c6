"""Index arithmetic gives the numbers that integer arithmetic gives."""

import itertools

import pytest

from chainrule.lanes.indices import Index, Variable, as_index, divide, linear, structural, text, unlinear

ROW, COLUMN = Variable("r", 4), Variable("c", 6)


def value_of(index: Index, numbers: dict[str, int]) -> int:
    total = index.constant
    for variable, coefficient in index.terms:
        total += coefficient * (numbers[variable.name] if variable.name in numbers else _quotient(variable, numbers))
    return total


def _quotient(variable: Variable, numbers: dict[str, int]) -> int:
    kind, rest = variable.name[:3], variable.name[4:-1]
    inside, _, divisor = rest.rpartition(",")
    total = 0
    for part in inside.split("+"):
        factor, star, name = part.partition("*")
        total += int(factor) * (numbers[name] if star else 1)
    return total // int(divisor) if kind == "div" else total % int(divisor)


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 14, 50])
@pytest.mark.parametrize(
    "index",
    [
        as_index(ROW) * 7 + COLUMN,
        as_index(ROW) * 14 + as_index(COLUMN) * 2 + 1,
        as_index(COLUMN) * 5 + ROW,
        Index(6) + as_index(COLUMN) * -1,
        Index(23),
    ],
)
def test_quotient_and_remainder(index: Index, divisor: int) -> None:
    quotient, remainder = divide(index, divisor, structural)
    for r, c in itertools.product(range(5), range(7)):
        numbers = {"r": r, "c": c}
        number = value_of(index, numbers)
        assert value_of(quotient, numbers) == number // divisor
        assert value_of(remainder, numbers) == number % divisor
        assert number <= index.most
        assert number >= index.least


def test_a_reshape_that_splits_needs_no_division() -> None:
    position = linear([as_index(ROW), as_index(COLUMN)], (5, 7))
    assert unlinear(position, (5, 7), structural) == [as_index(ROW), as_index(COLUMN)]


def test_equal_indices_read_the_same() -> None:
    assert text(as_index(ROW) + COLUMN) == text(as_index(COLUMN) + ROW) == "0+1*c+1*r"
