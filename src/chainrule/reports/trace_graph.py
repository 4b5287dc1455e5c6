"""The graph of a recorded step: ops as boxes in the frames of their modules, values as arrows."""

from collections.abc import Iterator, Sequence
from typing import Final

from chainrule.data.wording import count_of
from chainrule.documents import Graph, GraphEdge, GraphGroup, GraphNode
from chainrule.reports.trace_entries import source_text
from chainrule.reports.trace_numbers import FEW, count, name_text, named_shape, norm_of, number_text, shape_text
from chainrule.reports.trace_tree import Branch, check_module, grow, is_inside, items_of
from chainrule.trace import Op, Trace, Use, Value

MOST_BOXES: Final = 40
_SMALL_NET: Final = 24  # elements: when no tensor has more, boxes show values and adjoints
_MOST_LEAVES: Final = 4
_BETWEEN: Final = "\0between"  # the path of the box that the middle of a long loop is folded into

Part = Op | Branch[Op]


def trace_graph(trace: Trace, module: str = "", most_boxes: int = MOST_BOXES) -> Graph:
    """Return the graph of forward and loss.

    Modules are opened from the outside inwards, those of one class together, as long as there are at most
    `most_boxes` boxes; the others are one box each.

    Args:
        trace: a recorded step.
        module: the path of the module whose inside is wanted; the whole step when "".
        most_boxes: about how many boxes there may be.

    Raises:
        UnknownNameError: the trace has no such module.
    """
    check_module(trace, module)
    ops = [op for op in trace.ops if op.phase in ("forward", "loss") and not op.recomputed]
    ops = [op for op in ops if is_inside(op.module, module) and not _passes_through(op)]
    drawn = [op for op in ops if not _stands_alone(trace, op)] or ops
    parts = _cut(grow(drawn, lambda op: (op.module, op.call), trace.modules, module), most_boxes)
    return _Drawing(trace, module, _opened(parts, most_boxes)).graph(parts, len(ops) - len(drawn))


def _stands_alone(trace: Trace, op: Op) -> bool:
    """Whether an op has nothing to do with the others: it counts batches, say."""
    takes = any(_is_drawn(trace.values[use.value]) for use in op.inputs)
    gives = any(trace.values[number].uses or number == trace.loss for number in op.outputs)
    return not takes and not gives


def _is_drawn(value: Value) -> bool:
    return value.producer is not None or value.kind in ("input", "target", "parameter")


def _cut(parts: Sequence[Part], most: int) -> tuple[Part, ...]:
    """Fold the middle of what has too many parts, the steps of a long loop say, into one box."""
    first, last = max(most // 2, 1), max(most // 4, 1)
    if len(parts) <= max(most, first + last + 1):
        return tuple(parts)
    middle = tuple(parts[first:-last])
    return (*parts[:first], Branch(_BETWEEN, "", middle), *parts[-last:])


def _passes_through(op: Op) -> bool:
    """Whether an op returned the very tensor that it took, as `contiguous()` does of a contiguous one."""
    taken = {use.value for use in op.inputs}
    return bool(op.outputs) and taken.issuperset(op.outputs)


def _opened(parts: Sequence[Part], most: int) -> set[int]:
    """Return which branches are opened."""
    opened: set[int] = set()
    boxes = len(parts)
    level = [part for part in parts if isinstance(part, Branch) and part.path != _BETWEEN]
    while level:
        below: list[Branch[Op]] = []
        for kind in dict.fromkeys((branch.class_name, _shape_of(branch)) for branch in level):
            alike = [branch for branch in level if (branch.class_name, _shape_of(branch)) == kind]
            added = sum(len(branch.parts) - 1 for branch in alike)
            if boxes + added > most:
                continue
            boxes += added
            opened.update(id(branch) for branch in alike)
            below += [part for branch in alike for part in branch.parts if isinstance(part, Branch)]
        level = below
    return opened


def _shape_of(branch: Branch[Op]) -> tuple[str, ...]:
    return tuple(op.name for op in branch.items())


class _Drawing:
    """Nodes, groups and edges of a tree of which some branches are opened."""

    def __init__(self, trace: Trace, module: str, opened: set[int]) -> None:
        self._trace = trace
        self._module = module
        self._opened = opened
        self._is_small = all(count(value.shape) <= _SMALL_NET for value in trace.values)
        self._nodes: list[GraphNode] = []
        self._groups: list[GraphGroup] = []
        self._box_of: dict[int, str] = {}
        self._ports: dict[str, list[int]] = {}
        self._norms: dict[int, float | None] = {}

    def graph(self, parts: Sequence[Part], left_out: int) -> Graph:
        for part in parts:
            self._add(part, self._module)
        ops = list(items_of(parts))
        leaves = self._leaves(ops)
        edges = tuple(self._edges(ops))
        model = self._trace.modules.get("")
        name = self._module or (model.class_name if model else "") or "the model"
        has_adjoints = any(node.value is not None for node in self._nodes)
        return Graph(
            key="graph",
            title=f"What ran in {name}: forward and loss",
            nodes=(*leaves, *self._nodes),
            edges=edges,
            groups=tuple(self._groups),
            scale="Colour: norm of ∂L/∂value; of an arrow, of what comes back along it" if has_adjoints else "",
            caption=_caption(self._nodes, left_out),
        )

    def _add(self, part: Part, frame: str) -> str:
        if isinstance(part, Op):
            return self._add_op(part, "")
        ops = list(part.items())
        if part.path == _BETWEEN:
            return self._add_module(part, ops, "… in between")
        below = part.path.removeprefix(f"{frame}." if frame else "")
        if len(ops) == 1:
            return self._add_op(ops[0], below)
        if id(part) not in self._opened:
            return self._add_module(part, ops, below)
        key = f"group {part.path} {ops[0].id}"
        members = tuple(self._add(inner, part.path) for inner in part.parts)
        self._groups.append(GraphGroup(key, below, members, part.class_name))
        return key

    def _add_op(self, op: Op, subtitle: str) -> str:
        key = f"op {op.id}"
        self._box_of[op.id] = key
        made = [self._trace.values[number] for number in op.outputs]
        note = "\n".join(text for text in (f"#{op.id} {op.function or op.name}", source_text(op), op.opaque) if text)
        lines = (*self._parameter_lines(op), *self._number_lines(op, made))
        self._nodes.append(GraphNode(key, op.name, subtitle, lines, "op", self._norm_of(made), note))
        return key

    def _add_module(self, branch: Branch[Op], ops: Sequence[Op], title: str) -> str:
        key = f"module {branch.path} {ops[0].id}"
        inside = {op.id for op in ops}
        for op in ops:
            self._box_of[op.id] = key
        made = [self._trace.values[number] for op in ops for number in op.outputs]
        leaving = [value for value in made if any(use.op not in inside for use in value.uses)]
        own = [value for value in self._trace.parameters if is_inside(value.name, branch.path)]
        counted = count_of(len(ops), "op")
        if own:
            counted += f", {sum(count(value.shape) for value in own):,} parameters"
        node = GraphNode(key, title, branch.class_name, (("", counted),), "module", self._norm_of(leaving or made[-1:]))
        self._nodes.append(node)
        return key

    def _parameter_lines(self, op: Op) -> Iterator[tuple[str, str]]:
        taken = dict.fromkeys(use.value for use in op.inputs)
        leaves = [self._trace.values[number] for number in taken if self._trace.values[number].producer is None]
        leaves = [value for value in leaves if value.kind in ("parameter", "constant")]
        for value in leaves[:_MOST_LEAVES]:
            name = name_text(value)
            label = name.removeprefix(f"{op.module}.") if op.module else name
            yield label, self._written(value)
        if len(leaves) > _MOST_LEAVES:
            yield "", f"and {len(leaves) - _MOST_LEAVES} more"

    def _written(self, value: Value) -> str:
        return number_text(value.data, FEW) if self._is_small and count(value.shape) <= FEW else shape_text(value.shape)

    def _number_lines(self, op: Op, made: Sequence[Value]) -> Iterator[tuple[str, str]]:
        if self._trace.loss in op.outputs:
            loss = self._trace.values[self._trace.loss]
            yield "loss", number_text(loss.data, FEW)
        elif self._is_small and len(made) == 1 and count(made[0].shape) <= FEW:
            yield "value", number_text(made[0].data, FEW)
            if made[0].kept_adjoint is not None:
                yield "adjoint", number_text(made[0].adjoint, FEW)

    def _norm_of(self, values: Sequence[Value]) -> float | None:
        norms = [norm for value in values if (norm := self._adjoint_norm(value)) is not None]
        return max(norms) if norms else None

    def _adjoint_norm(self, value: Value) -> float | None:
        if value.id not in self._norms:
            self._norms[value.id] = norm_of(value.adjoint)
        return self._norms[value.id]

    def _leaves(self, ops: Sequence[Op]) -> list[GraphNode]:
        """Return a pill for each value that comes from outside: inputs, targets, and what the module is given."""
        inside = {op.id for op in ops}
        leaves: dict[int, GraphNode] = {}
        for op in ops:
            for use in op.inputs:
                value = self._trace.values[use.value]
                is_given = value.producer is not None and value.producer not in inside
                if value.id in leaves or not (value.kind in ("input", "target") or is_given):
                    continue
                lines = (("", self._written(value)),) if self._is_small else ()
                node = GraphNode(
                    f"value {value.id}",
                    name_text(value),
                    "",
                    lines,
                    "value",
                    self._adjoint_norm(value),
                    named_shape(value),
                )
                leaves[value.id] = node
        return list(leaves.values())

    def _edges(self, ops: Sequence[Op]) -> Iterator[GraphEdge]:
        found: dict[tuple[str, str, int], GraphEdge] = {}
        for op in ops:
            for use in op.inputs:
                value = self._trace.values[use.value]
                start = self._start_of(value)
                end = self._box_of[op.id]
                if start is None or start == end:
                    continue
                port = self._port(start, value)
                norm = norm_of(use.contribution)
                edge = GraphEdge(start, end, shape_text(value.shape), norm, port, _edge_note(value, use, norm))
                known = found.get((start, end, port))
                if known is None or (norm or 0.0) > (known.value or 0.0):
                    found[start, end, port] = edge
        yield from found.values()

    def _start_of(self, value: Value) -> str | None:
        if value.producer is not None and value.producer in self._box_of:
            return self._box_of[value.producer]
        is_leaf = value.producer is None and value.kind not in ("input", "target")
        return None if is_leaf else f"value {value.id}"

    def _port(self, start: str, value: Value) -> int:
        ports = self._ports.setdefault(start, [])
        if value.id not in ports:
            ports.append(value.id)
        return ports.index(value.id)


def _edge_note(value: Value, use: Use, norm: float | None) -> str:
    back = "nothing comes back along it" if not use.sent else "" if norm is None else f"comes back: norm {norm:.4g}"
    return "\n".join(text for text in (named_shape(value), back) if text)


def _caption(nodes: Sequence[GraphNode], left_out: int) -> str:
    folded = sum(node.shape == "module" for node in nodes)
    sentences = []
    if folded:
        are = "box with a double rim is several ops" if folded == 1 else "boxes with a double rim are several ops each"
        sentences.append(f"{folded} {are}.")
    if left_out:
        are = "op is" if left_out == 1 else "ops are"
        sentences.append(f"{left_out} {are} left out, which neither take from nor give to another.")
    return " ".join(sentences)
