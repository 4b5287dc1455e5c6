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
_TICKS_AT_LEAST: Final = 3
_LONGEST_NUMBER: Final = 8  # characters of a tick; the terminal has room for nine
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
    """Return where along an axis the ticks are, in cells from the middle of the first one, and their texts.

    Logarithmic axes have powers of ten from two decades on, and 1, 2, 5 and 10 down to half a decade. On shorter ones
    and on linear ones the ticks are evenly apart. Where neighbours differ only far behind the point, the texts are
    what is added to the number that `label_of` says.
    """
    if axis.scale == "names":
        step = -(-len(axis.names) // _NAMES_AT_MOST)
        return list(axis.values[::step]), [shortened(printable_line(name), 16) for name in axis.names[::step]]
    low, high = axis.values[0], axis.values[-1]
    values = _on_log_axis(low, high) if axis.scale == "log" else []
    if not values:
        values = round_numbers(low, high, 6)
        base = base_of(values)
        return places_of(axis, values), numbers_as_texts(values) if base is None else _offsets(values, base)
    is_plain = low > 5e-4 and high < 5e4
    texts = [power_of_ten(value) for value in values]
    return places_of(axis, values), [short_number(value) for value in values] if is_plain or "" in texts else texts


def label_of(axis: RasterAxis) -> str:
    """Return what stands along an axis, with the number that its ticks begin from where they do not say it."""
    if axis.scale == "names":
        return axis.label
    low, high = axis.values[0], axis.values[-1]
    if axis.scale == "log" and _on_log_axis(low, high):
        return axis.label
    base = base_of(round_numbers(low, high, 6))
    return axis.label if base is None else f"{axis.label}, minus {base:.16g}"


def base_of(values: list[float]) -> float | None:
    """Return the roundest of some ticks where their texts would be long without it, else None."""
    if max(map(len, numbers_as_texts(values)), default=0) <= _LONGEST_NUMBER:
        return None
    return min(values, key=lambda value: (len(f"{value:.16g}"), abs(value)))


def _offsets(values: list[float], base: float) -> list[str]:
    """Return by how much ticks differ from the base: whole multiples of the step between two of them."""
    place = values.index(base)
    step = (values[-1] - values[0]) / (len(values) - 1)
    # The step is 1, 2 or 5 times a power of ten, which the difference of two near numbers tells to a few digits only.
    round_step = float(f"{step:.0e}")
    return [f"{(number - place) * round_step:+.2g}" if number != place else "0" for number in range(len(values))]


def minor_ticks_of(axis: RasterAxis) -> list[float]:
    """Return where the 2 to 9 of each decade are, where an axis has from two to five decades."""
    if axis.scale != "log" or not 2 <= math.log10(axis.values[-1] / axis.values[0]) * (1 + 1e-9) <= 5:
        return []
    first, last = math.floor(math.log10(axis.values[0])), math.ceil(math.log10(axis.values[-1]))
    values = [part * 10.0**power for power in range(first, last) for part in range(2, 10)]
    return places_of(axis, [value for value in values if axis.values[0] <= value <= axis.values[-1]])


def places_of(axis: RasterAxis, values: list[float]) -> list[float]:
    """Return where values lie along an axis, in cells from the middle of the first one."""
    whole = _from_first(axis, axis.values[-1])
    return [_from_first(axis, value) / whole * (len(axis.values) - 1) for value in values]


def round_numbers(low: float, high: float, count: int) -> list[float]:
    """Return about so many round numbers between two: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def numbers_as_texts(values: list[float]) -> list[str]:
    """Return numbers with as many digits as tell neighbours apart; from 0.0001 to 999999 without an exponent."""
    if len(values) < 2:
        return [f"{value:.6g}" for value in values]
    largest = max(abs(value) for value in values)
    shown = [0.0 if abs(value) < 1e-9 * largest else value for value in values]
    apart = math.log10(values[1] - values[0])
    if 1e-4 <= largest < 1e6:
        behind = min(max(0, math.ceil(-apart - 1e-6)), 16)
        texts = [f"{value:.{behind}f}" for value in shown]
        return [text.rstrip("0").rstrip(".") if "." in text else text for text in texts]
    digits = max(2, math.ceil(math.log10(max(largest, 1e-300)) - apart + 1e-9) + 1)
    return [f"{value:.{min(digits, 16)}g}" for value in shown]


def _on_log_axis(low: float, high: float) -> list[float]:
    decades = math.log10(high / low)
    if decades >= 2 * (1 - 1e-9):
        return _powers(low, high)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    values = [float(f"{part}e{power}") for power in range(first, last + 1) for part in (1, 2, 5)]
    inside = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return inside if decades > 0.5 and len(inside) >= _TICKS_AT_LEAST else []


def _powers(low: float, high: float) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, -(-(last - first + 1) // _TICKS_AT_MOST))
    return [10.0**power for power in range(first, last + 1, step)]


def _from_first(axis: RasterAxis, value: float) -> float:
    """Return how far a value is from the first one, which the difference of two logarithms would tell roughly."""
    first = axis.values[0]
    return math.log1p((value - first) / first) if axis.scale == "log" else value - first
