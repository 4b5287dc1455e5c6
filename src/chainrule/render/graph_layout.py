"""Where the boxes, frames and arrows of a graph go; lengths in pixels, the origin at the upper left.

The layout is layered, after Sugiyama, Tagawa and Toda (1981), one frame at a time from the innermost outwards: inside
a frame, boxes are put on layers by their longest path, arrows that span several layers get a place on each of them,
the order on a layer is found by barycentres, and the positions by isotonic regression (each layer as near to its
neighbours as its order allows; Barlow and others, 1972). A frame that is laid out is one box of the frame around it.
An arrow that crosses a frame's rim does so at a port, a place on the rim that it is led to from both sides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from chainrule.documents import Graph, GraphEdge, GraphGroup, GraphNode
from chainrule.render.graph_text import LABEL, box_size, fitted, frame_title_width, text_width

MARGIN: Final = 16.0
FRAME_PADDING: Final = 16.0
FRAME_HEADER: Final = 26.0
_COLUMN_GAP: Final = 26.0
_LAYER_GAP: Final = 34.0
_LINE_GAP: Final = 12.0  # between two arrows that pass a layer side by side
_SWEEPS: Final = 12
_SETTLING: Final = 19  # sweeps in which a layer looks at one neighbour; afterwards it looks at both
_SMOOTHING: Final = 12
_ASIDE: Final = 0.01  # how much less arrows without a number (targets, masks) pull at boxes than others do
_STRAIGHT: Final = 6.0  # how much more a bend in a long arrow is avoided than one at a box

Point = tuple[float, float]
_ValueKey = tuple[str, int]  # the box that an arrow leaves, and at which of its ports


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
    tree = _Tree.of(graph)
    segments = _segments_of(graph, tree)
    levels: dict[str, _Level] = {}
    for key in tree.innermost_first():
        levels[key] = _Level(key, tree, segments.get(key, []), levels)
        levels[key].lay_out()
    return _Placing(tree, levels).plan()


_ROOT: Final = "\0root"


@dataclass(slots=True)
class _Tree:
    """Which box stands in which frame. Members keep the order of the graph's nodes."""

    nodes: dict[str, GraphNode]
    groups: dict[str, GraphGroup]
    parent: dict[str, str]
    children: dict[str, list[str]]
    labels: dict[_ValueKey, str]

    @classmethod
    def of(cls, graph: Graph) -> "_Tree":
        nodes = {node.key: node for node in graph.nodes}
        groups = {group.key: group for group in graph.groups}
        parent = {member: group.key for group in graph.groups for member in group.members}
        labels: dict[_ValueKey, str] = {}
        for edge in graph.edges:
            labels.setdefault((edge.start, edge.source_port), edge.label)
        order = {key: number for number, key in enumerate(nodes)}

        def first(key: str) -> int:
            group = groups.get(key)
            if group is None:
                return order[key]
            return min((first(member) for member in group.members), default=len(order))

        children: dict[str, list[str]] = {key: [] for key in (_ROOT, *groups)}
        for key in (*nodes, *groups):
            children[parent.get(key, _ROOT)].append(key)
        for members in children.values():
            members.sort(key=first)
        return cls(nodes, groups, parent, children, labels)

    def chain(self, key: str) -> list[str]:
        """Return the frames around a box, the outermost first, and the box."""
        chain = [key]
        while (above := self.parent.get(chain[-1])) is not None:
            chain.append(above)
        return [_ROOT, *reversed(chain)]

    def innermost_first(self) -> Iterable[str]:
        def visit(key: str) -> Iterable[str]:
            for child in self.children[key]:
                if child in self.groups:
                    yield from visit(child)
            yield key

        return visit(_ROOT)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a segment begins or ends in a frame: at a child, or at a port on the frame's own rim."""

    kind: Literal["child", "in", "out"]
    key: str


@dataclass(slots=True)
class _Segment:
    """The part of one or several edges that runs inside one frame; they carry the same value."""

    start: _End
    end: _End
    carried: _ValueKey
    value: float | None
    note: str
    has_head: bool


def _segments_of(graph: Graph, tree: _Tree) -> dict[str, list[_Segment]]:
    found: dict[str, dict[tuple[_End, _End, _ValueKey], _Segment]] = {}
    for edge in graph.edges:
        if edge.start == edge.end or edge.start not in tree.nodes or edge.end not in tree.nodes:
            continue
        for frame, start, end in _parts(edge, tree):
            carried = (edge.start, edge.source_port)
            known = found.setdefault(frame, {}).get((start, end, carried))
            if known is None:
                is_last = end.kind == "child" and end.key == edge.end
                segment = _Segment(start, end, carried, edge.value, edge.note, is_last)
                found[frame][start, end, carried] = segment
            else:
                known.value = _larger(known.value, edge.value)
                known.note = "\n".join(dict.fromkeys(text for text in (known.note, edge.note) if text))
    return {frame: list(segments.values()) for frame, segments in found.items()}


def _larger(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one != one or one >= other else other  # a NaN must stay seen


def _parts(edge: GraphEdge, tree: _Tree) -> Iterable[tuple[str, _End, _End]]:
    """Yield (frame, start, end) for each frame that an edge runs through, from its start to its end."""
    up, down = tree.chain(edge.start), tree.chain(edge.end)
    shared = 0
    while up[shared + 1] == down[shared + 1]:
        shared += 1
    carried = f"{edge.start}\0{edge.source_port}"
    for depth in range(len(up) - 2, shared, -1):
        yield up[depth], _End("child", up[depth + 1]), _End("out", carried)
    yield up[shared], _End("child", up[shared + 1]), _End("child", down[shared + 1])
    for depth in range(shared + 1, len(down) - 1):
        yield down[depth], _End("in", carried), _End("child", down[depth + 1])


@dataclass(slots=True, eq=False)
class _Slot:
    """A place on a layer: a child, a port, or an arrow passing by; `x` is its middle."""

    end: _End | None
    width: float
    height: float
    layer: int
    x: float = 0.0
    before: list["_Link"] = field(default_factory=list)
    after: list["_Link"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Link:
    """Two slots on neighbouring layers that a segment joins, and where it meets each, from its middle."""

    start: _Slot
    end: _Slot
    is_main: bool
    start_offset: float = 0.0
    end_offset: float = 0.0

    @property
    def weight(self) -> float:
        passing = (self.start.end is None) + (self.end.end is None)
        return (2.0, 1.0, _STRAIGHT)[passing] * (1.0 if self.is_main else _ASIDE)


class _Level:
    """One frame: its children on layers, and its arrows."""

    def __init__(self, key: str, tree: _Tree, segments: list[_Segment], inner: dict[str, "_Level"]) -> None:
        self._key = key
        self._tree = tree
        self._inner = inner
        self._segments = [segment for segment in segments if segment.start != segment.end]
        self._slots: dict[_End, _Slot] = {}
        self._layers: list[list[_Slot]] = []
        self.routes: list[tuple[_Segment, list[_Link]]] = []
        self.tops: list[float] = []
        self.heights: list[float] = []
        self.width = 0.0
        self.height = 0.0

    def lay_out(self) -> None:
        self._make_slots()
        self._make_links()
        self._order()
        self._set_offsets()
        self._position()
        self._stack()

    def slot(self, end: _End) -> _Slot:
        return self._slots[end]

    def port_offset(self, end: _End) -> float:
        """Return how far a port lies from the middle of the frame."""
        return self._slots[end].x - self.width / 2

    # Layers

    def _make_slots(self) -> None:
        ranks = self._ranks()
        last = max(ranks.values(), default=0) + 1
        for end in self._ends():
            layer = 0 if end.kind == "in" else last if end.kind == "out" else ranks[end.key]
            width, height = self._size(end)
            self._slots[end] = _Slot(end, width, height, layer)
        used = sorted({slot.layer for slot in self._slots.values()})
        for slot in self._slots.values():
            slot.layer = used.index(slot.layer)
        self._layers = [[] for _ in used]
        for slot in self._slots.values():
            self._layers[slot.layer].append(slot)

    def _ends(self) -> list[_End]:
        ports = dict.fromkeys(end for part in self._segments for end in (part.start, part.end) if end.kind != "child")
        return [*(_End("child", key) for key in self._tree.children[self._key]), *ports]

    def _ranks(self) -> dict[str, int]:
        """Put each child one layer below the lowest of those that it takes from; what takes nothing, just above use."""
        children = self._tree.children[self._key]
        place = {key: number for number, key in enumerate(children)}
        above: dict[str, list[str]] = {key: [] for key in children}
        below: dict[str, list[str]] = {key: [] for key in children}
        for segment in self._segments:
            start, end = segment.start.key, segment.end.key
            if segment.start.kind == segment.end.kind == "child" and place[start] < place[end]:
                above[end].append(start)
                below[start].append(end)
        ranks: dict[str, int] = {}
        for key in children:
            ranks[key] = 1 + max((ranks[other] for other in above[key]), default=0)
        # What hangs together with the rest only by what it is used for, a target say, stands just above its use.
        loose: set[str] = set()
        fed = {segment.end.key for segment in self._segments if segment.start.kind == "in"}
        for key in children:
            if key not in fed and all(
                not above[other] or (other in loose and len(set(below[other])) == 1) for other in above[key]
            ):
                loose.add(key)
        for key in reversed(children):
            if key in loose and below[key]:
                ranks[key] = min(ranks[other] for other in below[key]) - 1
        lowest = min(ranks.values(), default=1)
        return {key: rank - lowest + 1 for key, rank in ranks.items()}

    def _size(self, end: _End) -> tuple[float, float]:
        if end.kind != "child":
            return 0.0, 0.0
        if end.key in self._inner:
            level = self._inner[end.key]
            return level.width, level.height
        width, height = box_size(self._tree.nodes[end.key])
        return width, height

    def _make_links(self) -> None:
        """Join the slots; an arrow that spans layers passes each of them, once for all parts that carry one value."""
        lanes: dict[tuple[_End, _ValueKey], list[_Link]] = {}
        for segment in sorted(self._segments, key=lambda part: self._slots[part.end].layer):
            start, end = self._slots[segment.start], self._slots[segment.end]
            if end.layer <= start.layer:  # against the order: drawn straight, and no part of the layers
                self.routes.append((segment, [_Link(start, end, segment.value is not None)]))
                continue
            lane = lanes.setdefault((segment.start, segment.carried), [])
            while len(lane) < end.layer - start.layer - 1:
                last = lane[-1].end if lane else start
                passing = _Slot(None, 0.0, 0.0, last.layer + 1)
                self._layers[passing.layer].append(passing)
                lane.append(self._join(last, passing, segment))
            used = lane[: end.layer - start.layer - 1]
            self.routes.append((segment, [*used, self._join(used[-1].end if used else start, end, segment)]))

    @staticmethod
    def _join(start: _Slot, end: _Slot, segment: _Segment) -> _Link:
        link = _Link(start, end, segment.value is not None)
        start.after.append(link)
        end.before.append(link)
        return link

    # Order on a layer

    def _order(self) -> None:
        best, fewest = [list(layer) for layer in self._layers], self._crossings()
        for sweep in range(_SWEEPS):
            if fewest == 0:
                break
            is_down = sweep % 2 == 0
            for layer in self._layers if is_down else reversed(self._layers):
                self._sort(layer, is_down)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self._layers], crossings
        self._layers = best

    def _sort(self, layer: list[_Slot], is_down: bool) -> None:
        places = {id(slot): number for row in self._layers for number, slot in enumerate(row)}
        keys: dict[int, float] = {}
        for number, slot in enumerate(layer):
            others = [link.start for link in slot.before] if is_down else [link.end for link in slot.after]
            keys[id(slot)] = sum(places[id(other)] for other in others) / len(others) if others else float(number)
        layer.sort(key=lambda slot: keys[id(slot)])

    def _crossings(self) -> int:
        places = {id(slot): number for row in self._layers for number, slot in enumerate(row)}
        total = 0
        for layer in self._layers:
            ends = [(places[id(slot)], places[id(link.end)]) for slot in layer for link in slot.after]
            total += sum(
                (one[0] - other[0]) * (one[1] - other[1]) < 0
                for number, one in enumerate(ends)
                for other in ends[:number]
            )
        return total

    # Positions on a layer

    def _set_offsets(self) -> None:
        """Say where on a box or frame each arrow leaves and arrives."""
        places = {id(slot): number for row in self._layers for number, slot in enumerate(row)}
        for segment, links in self.routes:
            links[0].start_offset = self._leaving(links[0].start, segment)
            if links[-1].end.end is not None and links[-1].end.end.key in self._inner:
                port = _End("in", f"{segment.carried[0]}\0{segment.carried[1]}")
                links[-1].end_offset = self._inner[links[-1].end.end.key].port_offset(port)
        for slot in self._slots.values():
            if slot.end is None or slot.end.kind != "child" or slot.end.key in self._inner:
                continue
            arriving = sorted(slot.before, key=lambda link: places[id(link.start)])
            step = min(28.0, 0.7 * slot.width / max(len(arriving), 1))
            main = [number for number, link in enumerate(arriving) if link.is_main]
            # Arrows that carry a gradient go straight into the middle, others beside them.
            middle = sum(main) / len(main) if main and len(arriving) <= 4 else (len(arriving) - 1) / 2
            for number, link in enumerate(arriving):
                link.end_offset = (number - middle) * step

    def _leaving(self, slot: _Slot, segment: _Segment) -> float:
        if slot.end is None or slot.end.kind != "child":
            return 0.0
        if slot.end.key in self._inner:
            return self._inner[slot.end.key].port_offset(_End("out", f"{segment.carried[0]}\0{segment.carried[1]}"))
        ports = sorted(port for node, port in self._tree.labels if node == slot.end.key)
        step = min(64.0, 0.8 * slot.width / max(len(ports), 1))
        return (ports.index(segment.carried[1]) - (len(ports) - 1) / 2) * step

    def _position(self) -> None:
        for layer in self._layers:
            x = 0.0
            for number, slot in enumerate(layer):
                x += self._gap(layer, number)
                slot.x = x
        for sweep in range(_SETTLING + _SMOOTHING):
            is_down, is_smoothing = sweep % 2 == 0, sweep >= _SETTLING
            for layer in self._layers if is_down else reversed(self._layers):
                self._settle(layer, use_before=is_down or is_smoothing, use_after=not is_down or is_smoothing)
        left = min((slot.x - slot.width / 2 for layer in self._layers for slot in layer), default=0.0)
        right = max((slot.x + self._right(slot) for layer in self._layers for slot in layer), default=0.0)
        pad = 0.0 if self._key == _ROOT else FRAME_PADDING
        for layer in self._layers:
            for slot in layer:
                slot.x += pad - left
        self.width = right - left + 2 * pad
        if self._key != _ROOT:
            group = self._tree.groups[self._key]
            wanted = frame_title_width(group) + 2 * FRAME_PADDING
            if wanted > self.width:
                for layer in self._layers:
                    for slot in layer:
                        slot.x += (wanted - self.width) / 2
                self.width = wanted

    def _right(self, slot: _Slot) -> float:
        """Return how far a slot reaches to the right of its middle, with the label at the arrow that leaves it."""
        if slot.end is None or slot.end.kind != "child" or slot.end.key in self._inner or not slot.after:
            return slot.width / 2
        offset = max(link.start_offset for link in slot.after)
        texts = [text for (node, _), text in self._tree.labels.items() if node == slot.end.key]
        return max(slot.width / 2, offset + max((text_width(fitted(text), LABEL) for text in texts), default=0.0) + 10)

    def _gap(self, layer: Sequence[_Slot], number: int) -> float:
        """Return the least distance between the middles of a slot and the one to its left."""
        if number == 0:
            return 0.0
        one, other = layer[number - 1], layer[number]
        are_lines = one.width == 0 or other.width == 0
        gap = _LINE_GAP if one.width == other.width == 0 else _COLUMN_GAP * (0.8 if are_lines else 1)
        return self._right(one) + other.width / 2 + gap

    def _settle(self, layer: list[_Slot], *, use_before: bool, use_after: bool) -> None:
        wishes, weights = [], []
        for slot in layer:
            pulls = [
                (link.start.x + link.start_offset - link.end_offset, link.weight)
                for link in (slot.before if use_before else ())
            ]
            pulls += [
                (link.end.x + link.end_offset - link.start_offset, link.weight)
                for link in (slot.after if use_after else ())
            ]
            wishes.append(_wish(pulls, slot.x, is_median=use_before and use_after))
            weights.append(sum(weight for _, weight in pulls) or 0.1)
        shifts, shift = [], 0.0
        for number in range(len(layer)):
            shift += self._gap(layer, number)
            shifts.append(shift)
        settled = isotonic([wish - shift for wish, shift in zip(wishes, shifts, strict=True)], weights)
        for slot, place, shift in zip(layer, settled, shifts, strict=True):
            slot.x = place + shift

    # Layers under one another

    def _stack(self) -> None:
        is_root = self._key == _ROOT
        y = 0.0
        for number, layer in enumerate(self._layers):
            ports_only = all(slot.end is None or slot.end.kind != "child" for slot in layer)
            height = max((slot.height for slot in layer), default=0.0)
            if number:
                y += 20.0 if ports_only else _LAYER_GAP
            elif not is_root:
                y = 0.0 if ports_only else FRAME_HEADER + 8
            if number == 1 and not is_root and y < FRAME_HEADER + 20:
                y = FRAME_HEADER + 8
            self.tops.append(y)
            self.heights.append(height)
            y += height
        has_out = bool(self._layers) and any(slot.end and slot.end.kind == "out" for slot in self._layers[-1])
        self.height = y if is_root or has_out else y + FRAME_PADDING


def _wish(pulls: Sequence[tuple[float, float]], place: float, *, is_median: bool) -> float:
    """Return where a slot is pulled to: the mean of (place, weight), or the point of the medians next to its own place.

    Medians keep a chain of boxes upright where means would let it drift towards whatever comes after it.
    """
    total = sum(weight for _, weight in pulls)
    if not pulls:
        return place
    if not is_median:
        return sum(x * weight for x, weight in pulls) / total
    half, below = total / 2, 0.0
    low = high = pulls[0][0]
    ordered = sorted(pulls)
    for number, (x, weight) in enumerate(ordered):
        below += weight
        if below >= half - 1e-9:
            low = x
            high = ordered[number + 1][0] if below <= half + 1e-9 and number + 1 < len(ordered) else x
            break
    return min(max(place, low), high)


def isotonic(wishes: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the non-decreasing numbers that are nearest to the wishes: the least Σ weight·(number − wish)².

    Pool adjacent violators (Barlow, Bartholomew, Bremner and Brunk, 1972).
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for wish, weight in zip(wishes, weights, strict=True):
        pools.append((wish, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, one_weight, one_count), (other, other_weight, other_count) = pools[-2:]
            total = one_weight + other_weight
            mean = (one * one_weight + other * other_weight) / total
            pools[-2:] = [(mean, total, one_count + other_count)]
    return [mean for mean, _, count in pools for _ in range(count)]


class _Placing:
    """From places within frames to places in the picture."""

    def __init__(self, tree: _Tree, levels: dict[str, _Level]) -> None:
        self._tree = tree
        self._levels = levels
        self._boxes: list[PlacedBox] = []
        self._frames: list[PlacedFrame] = []
        self._arrows: list[PlacedArrow] = []
        self._labels: dict[_ValueKey, PlacedLabel] = {}
        self._written: set[tuple[str, _End, str]] = set()

    def plan(self) -> GraphPlan:
        root = self._levels[_ROOT]
        self._place(_ROOT, (MARGIN, MARGIN), 0)
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
            slot = level.slot(_End("child", child))
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
    def _top(level: _Level, slot: _Slot) -> float:
        return level.tops[slot.layer] + (level.heights[slot.layer] - slot.height) / 2

    @staticmethod
    def _title_place(level: _Level, group: GraphGroup) -> float:
        """Return where a title stands in its frame: at the left, or at the right when an arrow comes in there."""
        width = frame_title_width(group)
        ports = [slot.x for slot in level._slots.values() if slot.end and slot.end.kind == "in"]
        left, right = 10.0, level.width - width - 10.0
        if any(left - 4 < port < left + width + 4 for port in ports) and right > left:
            is_free = not any(right - 4 < port < right + width + 4 for port in ports)
            return right if is_free else left
        return left

    def _route(self, level: _Level, segment: _Segment, links: list[_Link], origin: Point) -> None:
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

    def _write_label(self, segment: _Segment, points: Sequence[Point]) -> None:
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
