"""What ran, as a tree by module that keeps the order in which it ran."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from chainrule.errors import UnknownNameError, nearest
from chainrule.trace import ModuleNote, Trace

Item = TypeVar("Item")

# They only hold modules and are never called: "layers.0" stands where "layers" would.
_CONTAINERS: Final = frozenset({"ModuleList", "ModuleDict"})


@dataclass(frozen=True, slots=True, eq=False)
class Branch(Generic[Item]):
    """A module, and what ran in it one after the other; a module that runs again later has another branch.

    Attributes:
        path: of the module.
        class_name: its class; "" when it is not known.
        parts: what ran: items of its own, and branches of the modules inside it.
    """

    path: str
    class_name: str
    parts: tuple["Item | Branch[Item]", ...]

    def items(self) -> Iterator[Item]:
        """Yield every item of the branch and of the branches inside, in order."""
        return items_of(self.parts)


def items_of(parts: Sequence[Item | Branch[Item]]) -> Iterator[Item]:
    """Yield every item among parts and inside their branches, in order."""
    for part in parts:
        if isinstance(part, Branch):
            yield from part.items()
        else:
            yield part


def grow(
    items: Sequence[Item],
    place_of: Callable[[Item], tuple[str, int]],
    modules: Mapping[str, ModuleNote],
    root: str = "",
) -> tuple[Item | Branch[Item], ...]:
    """Return items in order, those that follow each other in one call of a module gathered in a branch.

    Args:
        items: in the order in which they ran.
        place_of: returns the path of an item's module and which call of it this was.
        modules: the model's modules by path.
        root: the module whose inside is wanted; items outside of it must not be among `items`.
    """
    parts: list[Item | Branch[Item]] = []
    start = 0
    while start < len(items):
        path, call = place_of(items[start])
        child = _child(path, root, modules)
        if child is None:
            parts.append(items[start])
            start += 1
            continue
        end = start + 1
        while end < len(items):
            other_path, other_call = place_of(items[end])
            is_same = _child(other_path, root, modules) == child
            # Two calls of one module, one right after the other, are two branches.
            if not is_same or (path == child == other_path and call != other_call):
                break
            end += 1
        note = modules.get(child)
        inside = grow(items[start:end], place_of, modules, child)
        parts.append(Branch(child, note.class_name if note else "", inside))
        start = end
    return tuple(parts)


def _child(path: str, root: str, modules: Mapping[str, ModuleNote]) -> str | None:
    """Return the module right below `root` that a path leads through; None for `root` itself and what is outside."""
    if path == root or not is_inside(path, root):
        return None
    names = path.split(".")
    first = root.count(".") + 1 if root else 0
    for end in range(first + 1, len(names) + 1):
        candidate = ".".join(names[:end])
        note = modules.get(candidate)
        if note is None or note.class_name not in _CONTAINERS:
            return candidate
    return path


def is_inside(path: str, module: str) -> bool:
    """Whether a path is that of a module or of something inside it."""
    return not module or path == module or path.startswith(module + ".")


def check_module(trace: Trace, module: str) -> None:
    """Refuse the path of a module that a trace does not have.

    Raises:
        UnknownNameError: there is none; the message lists the nearest paths.
    """
    if not module or module in trace.modules:
        return
    known = [path for path in trace.modules if path]
    near = nearest(module, known, 8) or known[:8]
    raise UnknownNameError(
        what=f"The model has no module '{module}'.",
        found=module,
        expected=("one of " + ", ".join(near)) if near else "no module: it has none inside",
        next_step=f"Did you mean '{near[0]}'?" if nearest(module, known, 1) else "",
    )
