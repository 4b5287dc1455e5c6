"""Finding the slip, or the two slips, that make what stands in a cell of what belongs there."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from chainrule.checking.derivations import Derivation, Product
from chainrule.checking.readings import Reading, UnreadableError
from chainrule.checking.slips import Catalogue, Changed, Slip
from chainrule.checking.truth import Truth

_MOST_PAIRED = 700  # slips of which every two are tried together
_RARE = frozenset({"extra factor"})


@runtime_checkable
class Target(Protocol):
    """What stands in a cell, as numbers at several points."""

    def numbers(self, reading: Reading) -> np.ndarray:
        """Return a formula's numbers at the points, (points,)."""

    def matches(self, numbers: np.ndarray) -> np.ndarray:
        """Return which of many sets of numbers, (..., points), are those that stand there, (...)."""

    def confirms(self, products: Sequence[Product]) -> bool:
        """Return whether a sum of products gives what stands there, looked at more closely."""


def find_slips(
    truth: Truth, derivation: Derivation, offsets: Iterable[int], target: Target, most: int = 2
) -> tuple[Slip, ...]:
    """Return the slip, or the two slips, that turn what belongs in a cell into what stands there; () for none.

    Args:
        truth: the network.
        derivation: what belongs in the cell.
        offsets: the rows, counted from the cell's own, that its formula reads.
        target: what stands in the cell.
        most: how many slips are tried together, 1 or 2.
    """
    singles = list(Catalogue(truth, derivation, tuple(offsets)).changes(derivation.products))
    factors = _Factors(target)
    with np.errstate(all="ignore"):
        for changed in singles:
            if target.matches(factors.total(changed.products)).all() and target.confirms(changed.products):
                return (changed.slip,)
        return _pair(derivation.products, singles, factors) if most > 1 else ()


class _Factors:
    """The numbers of products, from those of their pieces, each computed once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._known: dict[Reading, np.ndarray | None] = {}

    def product(self, product: Product) -> np.ndarray:
        """Return a product's numbers; NaN where a piece has none."""
        result: np.ndarray = np.float64(product.sign) * np.ones(1)
        for piece in product.pieces:
            numbers = self._of(piece.reading)
            result = result * (np.nan if numbers is None else numbers)
        return result

    def total(self, products: Sequence[Product]) -> np.ndarray:
        """Return the numbers of a sum of products."""
        result = np.zeros(1)
        for product in products:
            result = result + self.product(product)
        return result

    def count(self, products: Sequence[Product]) -> int:
        """Return how many points there are."""
        pieces = [piece for product in products for piece in product.pieces]
        return max((numbers.size for piece in pieces if (numbers := self._of(piece.reading)) is not None), default=1)

    def _of(self, reading: Reading) -> np.ndarray | None:
        if reading not in self._known:
            try:
                self._known[reading] = self.target.numbers(reading)
            except UnreadableError:
                self._known[reading] = None
        return self._known[reading]


def _pair(products: tuple[Product, ...], singles: Sequence[Changed], factors: _Factors) -> tuple[Slip, ...]:
    """Return two slips that together give what stands there.

    Slips that touch different factors multiply: with r the factor by which a slip changes a path, two of them change
    it by r₁·r₂. So all pairs are one product of arrays.
    """
    core = [changed for changed in singles if changed.slip.kind not in _RARE][:_MOST_PAIRED]
    if not core:
        return ()
    touched = [_touched(products, changed.products) for changed in core]
    base = [factors.product(product) for product in products]
    own = np.stack(np.broadcast_arrays(*base, np.ones(factors.count(products))))[:-1]
    ratios = np.stack([_ratios(products, one, own, factors) for one in core])
    for first in range(len(core)):
        totals = np.einsum("pk,pk,spk->sk", own, ratios[first], ratios[first + 1 :])
        for place in np.flatnonzero(factors.target.matches(totals)):
            second = first + 1 + int(place)
            both = _composed(products, core[first].products, core[second].products)
            if not touched[first] & touched[second] and both is not None and factors.target.confirms(both):
                return (core[first].slip, core[second].slip)
    return ()


def _ratios(products: Sequence[Product], changed: Changed, own: np.ndarray, factors: _Factors) -> np.ndarray:
    """Return by what a slip multiplies each product at each point, (products, points)."""
    ratios = np.ones_like(own)
    for place, (old, new) in enumerate(zip(products, _aligned(products, changed.products), strict=True)):
        if new is None:
            ratios[place] = 0.0
        elif new is not old:
            ratios[place] = factors.product(new) / own[place]
    return ratios


def _aligned(products: Sequence[Product], changed: Sequence[Product]) -> list[Product | None]:
    """Return for each product what has become of it; None where it was left out."""
    if len(changed) == len(products):
        return list(changed)
    return [product if product in changed else None for product in products]


def _touched(products: Sequence[Product], changed: Sequence[Product]) -> frozenset[tuple[int, int]]:
    """Return the factors that a slip touches, as (product, piece); −1 is the sign, and what is added behind."""
    found = set()
    for place, (old, new) in enumerate(zip(products, _aligned(products, changed), strict=True)):
        if new is None:
            found |= {(place, number) for number in range(-1, len(old.pieces))}
        elif new is not old:
            found |= {(place, -1)} if new.sign != old.sign or len(new.pieces) > len(old.pieces) else set()
            kept = new.pieces if len(new.pieces) != len(old.pieces) else ()
            for number, piece in enumerate(old.pieces):
                is_same = piece in kept if kept or not new.pieces else piece == new.pieces[number]
                found |= set() if is_same else {(place, number)}
    return frozenset(found)


def _composed(
    products: Sequence[Product], first: Sequence[Product], second: Sequence[Product]
) -> tuple[Product, ...] | None:
    """Return the products with both slips in them, which touch different factors."""
    made = []
    for old, one, other in zip(products, _aligned(products, first), _aligned(products, second), strict=True):
        if one is None or other is None:
            continue
        if one is old or other is old:
            made.append(other if one is old else one)
            continue
        pieces = list(one.pieces)
        for piece in old.pieces:
            if piece in other.pieces or piece not in pieces:
                continue
            pieces.remove(piece)
        pieces += [piece for piece in other.pieces if piece not in old.pieces]
        made.append(replace(one, pieces=tuple(pieces), sign=one.sign * other.sign * old.sign))
    return tuple(made)
