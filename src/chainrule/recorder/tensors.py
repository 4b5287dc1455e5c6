"""Which value a tensor is, at this moment."""

import weakref
from collections.abc import Callable

from torch import Tensor

from chainrule.recorder.graph import Edge, GradientGraph, edge_of
from chainrule.recorder.keeping import Keeper
from chainrule.trace import Trace, Value, ValueKind

NewOp = Callable[[Tensor, Edge | None], int]
Named = tuple[ValueKind, str]


class _Known:
    """A tensor that has been seen, and which value it is while its version and its edge stay the same."""

    __slots__ = ("edge", "tensor", "value", "version")

    def __init__(self, tensor: Tensor, value: Value, edge: Edge | None) -> None:
        self.tensor = weakref.ref(tensor)
        self.value = value
        self.version = tensor._version
        self.edge = edge


class TensorTable:
    """Finds the value of a tensor, and makes one for a tensor that is new or has changed.

    A value is a tensor object with a version and an edge of autograd's graph. When any of them is another one, the
    tensor is another value: it was written over, or its base was.

    Args:
        trace: gets the values.
        keeper: decides what is kept of them.
        graph: learns their edges.
        names: the kind and name of known leaves, by `id`; they live as long as the recording.
        unseen: makes the op of a tensor that something made which the recorder does not see.

    Attributes:
        hooked: the values on whose gradient a hook of the user's runs.
    """

    def __init__(
        self,
        trace: Trace,
        keeper: Keeper,
        graph: GradientGraph,
        names: dict[int, Named],
        unseen: Callable[[Tensor, Edge, Value | None], Value],
    ) -> None:
        self._trace = trace
        self._keeper = keeper
        self._graph = graph
        self._names = names
        self._unseen = unseen
        self._known: dict[int, _Known] = {}
        self.hooked: dict[int, Value] = {}

    def name(self, tensor: Tensor, kind: ValueKind, name: str) -> None:
        """Give a leaf its kind and name, unless it has them."""
        self._names.setdefault(id(tensor), (kind, name))

    def known(self, tensor: Tensor) -> Value | None:
        """Return the value that a tensor is, or None when it is new or has changed."""
        known = self._known.get(id(tensor))
        if known is None or known.tensor() is not tensor:
            return None
        return known.value if known.version == tensor._version and known.edge == edge_of(tensor) else None

    def edge(self, tensor: Tensor) -> Edge | None:
        """Return the edge of a tensor whose value has just been asked for."""
        return self._known[id(tensor)].edge

    def value_of(self, tensor: Tensor) -> Value:
        """Return the value that a tensor is; make one for a leaf, and for what something unseen has made."""
        known = self._known.get(id(tensor))
        edge = edge_of(tensor)
        earlier: Value | None = None
        if known is not None and known.tensor() is tensor:
            if known.version == tensor._version and known.edge == edge:
                if tensor._backward_hooks:
                    self.hooked[known.value.id] = known.value
                return known.value
            earlier = known.value
        if edge is not None:
            same = self._graph.values.get(edge)
            if same is not None and earlier is None:  # another Python object for the same tensor
                self._known[id(tensor)] = _Known(tensor, same, edge)
                return same
        if edge is not None and tensor.grad_fn is not None:
            return self._unseen(tensor, edge, earlier)
        kind, name = self._names.get(id(tensor), ("constant", ""))
        if earlier is not None and earlier.name == name:
            name = ""
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
        self._known[id(tensor)] = _Known(tensor, value, edge)
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
