import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.documents import Chart, ColourScale, Series
from chainrule.errors import ShapeError
from chainrule.render.charts import picture_svg
from chainrule.render.value_colours import NAMES_AT_MOST, chosen_names, places_on

ENDS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=60)


def test_values_lie_on_their_scale() -> None:
    assert places_on(ColourScale("rate", (1.0, 2.0, 5.0))) == (0.0, 0.25, 1.0)
    assert places_on(ColourScale("rate", (100.0, 1.0, 10.0), "log")) == pytest.approx((1.0, 0.0, 0.5))
    assert places_on(ColourScale("rate", (3.0, 3.0))) == (0.5, 0.5)
    assert places_on(ColourScale("rate", ())) == ()


@pytest.mark.parametrize(("value", "scale"), [(0.0, "log"), (-1.0, "log"), (math.nan, "linear"), (math.inf, "log")])
def test_values_that_the_scale_cannot_show_are_refused(value: float, scale: str) -> None:
    with pytest.raises(ShapeError) as raised:
        places_on(ColourScale("rate", (1.0, value), scale))  # type: ignore[arg-type]  # pytest gives a plain string
    above = " above 0" if scale == "log" else ""
    assert str(raised.value) == (
        f"The colour scale 'rate' cannot show this value.\n  found:    {value:g}\n  expected: finite numbers{above}"
    )


@given(ENDS)
def test_names_do_not_cover_each_other_and_every_curve_without_one_is_near_a_name(
    ends: list[tuple[float, float]],
) -> None:
    chosen = chosen_names(ends)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) <= NAMES_AT_MOST
    heights = sorted(ends[index][1] for index in chosen if ends[index][0] > 0.97)
    assert all(upper - lower >= 0.055 for lower, upper in itertools.pairwise(heights))
    if ends:
        assert 0 in chosen
    if len(chosen) < NAMES_AT_MOST:
        assert all(any(abs(end[1] - ends[index][1]) < 0.055 for index in chosen) for end in ends)


def test_the_ends_of_the_scale_are_named_first() -> None:
    ends = [(1.0, place / 39) for place in range(40)]
    chosen = chosen_names(ends)
    assert {0, 39} <= set(chosen)
    assert len(chosen) == NAMES_AT_MOST
    gaps = [after - before for before, after in itertools.pairwise(chosen)]
    assert max(gaps) <= 2 * min(gaps) + 1


def test_a_chart_that_is_coloured_by_value_has_a_bar_and_some_names_and_no_legend() -> None:
    rates = tuple(10.0 ** (place / 10 - 3) for place in range(40))
    series = tuple(
        Series(f"rate {rate:.3g}", (0.0, 1.0), (1.0, 10.0 ** -(place / 4))) for place, rate in enumerate(rates)
    )
    plain = Chart("loss", "Loss", "updates", "loss", series, y_scale="log")
    coloured = Chart(
        "loss", "Loss", "updates", "loss", series, y_scale="log", colours=ColourScale("learning rate", rates, "log")
    )
    assert "learning rate" not in picture_svg(plain)
    svg = picture_svg(coloured)
    assert ">learning rate<" in svg
    assert "curves named" not in svg
    named = [f">{one.name}<" in svg for one in series]
    assert named[0]
    assert named[-1]
    assert 4 <= sum(named) <= NAMES_AT_MOST
    assert svg == picture_svg(coloured)
    colour = {line for line in svg.split('"') if line.startswith("fill: none; stroke: #")}
    assert len(colour) >= 40
