"""Views: tensors that are other tensors at other indices, and cost nothing.

One record for each ATen op: the indices in the viewed tensor at which the view's element (i, j, ...) lies.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from chainrule.lanes.graph import Batch, Node
from chainrule.lanes.indices import Index, NewVariable, Variable, as_index, divide, linear, structural, unlinear

Indices: TypeAlias = list[Index]
View: TypeAlias = Callable[[Node, Indices, NewVariable], Indices]


def viewed(node: Node) -> Node:
    """Return the tensor that a view looks at."""
    source: Node = node.arguments[0]
    return source


def batch_of_view(node: Node) -> Batch | None:
    """Return the view's dimension over samples, or None when it mixes them with others.

    The index of the sample is computed for a general element of the view; when it is one variable, or the quotient of
    one, that variable's dimension is the one.
    """
    source = viewed(node)
    if source.batch is None:
        return None
    quotients: dict[Variable, tuple[Index, int]] = {}

    def new(kind: str, dividend: Index, divisor: int) -> Variable:
        variable = structural(kind, dividend, divisor)
        if kind == "div":
            quotients[variable] = (dividend, divisor)
        return variable

    own = [Variable(f"d{number}", extent - 1) for number, extent in enumerate(node.shape)]
    place = VIEWS[node.op](node, [as_index(variable) for variable in own], new)[source.batch.dimension]
    whole = tuple((v, c // source.batch.inner) for v, c in place.terms if c % source.batch.inner == 0)
    rest = Index(place.constant, tuple((v, c) for v, c in place.terms if c % source.batch.inner))
    if rest.most >= source.batch.inner or len(whole) != 1 or whole[0][1] != 1:
        return _of_quotient(place, source.batch.inner, own, quotients)
    return _of_quotient(Index(0, whole), 1, own, quotients)


def _of_quotient(
    place: Index, inner: int, own: list[Variable], quotients: dict[Variable, tuple[Index, int]]
) -> Batch | None:
    variable = place.variable
    if variable is None:
        return None
    if variable in quotients:
        dividend, divisor = quotients[variable]
        variable, inner = dividend.variable, inner * divisor
    return Batch(own.index(variable), inner) if variable in own else None


def aligned(indices: Sequence[Index], shape: Sequence[int]) -> Indices:
    """Return the indices in a tensor of that shape that is broadcast to where the indices point."""
    tail = list(indices[len(indices) - len(shape) :]) if shape else []
    return [Index(0) if extent == 1 else index for index, extent in zip(tail, shape, strict=True)]


def _same(node: Node, indices: Indices, new: NewVariable) -> Indices:
    return indices


def _permute(node: Node, indices: Indices, new: NewVariable) -> Indices:
    order = [number % len(indices) for number in node.arguments[1]]
    return [indices[order.index(number)] for number in range(len(order))]


def _transpose(node: Node, indices: Indices, new: NewVariable) -> Indices:
    one, other = ((number % len(indices)) for number in (node.arguments[1:] or (0, 1)))
    swapped = list(indices)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    return swapped


def _reshape(node: Node, indices: Indices, new: NewVariable) -> Indices:
    return unlinear(linear(indices, node.shape), viewed(node).shape, new)


def _expand(node: Node, indices: Indices, new: NewVariable) -> Indices:
    return aligned(indices, viewed(node).shape)


def _unsqueeze(node: Node, indices: Indices, new: NewVariable) -> Indices:
    place = node.arguments[1] % len(node.shape)
    return [*indices[:place], *indices[place + 1 :]]


def _squeeze(node: Node, indices: Indices, new: NewVariable) -> Indices:
    shape = viewed(node).shape
    asked = node.arguments[1] if len(node.arguments) > 1 else range(len(shape))
    gone = {number % len(shape) for number in (asked if isinstance(asked, (tuple, list, range)) else (asked,))}
    left = iter(indices)
    return [Index(0) if n in gone and extent == 1 else next(left) for n, extent in enumerate(shape)]


def _select(node: Node, indices: Indices, new: NewVariable) -> Indices:
    _, dimension, number = node.arguments
    shape = viewed(node).shape
    place = dimension % len(shape)
    return [*indices[:place], Index(number % shape[place]), *indices[place:]]


def _slice(node: Node, indices: Indices, new: NewVariable) -> Indices:
    dimension, start, step = node.argument(1, 0), node.argument(2, 0), node.argument(4, 1)
    shape = viewed(node).shape
    place = (dimension or 0) % len(shape)
    first = min(max(start or 0, -shape[place]), shape[place])
    first = first + shape[place] if first < 0 else first
    moved = list(indices)
    moved[place] = moved[place] * step + first
    return moved


def _unfold(node: Node, indices: Indices, new: NewVariable) -> Indices:
    _, dimension, _, step = node.arguments
    place = dimension % max(len(viewed(node).shape), 1)
    moved = list(indices[:-1])
    moved[place] = moved[place] * step + indices[-1]
    return moved


def _diagonal(node: Node, indices: Indices, new: NewVariable) -> Indices:
    offset, one, other = node.argument(1, 0), node.argument(2, 0), node.argument(3, 1)
    rank = len(viewed(node).shape)
    one, other = one % rank, other % rank
    left, along = iter(indices[:-1]), indices[-1]
    places = {one: along + max(-offset, 0), other: along + max(offset, 0)}
    return [places[n] if n in places else next(left) for n in range(rank)]


def _flip(node: Node, indices: Indices, new: NewVariable) -> Indices:
    gone = {number % len(indices) for number in node.arguments[1]}
    return [
        Index(extent - 1) + index * -1 if number in gone else index
        for number, (index, extent) in enumerate(zip(indices, node.shape, strict=True))
    ]


def _as_strided(node: Node, indices: Indices, new: NewVariable) -> Indices:
    """A tensor of the graph lies in memory in the order of its indices, which is what strides are about."""
    position = Index(node.argument(3, 0) or 0)
    for index, stride in zip(indices, node.arguments[2], strict=True):
        position = position + index * stride
    return unlinear(position, viewed(node).shape, new)


def _repeat(node: Node, indices: Indices, new: NewVariable) -> Indices:
    shape = viewed(node).shape
    own = indices[len(indices) - len(shape) :]
    return [divide(index, extent, new)[1] for index, extent in zip(own, shape, strict=True)]


VIEWS: dict[str, View] = {
    "alias": _same,
    "as_strided": _as_strided,
    "clone": _same,
    "contiguous": _same,
    "detach": _same,
    "diagonal": _diagonal,
    "expand": _expand,
    "flip": _flip,
    "lift_fresh_copy": _same,
    "permute": _permute,
    "repeat": _repeat,
    "reshape": _reshape,
    "select": _select,
    "slice": _slice,
    "squeeze": _squeeze,
    "t": _transpose,
    "transpose": _transpose,
    "unfold": _unfold,
    "unsqueeze": _unsqueeze,
    "view": _reshape,
    "_unsafe_view": _reshape,
}
