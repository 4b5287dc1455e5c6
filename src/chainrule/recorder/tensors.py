"""Which value a tensor is, at this moment."""

import weakref
from collections.abc import Callable

from torch import Tensor

from chainrule.recorder.graph import Edge, GradientGraph, edge_of
from chainrule.recorder.keeping import Keeper, memory_of, version_of
from chainrule.trace import Trace, Value, ValueKind

NewOp = Callable[[Tensor, Edge | None], int]
Named = tuple[ValueKind, str]


class _Known:
    """A tensor that has been seen, and which value it is while its version and its edge stay the same."""

    __slots__ = ("edge", "tensor", "value", "version", "writes")

    def __init__(self, tensor: Tensor, value: Value, edge: Edge | None, writes: int) -> None:
        self.tensor = weakref.ref(tensor)
        self.value = value
        self.version = version_of(tensor)
        self.edge = edge
        self.writes = writes


class TensorTable:
    """Finds the value of a tensor, and makes one for a tensor that is new or has changed.

    A value is a tensor object with a version and an edge of autograd's graph. When any of them is another one, the
    tensor is another value: it was written over, or its base was. What is written through `x.data` does not count as a
    version of x; for that the writes to its memory are counted here.

    Args:
        trace: gets the values.
        keeper: decides what is kept of them.
        graph: learns their edges.
        names: the kind and name of known leaves, by `id`; they live as long as the recording.
        unseen: makes the op of a tensor that something made which the recorder does not see; returns None when such a
            tensor is a leaf.

    Attributes:
        hooked: the values on whose gradient a hook of the user's runs.
    """

    def __init__(
        self,
        trace: Trace,
        keeper: Keeper,
        graph: GradientGraph,
        names: dict[int, Named],
        unseen: Callable[[Tensor, Edge | None, Value | None], Value | None],
    ) -> None:
        self._trace = trace
        self._keeper = keeper
        self._graph = graph
        self._names = names
        self._unseen = unseen
        self._known: dict[int, _Known] = {}
        self._writes: dict[int, int] = {}
        self.hooked: dict[int, Value] = {}

    def name(self, tensor: Tensor, kind: ValueKind, name: str) -> None:
        """Give a leaf its kind and name, unless it has them."""
        self._names.setdefault(id(tensor), (kind, name))

    def name_of(self, tensor: Tensor) -> str:
        """Return the name of a known leaf; "" for others."""
        return self._names.get(id(tensor), ("constant", ""))[1]

    def known(self, tensor: Tensor) -> Value | None:
        """Return the value that a tensor is, or None when it is new or has changed."""
        known = self._known.get(id(tensor))
        if known is None or known.tensor() is not tensor:
            return None
        return known.value if self._is_current(known, tensor, edge_of(tensor)) else None

    def _is_current(self, known: _Known, tensor: Tensor, edge: Edge | None) -> bool:
        if known.version != version_of(tensor) or known.edge != edge:
            return False
        return not self._writes or known.writes == self._writes_to(tensor)

    def _writes_to(self, tensor: Tensor) -> int:
        return self._writes.get(memory_of(tensor), 0) if self._writes else 0

    def wrote_over(self, tensors: list[Tensor]) -> None:
        """Count a write to the memory of tensors: what else lies there has changed with them."""
        for tensor in tensors:
            memory = memory_of(tensor)
            if memory:
                self._writes[memory] = self._writes.get(memory, 0) + 1

    def edge(self, tensor: Tensor) -> Edge | None:
        """Return the edge of a tensor whose value has just been asked for."""
        return self._known[id(tensor)].edge

    def value_of(self, tensor: Tensor) -> Value:
        """Return the value that a tensor is; make one for a leaf, and for what something unseen has made."""
        known = self._known.get(id(tensor))
        edge = edge_of(tensor)
        earlier: Value | None = None
        if known is not None and known.tensor() is tensor:
            if self._is_current(known, tensor, edge):
                if tensor._backward_hooks:
                    self.hooked[known.value.id] = known.value
                return known.value
            earlier = known.value
        if edge is not None:
            same = self._graph.values.get(edge)
            if same is not None and earlier is None:  # another Python object for the same tensor
                self._known[id(tensor)] = _Known(tensor, same, edge, self._writes_to(tensor))
                return same
        made = self._unseen(tensor, edge, earlier)
        if made is not None:
            return made
        kind, name = self._names.get(id(tensor), ("constant", ""))
        return self.add(tensor, kind, name=name, op=len(self._trace.ops))

    def add(
        self,
        tensor: Tensor,
        kind: ValueKind,
        *,
        op: int,
        name: str = "",
        producer: int | None = None,
        output: int = 0,
        bounds: tuple[float, float] | None = None,
    ) -> Value:
        """Make a value of a tensor."""
        value = Value(
            id=len(self._trace.values),
            kind=kind,
            name=name,
            shape=tuple(tensor.shape),
            dtype=str(tensor.dtype).removeprefix("torch."),
            device=str(tensor.device),
            producer=producer,
            output=output,
            requires_grad=tensor.requires_grad,
            kept=self._keeper.keep(tensor, op, bounds),
        )
        self._trace.values.append(value)
        edge = edge_of(tensor)
        self._known[id(tensor)] = _Known(tensor, value, edge, self._writes_to(tensor))
        if edge is not None:
            self._graph.add_value(edge, value)
        return value

    def forget(self, tensor: Tensor) -> None:
        """Forget a tensor that was given other memory (`x.data = y`): its next use is another value."""
        self._known.pop(id(tensor), None)

    def clear(self) -> None:
        """Forget all tensors, when the recording is over."""
        self._known.clear()
        self._names.clear()
        self._writes.clear()
