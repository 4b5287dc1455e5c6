"""Paths: the ways from the loss down to one element, with the local derivatives along them."""

import heapq
import itertools
from dataclasses import dataclass

from chainrule.queries.again import Index
from chainrule.queries.explained import Factor, Path, element_name
from chainrule.queries.explained_products import ChainRule, Product
from chainrule.trace import Op, Value

MOST_STEPS = 64  # ops that are run again while paths are looked for


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path has come to on its way up to the loss: a value's element, and the factors up to there."""

    value: Value
    index: Index
    adjoint: float
    derivative: float
    factors: tuple[Factor, ...]


def find_paths(rule: ChainRule, value: Value, index: Index, adjoint: float, most: int) -> tuple[Path, ...]:
    """Follow the largest products from an element up to what the model returned, then the largest that were passed by.

    A path ends at the loss, at what only the loss is computed from, and at an op that cannot be taken apart. When 64
    elements have been taken apart, it ends where it stands: its adjoint times its factors is its share all the same.

    Args:
        rule: the chain rule on the trace.
        value: the value to start from.
        index: its element.
        adjoint: ∂L/∂ that element.
        most: how many paths.

    Returns:
        The paths, those along which most comes first.
    """
    element = element_name(value.name, index)
    order = itertools.count()
    waiting: list[tuple[float, int, _Place]] = [(0.0, next(order), _Place(value, index, adjoint, 1.0, ()))]
    paths: list[Path] = []
    steps = 0
    while waiting and len(paths) < most and (steps < MOST_STEPS or not paths):
        place = heapq.heappop(waiting)[2]
        while steps < MOST_STEPS and not rule.is_end(place.value):
            steps += 1
            branches = [
                (part.op, product)
                for part in rule.sources(place.value, place.index).taken_apart
                for product in part.largest
                if not _is_inside(part.op, place.value)
            ]
            if not branches:
                break
            branches.sort(key=lambda branch: -abs(branch[1].number))
            first, *others = (_next(place, op, product) for op, product in branches)
            for other in others:
                heapq.heappush(waiting, (-abs(other.adjoint * other.derivative), next(order), other))
            place = first
        paths.append(
            Path(
                element=element,
                start=element_name(place.value.name, place.index),
                adjoint=place.adjoint,
                factors=tuple(reversed(place.factors)),
                product=place.adjoint * place.derivative,
            )
        )
    return tuple(sorted(paths, key=lambda path: -abs(path.product)))


def _next(place: _Place, op: Op, product: Product) -> _Place:
    factor = Factor(
        upper=element_name(product.value.name, product.index),
        lower=element_name(place.value.name, place.index),
        op=op.name,
        derivative=product.derivative,
    )
    derivative = place.derivative * product.derivative
    return _Place(product.value, product.index, product.adjoint, derivative, (*place.factors, factor))


def _is_inside(op: Op, value: Value) -> bool:
    return value.producer == op.id
