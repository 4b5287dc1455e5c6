"""The order in which things that need one another can be done, and which cannot: strongly connected components."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def components(items: Sequence[Item], needs: Callable[[Item], Iterable[Item]]) -> Iterator[tuple[list[Item], bool]]:
    """Yield groups of items, each after everything that it needs, and whether the group is a circle.

    The items of a circle all need one another, or one item itself; every other item is a group of one. Tarjan's
    algorithm (1972) without recursion: a column may have a hundred thousand formulas that each need the one above.

    Args:
        items: all of them.
        needs: the items that an item needs; each must be one of `items`.
    """
    order: dict[Item, int] = {}
    lowest: dict[Item, int] = {}
    open_items: dict[Item, None] = {}  # those whose group is not yet known, in order
    own: set[Item] = set()  # those that need themselves
    for root in items:
        if root in order:
            continue
        order[root] = lowest[root] = len(order)
        open_items[root] = None
        way = [(root, iter(needs(root)))]
        while way:
            item, remaining = way[-1]
            for needed in remaining:
                if needed not in order:
                    order[needed] = lowest[needed] = len(order)
                    open_items[needed] = None
                    way.append((needed, iter(needs(needed))))
                    break
                if needed == item:
                    own.add(item)
                if needed in open_items:
                    lowest[item] = min(lowest[item], order[needed])
            else:
                way.pop()
                if way:
                    above = way[-1][0]
                    lowest[above] = min(lowest[above], lowest[item])
                if lowest[item] == order[item]:
                    group = []
                    while True:
                        member, _ = open_items.popitem()
                        group.append(member)
                        if member == item:
                            break
                    yield group[::-1], len(group) > 1 or item in own
