import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.documents import Chart, Series
from chainrule.render.text_plot import plot_chart

STEPS = tuple(float(step) for step in range(5))


def rows_of(chart: Chart, width: int = 40, *, is_plain: bool = True) -> list[str]:
    return ["".join(span.text for span in row).rstrip() for row in plot_chart(chart, width, is_plain=is_plain)]


def chart(*series: Series, **scales: str) -> Chart:
    return Chart("key", "Title", "epoch", "loss", series, **scales)  # type: ignore[arg-type]


def test_two_curves_in_ascii() -> None:
    falling = Series("training", STEPS, (4.0, 3.0, 2.0, 1.0, 0.0))
    assert rows_of(chart(falling, Series("flat", STEPS, (4.0,) * 5))) == [
        "4 +++++++++++++++++++++++++++ + flat",
        "  |  ***",
        "  |     **",
        "  |       ***",
        "  |          *",
        "  |           ***",
        "  |              ****",
        "  |                  ***",
        "  |                     ***",
        "0 +                        ** * training",
        "  +--------------------------",
        "   0         epoch          4",
    ]


def test_a_rising_line_in_braille_touches_both_corners() -> None:
    rows = rows_of(chart(Series("a", STEPS, STEPS)), is_plain=False)
    assert rows == [
        "4 ┤                              ⣀⠔⠊  a",
        "  │                          ⢀⡠⠔⠉",
        "  │                       ⢀⡠⠒⠁",
        "  │                   ⢀⡠⠔⠊⠁",
        "  │                ⡠⠔⠊⠁",
        "  │            ⢀⡠⠒⠉",
        "  │         ⢀⡠⠒⠁",
        "  │      ⣀⠤⠊⠁",
        "  │   ⣀⠔⠊",
        "0 ┤⡠⠔⠊",
        "  └─────────────────────────────────",
        "   0             epoch             4",
    ]


def test_few_bars_are_rows() -> None:
    bars = (Series("train", (0.0, 1.0), (40.0, 20.0), "bars"), Series("test", (0.0, 1.0), (-10.0, 5.0), "bars"))
    assert rows_of(chart(*bars), 33) == [
        "0  train #################### 40",
        "0  test  ##### -10",
        "1  train ########## 20",
        "1  test  ## 5",
    ]


def test_many_bars_stand_on_zero() -> None:
    positions = tuple(float(place) for place in range(20))
    rows = rows_of(chart(Series("a", positions, tuple(1.0 for _ in positions), "bars")))
    assert all(row.count("*") >= 20 for row in rows[:10])


@pytest.mark.parametrize("series", [(), (Series("a", (), ()),), (Series("a", (1.0,), (math.nan,)),)])
def test_no_data_is_said(series: tuple[Series, ...]) -> None:
    assert rows_of(chart(*series)) == ["(no data)"]


def test_gaps_stay_empty() -> None:
    y = (1.0, 1.0, math.nan, math.nan, 1.0, 1.0)
    rows = rows_of(chart(Series("", tuple(float(step) for step in range(6)), y)), 40)
    assert any("*     " in row and row.rstrip().endswith("*") for row in rows)


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_spike_among_many_points_is_seen(*, is_plain: bool) -> None:
    y = np.ones(50_000)
    y[31_234] = 9.0
    rows = rows_of(chart(Series("", tuple(np.arange(50_000.0)), tuple(y.tolist()))), is_plain=is_plain)
    assert all(row[3:].strip() for row in rows[:10])
    assert rows[0].startswith("9 ")


def test_more_curves_than_rows_name_ten() -> None:
    series = tuple(Series(f"rate {number}", STEPS, tuple(number * step for step in STEPS)) for number in range(30))
    named = [row for row in rows_of(chart(*series), 80) if "rate" in row]
    assert len(named) == 10
    assert named[0].endswith("rate 29")
    assert named[-1].endswith("rate 0")


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    points=st.lists(st.tuples(numbers, numbers), max_size=6),
    width=st.integers(40, 120),
    style=st.sampled_from(["line", "points", "bars", "dashed"]),
    x_scale=st.sampled_from(["linear", "log"]),
    y_scale=st.sampled_from(["linear", "log"]),
    is_plain=st.booleans(),
)
def test_any_numbers_fit_into_twelve_rows(
    points: list[tuple[float, float]], width: int, style: str, x_scale: str, y_scale: str, *, is_plain: bool
) -> None:
    series = Series("a", tuple(x for x, _ in points), tuple(y for _, y in points), style)  # type: ignore[arg-type]
    rows = rows_of(chart(series, x_scale=x_scale, y_scale=y_scale), width, is_plain=is_plain)
    assert 1 <= len(rows) <= 12
    assert all(row.isascii() for row in rows) or not is_plain
    assert all(len(row) <= width for row in rows)
