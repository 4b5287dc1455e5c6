import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.documents import Chart, Series
from chainrule.errors import ShapeError
from chainrule.render.curves import Curve, curves_of, lone_points, remarks_on, spread, thin


def curve_of(x: np.ndarray, y: np.ndarray, style: str = "line", **scales: str) -> Curve:
    series = Series("s", tuple(x.tolist()), tuple(y.tolist()), style)  # type: ignore[arg-type]
    return curves_of(Chart("key", "", "x", "y", (series,), **scales))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["line", "dashed", "points", "bars"])
@pytest.mark.parametrize("order", ["sorted", "back and forth"])
@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("seed", [0, 1])
def test_thinning_keeps_extremes_and_bounds_the_size(style: str, order: str, scale: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.uniform(1.0, 1000.0, 20_000)
    x = np.sort(x) if order == "sorted" else x
    y = random.normal(size=20_000)
    y[random.integers(20_000)] = 50.0
    y[random.integers(20_000)] = -50.0
    curve = curve_of(x, y, style, x_scale=scale)
    thin_x, thin_y = thin(curve, scale, 100)  # type: ignore[arg-type]
    bound = 100 * 100 + 4 if style == "points" else 4 * 100 + 2
    assert thin_x.size == thin_y.size <= bound
    for thinned, whole in ((thin_x, x), (thin_y, y)):
        assert (thinned.min(), thinned.max()) == (whole.min(), whole.max())
    assert set(zip(thin_x.tolist(), thin_y.tolist(), strict=True)) <= set(zip(x.tolist(), y.tolist(), strict=True))


def test_each_column_keeps_its_own_lowest_and_highest() -> None:
    y = np.random.default_rng(3).normal(size=10_000)
    thin_x, thin_y = thin(curve_of(np.arange(10_000.0), y), "linear", 50)
    for column in range(50):
        inside = (thin_x >= column * 200) & (thin_x < (column + 1) * 200 - 1)
        part = y[column * 200 : (column + 1) * 200 - 1]
        assert (thin_y[inside].min(), thin_y[inside].max()) == (part.min(), part.max())


def test_thinning_keeps_wide_gaps_and_few_points_as_they_are() -> None:
    y = np.ones(9_000)
    y[3_000:6_000] = np.nan
    thin_x, thin_y = thin(curve_of(np.arange(9_000.0), y), "linear", 100)
    gap = np.flatnonzero(np.isnan(thin_y))
    assert gap.size == 1
    assert (thin_x[gap[0] - 1], thin_x[gap[0] + 1]) == (2_999.0, 6_000.0)
    short = curve_of(np.arange(10.0), np.arange(10.0))
    assert thin(short, "linear", 100)[1] is short.y


def test_a_series_that_is_half_gaps_stays_small() -> None:
    y = np.random.default_rng(4).normal(size=100_000)
    y[::2] = np.nan
    y[20_000:60_000] = np.nan
    thin_x, thin_y = thin(curve_of(np.arange(100_000.0), y), "linear", 100)
    assert thin_x.size <= 8 * 100
    assert np.isnan(thin_y).sum() >= 1
    assert np.nanmax(thin_y) == np.nanmax(y)


def test_what_cannot_be_drawn_is_a_gap_and_is_said() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    y = np.array([1.0, math.nan, math.inf, 2e300, -1.0, 1e-310])
    curve = curve_of(x, y, y_scale="log")
    assert np.isnan(curve.y).tolist() == [False, True, True, True, True, True]
    assert curve.x.tolist() == x.tolist()
    assert remarks_on((curve,)) == (
        "3 points are NaN, infinite or beyond 1e300, shown as gaps.",
        "2 points are zero, negative or below 1e-300 and left out: the axis is logarithmic.",
    )
    assert remarks_on((curve_of(np.array([0.0, 1.0]), np.array([1.0, math.nan]), x_scale="log"),)) == (
        "1 point is NaN, infinite or beyond 1e300, shown as gaps.",
        "1 point is zero, negative or below 1e-300 and left out: the axis is logarithmic.",
    )
    assert remarks_on((curve_of(x, x),)) == ()


def test_a_series_of_unequal_lengths_is_refused() -> None:
    chart = Chart("loss", "", "x", "y", (Series("training", (1.0, 2.0), (1.0,)),))
    with pytest.raises(ShapeError) as caught:
        curves_of(chart)
    assert (
        str(caught.value)
        == """The series 'training' has not as many positions as values.
  where:    chart 'loss'
  found:    2 x and 1 y
  expected: as many x as y"""
    )


def test_lone_points_have_gaps_on_both_sides() -> None:
    y = np.array([1.0, math.nan, 1.0, 1.0, math.nan, 1.0])
    assert lone_points(y).tolist() == [True, False, False, False, False, True]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_spread_labels_keep_apart_and_in_order(heights: list[float]) -> None:
    placed = spread(heights, 0.1)
    ordered = sorted(placed)
    assert all(upper - lower >= 0.1 - 1e-9 for lower, upper in pairwise(ordered))
    assert all(-1e-9 <= height <= 1 + 1e-9 for height in placed)
    by_height = sorted(range(len(heights)), key=lambda index: heights[index])
    assert [placed[index] for index in by_height] == ordered


def test_labels_that_are_apart_already_stay() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1) == [0.9, 0.1, 0.5]
