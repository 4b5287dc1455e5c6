"""The layers of one frame of a graph: which child stands on which, in which order, and where.

The layout is layered, after Sugiyama, Tagawa and Toda (1981): children are put on layers by their longest path, arrows
that span several layers get a place on each of them, the order on a layer is found by barycentres, and the positions
by isotonic regression (each layer as near to its neighbours as its order allows; Barlow and others, 1972).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chainrule.render.graph_text import LABEL, box_size, fitted, frame_title_width, text_width
from chainrule.render.graph_tree import ROOT, End, FrameTree, Segment, ValueKey

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


@dataclass(slots=True, eq=False)
class Slot:
    """A place on a layer: a child, a port, or an arrow passing by; `x` is its middle."""

    end: End | None
    width: float
    height: float
    layer: int
    x: float = 0.0
    before: list["Link"] = field(default_factory=list)
    after: list["Link"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Link:
    """Two slots on neighbouring layers that a segment joins, and where it meets each, from its middle."""

    start: Slot
    end: Slot
    is_main: bool
    start_offset: float = 0.0
    end_offset: float = 0.0

    @property
    def weight(self) -> float:
        """How much the link pulls its ends towards each other."""
        passing = (self.start.end is None) + (self.end.end is None)
        return (2.0, 1.0, _STRAIGHT)[passing] * (1.0 if self.is_main else _ASIDE)


class Level:
    """One frame: its children on layers, and its arrows.

    After `lay_out` it knows its `width` and `height`, for each layer its top and height (`tops`, `heights`), and for
    each segment the links that it is made of (`routes`).

    Args:
        key: of the frame; `ROOT` is the picture itself.
        tree: of all frames.
        segments: the parts of arrows that run in this frame.
        inner: the frames that are laid out already; those inside this one among them.
    """

    def __init__(self, key: str, tree: FrameTree, segments: list[Segment], inner: dict[str, "Level"]) -> None:
        self._key = key
        self._tree = tree
        self._inner = inner
        self._segments = [segment for segment in segments if segment.start != segment.end]
        self._slots: dict[End, Slot] = {}
        self._layers: list[list[Slot]] = []
        self.routes: list[tuple[Segment, list[Link]]] = []
        self.tops: list[float] = []
        self.heights: list[float] = []
        self.width = 0.0
        self.height = 0.0

    def lay_out(self) -> None:
        """Find a place for every child and every arrow."""
        self._make_slots()
        self._make_links()
        self._order()
        self._set_offsets()
        self._position()
        self._stack()

    def slot(self, end: End) -> Slot:
        """Return the place of a child or a port."""
        return self._slots[end]

    def entries(self) -> list[float]:
        """Return where arrows come in at the top rim, from the left one."""
        return [slot.x for end, slot in self._slots.items() if end.kind == "in"]

    def port_offset(self, end: End) -> float:
        """Return how far a port lies from the middle of the frame."""
        return self._slots[end].x - self.width / 2

    # Layers

    def _make_slots(self) -> None:
        ranks = self._ranks()
        last = max(ranks.values(), default=0) + 1
        for end in self._ends():
            layer = 0 if end.kind == "in" else last if end.kind == "out" else ranks[end.key]
            width, height = self._size(end)
            self._slots[end] = Slot(end, width, height, layer)
        used = sorted({slot.layer for slot in self._slots.values()})
        for slot in self._slots.values():
            slot.layer = used.index(slot.layer)
        self._layers = [[] for _ in used]
        for slot in self._slots.values():
            self._layers[slot.layer].append(slot)

    def _ends(self) -> list[End]:
        ports = dict.fromkeys(end for part in self._segments for end in (part.start, part.end) if end.kind != "child")
        return [*(End("child", key) for key in self._tree.children[self._key]), *ports]

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

    def _size(self, end: End) -> tuple[float, float]:
        if end.kind != "child":
            return 0.0, 0.0
        if end.key in self._inner:
            level = self._inner[end.key]
            return level.width, level.height
        width, height = box_size(self._tree.nodes[end.key])
        return width, height

    def _make_links(self) -> None:
        """Join the slots; an arrow that spans layers passes each of them, once for all parts that carry one value."""
        lanes: dict[tuple[End, ValueKey], list[Link]] = {}
        for segment in sorted(self._segments, key=lambda part: self._slots[part.end].layer):
            start, end = self._slots[segment.start], self._slots[segment.end]
            if end.layer <= start.layer:  # against the order: drawn straight, and no part of the layers
                self.routes.append((segment, [Link(start, end, segment.value is not None)]))
                continue
            lane = lanes.setdefault((segment.start, segment.carried), [])
            while len(lane) < end.layer - start.layer - 1:
                last = lane[-1].end if lane else start
                passing = Slot(None, 0.0, 0.0, last.layer + 1)
                self._layers[passing.layer].append(passing)
                lane.append(self._join(last, passing, segment))
            used = lane[: end.layer - start.layer - 1]
            self.routes.append((segment, [*used, self._join(used[-1].end if used else start, end, segment)]))

    @staticmethod
    def _join(start: Slot, end: Slot, segment: Segment) -> Link:
        link = Link(start, end, segment.value is not None)
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

    def _sort(self, layer: list[Slot], is_down: bool) -> None:
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
                port = End("in", f"{segment.carried[0]}\0{segment.carried[1]}")
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

    def _leaving(self, slot: Slot, segment: Segment) -> float:
        if slot.end is None or slot.end.kind != "child":
            return 0.0
        if slot.end.key in self._inner:
            return self._inner[slot.end.key].port_offset(End("out", f"{segment.carried[0]}\0{segment.carried[1]}"))
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
        pad = 0.0 if self._key == ROOT else FRAME_PADDING
        for layer in self._layers:
            for slot in layer:
                slot.x += pad - left
        self.width = right - left + 2 * pad
        if self._key != ROOT:
            group = self._tree.groups[self._key]
            wanted = frame_title_width(group) + 2 * FRAME_PADDING
            if wanted > self.width:
                for layer in self._layers:
                    for slot in layer:
                        slot.x += (wanted - self.width) / 2
                self.width = wanted

    def _right(self, slot: Slot) -> float:
        """Return how far a slot reaches to the right of its middle, with the label at the arrow that leaves it."""
        if slot.end is None or slot.end.kind != "child" or slot.end.key in self._inner or not slot.after:
            return slot.width / 2
        offset = max(link.start_offset for link in slot.after)
        texts = [text for (node, _), text in self._tree.labels.items() if node == slot.end.key]
        return max(slot.width / 2, offset + max((text_width(fitted(text), LABEL) for text in texts), default=0.0) + 10)

    def _gap(self, layer: Sequence[Slot], number: int) -> float:
        """Return the least distance between the middles of a slot and the one to its left."""
        if number == 0:
            return 0.0
        one, other = layer[number - 1], layer[number]
        are_lines = one.width == 0 or other.width == 0
        gap = _LINE_GAP if one.width == other.width == 0 else _COLUMN_GAP * (0.8 if are_lines else 1)
        return self._right(one) + other.width / 2 + gap

    def _settle(self, layer: list[Slot], *, use_before: bool, use_after: bool) -> None:
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
        is_root = self._key == ROOT
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
