"""What kind of work each ATen op is, and where the samples lie in its result.

input      a state, a hyperparameter, data
fill       one number everywhere
view       another tensor at other indices; no work
pointwise  element by element
gather     elements at places that another tensor names
product    matrix products: sums over a shared index
reduction  sums and extremes over dimensions
assembly   a tensor put together from parts: cat, padding, writing into a slice
scatter    values written or added at places that another tensor names
random     numbers from the generator
"""

from enum import Enum
from typing import Any

from chainrule.lanes.building import FILLS, RANDOM
from chainrule.lanes.graph import Batch, Node
from chainrule.lanes.pointwise import POINTWISE
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.views import VIEWS, batch_of_view


class Form(Enum):
    """What kind of work an op is."""

    INPUT = "input"
    FILL = "fill"
    VIEW = "view"
    POINTWISE = "pointwise"
    GATHER = "gather"
    PRODUCT = "product"
    REDUCTION = "reduction"
    ASSEMBLY = "assembly"
    SCATTER = "scatter"
    RANDOM = "random"


PRODUCTS = frozenset({"mm", "bmm"})
REDUCTIONS = frozenset({"sum", "amax", "amin", "prod", "any", "all"})
GATHERS = frozenset({"gather", "index", "index_select", "embedding"})
ASSEMBLIES = frozenset({"cat", "cumsum", "cumprod", "constant_pad_nd", "slice_scatter", "select_scatter"})
SCATTERS = frozenset({"scatter", "scatter_add", "index_put"})
_BY_OP: dict[str, Form] = {
    **dict.fromkeys(FILLS, Form.FILL),
    **dict.fromkeys(VIEWS, Form.VIEW),
    **dict.fromkeys(POINTWISE, Form.POINTWISE),
    **dict.fromkeys(PRODUCTS, Form.PRODUCT),
    **dict.fromkeys(REDUCTIONS, Form.REDUCTION),
    **dict.fromkeys(GATHERS, Form.GATHER),
    **dict.fromkeys(ASSEMBLIES, Form.ASSEMBLY),
    **dict.fromkeys(SCATTERS, Form.SCATTER),
    **dict.fromkeys(RANDOM, Form.RANDOM),
    "input": Form.INPUT,
    "constant": Form.INPUT,
}


def form_of(node: Node) -> Form:
    """Return what kind of work makes a node.

    Raises:
        Unsupported: an op that kernels cannot compute.
    """
    form = _BY_OP.get(node.op)
    if form is None:
        raise Unsupported.because(f"It has no code for the op '{node.op}' of {list(node.shape)}.", node.op)
    return form


def is_known(node: Node) -> bool:
    """Return whether an op has a form; shared nodes need none, because torch computes them."""
    return node.op in _BY_OP


def reduced(node: Node) -> tuple[set[int], bool]:
    """Return the dimensions that a reduction sums over, and whether they stay as 1."""
    rank = len(node.arguments[0].shape)
    asked = node.argument(1, None)
    keeps = bool(node.argument(2, node.options.get("keepdim", False)))
    if asked is None or asked == ():
        return set(range(rank)), keeps
    return {number % rank for number in (asked if isinstance(asked, tuple) else (asked,))}, keeps


def mark_batch(node: Node) -> None:
    """Set a node's dimension over samples from those of its inputs; None when its work mixes samples."""
    if node.op in ("input", "constant") or not is_known(node):
        return
    form = form_of(node)
    if form is Form.VIEW:
        node.batch = batch_of_view(node)
    elif form is Form.POINTWISE or form is Form.RANDOM:
        node.batch = _agreed([_broadcast(source, node) for source in node.inputs if source.batch])
    elif form is Form.PRODUCT:
        node.batch = _of_product(node)
    elif form is Form.REDUCTION:
        node.batch = _of_reduction(node)
    elif form is Form.GATHER:
        node.batch = _of_gather(node)
    elif form is Form.ASSEMBLY:
        node.batch = _of_assembly(node)
    elif form is Form.SCATTER:
        node.batch = _of_scatter(node)


def sums_over_samples(node: Node) -> bool:
    """Return whether a node adds up over samples tile by tile, so that it is known after all of them."""
    if node.batch is not None or not node.is_lane or not is_known(node):
        return False
    form = form_of(node)
    if form is Form.REDUCTION:
        batch = node.arguments[0].batch
        return batch is not None and batch.dimension in reduced(node)[0]
    if form is Form.PRODUCT:
        left, right = node.arguments
        rank = len(node.shape)
        along = [left.batch if left.batch and left.batch.dimension == rank - 1 else None]
        along += [right.batch if right.batch and right.batch.dimension == rank - 2 else None]
        alone = [place for place, source in zip(along, (left, right), strict=True) if place is None and source.batch]
        inner = {place.inner for place in along if place}
        return len(inner) == 1 and not alone
    if form is Form.SCATTER and node.op == "index_put":
        return _adds(node) and node.arguments[0].batch is None and node.arguments[2].batch is not None
    return False


def _adds(node: Node) -> bool:
    return bool(node.argument(3, False))


def _agreed(places: list[Batch | None]) -> Batch | None:
    return places[0] if places and all(place == places[0] for place in places) else None


def _broadcast(source: Node, node: Node) -> Batch | None:
    if source.batch is None:
        return None
    return Batch(source.batch.dimension + len(node.shape) - len(source.shape), source.batch.inner)


def _of_product(node: Node) -> Batch | None:
    left, right = node.arguments
    rank = len(node.shape)
    of_left = left.batch if left.batch and left.batch.dimension != rank - 1 else None
    of_right = right.batch if right.batch and right.batch.dimension != rank - 2 else None
    clean = (of_left is not None or left.batch is None) and (of_right is not None or right.batch is None)
    places = [place for place in (of_left, of_right) if place is not None]
    return _agreed(list(places)) if clean else None


def _of_reduction(node: Node) -> Batch | None:
    batch = node.arguments[0].batch
    dimensions, keeps = reduced(node)
    if batch is None or batch.dimension in dimensions:
        return None
    gone = 0 if keeps else sum(number < batch.dimension for number in dimensions)
    return Batch(batch.dimension - gone, batch.inner)


def _of_gather(node: Node) -> Batch | None:
    source = node.arguments[0]
    if node.op == "gather":
        dimension = node.arguments[1] % max(len(source.shape), 1)
        places = [place.batch for place in (source, node.arguments[2]) if place.batch]
        return _agreed(list(places)) if source.batch is None or source.batch.dimension != dimension else None
    if source.batch is not None or node.op != "index":
        return None
    first = GatherPlace(node)
    batches = [_broadcast_to(index, first.rank, first.start) for index in first.indices if index.batch]
    return _agreed(list(batches))


class GatherPlace:
    """Where the indexed dimensions of x[i, j, ...] lie in the result.

    Attributes:
        dimensions: the dimensions of x that are indexed, one after the other.
        indices: the tensors that index them.
        rank: the dimensions of the indices, broadcast against each other.
        start: the dimension of the result at which they begin.
    """

    def __init__(self, node: Node) -> None:
        given = node.arguments[1]
        self.dimensions = [number for number, index in enumerate(given) if index is not None]
        self.indices: list[Node] = [index for index in given if index is not None]
        self.rank = max(len(index.shape) for index in self.indices)
        self.start = self.dimensions[0]
        if self.dimensions != list(range(self.start, self.start + len(self.dimensions))):
            raise Unsupported.because("It indexes dimensions that are not side by side.", node.op)


def _broadcast_to(index: Node, rank: int, start: int) -> Batch | None:
    return Batch(index.batch.dimension + rank - len(index.shape) + start, index.batch.inner) if index.batch else None


def _of_assembly(node: Node) -> Batch | None:
    parts: list[Any] = list(node.arguments[0]) if node.op == "cat" else [node.arguments[0]]
    if node.op in ("slice_scatter", "select_scatter"):
        dimension = node.arguments[2] % len(node.shape)
        batch = node.arguments[0].batch
        own = node.arguments[1].batch
        if own and node.op == "select_scatter" and own.dimension >= dimension:
            own = Batch(own.dimension + 1, own.inner)
        agreed = _agreed([place for place in (batch, own) if place])
        return agreed if agreed and agreed.dimension != dimension else None
    agreed = _agreed([part.batch for part in parts if part.batch])
    if agreed is None:
        return None
    if node.op in ("cumsum", "cumprod"):
        return agreed if agreed.dimension != node.arguments[1] % len(node.shape) else None
    if node.op == "cat":
        dimension = node.argument(1, 0) % len(node.shape)
        return agreed if agreed.dimension != dimension else None
    return agreed if node.shape[agreed.dimension] == node.arguments[0].shape[agreed.dimension] else None


def _of_scatter(node: Node) -> Batch | None:
    if node.op == "index_put":
        return None
    dimension = node.arguments[1] % max(len(node.shape), 1)
    agreed = _agreed([source.batch for source in node.inputs if source.batch])
    return agreed if agreed and agreed.dimension != dimension else None
