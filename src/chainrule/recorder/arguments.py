"""The arguments of a call: the tensors in them with their places, and what is written down instead of them.

This runs for every op, so the commonest kinds of argument are told apart by their exact type first.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from chainrule.trace import ValueRef

Place = tuple[int | str, ...]
_ATOMS = frozenset((int, float, bool, str, type(None), slice, torch.dtype, torch.device, torch.Size, type(Ellipsis)))


def tensors_in(args: Any, kwargs: Mapping[str, Any] | None = None) -> list[tuple[Place, Tensor]]:
    """Return the tensors among the arguments of a call, in order, each with its place."""
    found: list[tuple[Place, Tensor]] = []
    for number, part in enumerate(args):
        _collect(part, (number,), found)
    if kwargs:
        for name, part in kwargs.items():
            _collect(part, (name,), found)
    return found


def _collect(part: Any, place: Place, found: list[tuple[Place, Tensor]]) -> None:
    if isinstance(part, Tensor):
        found.append((place, part))
    elif type(part) in _ATOMS:
        return
    elif isinstance(part, tuple | list):
        for number, inner in enumerate(part):
            _collect(inner, (*place, number), found)
    elif isinstance(part, dict):
        for key, inner in part.items():
            _collect(inner, (*place, key), found)
    elif is_dataclass(part) and not isinstance(part, type):
        for each in fields(part):
            _collect(getattr(part, each.name, None), (*place, each.name), found)


def tensors_of(result: Any) -> list[Tensor]:
    """Return the tensors in what a call returned."""
    if isinstance(result, Tensor):
        return [result]
    if type(result) in _ATOMS:
        return []
    return [tensor for _, tensor in tensors_in((result,))]


def with_refs(part: Any, refs: Mapping[int, ValueRef]) -> Any:
    """Return an argument with a reference to its value in place of every tensor."""
    if isinstance(part, Tensor):
        return refs[id(part)]
    if type(part) in _ATOMS:
        return part
    if isinstance(part, tuple):
        parts = [with_refs(inner, refs) for inner in part]
        return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
    if isinstance(part, list):
        return [with_refs(inner, refs) for inner in part]
    if isinstance(part, dict):
        return {key: with_refs(inner, refs) for key, inner in part.items()}
    return part
