"""Where runs begin to fail along an axis, on verdicts that are known."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.sweeps.axes import Axis
from chainrule.sweeps.borders import CLOSE_ENOUGH, Border, borders_of, narrow
from chainrule.sweeps.phases import Phase, Verdict, measure_curve
from chainrule.sweeps.points import grid

SEEN = measure_curve(np.linspace(1.0, 0.1, 50))
LETTERS: dict[str, Phase] = {"s": "too slow", "c": "converging", "o": "oscillating", "p": "saturated", "d": "diverging"}


def verdict(letter: str) -> Verdict:
    return Verdict(LETTERS[letter], "", SEEN)


def border(letters: str, phase: str, values: Sequence[float] = ()) -> Border:
    """Return the border of runs at 1, 10, 100, ... with the phases that the letters say; "-" was not run."""
    axis = Axis("lr", tuple(values) or tuple(10.0**place for place in range(len(letters))))
    verdicts = [None if letter == "-" else verdict(letter) for letter in letters]
    (found,) = borders_of(axis, grid(axis), verdicts, phase)  # type: ignore[arg-type]  # a plain string
    return found


@pytest.mark.parametrize(
    ("letters", "phase", "below", "first", "returns"),
    [
        ("sccd", "diverging", 100.0, 1000.0, ()),
        ("sccd", "saturated", 1000.0, None, ()),
        ("sccp", "diverging", 1000.0, None, ()),
        ("sccp", "saturated", 100.0, 1000.0, ()),
        ("scpd", "diverging", 100.0, 1000.0, ()),
        ("scpd", "saturated", 10.0, 100.0, ()),
        ("dddd", "diverging", None, 1.0, ()),
        ("cdod", "diverging", 1.0, 10.0, (100.0,)),
        ("cpcc", "saturated", 1.0, 10.0, (100.0, 1000.0)),
        ("c-dd", "diverging", 1.0, 100.0, ()),
        ("cc--", "diverging", 10.0, None, ()),
    ],
)
def test_a_border_lies_before_the_first_value_that_fails(
    letters: str, phase: str, below: float | None, first: float | None, returns: tuple[float, ...]
) -> None:
    found = border(letters, phase)
    assert (found.below, found.first, found.returns) == (below, first, returns)
    assert found.is_reached is (first is not None)
    assert found.largest == max(10.0**place for place, letter in enumerate(letters) if letter != "-")


def test_values_need_not_be_in_order() -> None:
    found = border("dcc", "diverging", (9.0, 1.0, 3.0))
    assert (found.below, found.first, found.largest) == (3.0, 9.0, 9.0)


def test_every_combination_of_other_values_has_a_border() -> None:
    axes = (Axis("momentum", (0.0, 0.9)), Axis("lr", (1.0, 2.0)))
    found = borders_of(axes[1], grid(*axes), [verdict(letter) for letter in "cddd"], "diverging")
    assert [(one.others, one.below, one.first) for one in found] == [
        ((("momentum", 0.0),), 1.0, 2.0),
        ((("momentum", 0.9),), None, 1.0),
    ]


@pytest.mark.parametrize("truth", [1.3, 3.0, 9.99])
@pytest.mark.parametrize(("count", "runs"), [(1, 6), (3, 9), (8, 16), (50, 50)])
def test_narrowing_closes_in_on_the_border(truth: float, count: int, runs: int) -> None:
    asked: list[float] = []

    def judge(points: Sequence[Mapping[str, Any]]) -> list[Verdict | None]:
        asked.extend(point["lr"] for point in points)
        return [verdict("d" if point["lr"] > truth else "c") for point in points]

    (found,) = narrow([border("cd", "diverging")], 9, count, judge)
    assert found.below is not None
    assert found.first is not None
    assert found.below <= truth < found.first
    assert 1 - found.below / found.first <= CLOSE_ENOUGH - 1
    assert len(asked) == runs  # rounds of (count + 1) parts each, until 10^(1/parts) is near enough to 1
    assert [value for value, _ in found.extra] == asked


def test_rounds_bound_the_runs_and_all_borders_are_asked_at_once() -> None:
    calls: list[int] = []

    def judge(points: Sequence[Mapping[str, Any]]) -> list[Verdict | None]:
        calls.append(len(points))
        return [verdict("p" if point["lr"] > 20 else "c") for point in points]

    reached = [border("cd", "diverging"), border("cp", "saturated"), border("cc", "diverging")]
    found = narrow(reached, 2, 1, judge)
    assert calls == [2, 2]
    assert [len(one.extra) for one in found] == [2, 2, 0]


def test_a_border_from_zero_is_cut_into_equal_parts_and_others_by_factors() -> None:
    found = border("cd", "diverging", (0.0, 8.0))
    assert found.between(3) == (2.0, 4.0, 6.0)
    assert found.narrowed([(2.0, "converging"), (4.0, "diverging"), (6.0, "converging")]).between(1) == pytest.approx(
        (math.sqrt(8.0),)
    )


def test_narrowing_ends_where_an_interruption_left_runs_out() -> None:
    start = [border("cd", "diverging")]
    assert narrow(start, 5, 2, lambda points: [None] * len(points)) == start
