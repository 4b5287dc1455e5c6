"""Calls of the user's own torch.autograd.Function.

torch tells nobody of `Function.apply`. But its forward runs with autograd off and calls torch functions, which the
recorder sees; the frame of `apply` below them then holds the class and its arguments. Only frames are read.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from chainrule.recorder.graph import Edge, Node, edge_of
from chainrule.trace import Source

_APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


@dataclass(slots=True, eq=False)
class CustomCall:
    """One call of a Function's `apply`.

    Attributes:
        function: the class.
        arguments: what `apply` was given.
        edges: of its tensors, before the call.
        source: the line that called it.
        frame: of `apply`, to tell calls apart while it runs.
    """

    function: type
    arguments: tuple[Any, ...]
    edges: list[Edge]
    source: Source | None
    frame: FrameType | None


class CustomCalls:
    """The calls whose outputs have not been seen yet.

    Args:
        here: returns the user's line.
    """

    def __init__(self, here: Callable[[], Source | None]) -> None:
        self._here = here
        self._waiting: list[CustomCall] = []

    def notice(self) -> bool:
        """Return whether a Function's forward is running, and remember its call."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code is _APPLY:
                self._remember(frame)
                return True
            frame = frame.f_back
        return False

    def _remember(self, frame: FrameType) -> None:
        if any(call.frame is frame for call in self._waiting):
            return
        arguments = tuple(frame.f_locals["args"])
        edges = [edge for part in arguments if isinstance(part, Tensor) and (edge := _edge(part)) is not None]
        self._waiting.append(CustomCall(frame.f_locals["cls"], arguments, edges, self._here(), frame))

    def take(self, node: Node) -> CustomCall | None:
        """Return the call that made a node of autograd's graph."""
        function = getattr(type(node), "_forward_cls", None)
        if function is None:
            return None
        below = set(node.next_functions)
        for call in self._waiting:
            if call.function is function and all(edge in below for edge in call.edges):
                self._waiting.remove(call)
                call.frame = None
                return call
        return None

    def clear(self) -> None:
        """Forget the calls, and the frames that they hold."""
        self._waiting.clear()


def _edge(tensor: Tensor) -> Edge | None:
    with torch.enable_grad(), torch._C.DisableTorchFunction():
        return edge_of(tensor)
