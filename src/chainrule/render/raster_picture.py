"""A map as a figure: its cells, axes with the names of the hyperparameters, marks, and what the colours stand for.

It draws on axes that `charts.py` hands over, as that file alone talks to matplotlib.
"""

import math
from typing import Any, Final

from chainrule.documents import ColourBar, Raster, RasterAxis, RasterMark
from chainrule.render.picture_style import INK, QUIET_INK, power_of_ten, short_number
from chainrule.render.plain_text import printable_line, shortened
from chainrule.render.raster_colours import colours_of, key_of, palette_of

WIDTH: Final = 7.2
HEIGHT: Final = 5.9
_TICKS_AT_MOST: Final = 10
_NAMES_AT_MOST: Final = 16


def draw_raster(axes: Any, raster: Raster) -> None:
    """Draw the cells of a raster, its ticks and its marks on a figure's axes."""
    axes.grid(visible=False)
    # In shares of the cells: pixels stay square to the picture, and any scale becomes a question of ticks.
    rows, columns = len(raster.y.values), len(raster.x.values)
    axes.imshow(
        colours_of(raster),
        extent=(-0.5, columns - 0.5, -0.5, rows - 0.5),
        origin="lower",
        aspect="auto",
        interpolation="none" if max(rows, columns) <= 2048 else "antialiased",
    )
    x_places, x_texts = ticks_of(raster.x)
    y_places, y_texts = ticks_of(raster.y)
    axes.set_xticks(x_places, x_texts)
    axes.set_yticks(y_places, y_texts)
    axes.set_xticks(minor_ticks_of(raster.x), minor=True)
    axes.set_yticks(minor_ticks_of(raster.y), minor=True)
    for mark in raster.marks:
        _draw_mark(axes, mark)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(-0.5, rows - 0.5)


def draw_bar(axes: Any, bar: ColourBar) -> None:
    """Draw what the colours stand for, from the bottom up, with its key above it."""
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    palette = palette_of(bar.kind)[2:]
    half = len(palette) // 2
    if bar.sides != ("", ""):
        axes.imshow(palette[:half, None], extent=(0, 1, 0, 0.49), origin="lower", aspect="auto")
        axes.imshow(palette[half:, None], extent=(0, 1, 0.51, 1), origin="lower", aspect="auto")
        for side, height in zip(bar.sides, (0.245, 0.755), strict=True):
            axes.text(4.6, height, side, rotation=90, ha="center", va="center", fontsize=10, color=INK)
    else:
        axes.imshow(palette[:, None], extent=(0, 1, 0, 1), origin="lower", aspect="auto")
        if bar.label:
            axes.set_ylabel(shortened(printable_line(bar.label), 60), fontsize=9)
            axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()
    axes.set_yticks([place for place, _ in bar.ticks], [text for _, text in bar.ticks])
    axes.tick_params(length=0 if bar.sides != ("", "") else 3)
    axes.set_ylim(0, 1)
    for number, (colour, text) in enumerate(reversed(key_of(bar))):
        height = 1.05 + 0.055 * number
        axes.plot([0.5], [height], "s", color=colour, markersize=9, clip_on=False)
        axes.text(1.4, height, text, va="center", fontsize=9, color=QUIET_INK)


def _draw_mark(axes: Any, mark: RasterMark) -> None:
    sign = {"ring": "o", "star": "*"}[mark.sign]
    size = {"ring": 9, "star": 13}[mark.sign]
    place = ([mark.column], [mark.row])
    axes.plot(*place, sign, markersize=size, markerfacecolor="white", markeredgecolor="#000000", markeredgewidth=1.3)
    axes.plot([], [], sign, color="white", markeredgecolor="#000000", markersize=size * 0.8, label=mark.label)


# Ticks, in cells


def ticks_of(axis: RasterAxis) -> tuple[list[float], list[str]]:
    """Return where along an axis the ticks are, in cells from the middle of the first one, and their texts."""
    if axis.scale == "names":
        step = -(-len(axis.names) // _NAMES_AT_MOST)
        return list(axis.values[::step]), [shortened(printable_line(name), 16) for name in axis.names[::step]]
    low, high = axis.values[0], axis.values[-1]
    values = _powers(low, high) if axis.scale == "log" else []
    if len(values) >= 2:
        is_plain = low > 5e-4 and high < 5e4
        texts = [short_number(value) if is_plain else power_of_ten(value) for value in values]
    else:
        values = round_numbers(low, high, 6)
        texts = numbers_as_texts(values)
    return places_of(axis, values), texts


def minor_ticks_of(axis: RasterAxis) -> list[float]:
    """Return where the 2 to 9 of each decade are, where an axis has no more than five decades."""
    if axis.scale != "log" or not 1 <= math.log10(axis.values[-1] / axis.values[0]) <= 5:
        return []
    first, last = math.floor(math.log10(axis.values[0])), math.ceil(math.log10(axis.values[-1]))
    values = [part * 10.0**power for power in range(first, last) for part in range(2, 10)]
    return places_of(axis, [value for value in values if axis.values[0] <= value <= axis.values[-1]])


def places_of(axis: RasterAxis, values: list[float]) -> list[float]:
    """Return where values lie along an axis, in cells from the middle of the first one."""
    low, high = _scaled(axis, axis.values[0]), _scaled(axis, axis.values[-1])
    return [(_scaled(axis, value) - low) / (high - low) * (len(axis.values) - 1) for value in values]


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """Return about so many round numbers between two: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def numbers_as_texts(values: list[float]) -> list[str]:
    """Return numbers with as many digits as tell neighbours apart."""
    if len(values) < 2:
        return [f"{value:.6g}" for value in values]
    largest = max(abs(value) for value in values)
    digits = max(2, math.ceil(math.log10(max(largest, 1e-300) / (values[1] - values[0])) + 1e-9) + 1)
    return [f"{0.0 if abs(value) < 1e-9 * largest else value:.{min(digits, 16)}g}" for value in values]


def _powers(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, -(-(last - first + 1) // _TICKS_AT_MOST))
    return [10.0**power for power in range(first, last + 1, step)]


def _scaled(axis: RasterAxis, value: float) -> float:
    return math.log10(value) if axis.scale == "log" else value
