"""Where the boxes, frames and arrows of a graph go; lengths in pixels, the origin at the upper left.

Frames are laid out from the innermost outwards (`graph_layers.py`); a frame that is laid out is one box of the frame
around it. Here places within frames become places in the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chainrule.documents import Graph, GraphGroup, GraphNode
from chainrule.render.graph_layers import Level, Link, Slot
from chainrule.render.graph_text import frame_title_width
from chainrule.render.graph_tree import ROOT, End, FrameTree, Segment, ValueKey, segments_of

MARGIN: Final = 16.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A node and its rectangle: left, top, width, height."""

    node: GraphNode
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A group and its rectangle; `depth` counts the frames around it; `title_x` is where its title begins."""

    group: GraphGroup
    x: float
    y: float
    width: float
    height: float
    depth: int
    title_x: float


@dataclass(frozen=True, slots=True)
class PlacedArrow:
    """A part of an arrow, from box or rim to box or rim.

    Attributes:
        points: where it goes; between them it leaves and arrives upright.
        value: decides its colour; the largest of the edges that share this part.
        has_head: whether it ends at a box.
        note: what a pointer that rests on it is told.
    """

    points: tuple[Point, ...]
    value: float | None
    has_head: bool
    note: str


@dataclass(frozen=True, slots=True)
class PlacedLabel:
    """The text beside an arrow, to its right or left: where it begins or ends, and the height of its middle."""

    text: str
    x: float
    y: float
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """A graph with a place for everything."""

    width: float
    height: float
    boxes: tuple[PlacedBox, ...]
    frames: tuple[PlacedFrame, ...]
    arrows: tuple[PlacedArrow, ...]
    labels: tuple[PlacedLabel, ...]


def plan_graph(graph: Graph) -> GraphPlan:
    """Find a place for everything in a graph.

    Groups that the edges would have to leave and enter again are laid out as well as they can be: an edge that runs
    against the order of the nodes is drawn upwards.
    """
    tree = FrameTree.of(graph)
    segments = segments_of(graph, tree)
    levels: dict[str, Level] = {}
    for key in tree.innermost_first():
        levels[key] = Level(key, tree, segments.get(key, []), levels)
        levels[key].lay_out()
    return _Placing(tree, levels).plan()


class _Placing:
    """From places within frames to places in the picture."""

    def __init__(self, tree: FrameTree, levels: dict[str, Level]) -> None:
        self._tree = tree
        self._levels = levels
        self._boxes: list[PlacedBox] = []
        self._frames: list[PlacedFrame] = []
        self._arrows: list[PlacedArrow] = []
        self._labels: dict[ValueKey, PlacedLabel] = {}
        self._written: set[tuple[str, End, str]] = set()

    def plan(self) -> GraphPlan:
        root = self._levels[ROOT]
        self._place(ROOT, (MARGIN, MARGIN), 0)
        return GraphPlan(
            width=root.width + 2 * MARGIN,
            height=root.height + 2 * MARGIN,
            boxes=tuple(self._boxes),
            frames=tuple(self._frames),
            arrows=tuple(self._arrows),
            labels=tuple(self._labels.values()),
        )

    def _place(self, key: str, origin: Point, depth: int) -> None:
        level = self._levels[key]
        for child in self._tree.children[key]:
            slot = level.slot(End("child", child))
            x, y = origin[0] + slot.x - slot.width / 2, origin[1] + self._top(level, slot)
            if child in self._tree.nodes:
                self._boxes.append(PlacedBox(self._tree.nodes[child], x, y, slot.width, slot.height))
                continue
            group = self._tree.groups[child]
            title_x = x + self._title_place(self._levels[child], group)
            self._frames.append(PlacedFrame(group, x, y, slot.width, slot.height, depth, title_x))
            self._place(child, (x, y), depth + 1)
        for segment, links in level.routes:
            self._route(level, segment, links, origin)

    @staticmethod
    def _top(level: Level, slot: Slot) -> float:
        return level.tops[slot.layer] + (level.heights[slot.layer] - slot.height) / 2

    @staticmethod
    def _title_place(level: Level, group: GraphGroup) -> float:
        """Return where a title stands in its frame: at the left, or at the right when an arrow comes in there."""
        width = frame_title_width(group)
        ports = level.entries()
        left, right = 10.0, level.width - width - 10.0
        if any(left - 4 < port < left + width + 4 for port in ports) and right > left:
            is_free = not any(right - 4 < port < right + width + 4 for port in ports)
            return right if is_free else left
        return left

    def _route(self, level: Level, segment: Segment, links: list[Link], origin: Point) -> None:
        first, last = links[0].start, links[-1].end
        x = origin[0] + first.x + links[0].start_offset
        points: list[Point] = [(x, origin[1] + self._top(level, first) + first.height)]
        if len(links) > 1 or last.layer > first.layer:
            points.append((x, origin[1] + level.tops[first.layer] + level.heights[first.layer]))
        for link in links[:-1]:
            middle, layer = origin[0] + link.end.x, link.end.layer
            top = origin[1] + level.tops[layer]
            points += [(middle, top), (middle, top + level.heights[layer])]
        end_x = origin[0] + last.x + links[-1].end_offset
        if last.layer > first.layer:
            points.append((end_x, origin[1] + level.tops[last.layer]))
        points.append((end_x, origin[1] + self._top(level, last)))
        points = [point for number, point in enumerate(points) if number == 0 or point != points[number - 1]]
        self._arrows.append(PlacedArrow(tuple(points), segment.value, segment.has_head, segment.note))
        self._write_label(segment, points)

    def _write_label(self, segment: Segment, points: Sequence[Point]) -> None:
        """Put a label beside its arrow where it leaves its box, or where it arrives when several leave that box."""
        text, box = self._tree.labels.get(segment.carried, ""), segment.carried[0]
        if not text or segment.carried in self._labels or segment.start.key != box:
            return
        if sum(node == box for node, _ in self._tree.labels) > 1:
            if (box, segment.end, text) in self._written:  # q, k and v of one shape: once is enough
                return
            self._written.add((box, segment.end, text))
            (x, y), (before, _) = points[-1], points[-2]
            self._labels[segment.carried] = PlacedLabel(text, x + (8 if before <= x else -8), y - 13, before > x)
            return
        (x, y), after = points[0], next((x for x, _ in points if x != points[0][0]), points[0][0])
        # On the side that the arrow turns away from.
        is_left = after > x + 1
        self._labels[segment.carried] = PlacedLabel(text, x - 6 if is_left else x + 6, y + 11, is_left)
