"""Where the nodes, edges and labels of a drawn network go; lengths in inches, the origin at the lower left.

Layers are columns. A small network has its numbers inside the nodes and on its edges; a label sits on its edge, near
the start, as far along as it must be so that no two labels cover each other. A large layer is cut, and says so.
"""

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from chainrule.documents import Edge, NetworkDrawing, Node
from chainrule.render.plain_text import printable_line, shortened

SHOWN_AT_MOST: Final = 12
FIRST_SHOWN: Final = 6
LAST_SHOWN: Final = 3
LABELLED_EDGES_AT_MOST: Final = 24

NAME_POINTS: Final = 11.0
LINE_POINTS: Final = 8.5
SMALL_POINTS: Final = 7.5
LABEL_POINTS: Final = 8.5

_INCHES_PER_CHARACTER: Final = 0.62 / 72  # of DejaVu Sans, per point of size
_LARGEST_INNER_RADIUS: Final = 0.62
_MARGIN: Final = 0.2
_BIAS_NAME = re.compile(r"(b|bias)[\W_]?[\d₀-₉]*|\+?1", re.IGNORECASE)


TextPlace = Literal["inside", "left", "right", "below"]


@dataclass(frozen=True, slots=True)
class Gap:
    """The nodes of a layer that are not shown."""

    count: int


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A node's circle, and where its texts stand."""

    node: Node
    layer: int
    x: float
    y: float
    radius: float
    texts: TextPlace
    is_bias: bool


@dataclass(frozen=True, slots=True)
class PlacedEdge:
    """An edge from rim to rim."""

    edge: Edge
    start: tuple[float, float]
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text and its centre, and for the label of an edge its box: left, bottom, right, top."""

    text: str
    x: float
    y: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """A network ready to draw."""

    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]
    labels: tuple[PlacedText, ...]
    layer_names: tuple[PlacedText, ...]
    gaps: tuple[PlacedText, ...]
    remarks: tuple[str, ...]


def cut_layer(count: int) -> tuple[int | Gap, ...]:
    """Return the positions of a layer that are shown, with a gap where the others are."""
    if count <= SHOWN_AT_MOST:
        return tuple(range(count))
    first, last = range(FIRST_SHOWN), range(count - LAST_SHOWN, count)
    return (*first, Gap(count - FIRST_SHOWN - LAST_SHOWN), *last)


def plan_network(drawing: NetworkDrawing) -> NetworkPlan:
    """Place everything that a network's picture shows."""
    cuts = [cut_layer(len(layer)) for layer in drawing.layers]
    tallest = max((len(cut) for cut in cuts), default=0)
    radius, is_inside = _radius(drawing, tallest)
    shown = {(layer, slot) for layer, cut in enumerate(cuts) for slot in cut if isinstance(slot, int)}
    edges = tuple(edge for edge in drawing.edges if edge.start in shown and edge.end in shown)
    has_labels = len(edges) <= LABELLED_EDGES_AT_MOST and any(edge.label for edge in edges)
    column_gap = _column_gap(edges, radius) if has_labels else max(2.2, 0.22 * tallest)
    row_gap = _row_gap(drawing, radius, is_inside, has_labels)
    height = max(tallest - 1, 0) * row_gap + 2 * radius + 2 * _MARGIN
    if not is_inside:  # What is written below the lowest node must not reach the key.
        height += 2 * max(0.15, _text_block(drawing)[1] - _MARGIN + 0.06)
    side = _MARGIN + (max(radius, 0.7) if is_inside else radius + _text_block(drawing)[0] + 0.1)
    nodes: dict[tuple[int, int], PlacedNode] = {}
    gaps: list[PlacedText] = []
    for layer, cut in enumerate(cuts):
        x, top = side + layer * column_gap, height / 2 + (len(cut) - 1) * row_gap / 2
        for row, slot in enumerate(cut):
            if isinstance(slot, Gap):
                gaps.append(PlacedText(f"⋮\n{slot.count} more", x, top - row * row_gap))
                continue
            node = drawing.layers[layer][slot]
            nodes[layer, slot] = PlacedNode(
                node=node,
                layer=layer,
                x=x,
                y=top - row * row_gap,
                radius=radius,
                texts="inside" if is_inside else _text_place(layer, len(cuts)),
                is_bias=bool(_BIAS_NAME.fullmatch(node.name.strip())),
            )
    placed = tuple(_placed_edge(edge, nodes) for edge in edges)
    labels = _place_labels(placed, tuple(nodes.values())) if has_labels else ()
    names = tuple(
        PlacedText(shortened(printable_line(name), 24), side + layer * column_gap, height + 0.02)
        for layer, name in enumerate(drawing.layer_names[: len(cuts)])
    )
    width = 2 * side + max(len(cuts) - 1, 0) * column_gap
    remarks = _remarks(drawing, placed, labels, has_gaps=bool(gaps))
    return NetworkPlan(width, height, tuple(nodes.values()), placed, labels, names, tuple(gaps), remarks)


def node_lines(node: Node) -> tuple[str, ...]:
    """Return the lines of a node as they are drawn."""
    return tuple(shortened(printable_line(line), 22) for line in node.lines)


def text_width(text: str, points: float) -> float:
    """Return about how wide a line of text is, in inches."""
    return len(text) * points * _INCHES_PER_CHARACTER


def _radius(drawing: NetworkDrawing, tallest: int) -> tuple[float, bool]:
    """Return the radius of all nodes, and whether their texts fit into them."""
    needed = 0.3
    for node in (node for layer in drawing.layers for node in layer):
        lines = node_lines(node)
        widest = max([text_width(line, LINE_POINTS) for line in lines], default=0.0)
        half_width = max(text_width(printable_line(node.name), NAME_POINTS) * 0.9, widest) / 2
        half_height = (NAME_POINTS + 1.35 * LINE_POINTS * len(lines)) / 72 / 2
        # The widest line is near the middle, where the circle is widest: less than the full diagonal is enough.
        needed = max(needed, math.hypot(half_width, 0.72 * half_height) + 0.06)
    if tallest <= 6 and needed <= _LARGEST_INNER_RADIUS:
        return needed, True
    return (0.2 if tallest <= 6 else 0.15), False


def _text_place(layer: int, count: int) -> TextPlace:
    """Return where texts that do not fit into a node stand: outwards at both ends, where no edge passes."""
    return "left" if layer == 0 else "right" if layer == count - 1 else "below"


def _text_block(drawing: NetworkDrawing) -> tuple[float, float]:
    """Return the width and height, in inches, of the largest block of texts beside a node."""
    nodes = [node for layer in drawing.layers for node in layer]
    texts = [text for node in nodes for text in (shortened(printable_line(node.name), 22), *node_lines(node))]
    rows = 1 + max((len(node.lines) for node in nodes), default=0)
    return max((text_width(text, SMALL_POINTS) for text in texts), default=0.0), rows * 1.3 * SMALL_POINTS / 72


def _column_gap(edges: tuple[Edge, ...], radius: float) -> float:
    widest = max(text_width(printable_line(edge.label), LABEL_POINTS) for edge in edges)
    fan = max(sum(other.start == edge.start for other in edges) for edge in edges)
    return 2 * radius + max(1.6, (widest + 0.25) * max(fan, 1.6))


def _row_gap(drawing: NetworkDrawing, radius: float, is_inside: bool, has_labels: bool) -> float:
    if is_inside:
        return 2 * radius + (0.55 if has_labels else 0.3)
    is_beside = len(drawing.layers) < 3
    block = _text_block(drawing)[1]
    return (max(2 * radius, block) if is_beside else 2 * radius + block) + (0.4 if has_labels else 0.13)


def _placed_edge(edge: Edge, nodes: dict[tuple[int, int], PlacedNode]) -> PlacedEdge:
    start, end = nodes[edge.start], nodes[edge.end]
    across, up = end.x - start.x, end.y - start.y
    length = math.hypot(across, up) or 1.0
    unit = (across / length, up / length)
    return PlacedEdge(
        edge,
        (start.x + unit[0] * start.radius, start.y + unit[1] * start.radius),
        (end.x - unit[0] * end.radius, end.y - unit[1] * end.radius),
    )


def _place_labels(edges: tuple[PlacedEdge, ...], nodes: tuple[PlacedNode, ...]) -> tuple[PlacedText, ...]:
    """Put each label on its edge, where it covers no other label and no node, and the fewest other edges."""
    labels: list[PlacedText] = []
    for placed in edges:
        text = shortened(printable_line(placed.edge.label), 24)
        if not text:
            continue
        candidates = [_label_at(placed, text, share / 100) for share in range(24, 82, 2)]
        free = [label for label in candidates if not _covers_any(label, labels, nodes)]
        if free:
            others = [other for other in edges if other is not placed]
            labels.append(min(free, key=lambda label: sum(_crosses(label, other) for other in others)))
    return tuple(labels)


def _label_at(placed: PlacedEdge, text: str, share: float) -> PlacedText:
    x = placed.start[0] + share * (placed.end[0] - placed.start[0])
    y = placed.start[1] + share * (placed.end[1] - placed.start[1])
    half_width = text_width(text, LABEL_POINTS) / 2 + 0.03
    half_height = 0.75 * LABEL_POINTS / 72
    return PlacedText(text, x, y, (x - half_width, y - half_height, x + half_width, y + half_height))


def _covers_any(label: PlacedText, labels: list[PlacedText], nodes: tuple[PlacedNode, ...]) -> bool:
    left, bottom, right, top = label.box
    for other in labels:
        if left < other.box[2] and other.box[0] < right and bottom < other.box[3] and other.box[1] < top:
            return True
    for node in nodes:
        width = max(text_width(text, SMALL_POINTS) for text in (node.node.name, *node_lines(node.node))) / 2
        height = (1 + len(node.node.lines)) * 1.3 * SMALL_POINTS / 72
        if node.texts == "below" and abs(label.x - node.x) < width + (right - left) / 2:
            below = node.y - node.radius - height
            if below < top and bottom < node.y:
                return True
        nearest_x, nearest_y = min(max(node.x, left), right), min(max(node.y, bottom), top)
        if math.hypot(nearest_x - node.x, nearest_y - node.y) < node.radius + 0.03:
            return True
    return False


def _crosses(label: PlacedText, edge: PlacedEdge) -> bool:
    """Say whether an edge passes behind a label's box, at the resolution of a fortieth of the edge."""
    left, bottom, right, top = label.box
    points = ((1 - step / 40, step / 40) for step in range(41))
    return any(
        left <= from_start * edge.start[0] + from_end * edge.end[0] <= right
        and bottom <= from_start * edge.start[1] + from_end * edge.end[1] <= top
        for from_start, from_end in points
    )


def _remarks(
    drawing: NetworkDrawing, edges: tuple[PlacedEdge, ...], labels: tuple[PlacedText, ...], *, has_gaps: bool
) -> tuple[str, ...]:
    remarks = []
    if has_gaps:
        hidden = len(drawing.edges) - len(edges)
        edges_too = f", with their {hidden} edges" if hidden else ""
        remarks.append(f"Layers of more than {SHOWN_AT_MOST} nodes are cut; the nodes between are left out{edges_too}.")
    written = sum(bool(placed.edge.label.strip()) for placed in edges)
    if labels and written > len(labels):
        remarks.append(f"{written - len(labels)} of {written} edge labels found no room.")
    return tuple(remarks)
