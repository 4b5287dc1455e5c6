"""Charts, matrices and networks as pictures, SVG and PNG. The only file that imports matplotlib.

The same picture gives the same bytes, whatever a user's matplotlibrc says: no date, no random identifiers. Texts in
an SVG stay texts, in DejaVu Sans or Verdana (whose widths are the same), so that notes can be searched and edited.
"""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import matplotlib as mpl
import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib import colors, ticker
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from chainrule.documents import Chart, ColourScale, Matrix, NetworkDrawing, Raster
from chainrule.render import network_layout
from chainrule.render.curves import Curve, Scale, curves_of, lone_points, remarks_on, spread, thin
from chainrule.render.network_layout import NetworkPlan, PlacedNode, plan_network
from chainrule.render.picture_style import (
    NEGATIVE,
    PALETTE,
    POSITIVE,
    QUIET_INK,
    STYLE,
    legible_on,
    power_of_ten,
    short_number,
    two_or_five,
)
from chainrule.render.plain_text import printable_line, shortened
from chainrule.render.raster_picture import HEIGHT, WIDTH, draw_bar, draw_raster, label_of
from chainrule.render.value_colours import chosen_names, places_on

Picture = Chart | Matrix | NetworkDrawing | Raster

_WIDTH, _HEIGHT = 7.2, 4.2
_COLUMNS = 700
_BRIGHTEST = 0.92  # of the colour sequence
_LONGEST_TITLE = 160
_LARGEST_NUMBERED_MATRIX = 12
_DOTS_PER_INCH = 200


@lru_cache(maxsize=64)  # a report draws each picture twice: into its page, and into a file
def picture_svg(picture: Picture) -> str:
    """Return a chart, matrix or network as the text of an SVG file that loads nothing."""
    with _our_style():
        buffer = io.StringIO()
        no_metadata: dict[str, str | None] = {"Creator": None, "Date": None, "Format": None, "Type": None}
        _figure(picture).savefig(buffer, format="svg", metadata=no_metadata)
    return re.sub(r"<!DOCTYPE[^>]*>\s*", "", buffer.getvalue(), count=1)


def picture_png(picture: Picture) -> bytes:
    """Return a chart, matrix or network as the bytes of a PNG file, 200 dots per inch."""
    with _our_style():
        buffer = io.BytesIO()
        _figure(picture).savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _our_style() -> Iterator[None]:
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        # A name in a script that DejaVu lacks: browsers have the glyphs, and the PNG shows boxes.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def _figure(picture: Picture) -> Figure:
    if isinstance(picture, Chart):
        return _chart_figure(picture)
    if isinstance(picture, Matrix):
        return _matrix_figure(picture)
    if isinstance(picture, Raster):
        return _raster_figure(picture)
    return _network_figure(picture)


def _titled_figure(title: str, width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
    if title.strip():
        wrapped = textwrap.fill(shortened(printable_line(title), _LONGEST_TITLE), max(int(width * 9), 20))
        figure.suptitle(wrapped, x=0.1 / width, ha="left", fontsize=12, fontweight="bold")
    return figure


def _label_axes(axes: Axes, x_label: str, y_label: str, characters: tuple[int, int]) -> None:
    """Label both axes, on two lines each at most; `characters` says how many fit on one."""
    axes.set_xlabel(textwrap.fill(shortened(printable_line(x_label), 2 * characters[0] - 2), characters[0]))
    axes.set_ylabel(textwrap.fill(shortened(printable_line(y_label), 2 * characters[1] - 2), characters[1]))


def _write_remarks(figure: Figure, remarks: Sequence[str]) -> None:
    if remarks:
        width = figure.get_figwidth()
        text = textwrap.fill(" ".join(remarks), max(int(width * 14), 30))
        figure.supxlabel(text, x=0.1 / width, ha="left", fontsize=8, color=QUIET_INK)


def _write_no_data(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=QUIET_INK, fontsize=13)
    axes.set_xticks([])
    axes.set_yticks([])


# Charts


def _chart_figure(chart: Chart) -> Figure:
    figure = _titled_figure(chart.title, _WIDTH, _HEIGHT)
    axes = figure.add_subplot()
    _label_axes(axes, chart.x_label, chart.y_label, (80, 44))
    curves = curves_of(chart)
    _write_remarks(figure, remarks_on(curves))
    if all(curve.is_empty for curve in curves):
        _write_no_data(axes)
        return figure
    axes.margins(x=0.02)
    axes.set_xscale(chart.x_scale)
    axes.set_yscale(chart.y_scale)
    shades = _shades(len(curves)) if chart.colours is None else _value_shades(chart.colours)
    for index, (curve, shade) in enumerate(zip(curves, shades, strict=True)):
        if not curve.is_empty:
            _draw_curve(axes, curve, shade, chart.x_scale, _bar_place(curves, index))
    _set_positions(axes, chart, curves)
    for axis, scale in ((axes.xaxis, chart.x_scale), (axes.yaxis, chart.y_scale)):
        _label_powers(axis) if scale == "log" else _label_numbers(axis)
    drawn = [(curve, shade) for curve, shade in zip(curves, shades, strict=True) if not curve.is_empty]
    if chart.colours is not None:
        _write_names_along(axes, drawn)
        _draw_colour_bar(figure, axes, chart.colours)
    elif not _write_names_at_ends(axes, drawn):
        _write_legend(axes, chart, drawn)
    return figure


def _shades(count: int) -> list[str]:
    """Return one colour a curve: the palette, or for many curves an even walk from dark violet to yellow-green."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    sequence = mpl.colormaps["viridis"]
    return [colors.to_hex(sequence(_BRIGHTEST * index / (count - 1))) for index in range(count)]


def _value_shades(scale: ColourScale) -> list[str]:
    """Return the colour of each curve's value; the bright end of the sequence is left out, as it fades on white."""
    sequence = mpl.colormaps["viridis"]
    return [colors.to_hex(sequence(_BRIGHTEST * place)) for place in places_on(scale)]


def _draw_colour_bar(figure: Figure, axes: Axes, scale: ColourScale) -> None:
    """Draw what the colours stand for beside the chart."""
    sequence = colors.LinearSegmentedColormap.from_list(
        "shown", mpl.colormaps["viridis"](np.linspace(0, _BRIGHTEST, 64))
    )
    low, high = min(scale.values), max(scale.values)
    if low == high:
        return
    norm = (colors.LogNorm if scale.scale == "log" else colors.Normalize)(low, high)
    bar = figure.colorbar(mpl.cm.ScalarMappable(norm, sequence), ax=axes, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label(shortened(printable_line(scale.label), 60), fontsize=9)
    _label_powers(bar.ax.yaxis) if scale.scale == "log" else _label_numbers(bar.ax.yaxis)


def _write_names_along(axes: Axes, drawn: Sequence[tuple[Curve, str]]) -> None:
    """Write the names of some curves at their last points: of those whose names would not cover each other."""
    ends = [_last_point(curve) for curve, _ in drawn]
    spots = [axes.transLimits.transform(axes.transScale.transform(end)) for end in ends]
    for index in chosen_names([(float(x), float(y)) for x, y in spots]):
        curve, shade = drawn[index]
        axes.annotate(
            shortened(printable_line(curve.series.name), 22),
            ends[index],
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_darker(shade),
            annotation_clip=False,
            bbox={"boxstyle": "round,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
        )


def _bar_place(curves: Sequence[Curve], index: int) -> tuple[float, float]:
    """Return a bar's width and its shift from x, so that the bars of several series stand side by side."""
    bars = [place for place, curve in enumerate(curves) if curve.series.style == "bars"]
    if index not in bars:
        return 0.0, 0.0
    positions = np.unique(np.concatenate([curves[place].x for place in bars]))
    steps = np.diff(positions[np.isfinite(positions)])
    width = 0.8 * (float(steps.min()) if steps.size else 1.0) / len(bars)
    return width, (bars.index(index) - (len(bars) - 1) / 2) * width


def _draw_curve(axes: Axes, curve: Curve, shade: str, x_scale: Scale, bar_place: tuple[float, float]) -> None:
    x, y = thin(curve, x_scale, _COLUMNS)
    if curve.series.style == "bars":
        width, shift = bar_place
        axes.bar(x + shift, y, width=width, color=shade, linewidth=0)
    elif curve.series.style == "points":
        is_crowded = x.size > 200
        axes.plot(x, y, "o", color=shade, markersize=2.5 if is_crowded else 5, alpha=0.75, markeredgewidth=0)
    else:
        pattern = (0, (4, 2)) if curve.series.style == "dashed" else "solid"
        axes.plot(x, y, color=shade, linewidth=1.8, linestyle=pattern, solid_capstyle="round")
        lone = lone_points(y)
        axes.plot(x[lone], y[lone], "o", color=shade, markersize=3.5, markeredgewidth=0)


def _set_positions(axes: Axes, chart: Chart, curves: Sequence[Curve]) -> None:
    """Make the x axis reach over gaps at its ends, and put its ticks at bars and at whole numbers."""
    positions = np.unique(np.concatenate([curve.x[np.isfinite(curve.x)] for curve in curves]))
    if all(curve.series.style == "bars" for curve in curves):
        axes.grid(visible=False, axis="x")
        if positions.size <= 20:
            axes.set_xticks(positions, [short_number(float(position)) for position in positions])
        return
    some_y = next(_last_point(curve)[1] for curve in curves if not curve.is_empty)
    axes.update_datalim([(positions[0], some_y), (positions[-1], some_y)])
    axes.autoscale_view()
    if positions.size == 1:
        axes.set_xticks(positions, [short_number(float(positions[0]))])
    elif chart.x_scale == "linear" and bool((positions == np.round(positions)).all()):
        axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def _label_numbers(axis: Axis) -> None:
    """Label a linear axis of very large or very small numbers with whole numbers, and no factor beside the axis."""
    low, high = axis.get_view_interval()
    largest = max(abs(low), abs(high))
    if not 1e-4 <= largest < 1e6:
        axis.set_major_formatter(ticker.FuncFormatter(short_number))


def _label_powers(axis: Axis) -> None:
    """Label a logarithmic axis 10⁻⁵, 10⁻⁴; in plain numbers, between the powers too, when it spans hardly one.

    Over more than half a decade that is 1, 2, 5, 10, as the texts of 8, 9 and 10 would stand too close together.
    """
    low, high = axis.get_view_interval()
    decades = math.log10(high) - math.log10(low)
    is_short = decades < 1.3
    is_plain = is_short or (low > 5e-4 and high < 5e4)
    axis.set_major_formatter(ticker.FuncFormatter(short_number if is_plain else power_of_ten))
    between = two_or_five if decades > 0.5 else short_number
    axis.set_minor_formatter(ticker.FuncFormatter(between) if is_short else ticker.NullFormatter())


def _write_names_at_ends(axes: Axes, drawn: Sequence[tuple[Curve, str]]) -> bool:
    """Write the names of two to six lines at their right ends; say whether that was possible."""
    names = [printable_line(curve.series.name) for curve, _ in drawn]
    low, high = axes.get_xlim()
    ends = [_last_point(curve) for curve, _ in drawn]
    shares = [float(axes.transLimits.transform(axes.transScale.transform(end))[0]) for end in ends]
    is_possible = (
        2 <= len(drawn) <= 6
        and all(curve.series.style in ("line", "dashed") for curve, _ in drawn)
        and all(0 < len(name) <= 22 for name in names)
        and min(shares) > 0.9
        and high > low
    )
    if not is_possible:
        return False
    heights = [float(axes.transLimits.transform(axes.transScale.transform(end))[1]) for end in ends]
    for (_, shade), name, height in zip(drawn, names, spread(heights, 0.065), strict=True):
        axes.annotate(
            name,
            (1.0, height),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=_darker(shade),
            annotation_clip=False,
        )
    return True


def _last_point(curve: Curve) -> tuple[float, float]:
    last = np.flatnonzero(np.isfinite(curve.y))[-1]
    return float(curve.x[last]), float(curve.y[last])


def _darker(shade: str) -> tuple[float, float, float]:
    red, green, blue = colors.to_rgb(shade)
    return 0.75 * red, 0.75 * green, 0.75 * blue


def _write_legend(axes: Axes, chart: Chart, drawn: Sequence[tuple[Curve, str]]) -> None:
    """Write the curves' names between title and axes; of more than ten, six that are evenly apart."""
    if len(drawn) == 1 and drawn[0][0].series.name in ("", chart.title, chart.y_label):
        return
    chosen = list(drawn)
    if len(drawn) > len(PALETTE):
        chosen = [drawn[round(place)] for place in np.linspace(0, len(drawn) - 1, 6)]
    handles = [_legend_mark(curve, shade) for curve, shade in chosen]
    names = [shortened(printable_line(curve.series.name), 40) for curve, _ in chosen]
    title = f"{len(chosen)} of {len(drawn)} curves named" if len(chosen) < len(drawn) else None
    columns = max(1, min(len(chosen), int(84 / (max(len(name) for name in names) + 6))))
    legend = axes.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=columns,
        title=title,
        title_fontsize=8,
        handlelength=1.6,
        columnspacing=1.4,
        borderpad=0.1,
        labelspacing=0.3,
        alignment="left",
    )
    legend.get_title().set_color(QUIET_INK)


def _legend_mark(curve: Curve, shade: str) -> Line2D:
    if curve.series.style == "points":
        return Line2D([], [], color=shade, marker="o", linestyle="none", markersize=5, markeredgewidth=0)
    if curve.series.style == "bars":
        return Line2D([], [], color=shade, linewidth=7, solid_capstyle="butt")
    return Line2D([], [], color=shade, linewidth=1.8, linestyle="--" if curve.series.style == "dashed" else "-")


# Maps


def _raster_figure(raster: Raster) -> Figure:
    figure = _titled_figure(raster.title, WIDTH, HEIGHT)
    axes, bar = figure.subplots(1, 2, width_ratios=(30, 1))
    _label_axes(axes, label_of(raster.x), label_of(raster.y), (70, 50))
    draw_raster(axes, raster)
    draw_bar(bar, raster.colours)
    if raster.marks:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "borderpad": 0.1, "handlelength": 1.2}
        axes.legend(ncols=len(raster.marks), **place)
    return figure


# Matrices


def _matrix_figure(matrix: Matrix) -> Figure:
    rows, columns = len(matrix.values), len(matrix.values[0]) if matrix.values else 0
    is_numbered = 0 < max(rows, columns) <= _LARGEST_NUMBERED_MATRIX
    cell = (0.85 if columns <= 6 else 0.6) if is_numbered else max(0.06, min(0.3, 6.0 / max(rows, columns, 1)))
    width, height = min(9.0, max(4.0, columns * cell + 2.4)), min(9.0, max(2.6, rows * cell + 1.7))
    figure = _titled_figure(matrix.title, width, height)
    axes = figure.add_subplot()
    axes.grid(visible=False)
    _label_axes(axes, matrix.column_label, matrix.row_label, (int(8 * width), int(8 * height)))
    values = np.array(matrix.values, dtype=np.float64).reshape(rows, columns)
    finite = values[np.isfinite(values)]
    if values.size == 0:
        _write_no_data(axes)
        return figure
    bound = float(np.abs(finite).max()) if finite.size else 1.0
    is_signed = bool((finite < 0).any())
    # Purple against orange keeps apart for colour-blind eyes; one hue where nothing is negative.
    sequence = mpl.colormaps["PuOr_r" if is_signed else "Blues"].with_extremes(bad="#d5d9dd")
    norm = colors.Normalize(-bound if is_signed else 0.0, bound or 1.0)
    shown = np.ma.masked_invalid(values)
    if max(rows, columns) <= 40:
        mesh = axes.pcolormesh(shown, cmap=sequence, norm=norm, edgecolors="white", linewidth=1.2)
    else:
        mesh = axes.pcolormesh(shown, cmap=sequence, norm=norm, rasterized=True)
    axes.invert_yaxis()
    axes.set_aspect("equal" if is_numbered else "auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _name_cells(axes, matrix, cell)
    if is_numbered:
        _write_numbers(axes, matrix, mesh.to_rgba(shown), cell)
    else:
        figure.colorbar(mesh, ax=axes, shrink=0.8).outline.set_visible(False)
    return figure


def _name_cells(axes: Axes, matrix: Matrix, cell: float) -> None:
    """Write row and column names beside the cells, and of many only every second, third and so on."""
    row_step, column_step = -(-len(matrix.row_names) // 40), -(-len(matrix.column_names) // 40)
    rows = range(0, len(matrix.row_names), max(row_step, 1))
    columns = range(0, len(matrix.column_names), max(column_step, 1))
    column_names = [shortened(printable_line(matrix.column_names[place]), 24) for place in columns]
    widest = max((network_layout.text_width(name, 9.0) for name in column_names), default=0.0)
    is_slanted = widest > 0.95 * cell * max(column_step, 1)
    axes.set_yticks([place + 0.5 for place in rows])
    axes.set_yticklabels([shortened(printable_line(matrix.row_names[place]), 24) for place in rows])
    axes.set_xticks([place + 0.5 for place in columns])
    axes.set_xticklabels(column_names)
    if is_slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontsize(9 if max(len(rows), len(columns)) <= 20 else 6.5)


def _write_numbers(axes: Axes, matrix: Matrix, shades: npt.NDArray[np.float64], cell: float) -> None:
    texts = [[format(float(value), matrix.number_format) for value in row] for row in matrix.values]
    widest = max(network_layout.text_width(text, 1.0) for row in texts for text in row)
    size = min(10.0, 0.88 * cell / widest)
    for row, column in np.ndindex(len(texts), len(texts[0])):
        colour = legible_on(*(float(part) for part in shades[row, column][:3]))
        axes.text(column + 0.5, row + 0.5, texts[row][column], ha="center", va="center", color=colour, fontsize=size)


# Networks

_LAYER_FILLS: Final = ("#f1f4f6", "#e4eff8", "#fdf1dc")  # inputs, hidden, outputs


def _network_figure(drawing: NetworkDrawing) -> Figure:
    plan = plan_network(drawing)
    title = textwrap.wrap(shortened(printable_line(drawing.title), _LONGEST_TITLE), max(int(plan.width * 9), 20))
    legend = textwrap.wrap(" ".join(plan.remarks), max(int(plan.width * 13), 30))
    above, below = 0.45 + 0.22 * len(title), 0.1 + 0.2 * bool(plan.edges) + 0.19 * len(legend)
    figure = Figure(figsize=(plan.width, plan.height + above + below))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, plan.width), ylim=(-below, plan.height + above))
    if not plan.nodes:
        _write_no_data(axes)
    axes.text(0.15, plan.height + above - 0.12, "\n".join(title), fontsize=12, fontweight="bold", va="top")
    _draw_edges(axes, plan)
    for node in plan.nodes:
        _draw_node(axes, node, _LAYER_FILLS[_layer_kind(node.layer, len(drawing.layers))])
    for name in plan.layer_names:
        axes.text(name.x, name.y, name.text, ha="center", va="bottom", fontsize=10, color=QUIET_INK)
    for gap in plan.gaps:
        axes.text(gap.x, gap.y, gap.text, ha="center", va="center", fontsize=9, color=QUIET_INK)
    if plan.edges:
        _draw_key(axes, plan)
    axes.text(0.15, -below + 0.06, "\n".join(legend), fontsize=8, color=QUIET_INK, va="bottom")
    return figure


def _layer_kind(layer: int, count: int) -> int:
    return 0 if layer == 0 else 2 if layer == count - 1 else 1


def _draw_edges(axes: Axes, plan: NetworkPlan) -> None:
    values = [abs(placed.edge.value) for placed in plan.edges if math.isfinite(placed.edge.value)]
    largest = max(values, default=0.0) or 1.0
    is_sparse = len(plan.edges) <= network_layout.LABELLED_EDGES_AT_MOST
    thinnest, thickest = (0.9, 3.2) if is_sparse else (0.25, 1.8)
    for placed in plan.edges:
        value = placed.edge.value
        if math.isfinite(value):
            share = abs(value) / largest
            shade, pattern = (NEGATIVE if value < 0 else POSITIVE), "-"
        else:
            share, shade, pattern = 0.3, QUIET_INK, ":"
        axes.plot(
            (placed.start[0], placed.end[0]),
            (placed.start[1], placed.end[1]),
            color=shade,
            linestyle=pattern,
            linewidth=thinnest + (thickest - thinnest) * share,
            alpha=0.85 if is_sparse else 0.25 + 0.6 * share,
            zorder=1,
        )
    for label in plan.labels:
        box = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "none"}
        size = network_layout.LABEL_POINTS
        axes.text(label.x, label.y, label.text, ha="center", va="center", fontsize=size, bbox=box, zorder=2)


def _draw_node(axes: Axes, placed: PlacedNode, fill: str) -> None:
    outline: dict[str, object] = {"edgecolor": "#52606d", "linewidth": 1.2}
    if placed.is_bias:
        outline |= {"linestyle": (0, (3, 2))}
        fill = "white"
    axes.add_patch(Circle((placed.x, placed.y), placed.radius, facecolor=fill, zorder=3, **outline))
    lines = network_layout.node_lines(placed.node)
    name = printable_line(placed.node.name)
    if placed.texts != "inside":
        text = "\n".join((shortened(name, 22), *lines))
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        size, away = network_layout.SMALL_POINTS, placed.radius + 0.06
        x, y, across, up = {
            "left": (placed.x - away, placed.y, "right", "center"),
            "right": (placed.x + away, placed.y, "left", "center"),
        }.get(placed.texts, (placed.x, placed.y - away + 0.02, "center", "top"))
        axes.text(x, y, text, ha=across, va=up, fontsize=size, linespacing=1.15, bbox=box, zorder=4)
        return
    step = 1.35 * network_layout.LINE_POINTS / 72
    top = placed.y + step * len(lines) / 2
    weight, size = "bold", network_layout.NAME_POINTS
    axes.text(placed.x, top, name, ha="center", va="center", fontsize=size, fontweight=weight, zorder=4)
    for row, line in enumerate(lines, start=1):
        y = top - row * step - 0.02
        axes.text(placed.x, y, line, ha="center", va="center", fontsize=network_layout.LINE_POINTS, zorder=4)


def _draw_key(axes: Axes, plan: NetworkPlan) -> None:
    y = -0.08
    for x, shade, word in ((0.15, POSITIVE, "positive"), (1.25, NEGATIVE, "negative")):
        axes.plot((x, x + 0.3), (y, y), color=shade, linewidth=2.2)
        axes.text(x + 0.36, y, word, fontsize=8, va="center", color=QUIET_INK)
    axes.text(2.4, y, "thicker: larger value", fontsize=8, va="center", color=QUIET_INK)
