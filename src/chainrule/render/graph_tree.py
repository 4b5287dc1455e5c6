"""Which boxes of a graph stand in which frames, and the parts of its arrows that run inside each frame.

An arrow that crosses a frame's rim does so at a port, a place on the rim that it is led to from both sides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from chainrule.documents import Graph, GraphEdge, GraphGroup, GraphNode

ValueKey = tuple[str, int]  # the box that an arrow leaves, and at which of its ports
ROOT: Final = "\0root"


@dataclass(slots=True)
class FrameTree:
    """Which box stands in which frame. Members keep the order of the graph's nodes."""

    nodes: dict[str, GraphNode]
    groups: dict[str, GraphGroup]
    parent: dict[str, str]
    children: dict[str, list[str]]
    labels: dict[ValueKey, str]

    @classmethod
    def of(cls, graph: Graph) -> "FrameTree":
        """Return the frames of a graph."""
        nodes = {node.key: node for node in graph.nodes}
        groups = {group.key: group for group in graph.groups}
        parent = {member: group.key for group in graph.groups for member in group.members}
        labels: dict[ValueKey, str] = {}
        for edge in graph.edges:
            labels.setdefault((edge.start, edge.source_port), edge.label)
        order = {key: number for number, key in enumerate(nodes)}

        def first(key: str) -> int:
            group = groups.get(key)
            if group is None:
                return order[key]
            return min((first(member) for member in group.members), default=len(order))

        children: dict[str, list[str]] = {key: [] for key in (ROOT, *groups)}
        for key in (*nodes, *groups):
            children[parent.get(key, ROOT)].append(key)
        for members in children.values():
            members.sort(key=first)
        return cls(nodes, groups, parent, children, labels)

    def chain(self, key: str) -> list[str]:
        """Return the frames around a box, the outermost first, and the box."""
        chain = [key]
        while (above := self.parent.get(chain[-1])) is not None:
            chain.append(above)
        return [ROOT, *reversed(chain)]

    def innermost_first(self) -> Iterable[str]:
        """Yield the key of every frame after those of the frames inside it; `ROOT` is the last."""

        def visit(key: str) -> Iterable[str]:
            for child in self.children[key]:
                if child in self.groups:
                    yield from visit(child)
            yield key

        return visit(ROOT)


@dataclass(frozen=True, slots=True)
class End:
    """Where a segment begins or ends in a frame: at a child, or at a port on the frame's own rim."""

    kind: Literal["child", "in", "out"]
    key: str


@dataclass(slots=True)
class Segment:
    """The part of one or several edges that runs inside one frame; they carry the same value."""

    start: End
    end: End
    carried: ValueKey
    value: float | None
    note: str
    has_head: bool


def segments_of(graph: Graph, tree: FrameTree) -> dict[str, list[Segment]]:
    """Return the parts of a graph's edges by the frame that they run in; edges of one value share their parts."""
    found: dict[str, dict[tuple[End, End, ValueKey], Segment]] = {}
    for edge in graph.edges:
        if edge.start == edge.end or edge.start not in tree.nodes or edge.end not in tree.nodes:
            continue
        for frame, start, end in _parts(edge, tree):
            carried = (edge.start, edge.source_port)
            known = found.setdefault(frame, {}).get((start, end, carried))
            if known is None:
                is_last = end.kind == "child" and end.key == edge.end
                segment = Segment(start, end, carried, edge.value, edge.note, is_last)
                found[frame][start, end, carried] = segment
            else:
                known.value = _larger(known.value, edge.value)
                known.note = "\n".join(dict.fromkeys(text for text in (known.note, edge.note) if text))
    return {frame: list(segments.values()) for frame, segments in found.items()}


def _larger(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one != one or one >= other else other  # a NaN must stay seen


def _parts(edge: GraphEdge, tree: FrameTree) -> Iterable[tuple[str, End, End]]:
    """Yield (frame, start, end) for each frame that an edge runs through, from its start to its end."""
    up, down = tree.chain(edge.start), tree.chain(edge.end)
    shared = 0
    while up[shared + 1] == down[shared + 1]:
        shared += 1
    carried = f"{edge.start}\0{edge.source_port}"
    for depth in range(len(up) - 2, shared, -1):
        yield up[depth], End("child", up[depth + 1]), End("out", carried)
    yield up[shared], End("child", up[shared + 1]), End("child", down[shared + 1])
    for depth in range(shared + 1, len(down) - 1):
        yield down[depth], End("in", carried), End("child", down[depth + 1])
