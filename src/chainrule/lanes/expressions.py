"""Elements of nodes as LLVM values: read from memory, or computed where they are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chainrule.lanes.building import fill_value
from chainrule.lanes.forms import Form, form_of
from chainrule.lanes.graph import Batch, Kind, Node, Source
from chainrule.lanes.indices import Index, Variable, linear
from chainrule.lanes.plan import Plan, form_or_none, gather_indices, gathered
from chainrule.lanes.pointwise import POINTWISE, convert, promoted
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.views import VIEWS, Indices, aligned, viewed
from chainrule.lanes.writer import Value, Writer


@dataclass(frozen=True, slots=True)
class Tile:
    """The samples that a loop is at: `count` of them, from `start` on."""

    start: Index
    count: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kept node lies: its address, and its extents there."""

    address: str
    shape: tuple[int, ...]
    is_tile: bool


class Code:
    """What the code of a kernel is written with.

    Attributes:
        writer: takes the instructions.
        plan: what is computed in which order.
        places: where the kept nodes and the states lie.
        settings: the hyperparameters, as vectors.
        seeds: the seed of each lane, or nothing when no op draws numbers.
        shared: the addresses of shared tensors in this step.
        step: the number of the step, from 0.
        tile: the samples that the loop is at.
        unrolls: everything is written out, without loops.
    """

    def __init__(self, writer: Writer, plan: Plan, *, unrolls: bool) -> None:
        self.writer = writer
        self.plan = plan
        self.places: dict[Node, Place] = {}
        self.settings: dict[Node, Value] = {}
        self.shared: dict[Node, str] = {}
        self.drawn: Callable[[Node, Index], Value] | None = None
        self.rows: Callable[[Index], str] | None = None
        self.tile: Tile | None = None
        self.unrolls = unrolls
        self._known: list[dict[tuple[Node, tuple[Index, ...]], Value]] = [{}]

    # Loops ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def scope(self, *, alone: bool = False) -> Iterator[None]:
        """What is computed inside is forgotten after; `alone` forgets what was computed before, too."""
        outer = self._known
        self._known = [{}] if alone else [*outer, {}]
        yield
        self._known = outer

    def ranges(self, shape: tuple[int, ...], batch: Batch | None) -> list[tuple[Index, int]]:
        """Return first index and count of each dimension: of the tile's samples in the dimension over samples."""
        ranges = [(Index(0), extent) for extent in shape]
        if batch is not None and self.tile is not None:
            ranges[batch.dimension] = (self.tile.start * batch.inner, self.tile.count * batch.inner)
        return ranges

    def loops(self, ranges: list[tuple[Index, int]], body: Callable[[list[Index]], None]) -> None:
        """Write loops over ranges of indices, each turn with a scope of its own."""

        def turn(offsets: list[Index]) -> None:
            with self.scope():
                body([first + offset for (first, _), offset in zip(ranges, offsets, strict=True)])

        self.writer.loops([count for _, count in ranges], turn, unrolled=self.unrolls)

    # Memory ---------------------------------------------------------------------------------------------------------

    def position(self, node: Node, indices: Indices) -> tuple[str, Index]:
        """Return where an element of a kept node lies: an address, and the vector's number from there."""
        place = self.places[node]
        own = list(indices)
        if place.is_tile and node.batch is not None:
            if self.tile is None:
                raise AssertionError(f"{node} is read outside of its loop.")
            own[node.batch.dimension] = _less(own[node.batch.dimension], self.tile.start * node.batch.inner)
        return place.address, linear(own, place.shape)

    def load(self, node: Node, indices: Indices) -> Value:
        """Write the reading of a kept node's element."""
        return self.writer.load(*self.position(node, indices), node.kind)

    def store(self, value: Value, node: Node, indices: Indices) -> None:
        """Write the keeping of a node's element."""
        self.writer.store(convert(self.writer, value, node.kind), *self.position(node, indices))

    # Values ---------------------------------------------------------------------------------------------------------

    def value(self, node: Node, indices: Indices, *, inside: bool = False) -> Value:
        """Write an element of a node.

        Args:
            node: kept, computed where it is read, or shared.
            indices: of the element, among all samples.
            inside: compute it even if it is kept.
        """
        key = (node, tuple(indices))
        for known in reversed(self._known):
            if key in known:
                return known[key]
        found = self._read(node, indices) if not inside else self._computed(node, indices)
        self._known[-1][key] = found
        return found

    def _read(self, node: Node, indices: Indices) -> Value:
        if not node.is_lane:
            return self._shared(node, indices)
        if node.source is Source.SETTING:
            return self.settings[node]
        if node.source is not None or node in self.plan.kept:
            return self.load(node, indices)
        return self._computed(node, indices)

    def _computed(self, node: Node, indices: Indices) -> Value:
        form = form_of(node)
        if form is Form.VIEW:
            return self.value(viewed(node), VIEWS[node.op](node, indices, self.divided))
        if form is Form.GATHER:
            return self._gathered(node, indices)
        if form is not Form.POINTWISE:
            raise AssertionError(f"{node} needs a loop of its own.")
        op = POINTWISE[node.op]
        operands = [self._operand(argument, indices) for argument in self._operands(node, op.operands)]
        kind = op.kind
        numbers = [value for value in operands if isinstance(value, Value)]
        usual = promoted(numbers) if numbers else Kind.FLOAT
        values = [
            operand if isinstance(operand, Value) else self.writer.constant(operand, _kind_of(operand, usual))
            for operand in operands
        ]
        if kind is not None:
            values = [convert(self.writer, value, kind) for value in values]
        return op.emit(self.writer, values, node)

    def _operands(self, node: Node, count: int) -> list[Node | float | int]:
        return [argument for argument in node.arguments[:count] if isinstance(argument, (Node, int, float))]

    def _operand(self, argument: Node | float | int, indices: Indices) -> Value | float | int:
        return self.value(argument, aligned(indices, argument.shape)) if isinstance(argument, Node) else argument

    def divided(self, kind: str, dividend: Index, divisor: int) -> Variable:
        """Write a quotient ("div") or remainder ("rem") that no arrangement of indices expresses."""
        name = self.writer.value(f"u{kind} i64 {self.writer.position(dividend)}, {divisor}")
        return Variable(name, dividend.most // divisor if kind == "div" else min(dividend.most, divisor - 1))

    # Shared tensors -------------------------------------------------------------------------------------------------

    def _shared(self, node: Node, indices: Indices) -> Value:
        if form_or_none(node) is Form.FILL:
            return self.writer.constant(fill_value(node), node.kind)
        if form_or_none(node) is Form.VIEW:
            return self.value(viewed(node), VIEWS[node.op](node, indices, self.divided))
        writer = self.writer
        if node.kind is Kind.FLOAT:
            size = writer.bits // 8
            place = writer.address(self.shared[node], linear(indices, node.shape), size)
            number = writer.value(f"load {writer.element}, ptr {place}, align {size}")
            return Value(writer.spread(number, writer.element), Kind.FLOAT)
        number = self._whole(node, indices)
        if writer.bits < 64:
            number = writer.value(f"trunc i64 {number} to i{writer.bits}")
        value = Value(writer.spread(number, f"i{writer.bits}"), Kind.INT)
        return convert(writer, value, node.kind)

    def _whole(self, node: Node, indices: Indices) -> str:
        """Write a shared whole number, as i64."""
        place = self.writer.address(self.shared[node], linear(indices, node.shape), 8)
        return self.writer.value(f"load i64, ptr {place}, align 8")

    def scalar(self, node: Node, indices: Indices, extent: int) -> Index:
        """Write a shared whole number that is a place among `extent` ones; below 0 it counts from the end."""
        if form_or_none(node) is Form.FILL:
            return Index(int(fill_value(node)) % extent)
        if form_or_none(node) is Form.VIEW:
            return self.scalar(viewed(node), VIEWS[node.op](node, indices, self.divided), extent)
        writer = self.writer
        number = self._whole(node, indices)
        from_end = writer.value(f"add i64 {number}, {extent}")
        below = writer.value(f"icmp slt i64 {number}, 0")
        place = writer.value(f"select i1 {below}, i64 {from_end}, i64 {number}")
        inside = writer.value(f"icmp ult i64 {place}, {extent}")  # never read beyond, whatever the data say
        return Index(0, ((Variable(writer.value(f"select i1 {inside}, i64 {place}, i64 0"), extent - 1), 1),))

    # Places that the lanes name themselves --------------------------------------------------------------------------

    def _gathered(self, node: Node, indices: Indices) -> Value:
        source, places = gathered(node, indices)
        if not any(index.is_lane for index, _ in places):
            extents = iter(gathered_extents(node))
            where = gather_indices(node, indices, lambda index, at: self.scalar(index, at, next(extents)))
            return self.value(source, where)
        if len(places) > 1:
            raise Unsupported.because("Each run gathers at places of its own in several dimensions.", node.op)
        (index, at), extent = places[0], gathered_extents(node)[0]
        lanes = self.own_places(self.value(index, at), extent)
        zero = gather_indices(node, indices, lambda *_: Index(0))
        one = gather_indices(node, indices, lambda *_: Index(1)) if extent > 1 else zero
        return self.gather(source, zero, one, lanes)

    def own_places(self, value: Value, extent: int) -> str:
        """Write the lanes' own places among `extent` ones, as i64."""
        writer = self.writer
        name = value.name
        if writer.bits < 64:
            name = writer.value(f"sext {writer.whole} {name} to <{writer.lanes} x i64>")
        kind = f"<{writer.lanes} x i64>"
        from_end = writer.value(f"add {kind} {name}, splat (i64 {extent})")
        below = writer.value(f"icmp slt {kind} {name}, zeroinitializer")
        place = writer.value(f"select {writer.mask} {below}, {kind} {from_end}, {kind} {name}")
        inside = writer.value(f"icmp ult {kind} {place}, splat (i64 {extent})")
        return writer.value(f"select {writer.mask} {inside}, {kind} {place}, {kind} zeroinitializer")

    def gather(self, source: Node, zero: Indices, one: Indices, lanes: str) -> Value:
        """Write the reading of an element at each lane's own place along one dimension.

        Args:
            source: kept, a state, or shared.
            zero: the indices of the element at place 0.
            one: at place 1; the difference is the stride.
            lanes: the places.
        """
        writer = self.writer
        kind = f"<{writer.lanes} x i64>"
        size = writer.bits // 8
        if source.is_lane:
            base, first = self.position(source, zero)
            second = self.position(source, one)[1]
            own = ", ".join(f"i64 {lane}" for lane in range(writer.lanes))
            stride, address = (
                (second.constant - first.constant) * writer.lanes,
                writer.address(base, first, writer.bytes),
            )
        else:
            base, first = self.shared[source], linear(zero, source.shape)
            second = linear(one, source.shape)
            own = ", ".join(["i64 0"] * writer.lanes)
            size = size if source.kind is Kind.FLOAT else 8
            stride, address = second.constant - first.constant, writer.address(base, first, size)
        steps = writer.value(f"mul {kind} {lanes}, splat (i64 {stride})")
        offsets = writer.value(f"add {kind} {steps}, <{own}>")
        pointers = writer.value(f"getelementptr [{size} x i8], ptr {address}, {kind} {offsets}")
        return self.read_each(pointers, source, size, is_shared=not source.is_lane)

    def read_each(self, pointers: str, source: Node, size: int, *, is_shared: bool) -> Value:
        """Write the reading of one element from each of several addresses, in memory of the kernel or shared."""
        writer = self.writer
        shared_whole = is_shared and source.kind is not Kind.FLOAT
        element = writer.element if source.kind is Kind.FLOAT else f"i{64 if shared_whole else writer.bits}"
        kind = f"<{writer.lanes} x {element}>"
        name = "poison"
        for lane in range(writer.lanes):
            pointer = writer.value(f"extractelement <{writer.lanes} x ptr> {pointers}, i32 {lane}")
            number = writer.value(f"load {element}, ptr {pointer}, align {size}")
            name = writer.value(f"insertelement {kind} {name}, {element} {number}, i32 {lane}")
        if shared_whole and writer.bits < 64:
            name = writer.value(f"trunc {kind} {name} to {writer.whole}")
        value = Value(name, Kind.FLOAT if source.kind is Kind.FLOAT else Kind.INT)
        return convert(writer, value, source.kind)


def gathered_extents(node: Node) -> list[int]:
    """Return how many places there are along each dimension that a gather names places of."""
    source = node.arguments[0]
    if node.op == "index":
        return [source.shape[number] for number, index in enumerate(node.arguments[1]) if index is not None]
    if node.op == "embedding":
        return [source.shape[0]]
    return [source.shape[node.arguments[1] % max(len(source.shape), 1)]] if source.shape else [1]


def _kind_of(number: float | int, usual: Kind) -> Kind:
    """A number by itself does not make whole numbers of floats, but a fraction makes floats of whole numbers."""
    if isinstance(number, bool):
        return usual
    return Kind.FLOAT if usual is Kind.FLOAT or isinstance(number, float) else Kind.INT


def _less(index: Index, start: Index) -> Index:
    """Return index − start, where the index is start + something."""
    left = dict(index.terms)
    for variable, coefficient in start.terms:
        if left.pop(variable, 0) != coefficient:
            raise AssertionError("An index does not lie in the tile that it is read from.")
    return Index(index.constant - start.constant, tuple(left.items()))
