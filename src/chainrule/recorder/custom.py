"""Calls of the user's own torch.autograd.Function.

torch tells nobody of `Function.apply`. But its forward runs with autograd off and calls torch functions, which the
recorder sees; the frame of `apply` below them then holds the class and its arguments. Only frames are read.
"""

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from chainrule.recorder.arguments import Place, tensors_in, tensors_of, with_refs
from chainrule.recorder.graph import Edge, Node
from chainrule.trace import Op, Source, Value, ValueRef

_APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


@dataclass(slots=True, eq=False)
class CustomCall:
    """One call of a Function's `apply`.

    Attributes:
        function: the class.
        arguments: what `apply` was given, with references in place of tensors.
        taken: the values of those tensors, with their places and edges before the call.
        source: the line that called it.
        module: path, class and call number of the module that it ran in.
        sequence: torch's count of autograd's nodes when its forward was first seen; the call's own node came before.
        frame: of `apply`, to tell calls apart while it runs.
        op: the op of the call, once one of its outputs has been seen.
    """

    function: type
    arguments: tuple[Any, ...]
    taken: list[tuple[Place, Value, Edge | None]]
    source: Source | None
    module: tuple[str, str, int]
    sequence: int
    frame: FrameType | None
    op: Op | None = None


class CustomCalls:
    """The calls of one recording.

    Args:
        here: returns the user's line.
        module: returns path, class and call number of the module that is running.
        value_of: returns the value that a tensor is, and its edge.
    """

    def __init__(
        self,
        here: Callable[[], Source | None],
        module: Callable[[], tuple[str, str, int]],
        value_of: Callable[[Tensor], tuple[Value, Edge | None]],
    ) -> None:
        self._here = here
        self._module = module
        self._value_of = value_of
        self._waiting: list[CustomCall] = []
        self._made: dict[int, tuple[weakref.ref[Tensor], CustomCall]] = {}

    def running(self) -> CustomCall | None:
        """Return the outermost call of a Function whose forward is running, and remember those inside of it, too."""
        call: CustomCall | None = None
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code is _APPLY:
                call = self._call_of(frame)
            frame = frame.f_back
        if call is None:
            for earlier in self._waiting:
                earlier.frame = None  # it has returned; its frame holds its tensors
        return call

    def _call_of(self, frame: FrameType) -> CustomCall:
        for call in self._waiting:
            if call.frame is frame:
                return call
        arguments = tuple(frame.f_locals["args"])
        tensors = tensors_in(arguments)
        values = [self._value_of(tensor) for _, tensor in tensors]
        refs = {id(tensor): ValueRef(value.id) for (_, tensor), (value, _) in zip(tensors, values, strict=True)}
        call = CustomCall(
            function=frame.f_locals["cls"],
            arguments=tuple(with_refs(part, refs) for part in arguments),
            taken=[(place, value, edge) for (place, _), (value, edge) in zip(tensors, values, strict=True)],
            source=self._here(),
            module=self._module(),
            sequence=torch.autograd._get_sequence_nr(),  # type: ignore[attr-defined]
            frame=frame,
        )
        self._waiting.append(call)
        return call

    def made(self, call: CustomCall, result: Any) -> None:
        """Remember tensors that were made inside a call: one that comes out of it without a gradient is among them."""
        for tensor in tensors_of(result):
            self._made[id(tensor)] = (weakref.ref(tensor), call)

    def that_made(self, tensor: Tensor) -> CustomCall | None:
        """Return the call that made a tensor which no gradient passes."""
        reference, call = self._made.get(id(tensor), (None, None))
        return call if reference is not None and reference() is tensor else None

    def take(self, node: Node) -> CustomCall | None:
        """Return the call that made a node of autograd's graph."""
        function = function_of(node)
        if function is None:
            return None
        number = type(node)._sequence_nr(node)
        below = set(node.next_functions)
        calls = [
            call
            for call in self._waiting
            if call.function is function
            and call.sequence > number
            and all(edge is None or edge in below for _, _, edge in call.taken)
        ]
        if not calls:
            return None
        call = min(calls, key=lambda each: each.sequence)
        self._waiting.remove(call)
        call.frame = None
        return call

    def clear(self) -> None:
        """Forget the calls, and the frames that they hold."""
        self._waiting.clear()
        self._made.clear()


def function_of(node: Node) -> type | None:
    """Return the Function that made a node of autograd's graph; None when none did."""
    function: type | None = getattr(type(node), "_forward_cls", None)
    return function
