"""A graph as SVG text, written here: no system program, no script, nothing that is loaded.

Boxes are white on white, also on a dark page, so that the colours always mean the same. The rim of a box and the
colour of an arrow stand for a number on a logarithmic scale; what is zero, not finite or without a number has a colour
and a line of its own, so that nobody needs to tell shades apart to find it.
"""

import math
from collections.abc import Iterable
from html import escape
from itertools import pairwise
from typing import Final

from chainrule.documents import Graph
from chainrule.render import graph_text
from chainrule.render.graph_layout import (
    MARGIN,
    GraphPlan,
    PlacedArrow,
    PlacedBox,
    PlacedFrame,
    PlacedLabel,
    plan_graph,
)
from chainrule.render.graph_text import fitted, label_width, text_width
from chainrule.render.picture_style import INK, QUIET_INK, short_number
from chainrule.render.plain_text import printable

_FONT: Final = "DejaVu Sans, Verdana, Geneva, Arial, sans-serif"
_SHADES: Final = ((0xA8, 0xDD, 0xB5), (0x4E, 0xB3, 0xD3), (0x2B, 0x8C, 0xBE), (0x08, 0x40, 0x81))
_PLAIN: Final = "#8a949e"
_NONE: Final = "#b4bdc6"
_ZERO: Final = "#d55e00"
_NOT_FINITE: Final = "#b3261e"
_FRAMES: Final = ("#f5f7f9", "#ebeff3", "#e1e7ed")
_LEGEND_HEIGHT: Final = 54.0
_LEGEND_STEPS: Final = 32
_HEAD: Final = (7.0, 3.6)  # length and half width of an arrow's head


def graph_svg(graph: Graph) -> str:
    """Return a graph as the text of an SVG file that loads nothing; the same graph gives the same text."""
    plan = plan_graph(graph)
    scale = _Scale.of(graph)
    title_width = text_width(graph.title, 15.0, is_bold=True) + 2 * MARGIN
    top = 34.0 if graph.title else 0.0
    bottom = _LEGEND_HEIGHT if graph.scale else 0.0
    scale_width = text_width(graph.scale, graph_text.LABEL) + 2 * MARGIN if graph.scale else 0.0
    width = math.ceil(max(plan.width, title_width, scale_width))
    height = math.ceil(plan.height + top + bottom)
    shift = (width - plan.width) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{_text(graph.title)}" font-family="{_FONT}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    if graph.title:
        parts.append(_write(graph.title, MARGIN, 26.0, 15.0, INK, is_bold=True))
    parts.append(f'<g transform="translate({_number(shift)} {_number(top)})">')
    parts += _drawing(plan, scale)
    parts.append("</g>")
    if graph.scale:
        parts += scale.legend(graph, height - _LEGEND_HEIGHT)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawing(plan: GraphPlan, scale: "_Scale") -> Iterable[str]:
    for frame in plan.frames:
        yield _frame(frame)
    for arrow in plan.arrows:
        yield _arrow(arrow, scale)
    for frame in plan.frames:
        yield _frame_title(frame)
    for label in plan.labels:
        yield _label(label)
    for box in plan.boxes:
        yield from _box(box, scale)


class _Scale:
    """Colours for numbers, from the smallest to the largest that a graph has, on a logarithmic scale."""

    def __init__(self, values: list[float | None]) -> None:
        self.is_used = bool(values)
        usable = [value for value in values if value is not None and math.isfinite(value) and value > 0]
        self.low, self.high = (min(usable), max(usable)) if usable else (0.0, 0.0)
        self.has_zero = any(value == 0 for value in values)
        self.has_ruin = any(value is not None and not math.isfinite(value) for value in values)
        self.has_none = any(value is None for value in values)

    @classmethod
    def of(cls, graph: Graph) -> "_Scale":
        edges = [edge.value for edge in graph.edges]
        return cls([*edges, *(node.value for node in graph.nodes)] if graph.scale else [])

    def colour(self, value: float | None) -> str:
        if not self.is_used:
            return _PLAIN
        if value is None:
            return _NONE
        if not math.isfinite(value):
            return _NOT_FINITE
        if value == 0:
            return _ZERO
        span = math.log(self.high) - math.log(self.low)
        return _shade((math.log(value) - math.log(self.low)) / span if span > 0 else 1.0)

    def dashes(self, value: float | None) -> str:
        if value is None and self.is_used:
            return ' stroke-dasharray="2 4"'
        return ' stroke-dasharray="6 4"' if value == 0 else ""

    def legend(self, graph: Graph, y: float) -> Iterable[str]:
        yield _write(graph.scale, MARGIN, y + 14, graph_text.LABEL, QUIET_INK)
        x, y = MARGIN, y + 22
        if self.high > 0:
            low, high = short_number(float(f"{self.low:.2g}")), short_number(float(f"{self.high:.2g}"))
            if low != high:
                yield _write(low, x, y + 10, graph_text.LABEL, INK)
                x += text_width(low, graph_text.LABEL) + 6
                for step in range(_LEGEND_STEPS):
                    shade = _shade(step / (_LEGEND_STEPS - 1))
                    yield f'<rect x="{_number(x + 3 * step)}" y="{_number(y)}" width="3.5" height="11" fill="{shade}"/>'
                x += 3 * _LEGEND_STEPS + 6
            else:
                yield f'<rect x="{_number(x)}" y="{_number(y)}" width="16" height="11" fill="{_shade(1.0)}"/>'
                x += 22
            yield _write(high, x, y + 10, graph_text.LABEL, INK)
            x += text_width(high, graph_text.LABEL) + 18
        kinds = ((self.has_zero, _ZERO, ' stroke-dasharray="6 4"', "zero"),
                 (self.has_ruin, _NOT_FINITE, "", "not finite"),
                 (self.has_none, _NONE, ' stroke-dasharray="2 4"', "none"))  # fmt: skip
        for is_there, colour, dashes, word in kinds:
            if is_there:
                ends = f'x1="{_number(x)}" x2="{_number(x + 22)}" y1="{_number(y + 6)}" y2="{_number(y + 6)}"'
                yield f'<line {ends} stroke="{colour}" stroke-width="2"{dashes}/>'
                yield _write(word, x + 28, y + 10, graph_text.LABEL, INK)
                x += 28 + text_width(word, graph_text.LABEL) + 16


def _shade(share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(_SHADES) - 1)
    left = min(int(place), len(_SHADES) - 2)
    mixed = [
        round(one + (other - one) * (place - left)) for one, other in zip(_SHADES[left], _SHADES[left + 1], strict=True)
    ]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _frame(frame: PlacedFrame) -> str:
    fill = _FRAMES[min(frame.depth, len(_FRAMES) - 1)]
    return f'<rect {_rectangle(frame)} rx="8" fill="{fill}" stroke="#d3dae1"/>'


def _frame_title(frame: PlacedFrame) -> str:
    title, subtitle = fitted(frame.group.title), fitted(frame.group.subtitle)
    x, y = frame.title_x, frame.y + 17
    text = _write(title, x, y, graph_text.FRAME_TITLE, INK, is_bold=True, halo=_halo(frame))
    if subtitle:
        x += text_width(title, graph_text.FRAME_TITLE, is_bold=True) + 8
        text += "\n" + _write(subtitle, x, y, graph_text.LABEL, QUIET_INK, halo=_halo(frame))
    return text


def _halo(frame: PlacedFrame) -> str:
    return _FRAMES[min(frame.depth, len(_FRAMES) - 1)]


def _arrow(arrow: PlacedArrow, scale: _Scale) -> str:
    colour = scale.colour(arrow.value)
    points = list(arrow.points)
    head = ""
    if arrow.has_head:
        length, half = _HEAD
        x, y = points[-1]
        direction = 1 if points[-2][1] <= y else -1
        base = y - direction * length
        head = f'<path d="M{_pair(x, y)} L{_pair(x - half, base)} L{_pair(x + half, base)} Z" fill="{colour}"/>'
        points[-1] = (x, base + direction)
    path = [f"M{_pair(*points[0])}"]
    for (x, y), (next_x, next_y) in pairwise(points):
        if abs(x - next_x) < 0.05:
            path.append(f"L{_pair(next_x, next_y)}")
        else:
            middle = (y + next_y) / 2
            path.append(f"C{_pair(x, middle)} {_pair(next_x, middle)} {_pair(next_x, next_y)}")
    line = f'<path d="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="1.8"{scale.dashes(arrow.value)}/>'
    note = f"<title>{_text(arrow.note)}</title>" if arrow.note else ""
    # A wide line that cannot be seen makes the note easy to hit.
    target = f'<path d="{" ".join(path)}" fill="none" stroke="#fff" stroke-opacity="0" stroke-width="10"/>'
    return f"<g>{note}{target}{line}{head}</g>" if note else f"<g>{line}{head}</g>"


def _label(label: PlacedLabel) -> str:
    text = fitted(label.text)
    x = label.x - text_width(text, graph_text.LABEL) if label.is_left else label.x
    return _write(text, x, label.y + 3.5, graph_text.LABEL, QUIET_INK, halo="#ffffff")


def _box(box: PlacedBox, scale: _Scale) -> Iterable[str]:
    node = box.node
    colour = scale.colour(node.value)
    rim = f' stroke="{colour}" stroke-width="2"{scale.dashes(node.value)}'
    radius = 16.0 if node.shape == "value" else 6.0
    fill = "#ffffff" if node.shape == "op" else "#fbf8f1" if node.shape == "value" else "#f3f8fc"
    yield "<g>"
    if node.note:
        yield f"<title>{_text(node.note)}</title>"
    yield f'<rect {_rectangle(box)} rx="{_number(radius)}" fill="{fill}"{rim}/>'
    if node.shape == "module":
        inner = PlacedBox(node, box.x + 3.5, box.y + 3.5, box.width - 7, box.height - 7)
        yield f'<rect {_rectangle(inner)} rx="4" fill="none" stroke="{colour}" stroke-width="0.8"/>'
    title, subtitle = fitted(node.title), fitted(node.subtitle)
    title_width = text_width(title, graph_text.TITLE, is_bold=True)
    head = title_width + (graph_text.GAP + text_width(subtitle, graph_text.SUBTITLE) if subtitle else 0.0)
    x = box.x + (box.width - head) / 2 if not node.lines else box.x + graph_text.PADDING + 2
    if node.shape == "value" and node.lines:
        x += 2
    y = box.y + 6 + 13.5
    yield _write(title, x, y, graph_text.TITLE, INK, is_bold=True)
    if subtitle:
        yield _write(subtitle, x + title_width + graph_text.GAP, y, graph_text.SUBTITLE, QUIET_INK)
    room = label_width(node)
    for number, (label, text) in enumerate(node.lines, start=1):
        line_y = y + 4 + number * graph_text.LINE_HEIGHT
        if label:
            yield _write(fitted(label), x, line_y, graph_text.LINE, QUIET_INK)
        yield _write(fitted(text), x + room, line_y, graph_text.LINE, INK)
    yield "</g>"


def _rectangle(placed: PlacedBox | PlacedFrame) -> str:
    x, y, width, height = (_number(length) for length in (placed.x, placed.y, placed.width, placed.height))
    return f'x="{x}" y="{y}" width="{width}" height="{height}"'


def _write(text: str, x: float, y: float, size: float, fill: str, *, is_bold: bool = False, halo: str = "") -> str:
    weight = ' font-weight="bold"' if is_bold else ""
    around = f' stroke="{halo}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"' if halo else ""
    place = f'x="{_number(x)}" y="{_number(y)}" font-size="{_number(size)}"'
    return f'<text {place} fill="{fill}"{weight}{around}>{_text(text)}</text>'


def _pair(x: float, y: float) -> str:
    return f"{_number(x)} {_number(y)}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    return escape(printable(text), quote=True)
