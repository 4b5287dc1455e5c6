"""Matrix products: C[g, m, n] = Σₖ A[g, m, k]·B[g, k, n], with every element a vector of lanes.

A block of C stays in registers while k runs, so that each element of A and B that is read serves several of C. Each
sum is one chain of fused multiply-adds in the order of k, whatever the size of the block.
"""

from dataclasses import dataclass

from chainrule.lanes.expressions import Code
from chainrule.lanes.forms import sums_over_samples
from chainrule.lanes.graph import Batch, Node
from chainrule.lanes.indices import Index
from chainrule.lanes.writer import Value

_LATENCY = 4  # of a multiply-add, in cycles: fewer chains than that leave the processor waiting
_UNROLLED = 16  # terms of a sum written out


@dataclass(frozen=True, slots=True)
class Block:
    """The rows and columns of C that are computed together."""

    rows: int
    columns: int


def block_size(rows: int, columns: int, budget: int) -> Block:
    """Return the block that costs least: in cycles of multiply-adds, reads and waiting, over the whole product.

    Args:
        rows: of the product.
        columns: of it.
        budget: how many vectors fit into the registers.
    """

    def cost(block: Block) -> tuple[int, int]:
        cycles = reads = 0
        for height, times_down in _cuts(rows, block.rows):
            for width, times_across in _cuts(columns, block.columns):
                one = max(height * width, height + width, _LATENCY)
                cycles += times_down * times_across * one
                reads += times_down * times_across * (height + width)
        return cycles, reads

    tall = range(1, min(rows, 8) + 1)
    choices = [Block(r, c) for r in tall for c in range(1, min(columns, 8) + 1) if r * c + r + c <= budget]
    return min(choices or [Block(1, 1)], key=cost)


def _cuts(extent: int, size: int) -> list[tuple[int, int]]:
    """Return the sizes of the blocks along a dimension, and how often each comes."""
    whole, rest = divmod(extent, size)
    return [(number, times) for number, times in ((size, whole), (rest, int(rest > 0))) if times]


def write_product(code: Code, node: Node, budget: int) -> None:
    """Write the product that a node is; over samples it adds to what the tiles before gave."""
    left, right = node.arguments
    adds = sums_over_samples(node)
    *groups, rows, columns = code.ranges(node.shape, node.batch)
    depth = _depth(code, left, right, adds=adds)
    block = block_size(rows[1], columns[1], budget)
    code.loops(groups, lambda group: _Product(code, node, group, depth, adds).write(rows, columns, block))


def _depth(code: Code, left: Node, right: Node, *, adds: bool) -> tuple[Index, int]:
    rank = len(left.shape)
    if not adds:
        return Index(0), left.shape[-1]
    inner = next(
        source.batch.inner
        for source, along in ((left, rank - 1), (right, rank - 2))
        if source.batch is not None and source.batch.dimension == along
    )
    return code.ranges((left.shape[-1],), Batch(0, inner))[0]


@dataclass(frozen=True, slots=True)
class _Product:
    code: Code
    node: Node
    group: list[Index]
    depth: tuple[Index, int]
    adds: bool

    def write(self, rows: tuple[Index, int], columns: tuple[Index, int], block: Block) -> None:
        """Write the loops over blocks."""
        for across, width, times in _parts(columns[1], block.columns):
            for down, height, repeats in _parts(rows[1], block.rows):
                self._blocks(rows[0] + down, columns[0] + across, Block(height, width), (repeats, times))

    def _blocks(self, row: Index, column: Index, block: Block, times: tuple[int, int]) -> None:
        def turn(offsets: list[Index]) -> None:
            with self.code.scope():
                down, across = offsets[1] * block.rows, offsets[0] * block.columns
                self._block(row + down, column + across, block)

        self.code.writer.loops([times[1], times[0]], turn, unrolled=self.code.unrolls)

    def _block(self, row: Index, column: Index, block: Block) -> None:
        code, writer = self.code, self.code.writer
        left, right = self.node.arguments
        rows = [row + number for number in range(block.rows)]
        columns = [column + number for number in range(block.columns)]
        places = [[*self.group, one, other] for one in rows for other in columns]
        zero = writer.constant(0.0)
        sums = [code.load(self.node, place) if self.adds else zero for place in places]

        def term(offset: Index, sums: list[Value]) -> list[Value]:
            with code.scope():
                k = self.depth[0] + offset
                of_left = [code.value(left, [*self.group, one, k]) for one in rows]
                of_right = [code.value(right, [*self.group, k, other]) for other in columns]
                pairs = [(one, other) for one in of_left for other in of_right]
                return [writer.intrinsic("fma", *pair, total) for pair, total in zip(pairs, sums, strict=True)]

        count = self.depth[1]
        turns = count if code.unrolls or count <= _UNROLLED else next(n for n in (8, 4, 2, 1) if count % n == 0)
        sums = writer.accumulate(count, sums, term, unrolled=turns)
        for place, total in zip(places, sums, strict=True):
            code.store(total, self.node, place)


def _parts(extent: int, size: int) -> list[tuple[int, int, int]]:
    """Return first index, size and number of the whole blocks along a dimension, then of the rest."""
    whole, rest = divmod(extent, size)
    return [*([(0, size, whole)] if whole else []), *([(whole * size, rest, 1)] if rest else [])]
