import math

import numpy as np
import pytest

from chainrule.errors import TaskError
from chainrule.sweeps import Axis, parse_axis
from chainrule.sweeps.zoom import check_is_ascending, spread_of, zoomed


@pytest.mark.parametrize("text", ["log:1e-3:1e6:9", "log:1e-3:1e6:64", "lin:-2:5:9", "lin:0:1:10"])
@pytest.mark.parametrize("factor", [0.5, 2.0, 10.0, 1e6])
def test_a_window_is_shorter_by_the_factor_around_the_point_and_has_as_many_values(text: str, factor: float) -> None:
    axis = parse_axis("lr", text)
    at = 0.37
    found = zoomed(axis, at, factor)
    on_scale = np.log10 if axis.scale == "log" else np.asarray
    ends = on_scale(np.array([found.values[0], found.values[-1]]))
    assert (found.key, found.scale, len(found)) == ("lr", axis.scale, len(axis))
    assert spread_of(found) == pytest.approx(spread_of(axis) / factor, rel=1e-9)
    assert ends.mean() == pytest.approx(on_scale(np.array(at)), rel=1e-9, abs=1e-12)
    assert (np.diff(found.values) > 0).all()


def test_zooming_twice_is_zooming_by_the_product() -> None:
    axis = parse_axis("lr", "log:1e-3:1e6:33")
    twice = zoomed(zoomed(axis, 20.0, 4.0), 20.0, 5.0)
    np.testing.assert_allclose(twice.values, zoomed(axis, 20.0, 20.0).values, rtol=1e-12)
    np.testing.assert_allclose(zoomed(axis, math.sqrt(1e3), 1.0).values, axis.values, rtol=1e-12)


def test_windows_around_the_middle_nest() -> None:
    axis = parse_axis("lr", "log:1e-3:1e6:64")
    for factor in (2.0, 3.0, 100.0):
        inner = zoomed(axis, 30.0, factor)
        assert axis.values[0] < inner.values[0] < 30.0 < inner.values[-1] < axis.values[-1]


def test_the_point_itself_is_a_pixel_of_an_odd_number() -> None:
    assert zoomed(parse_axis("lr", "log:1e-3:1e6:9"), 0.3, 7.0).values[4] == 0.3


@pytest.mark.parametrize(
    ("axis", "at", "factor", "text"),
    [
        (
            Axis("model.activation", ("ReLU", "Tanh")),
            1.0,
            2.0,
            "The axis 'model.activation' cannot be zoomed.\n  found:    a list of values\n"
            "  expected: a range, such as log:1e-4:10",
        ),
        (
            parse_axis("lr", "log:1:10:4"),
            1.0,
            0.0,
            "A map cannot be zoomed by this factor.\n  found:    0\n  expected: a number above 0",
        ),
        (
            parse_axis("lr", "log:1:10:4"),
            -1.0,
            2.0,
            "A map cannot be zoomed to this value of 'lr'.\n  found:    -1\n"
            "  expected: a number above 0, as the axis is logarithmic",
        ),
        (
            parse_axis("lr", "lin:1:10:4"),
            math.inf,
            2.0,
            "A map cannot be zoomed to this value of 'lr'.\n  found:    inf\n  expected: a finite number",
        ),
        (
            parse_axis("lr", "log:1e-3:1e6:4"),
            1.0,
            0.01,
            "The window of 'lr' leaves the numbers of float64.\n  found: -450 to 450 decades\n"
            "A larger factor stays nearer to the point.",
        ),
    ],
)
def test_what_cannot_be_zoomed_is_said(axis: Axis, at: float, factor: float, text: str) -> None:
    with pytest.raises(TaskError) as caught:
        zoomed(axis, at, factor)
    assert str(caught.value) == text


def test_a_window_without_room_for_its_pixels_is_refused() -> None:
    with pytest.raises(TaskError) as caught:
        zoomed(parse_axis("lr", "log:1:10:100"), 2.0, 1e15)
    assert str(caught.value).startswith(
        "The window of 'lr' is too narrow: neighbouring pixels would have the same number in float64.\n"
        "  found: 100 pixels from 1.99"
    )
    with pytest.raises(TaskError) as caught:
        check_is_ascending("lr", [2.0, 1.0])
    assert str(caught.value) == (
        "The window of 'lr' is empty or turned around.\n  found:    from 2.0 to 1.0\n  expected: the lower end first"
    )
