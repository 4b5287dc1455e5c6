"""Tensors put together from parts, and values written at named places: one function for each ATen op."""

from collections.abc import Callable
from typing import TypeAlias

from chainrule.lanes.expressions import Code
from chainrule.lanes.forms import sums_over_samples
from chainrule.lanes.graph import Batch, Kind, Node
from chainrule.lanes.indices import Index
from chainrule.lanes.pointwise import convert
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.views import aligned
from chainrule.lanes.writer import Value

Write: TypeAlias = Callable[[Code, Node], None]


def _copy_all(code: Code, node: Node, source: Node) -> None:
    code.loops(
        code.ranges(node.shape, node.batch),
        lambda indices: code.store(code.value(source, aligned(indices, source.shape)), node, indices),
    )


def _write_cat(code: Code, node: Node) -> None:
    dimension = node.argument(1, 0) % len(node.shape)
    begin = 0
    for part in node.arguments[0]:
        if part.shape == (0,):
            continue

        def write(indices: list[Index], part: Node = part, begin: int = begin) -> None:
            place = list(indices)
            place[dimension] = place[dimension] + begin
            code.store(code.value(part, indices), node, place)

        code.loops(code.ranges(part.shape, node.batch), write)
        begin += part.shape[dimension]


def _write_padded(code: Code, node: Node) -> None:
    source, amounts, *rest = node.arguments
    value = code.writer.constant(float(rest[0]) if rest else 0.0, node.kind)
    code.loops(code.ranges(node.shape, node.batch), lambda indices: code.store(value, node, indices))
    before = [0] * len(node.shape)
    after = list(before)
    for number in range(len(amounts) // 2):
        before[-1 - number], after[-1 - number] = amounts[2 * number], amounts[2 * number + 1]
    ranges = code.ranges(source.shape, node.batch)
    for number, (low, high) in enumerate(zip(before, after, strict=True)):
        first, count = ranges[number]
        ranges[number] = (first + max(-low, 0), count + min(low, 0) + min(high, 0))

    def write(indices: list[Index]) -> None:
        place = [_shifted(index, amount) for index, amount in zip(indices, before, strict=True)]
        code.store(code.value(source, indices), node, place)

    code.loops(ranges, write)


def _write_running(code: Code, node: Node) -> None:
    """Write cumsum and cumprod: each element is the one before with one more."""
    source, dimension = node.arguments[:2]
    place = dimension % max(len(node.shape), 1)
    instruction = "fadd" if node.op == "cumsum" else "fmul"
    ranges = code.ranges(node.shape, node.batch)
    length = node.shape[place]
    ranges[place] = (Index(0), 1)

    def write(indices: list[Index]) -> None:
        def turn(offset: Index, totals: list[Value]) -> list[Value]:
            where = [*indices[:place], offset, *indices[place + 1 :]]
            with code.scope():
                value = convert(code.writer, code.value(source, where), Kind.FLOAT)
            total = f"{instruction} {code.writer.vector} {totals[0].name}, {value.name}"
            totals = [Value(code.writer.value(total), Kind.FLOAT)]
            code.store(totals[0], node, where)
            return totals

        code.writer.accumulate(length, [code.writer.constant(float(node.op == "cumprod"))], turn)

    code.loops(ranges, write)


def _shifted(index: Index, amount: int) -> Index:
    return Index(index.constant + amount, index.terms)


def _write_into_slice(code: Code, node: Node) -> None:
    base, part = node.arguments[:2]
    dimension, start, step = node.argument(2, 0), node.argument(3, 0), node.argument(5, 1)
    place_of = dimension % len(node.shape)
    extent = node.shape[place_of]
    first = min(max(start or 0, -extent), extent)
    first = first + extent if first < 0 else first
    _copy_all(code, node, base)

    def write(indices: list[Index]) -> None:
        place = list(indices)
        place[place_of] = place[place_of] * step + first
        code.store(code.value(part, indices), node, place)

    code.loops(code.ranges(part.shape, node.batch), write)


def _write_into_row(code: Code, node: Node) -> None:
    base, part, dimension, number = node.arguments
    place_of = dimension % len(node.shape)
    _copy_all(code, node, base)
    ranges = code.ranges(node.shape, node.batch)
    ranges[place_of] = (Index(number % node.shape[place_of]), 1)

    def write(indices: list[Index]) -> None:
        code.store(code.value(part, [*indices[:place_of], *indices[place_of + 1 :]]), node, indices)

    code.loops(ranges, write)


def _write_scatter(code: Code, node: Node) -> None:
    """Write scatter and scatter_add: x[..., index[i, j], ...] = or += source[i, j]."""
    base, dimension, index, source = node.arguments[:4]
    place_of = dimension % max(len(node.shape), 1)
    if node.options.get("reduce") is not None:
        raise Unsupported.because("It scatters with a reduction.", node.op)
    _copy_all(code, node, base)
    extent = node.shape[place_of] if node.shape else 1

    def write(indices: list[Index]) -> None:
        value = code.value(source, indices) if isinstance(source, Node) else code.writer.constant(source, node.kind)
        _put(code, node, indices, place_of, (index, list(indices), extent), value, adds=node.op == "scatter_add")

    code.loops(code.ranges(index.shape, node.batch), write)


def _write_index_put(code: Code, node: Node) -> None:
    """Write x[index] = or += values, for one dimension of places."""
    base, indices_given, values = node.arguments[:3]
    adds = len(node.arguments) > 3 and bool(node.arguments[3])
    named = [number for number, index in enumerate(indices_given) if index is not None]
    if len(named) != 1:
        raise Unsupported.because("It writes at places of several dimensions at once.", node.op)
    dimension, index = named[0], indices_given[named[0]]
    rank = len(index.shape)
    shape = (*node.shape[:dimension], *index.shape, *node.shape[dimension + 1 :])
    batch = values.batch if sums_over_samples(node) else None
    if batch is not None:
        batch = Batch(batch.dimension + len(shape) - len(values.shape), batch.inner)
    else:
        _copy_all(code, node, base)

    def write(indices: list[Index]) -> None:
        value = code.value(values, aligned(indices, values.shape))
        own = indices[dimension : dimension + rank]
        place = [*indices[:dimension], Index(0), *indices[dimension + rank :]]
        _put(code, node, place, dimension, (index, own, node.shape[dimension]), value, adds=adds)

    ranges = code.ranges(shape, batch)
    along = batch.dimension if batch is not None else 0
    order = sorted(range(len(ranges)), key=lambda number: (number != along, number))  # sample by sample

    def in_order(indices: list[Index]) -> None:
        write([indices[order.index(number)] for number in range(len(ranges))])

    code.loops([ranges[number] for number in order], in_order)


def _put(
    code: Code,
    node: Node,
    indices: list[Index],
    dimension: int,
    named: tuple[Node, list[Index], int],
    value: Value,
    *,
    adds: bool,
) -> None:
    """Write one element at the place that a tensor names: the same in all lanes, or each lane's own."""
    index, where, extent = named
    writer = code.writer
    value = convert(writer, value, node.kind)
    if index.is_lane:
        _put_each(code, node, indices, dimension, named, value, adds=adds)
        return
    place = list(indices)
    place[dimension] = code.scalar(index, where, extent)
    if adds:
        value = Value(writer.value(f"fadd {writer.vector} {code.load(node, place).name}, {value.name}"), Kind.FLOAT)
    code.store(value, node, place)


def _put_each(
    code: Code,
    node: Node,
    indices: list[Index],
    dimension: int,
    named: tuple[Node, list[Index], int],
    value: Value,
    *,
    adds: bool,
) -> None:
    if node.kind is Kind.BOOL:
        raise Unsupported.because("Each run writes yes and no at places of its own.", node.op)
    index, where, extent = named
    writer = code.writer
    zero, one = list(indices), list(indices)
    zero[dimension], one[dimension] = Index(0), Index(min(1, extent - 1))
    lanes = code.own_places(code.value(index, where), extent)
    base, first = code.position(node, zero)
    stride = (code.position(node, one)[1].constant - first.constant) * writer.lanes
    own = ", ".join(f"i64 {lane}" for lane in range(writer.lanes))
    kind = f"<{writer.lanes} x i64>"
    size = writer.bits // 8
    offsets = writer.value(f"add {kind} {writer.value(f'mul {kind} {lanes}, splat (i64 {stride})')}, <{own}>")
    address = writer.address(base, first, writer.bytes)
    pointers = writer.value(f"getelementptr [{size} x i8], ptr {address}, {kind} {offsets}")
    if adds:
        old = code.read_each(pointers, node, size, is_shared=False)
        value = Value(writer.value(f"fadd {writer.vector} {old.name}, {value.name}"), Kind.FLOAT)
    kind_of_value, element = writer.type(value.kind), writer.element if value.kind is Kind.FLOAT else f"i{writer.bits}"
    for lane in range(writer.lanes):
        pointer = writer.value(f"extractelement <{writer.lanes} x ptr> {pointers}, i32 {lane}")
        number = writer.value(f"extractelement {kind_of_value} {value.name}, i32 {lane}")
        writer.write(f"store {element} {number}, ptr {pointer}, align {size}")


ASSEMBLIES: dict[str, Write] = {
    "cat": _write_cat,
    "cumprod": _write_running,
    "cumsum": _write_running,
    "constant_pad_nd": _write_padded,
    "slice_scatter": _write_into_slice,
    "select_scatter": _write_into_row,
    "scatter": _write_scatter,
    "scatter_add": _write_scatter,
    "index_put": _write_index_put,
}
"""Every op that puts a tensor together."""
