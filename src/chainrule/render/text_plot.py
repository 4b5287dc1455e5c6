"""A chart drawn with characters: braille dots, or letters where the terminal knows ASCII only. No colours here.

Each row comes as spans of text with the number of the curve that they belong to, so that the terminal can colour them;
the curves' names stand at their right ends, so that the plot reads without colour too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from chainrule.documents import Chart
from chainrule.render.curves import Curve, Numbers, Scale, curves_of, spread, thin
from chainrule.render.plain_text import printable_line, shortened

CANVAS_ROWS: Final = 10
_BARS_AT_MOST: Final = 12
_LONGEST_NAME: Final = 22
_MARKS: Final = "*+ox#@%&=~"
# Braille dots of a cell by (row, column): U+2800 and the bits of ISO 11548-1.
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a row, and the curve it belongs to; None for axes and labels."""

    text: str
    curve: int | None = None


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What the cells hold: their braille dots (or 1 for a mark), and the curve that drew there last."""

    dots: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    owner: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    is_plain: bool


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis: its scale and the range, on that scale, that it shows."""

    scale: Scale
    low: float
    high: float

    def place(self, values: Numbers, slots: int) -> Numbers:
        """Return where values lie, from 0 to slots − 1; NaN stays NaN."""
        scaled = np.log10(values) if self.scale == "log" else values
        if self.high == self.low:
            return scaled - scaled + (slots - 1) // 2
        # Halved, because the difference of two large numbers of opposite sign can overflow.
        return np.round((scaled / 2 - self.low / 2) / (self.high / 2 - self.low / 2) * (slots - 1))

    def label(self, end: float) -> str:
        """Return an end of the axis as a number in the chart's units."""
        value = 10**end if self.scale == "log" else end
        is_whole = abs(value) < 1e7 and value == round(value)
        return f"{value:.0f}" if is_whole else f"{value:.4g}"


def plot_chart(chart: Chart, width: int, *, is_plain: bool) -> list[list[Span]]:
    """Return a chart as at most 12 rows of text: ten of curves, the axis and its labels.

    Args:
        chart: what to plot.
        width: how many columns of characters there are.
        is_plain: whether only ASCII can be printed.

    Raises:
        ShapeError: a series has not as many positions as values.
    """
    curves = curves_of(chart)
    drawn = [index for index, curve in enumerate(curves) if not curve.is_empty]
    if not drawn:
        return [[Span("(no data)")]]
    if all(curve.series.style == "bars" for curve in curves) and sum(curve.y.size for curve in curves) <= _BARS_AT_MOST:
        return _bar_rows(chart, curves, width, is_plain=is_plain)
    across = _axis(np.concatenate([curve.x for curve in curves]), chart.x_scale)
    includes_zero = chart.y_scale == "linear" and any(curve.series.style == "bars" for curve in curves)
    up = _axis(np.concatenate([curve.y for curve in curves] + [np.zeros(int(includes_zero))]), chart.y_scale)
    names = {index: shortened(printable_line(curves[index].series.name), _LONGEST_NAME) for index in drawn}
    labels = (up.label(up.high), up.label(up.low))
    left = max(len(label) for label in labels)
    right = max(len(name) for name in names.values()) + 3
    if width - left - 2 - right < 20:  # Too narrow for names beside the plot: the rest is worth more.
        right, names = 0, {}
    columns = max(min(width - left - 2 - right, 72), 8)
    canvas = _canvas(columns, is_plain=is_plain)
    for index in drawn:
        _draw(canvas, curves[index], index, across, up)
    ends = _names_by_row(curves, names, up)
    rows = []
    for row in range(CANVAS_ROWS):
        label = labels[0] if row == 0 else labels[1] if row == CANVAS_ROWS - 1 else ""
        edge = ("+" if label else "|") if is_plain else ("┤" if label else "│")
        rows.append([Span(f"{label:>{left}} {edge}"), *_row_spans(canvas, row), *_name_spans(ends.get(row), is_plain)])
    line = "-" if is_plain else "─"
    rows.append([Span(" " * (left + 1) + ("+" if is_plain else "└") + line * columns)])
    rows.append([Span(" " * (left + 2) + _x_labels(chart, across, columns))])
    return rows


def _bar_rows(chart: Chart, curves: Sequence[Curve], width: int, *, is_plain: bool) -> list[list[Span]]:
    """Return one row a bar: where it stands, whose it is, the bar and its value. Lengths are linear, from zero."""
    bars = sorted(
        (x, index, y)
        for index, curve in enumerate(curves)
        for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)
        if math.isfinite(y)
    )
    longest = min(_LONGEST_NAME, width // 4)
    names = [shortened(printable_line(curve.series.name), longest) for curve in curves]
    widest_name = max(len(name) for name in names)
    values = [f"{y:.4g}" for _, _, y in bars]
    positions = [f"{x:.6g}" for x, _, _ in bars]
    widest_position = max(len(position) for position in positions)
    room = max(width - widest_position - widest_name - max(len(value) for value in values) - 4, 4)
    largest = max(abs(y) for _, _, y in bars) or 1.0
    rows = []
    for (_, index, y), position, value in zip(bars, positions, values, strict=True):
        bar = ("#" if is_plain else "█") * round(min(room, 60) * abs(y) / largest)
        rows.append(
            [
                Span(f"{position:>{widest_position}}  {names[index]:<{widest_name}} "),
                Span(bar, index),
                Span(f" {value}"),
            ]
        )
    return rows


def _axis(values: Numbers, scale: Scale) -> _Axis:
    finite = values[np.isfinite(values)]
    scaled = np.log10(finite) if scale == "log" else finite
    return _Axis(scale, float(scaled.min()), float(scaled.max()))


def _canvas(columns: int, *, is_plain: bool) -> _Canvas:
    shape = (CANVAS_ROWS, columns)
    return _Canvas(np.zeros(shape, dtype=np.int64), np.full(shape, -1, dtype=np.int64), is_plain)


def _draw(canvas: _Canvas, curve: Curve, index: int, across: _Axis, up: _Axis) -> None:
    rows, columns = canvas.dots.shape
    wide, high = (columns, rows) if canvas.is_plain else (2 * columns, 4 * rows)
    x, y = thin(curve, across.scale, wide)
    places_x, places_y = across.place(x, wide), up.place(y, high)
    is_drawn = np.isfinite(places_x) & np.isfinite(places_y)
    base = up.place(np.zeros(1), high)[0] if up.scale == "linear" and up.low <= 0 <= up.high else 0.0
    for point in np.flatnonzero(is_drawn):
        end = (places_x[point], places_y[point])
        start = end
        if curve.series.style == "bars":
            start = (end[0], base)
        elif curve.series.style != "points" and point > 0 and is_drawn[point - 1]:
            start = (places_x[point - 1], places_y[point - 1])
        _draw_line(canvas, index, start, end)


def _draw_line(canvas: _Canvas, index: int, start: tuple[float, float], end: tuple[float, float]) -> None:
    steps = int(max(abs(end[0] - start[0]), abs(end[1] - start[1]))) + 1
    for x, y in zip(np.linspace(start[0], end[0], steps), np.linspace(start[1], end[1], steps), strict=True):
        column, height = round(float(x)), round(float(y))
        if canvas.is_plain:
            row, dot = CANVAS_ROWS - 1 - height, 1
        else:
            from_top = 4 * CANVAS_ROWS - 1 - height
            row, dot = from_top // 4, _DOTS[from_top % 4][column % 2]
            column //= 2
        canvas.dots[row, column] |= dot
        canvas.owner[row, column] = index


def _row_spans(canvas: _Canvas, row: int) -> list[Span]:
    spans: list[Span] = []
    for dots, owner in zip(canvas.dots[row].tolist(), canvas.owner[row].tolist(), strict=True):
        curve = None if owner < 0 else owner
        mark = " " if not dots else _MARKS[owner % len(_MARKS)] if canvas.is_plain else chr(0x2800 + dots)
        if spans and spans[-1].curve == curve:
            spans[-1] = Span(spans[-1].text + mark, curve)
        else:
            spans.append(Span(mark, curve))
    return spans


def _names_by_row(curves: Sequence[Curve], names: dict[int, str], up: _Axis) -> dict[int, Span]:
    """Return the names at the rows where their curves end; of more than ten, ten that are evenly apart."""
    chosen = [index for index, name in names.items() if name]
    if len(chosen) > CANVAS_ROWS:
        chosen = [chosen[round(place)] for place in np.linspace(0, len(chosen) - 1, CANVAS_ROWS)]
    heights = []
    for index in chosen:
        last = curves[index].y[np.isfinite(curves[index].y)][-1:]
        heights.append(float(up.place(last, CANVAS_ROWS)[0]) / (CANVAS_ROWS - 1))
    rows = [CANVAS_ROWS - 1 - round(height * (CANVAS_ROWS - 1)) for height in spread(heights, 1 / (CANVAS_ROWS - 1))]
    return {row: Span(names[index], index) for row, index in zip(rows, chosen, strict=True)}


def _name_spans(name: Span | None, is_plain: bool) -> list[Span]:
    if name is None or name.curve is None:
        return []
    mark = f" {_MARKS[name.curve % len(_MARKS)]} " if is_plain else "  "
    return [Span(mark + name.text, name.curve)]


def _x_labels(chart: Chart, across: _Axis, columns: int) -> str:
    low, high = across.label(across.low), across.label(across.high)
    room = columns - len(low) - len(high) - 2
    middle = shortened(printable_line(chart.x_label), room) if room >= 4 else ""
    return f"{low} {middle:^{max(room, 0)}} {high}".rstrip()
