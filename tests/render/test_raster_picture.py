import math
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from chainrule.documents import RasterAxis
from chainrule.render.charts import picture_png, picture_svg
from chainrule.render.raster_colours import FAILED, MISSING, colours_of, hex_of, palette_of, shades_of
from chainrule.render.raster_picture import label_of, minor_ticks_of, numbers_as_texts, round_numbers, ticks_of
from chainrule.render.raster_text import legend_line, plot_raster

from .raster_cases import SEQUENTIAL, TWO_SIDED, log_axis, small_raster

LINE = RasterAxis("momentum", "momentum", tuple(np.linspace(0, 0.9, 10).tolist()))


def luminance(colours: np.ndarray) -> np.ndarray:
    return np.asarray(colours.astype(float) @ np.array([0.2126, 0.7152, 0.0722]))


# Colours


@pytest.mark.parametrize("kind", ["two-sided", "sequential"])
def test_a_palette_has_a_colour_for_every_byte(kind: str) -> None:
    palette = palette_of(kind)
    assert palette.shape == (256, 3)
    assert (hex_of(palette[0]), hex_of(palette[1])) == (MISSING, FAILED)
    assert len(np.unique(palette, axis=0)) > 240


def test_slow_runs_are_dark_and_the_sides_differ_in_hue() -> None:
    lower, upper = palette_of("two-sided")[2:129].astype(int), palette_of("two-sided")[129:].astype(int)
    assert (np.diff(luminance(lower)) >= -0.5).all()
    assert (np.diff(luminance(upper)) <= 0.5).all()
    assert (lower[:, 2] > lower[:, 0]).all()  # more blue than red
    assert (upper[:, 0] > upper[:, 2]).all()
    assert (np.diff(luminance(palette_of("sequential")[2:])) > -0.5).all()


def test_cells_have_the_colours_of_their_bytes() -> None:
    raster = small_raster(bar=SEQUENTIAL)
    shades = shades_of(raster)
    assert shades.shape == (20, 40)
    np.testing.assert_array_equal(colours_of(raster)[7, 30], palette_of("sequential")[shades[7, 30]])


# Ticks


@pytest.mark.parametrize(
    ("axis", "places", "texts"),
    [
        (log_axis("lr", 1e-3, 1e6, 10), list(range(10)), [f"10{power}" for power in ("⁻³", "⁻²", "⁻¹", *"⁰¹²³⁴⁵⁶")]),
        (log_axis("lr", 1e-2, 1e2, 9), [0, 2, 4, 6, 8], ["0.01", "0.1", "1", "10", "100"]),
        (LINE, [0, 2, 4, 6, 8], ["0", "0.2", "0.4", "0.6", "0.8"]),
        (RasterAxis("m", "m", (0.0, 1.0), "names", ("ReLU", "Tanh")), [0, 1], ["ReLU", "Tanh"]),
    ],
)
def test_ticks(axis: RasterAxis, places: list[float], texts: list[str]) -> None:
    found, words = ticks_of(axis)
    assert words == texts
    assert found == pytest.approx(places, abs=1e-9)


def test_a_short_window_has_round_numbers_at_their_logarithms() -> None:
    places, texts = ticks_of(log_axis("lr", 20.0, 21.0, 101))
    assert texts == ["20", "20.2", "20.4", "20.6", "20.8", "21"]
    assert places[1] == pytest.approx(100 * math.log(20.2 / 20) / math.log(21 / 20))
    assert minor_ticks_of(log_axis("lr", 20.0, 21.0, 101)) == []
    assert len(minor_ticks_of(log_axis("lr", 1.0, 100.0, 9))) == 16
    assert minor_ticks_of(log_axis("lr", 1.0, 90.0, 9)) == []


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (30, 300, ["50", "100", "200"]),
        (100, 500, ["100", "200", "500"]),
        (0.05, 3, ["0.05", "0.1", "0.2", "0.5", "1", "2"]),
        (150, 400, ["150", "200", "250", "300", "350", "400"]),
        (1e-8, 3e-7, ["1e-08", "2e-08", "5e-08", "1e-07", "2e-07"]),
        (0.011, 1.2, ["0.1", "1"]),
    ],
)
def test_ticks_of_less_than_two_decades_are_plain_numbers(low: float, high: float, texts: list[str]) -> None:
    axis = log_axis("lr", low, high, 13)
    places, words = ticks_of(axis)
    assert words == texts
    numbers = [float(text) for text in words]
    assert places == pytest.approx([12 * math.log(each / low) / math.log(high / low) for each in numbers], abs=1e-6)
    assert label_of(axis) == axis.label


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("factor", [1e5, 1e7, 1e9, 1e12])
@pytest.mark.parametrize("middle", [100.0, 0.25, 37.123456789])
def test_ticks_of_a_deep_zoom_differ_and_say_from_where_they_count(middle: float, factor: float, scale: str) -> None:
    values = tuple((middle * (1 + (np.arange(41) - 20) / (20 * factor))).tolist())
    axis = RasterAxis("lr", "lr: a rate", values, scale)  # type: ignore[arg-type]  # one of the two
    places, texts = ticks_of(axis)
    assert len(set(texts)) == len(texts) >= 3
    assert max(map(len, texts)) <= 8
    assert places == sorted(places)
    label, _, base = label_of(axis).partition(", minus ")
    assert label == "lr: a rate"
    for place, text in zip(places, texts, strict=True):
        value = float(base or 0) + float(text)
        # Neighbouring numbers of float64 are up to a hundredth of a pixel apart here.
        assert (value - values[0]) / (values[-1] - values[0]) * 40 == pytest.approx(place, abs=0.02)
    lines = plot_raster(replace(small_raster(rows=41), y=axis), 80, is_plain=True)
    along_y = [text for text in ("".join(part for part, _ in cells)[:10].strip() for cells in lines[:-1]) if text]
    assert along_y == texts[::-1]


def test_a_deep_zoom_says_in_the_picture_from_where_its_ticks_count() -> None:
    axis = RasterAxis("lr", "lr: a rate", tuple((100 + 1e-8 * np.arange(-20, 21)).tolist()), "log")
    svg = picture_svg(replace(small_raster(columns=41), x=axis))
    assert ">lr: a rate, minus 100</text>" in svg
    assert ">+1e-07</text>" in svg


def test_a_deep_window_tells_neighbouring_ticks_apart() -> None:
    values = round_numbers(0.123456, 0.123457, 6)
    texts = numbers_as_texts(values)
    assert len(set(texts)) == len(texts) >= 4
    assert [float(text) for text in texts] == pytest.approx(values, rel=1e-9)


# Pictures


@pytest.mark.parametrize("bar", [TWO_SIDED, SEQUENTIAL], ids=["two-sided", "sequential"])
def test_a_picture_shows_every_colour_and_says_what_it_means(bar: object) -> None:
    raster = small_raster(bar=bar)  # type: ignore[arg-type]  # one of the two
    svg = picture_svg(raster)
    for text in ("A map", "lr.0: a rate", "lr.1: a rate", "best", "recommended"):
        assert f">{text}</text>" in svg
    words = (
        ("converges", "diverges", "slowly", "fast")
        if raster.colours.sides[0]
        else ("diverged", "not run", "final loss")
    )
    for text in words:
        assert f">{text}</text>" in svg
    pixels = (imread(BytesIO(picture_png(raster)))[..., :3] * 255).round().astype(int)
    for colour in np.unique(colours_of(raster).reshape(-1, 3), axis=0):
        assert (np.abs(pixels - colour).sum(axis=2) <= 3).sum() > 2000
    assert picture_png(raster) == picture_png(raster)


def test_a_picture_has_x_to_the_right_and_y_upward() -> None:
    raster = replace(small_raster(), marks=())
    pixels = (imread(BytesIO(picture_png(replace(raster, colours=SEQUENTIAL))))[..., :3] * 255).round().astype(int)
    palette = palette_of("sequential").astype(int)
    left, right = (np.abs(pixels - palette[shade]).sum(axis=2) <= 3 for shade in (60, 200))
    assert np.argwhere(left)[:, 1].mean() < np.argwhere(right)[:, 1].mean()
    upward = small_raster(bar=SEQUENTIAL)  # its two lowest rows are missing and failed
    pixels = (imread(BytesIO(picture_png(upward)))[..., :3] * 255).round().astype(int)
    failed = np.abs(pixels - palette[1]).sum(axis=2) <= 3
    # The swatch of the key stands above the bar; the row itself at the bottom has most of these pixels.
    assert np.median(np.argwhere(failed)[:, 0]) > pixels.shape[0] / 2


# Characters


@pytest.mark.parametrize("is_plain", [False, True])
def test_characters_tell_the_sides_apart(is_plain: bool) -> None:
    raster = small_raster()
    lines = plot_raster(raster, 80, is_plain=is_plain)
    rows = ["".join(text for text, _ in cells)[11:] for cells in lines[:-1]]
    one, other = ("." if is_plain else "·"), ("#" if is_plain else "█")
    assert len(rows) == 20
    assert set(rows) == {one * 28 + other * 28}
    assert legend_line(raster, is_plain=is_plain) == f"{one} converges, {other} diverges"
    assert "".join(text for text, _ in lines[-1]).split()[0] == "10⁻³"


def test_characters_of_what_failed_and_of_what_is_missing() -> None:
    raster = small_raster(bar=SEQUENTIAL)
    lines = plot_raster(raster, 80, is_plain=True)
    rows = ["".join(text for text, _ in cells)[11:] for cells in lines[:-1]]
    assert rows[-1] == " " * 56
    assert rows[-2] == "x" * 56
    assert legend_line(raster, is_plain=True) == "final loss: . 10⁻⁵ to o 1, x diverged, blank: not run"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_characters_fit_the_width(width: int) -> None:
    for cells in plot_raster(small_raster(), width, is_plain=False):
        assert sum(len(text) for text, _ in cells) <= width
