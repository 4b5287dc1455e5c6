"""Axes as they are typed, and grids of them."""

import math

import pytest

from chainrule.errors import ChainruleError
from chainrule.sweeps import Axis, grid, parse_axis


@pytest.mark.parametrize(
    ("text", "values", "scale"),
    [
        (".1,.2,.5", (0.1, 0.2, 0.5), "list"),
        ("1, 2", (1, 2), "list"),
        ("ReLU,Tanh", ("ReLU", "Tanh"), "list"),
        ("true,false", (True, False), "list"),
        ("lin:0:1:3", (0.0, 0.5, 1.0), "linear"),
        ("linear:0:9:4", (0, 3, 6, 9), "linear"),
        ("lin:0:1:2", (0, 1), "linear"),
        ("lin:0.0:1:2", (0.0, 1.0), "linear"),
        ("lin:5:1:3", (5, 3, 1), "linear"),
    ],
)
def test_values_as_they_are_typed(text: str, values: tuple[object, ...], scale: str) -> None:
    axis = parse_axis("lr", text)
    assert axis == Axis("lr", values, scale)  # type: ignore[arg-type]
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(("text", "count", "length"), [("log:1e-4:10:6", None, 6), ("log:1e-4:10", None, 40),
                                                       ("log:1e-4:10", 7, 7), ("log:10:1e-4:6", 7, 6)])  # fmt: skip
def test_a_logarithmic_axis_has_its_ends_and_one_ratio(text: str, count: int | None, length: int) -> None:
    axis = parse_axis("lr", text, count)
    assert {axis.values[0], axis.values[-1]} == {1e-4, 10.0}
    assert len(axis) == length
    steps = [math.log(b) - math.log(a) for a, b in zip(axis.values, axis.values[1:], strict=False)]  # type: ignore[arg-type]
    assert max(steps) - min(steps) < 1e-12
    assert axis.is_numeric


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log:1:x:3", "The values of the axis 'lr' cannot be read.\n  found:    log:1:x:3\n  expected: {forms}"),
        ("log:1", "The values of the axis 'lr' cannot be read.\n  found:    log:1\n  expected: {forms}"),
        ("", "The values of the axis 'lr' cannot be read.\n  expected: {forms}"),
        ("1,,2", "The values of the axis 'lr' cannot be read.\n  found:    1,,2\n  expected: {forms}"),
        *(
            (
                text,
                f"The ends of the axis 'lr' are not finite.\n  found:    {text}\n  expected: two finite numbers",
            )
            for text in ("log:inf:1", "log:nan:1", "lin:0:inf", "lin:-inf:1:3")
        ),
        (
            "log:0:1:3",
            "The axis 'lr' is logarithmic and cannot hold 0 or less.\n  found:    log:0:1:3\n"
            '  expected: two ends above 0\nEvenly spaced values may begin at 0: "lin:0:1:3".',
        ),
        (
            "lin:0:1:1",
            "The axis 'lr' cannot have so many values.\n  found:    1 in lin:0:1:1\n"
            "  expected: a whole number of values from 2 on",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    forms = '"log:1e-4:10:40", "lin:0:1:11" or the values themselves, such as ".1,.2,.5"'
    with pytest.raises(ChainruleError) as caught:
        parse_axis("lr", text)
    assert str(caught.value) == message.replace("{forms}", forms)


def test_a_grid_is_the_list_of_its_points() -> None:
    points = grid(parse_axis("a", "1,2"), parse_axis("b", "3,4,5"))
    written_out = [{"a": a, "b": b} for a in (1, 2) for b in (3, 4, 5)]
    assert list(points) == written_out
    assert [points[index] for index in range(-6, 6)] == written_out * 2
    assert points[1:5:2] == written_out[1:5:2]
    assert points.shape == (2, 3)
    assert len(points) == 6
    with pytest.raises(IndexError):
        points[6]
