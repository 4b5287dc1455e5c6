"""Sums and extremes over dimensions: one record for each ATen op.

Each result is one chain in the order of the elements, so that it does not depend on how much is done at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from chainrule.lanes.expressions import Code
from chainrule.lanes.forms import reduced, sums_over_samples
from chainrule.lanes.graph import Kind, Node
from chainrule.lanes.indices import Index
from chainrule.lanes.pointwise import convert, greater
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.writer import Value, Writer

Combine: TypeAlias = Callable[[Writer, Value, Value], Value]
_TOGETHER = 4  # results that are summed side by side, so that one addition need not wait for the other


@dataclass(frozen=True, slots=True)
class Reduction:
    """How an op makes one number of many: what it begins with, and what one more number does to it."""

    first: float | int
    combine: Combine
    kind: Kind | None = None


def _instruction(of_floats: str, of_whole: str) -> Combine:
    def combine(writer: Writer, total: Value, value: Value) -> Value:
        name = of_floats if total.kind is Kind.FLOAT else of_whole
        return Value(writer.value(f"{name} {writer.type(total.kind)} {total.name}, {value.name}"), total.kind)

    return combine


def _extreme(relation: str) -> Combine:
    def combine(writer: Writer, total: Value, value: Value) -> Value:
        return greater(writer, value, total, relation)

    return combine


REDUCTIONS: dict[str, Reduction] = {
    "sum": Reduction(0.0, _instruction("fadd", "add")),
    "prod": Reduction(1.0, _instruction("fmul", "mul")),
    "amax": Reduction(float("-inf"), _extreme("ogt"), Kind.FLOAT),
    "amin": Reduction(float("inf"), _extreme("olt"), Kind.FLOAT),
    "any": Reduction(0, _instruction("or", "or"), Kind.BOOL),
    "all": Reduction(1, _instruction("and", "and"), Kind.BOOL),
}
"""Every reduction that kernels can compute."""


def first_value(code: Code, node: Node) -> Value:
    """Return what the reduction of a node begins with."""
    record = REDUCTIONS[node.op]
    kind = record.kind or node.kind
    if kind is Kind.INT and record.kind is Kind.FLOAT:
        raise Unsupported.because("It takes an extreme of whole numbers.", node.op)
    return code.writer.constant(record.first, kind)


def write_reduction(code: Code, node: Node) -> None:
    """Write a reduction; over samples it adds to what the tiles before gave."""
    source: Node = node.arguments[0]
    gone, keeps = reduced(node)
    ranges = code.ranges(source.shape, source.batch)
    left = [number for number in range(len(source.shape)) if number not in gone]
    adds = sums_over_samples(node)
    along = source.batch.dimension if adds and source.batch is not None else -1
    order = sorted(gone, key=lambda number: (number != along, number))  # sample by sample, whatever a tile holds
    summed = [ranges[number] for number in order]

    def place_of(indices: list[Index]) -> list[Index]:
        rest = iter(indices)
        if keeps:
            return [Index(0) if number in gone else next(rest) for number in range(len(source.shape))]
        return list(rest)

    def results(group: list[list[Index]]) -> None:
        """Sum for several results at once."""
        record = REDUCTIONS[node.op]
        begin = first_value(code, node)
        totals = [code.load(node, place_of(indices)) if adds else begin for indices in group]

        def over(depth: int, offsets: list[Index], totals: list[Value]) -> list[Value]:
            if depth == len(summed):
                with code.scope():
                    found = [_element(indices, offsets) for indices in group]
                    return [
                        record.combine(code.writer, total, value) for total, value in zip(totals, found, strict=True)
                    ]
            first, count = summed[depth]
            turns = count if code.unrolls or count <= _TOGETHER else 1
            return code.writer.accumulate(
                count, totals, lambda offset, new: over(depth + 1, [*offsets, first + offset], new), unrolled=turns
            )

        def _element(indices: list[Index], offsets: list[Index]) -> Value:
            own, other = iter(indices), dict(zip(order, offsets, strict=True))
            where = [other[number] if number in gone else next(own) for number in range(len(source.shape))]
            return convert(code.writer, code.value(source, where), totals[0].kind)

        for indices, total in zip(group, over(0, [], totals), strict=True):
            code.store(total, node, place_of(indices))

    def rows(outer: list[Index]) -> None:
        if not left:
            results([outer])
            return
        first, count = ranges[left[-1]]
        for begin, size, times in _groups(count):

            def turn(offset: Index, begin: int = begin, size: int = size) -> None:
                with code.scope():
                    results([[*outer, first + begin + offset * size + number] for number in range(size)])

            code.writer.loop(times, turn, unrolled=code.unrolls)

    code.loops([ranges[number] for number in left[:-1]], rows)


def _groups(count: int) -> list[tuple[int, int, int]]:
    whole, rest = divmod(count, _TOGETHER)
    return [*([(0, _TOGETHER, whole)] if whole else []), *([(whole * _TOGETHER, rest, 1)] if rest else [])]
