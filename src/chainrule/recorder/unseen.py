"""Ops of which nobody saw the call: the user's own Functions, opaque modules, what autograd makes by itself.

Their tensors are met when something takes them, or when a module returns them. What made a tensor is then told from
its node in autograd's graph.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from chainrule.recorder.arguments import Place, tensors_in, with_refs
from chainrule.recorder.compiled import why_opaque
from chainrule.recorder.custom import CustomCall, CustomCalls, function_of
from chainrule.recorder.graph import Edge, GradientGraph, Node, is_leaf_node, name_of
from chainrule.recorder.tensors import TensorTable
from chainrule.trace import Missing, Op, Trace, Use, Value, ValueRef

# Nodes by which torch says that a tensor is part of one that was written over: views of it, made anew.
_VIEW_NODES = (
    "AsStrided", "Select", "Slice", "View", "T", "Transpose", "Permute", "Expand", "Unsqueeze", "Squeeze", "Alias",
    "ReshapeAlias", "Diagonal", "Unfold", "Split", "SplitWithSizes", "Unbind", "UnsafeView",
)  # fmt: skip
_VIEWS = {f"{name}Backward{number}" for name in _VIEW_NODES for number in range(3)} | {"CopySlices"}

Taken = list[tuple[Place, Value, Edge | None]]


class UnseenOps:
    """Makes the ops that nobody saw.

    Args:
        trace: gets values of tensors inside of ops.
        tensors: knows the values.
        graph: knows the edges.
        custom: knows the calls of the user's own Functions.
        new_op: makes an op with a name.
    """

    def __init__(
        self,
        trace: Trace,
        tensors: TensorTable,
        graph: GradientGraph,
        custom: CustomCalls,
        new_op: Callable[[str], Op],
    ) -> None:
        self._trace = trace
        self._tensors = tensors
        self._graph = graph
        self._custom = custom
        self._new_op = new_op
        self._running: nn.Module | None = None  # the outermost opaque module that is running
        self._inputs: tuple[Any, ...] = ()
        self._made: tuple[Op, Taken] | None = None

    # -- opaque modules

    def module_called(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A module begins; when it is opaque, it is one op."""
        if self._running is None and why_opaque(module):
            for _, tensor in tensors_in(inputs):
                self._tensors.value_of(tensor)
            self._running, self._inputs, self._made = module, inputs, None

    def is_one_op(self, module: nn.Module) -> bool:
        """Return whether a module that is running is recorded as one op."""
        return module is self._running

    def module_returned(self, module: nn.Module) -> None:
        """A module has returned, and its outputs are known."""
        if module is self._running:
            self._running, self._inputs, self._made = None, (), None

    # -- ops

    def value_of(self, tensor: Tensor, edge: Edge | None, earlier: Value | None) -> Value | None:
        """Return the value of a tensor that is new or has changed, as the output of an op; None when it is a leaf."""
        if edge is None:
            return self._without_gradient(tensor, earlier)
        known = self._graph.values.get(edge)
        if earlier is not None and known is not None:
            if is_leaf_node(edge[0]) and (known.kept_adjoint is not None or not earlier.uses):
                return None  # a parameter after an update
            return self._written_over(tensor, earlier)
        if is_leaf_node(edge[0]):
            return None
        owner = self._graph.owner(edge[0])
        if owner is not None:
            return self._add_output(owner, tensor, edge[1])
        return self._from_node(tensor, edge, earlier)

    def _without_gradient(self, tensor: Tensor, earlier: Value | None) -> Value | None:
        call = self._custom.that_made(tensor) if earlier is None else None
        if call is not None:
            op = call.op or self._of_call(call)
        elif self._running is not None and earlier is None:
            op, _ = self._of_module(self._running)
        else:
            return None
        return self._add_output(op, tensor, len(op.outputs))

    def _written_over(self, tensor: Tensor, earlier: Value) -> Value:
        op = self._new_op("written over")
        op.opaque = (
            "Its memory was written over where autograd does not follow: through x.data or another tensor, by NumPy, "
            "or by code outside of Python. To autograd it is the same tensor as before."
        )
        self._take(op, [((0,), earlier, None)], (ValueRef(earlier.id),))
        return self._add_output(op, tensor, 0)

    def _from_node(self, tensor: Tensor, edge: Edge, earlier: Value | None) -> Value:
        node = edge[0]
        if name_of(node) in _VIEWS and earlier is not None:
            op = self._new_op("view again")
            op.opaque = "It is a view of a tensor that was written over in place: autograd made it anew."
            taken: Taken = []
        elif (call := self._custom.take(node)) is not None:
            op, taken = call.op or self._of_call(call), call.taken
        elif self._running is not None:
            op, taken = self._of_module(self._running)
        else:
            op, taken = self._of_node(node), []
        value = self._add_output(op, tensor, edge[1])
        incoming: dict[Edge, list[Use]] = {}
        for (_, _, part_edge), use in zip(taken, op.inputs, strict=True):
            if part_edge is not None:
                incoming.setdefault(part_edge, []).append(use)
        self._graph.link(op, [edge], incoming, self._tensors.value_of, self.add_hidden)
        return value

    def _of_call(self, call: CustomCall) -> Op:
        op = call.op = self._new_op(call.function.__name__)
        op.function = f"{call.function.__module__}.{call.function.__qualname__}"
        op.run = call.function.apply  # type: ignore[attr-defined]
        op.source = call.source
        op.module, op.module_class, op.call = call.module
        op.opaque = _own_function(call.function)
        self._take(op, call.taken, call.arguments)
        return op

    def _of_module(self, module: nn.Module) -> tuple[Op, Taken]:
        if self._made is None:
            op = self._new_op(type(module).__name__)
            op.opaque = why_opaque(module)
            tensors = tensors_in(self._inputs)
            values = [self._tensors.value_of(part) for _, part in tensors]
            refs = {id(part): ValueRef(value.id) for (_, part), value in zip(tensors, values, strict=True)}
            taken = [
                (place, value, self._tensors.edge(part)) for (place, part), value in zip(tensors, values, strict=True)
            ]
            self._take(op, taken, tuple(with_refs(part, refs) for part in self._inputs))
            self._made = op, taken
        return self._made

    def _of_node(self, node: Node) -> Op:
        function = function_of(node)
        if function is not None:
            op = self._new_op(function.__name__)
            op.function = f"{function.__module__}.{function.__qualname__}"
            op.opaque = _own_function(function)
            return op
        op = self._new_op(name_of(node).rstrip("0123456789").removesuffix("Backward"))
        op.opaque = (
            f"Nothing was seen to be called: autograd's node {name_of(node)} was made where the recorder does not "
            "look, inside torch.func, by compiled code, on another thread or by autograd's engine."
        )
        return op

    def _take(self, op: Op, taken: Taken, arguments: tuple[Any, ...]) -> None:
        op.arguments = arguments
        for place, value, _ in taken:
            use = Use(value.id, op.id, place)
            op.inputs.append(use)
            value.uses.append(use)

    def _add_output(self, op: Op, tensor: Tensor, output: int) -> Value:
        value = self._tensors.add(tensor, "computed", op=op.id, producer=op.id, output=output)
        op.outputs.append(value.id)
        op.outputs.sort(key=lambda made: self._trace.values[made].output)
        return value

    def add_hidden(self, op: Op, node: Node) -> Value:
        """Make a value of a tensor inside of an op, which another op takes."""
        value = Value(
            id=len(self._trace.values),
            kind="hidden",
            name="",
            shape=(),
            dtype="",
            device="",
            producer=op.id,
            output=0,
            requires_grad=True,
            kept=Missing(f"it was made inside of the op ({name_of(node)}), and only its gradient passes by"),
        )
        self._trace.values.append(value)
        return value


def _own_function(function: type) -> str:
    return (
        f"It is a torch.autograd.Function of the user's own ({function.__name__}), with a backward that is written by "
        "hand."
    )
