"""Which pieces of a derivation a slip changes together: one factor, a whole slope, in one path or in all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from chainrule.checking.derivations import Piece, Product
from chainrule.checking.readings import Reading, names_in


@dataclass(frozen=True, slots=True)
class Scope:
    """Pieces that change together: a piece, or the pieces of a slope, in one path or in all."""

    pieces: tuple[Piece, ...]
    paths: tuple[int, ...]
    place: str
    is_whole_group: bool = False

    def apply(self, products: Sequence[Product], change: Callable[[Piece], Piece]) -> tuple[Product, ...]:
        """Return the products with the scope's pieces changed."""
        return tuple(
            replace(product, pieces=tuple(change(piece) if piece in self.pieces else piece for piece in product.pieces))
            if place in self.paths
            else product
            for place, product in enumerate(products)
        )

    def without(self, products: Sequence[Product]) -> tuple[Product, ...]:
        """Return the products without the scope's pieces."""
        return tuple(
            replace(product, pieces=tuple(piece for piece in product.pieces if piece not in self.pieces))
            if place in self.paths
            else product
            for place, product in enumerate(products)
        )

    def instead(self, products: Sequence[Product], reading: Reading) -> tuple[Product, ...]:
        """Return the products with one formula in the place of all of the scope's pieces."""
        first = self.pieces[0]
        return tuple(
            replace(
                product,
                pieces=tuple(
                    replace(piece, reading=reading) if piece == first else piece
                    for piece in product.pieces
                    if piece == first or piece not in self.pieces
                ),
            )
            if place in self.paths
            else product
            for place, product in enumerate(products)
        )


def scopes_of(products: Sequence[Product]) -> Iterator[Scope]:
    """Yield whole groups in all paths, single pieces in all paths, then the same in each path alone."""
    everywhere = tuple(range(len(products)))
    seen: set[tuple[tuple[Piece, ...], tuple[int, ...]]] = set()
    for paths in (everywhere, *((place,) for place in everywhere)):
        members = [piece for place in paths for piece in products[place].pieces]
        groups = dict.fromkeys(piece.group for piece in members if piece.group)
        whole = [tuple(dict.fromkeys(piece for piece in members if piece.group == group)) for group in groups]
        alone = [(piece,) for piece in dict.fromkeys(members)]
        chosen = [*((pieces, True) for pieces in whole), *((pieces, False) for pieces in alone)]
        if len(paths) > 1 or len(products) == 1:  # everything that names one quantity, in the error and in the slope
            chosen += [(pieces, False) for pieces in _sharing(members)]
        for pieces, is_whole in chosen:
            inside = tuple(place for place in paths if any(piece in products[place].pieces for piece in pieces))
            if (pieces, inside) in seen:
                continue
            seen.add((pieces, inside))
            place = ""
            if len(paths) == 1 and len(products) > 1:
                product = products[paths[0]]
                shared = any(piece in other.pieces for piece in pieces for other in products if other is not product)
                if shared and product.path:
                    place = f" in the path through {product.path}"
            yield Scope(pieces, inside, place, is_whole)


def _sharing(members: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    for name in dict.fromkeys(name for piece in members for name in names_in(piece.reading)):
        pieces = tuple(dict.fromkeys(piece for piece in members if name in set(names_in(piece.reading))))
        if len(pieces) > 1:
            yield pieces


def everywhere(products: Sequence[Product], role: str) -> Scope:
    """Return all pieces of a role."""
    pieces = tuple(dict.fromkeys(piece for product in products for piece in product.pieces if piece.role == role))
    return Scope(pieces, tuple(range(len(products))), "")


def in_path(products: Sequence[Product], place: int, role: str) -> Scope:
    """Return the pieces of a role in one of the products."""
    pieces = tuple(piece for piece in products[place].pieces if piece.role == role)
    where = f" in the path through {products[place].path}" if len(products) > 1 else ""
    return Scope(pieces, (place,), where)
