"""Autograd's graph as the recorder sees it: which edges are values, and which ops send what along them.

An edge (node, slot number) is where a gradient arrives; a value that requires a gradient is known by its edge. Hooks
on the nodes read the gradients that pass, and change nothing: the graph is the one that the user's code made.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.autograd.graph import get_gradient_edge
from torch.utils.hooks import RemovableHandle

from chainrule.trace import Op, Use, Value

# A torch.autograd.graph.Node; but the nodes that torch.jit makes do not pass for one with isinstance.
Node = Any
Edge = tuple[Node, int]


def edge_of(tensor: Tensor) -> Edge | None:
    """Return the edge along which the gradient of a tensor arrives; None when it does not require one."""
    if not tensor.requires_grad or is_wrapped(tensor):
        return None
    if tensor.grad_fn is not None:
        return tensor.grad_fn, tensor.output_nr
    try:
        edge = get_gradient_edge(tensor)  # a leaf: the node that accumulates into .grad
    except AssertionError:  # a view that was taken inside no_grad says that it requires a gradient, and has no edge
        return None
    except AttributeError:  # a tensor of inference_mode, of which autograd knows nothing
        return None
    return edge.node, edge.output_nr


def own_work() -> AbstractContextManager[object]:
    """Return a context for what the recorder itself does with tensors, inside of whatever the user's code runs in.

    Other recorders do not see it, and tensors that it makes belong to no transform of torch.func and to no
    inference_mode.
    """
    if torch._C._are_functorch_transforms_active() or torch.is_inference_mode_enabled():
        return _outside()
    quiet: AbstractContextManager[object] = torch._C.DisableTorchFunction()
    return quiet


@contextmanager
def _outside() -> Iterator[None]:
    with torch._C.DisableTorchFunction(), torch.inference_mode(mode=False), temporarily_clear_interpreter_stack():
        yield


def is_wrapped(tensor: Tensor) -> bool:
    """Return whether a tensor is one of torch.func's (vmap, grad), which have no memory of their own."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def name_of(node: Node) -> str:
    """Return the name of a node, such as "AddmmBackward0"."""
    name: str = type(node).name(node)  # the node of a user's Function is its `ctx`, where `ctx.name` may be anything
    return name


def is_leaf_node(node: Node) -> bool:
    """Return whether a node accumulates the gradient of a leaf."""
    return type(node).__name__ == "AccumulateGrad"


def leaf_of(node: Node) -> Tensor:
    """Return the leaf whose gradient a node accumulates."""
    leaf: Tensor = node.variable
    return leaf


class GradientGraph:
    """Which edge is which value, which node belongs to which op, and which uses go along which node.

    Args:
        arrived: told what a value's adjoint is, or a further part of it.
        sent: told what a use sends back.
        ran: told an op and one of its nodes when the node has run.
        accumulates: told a leaf before a gradient is added to its .grad.
    """

    def __init__(
        self,
        arrived: Callable[[Value, Tensor], None],
        sent: Callable[[Use, Tensor], None],
        ran: Callable[[Op, Node], None],
        accumulates: Callable[[Tensor], None],
    ) -> None:
        self.values: dict[Edge, Value] = {}
        self._owners: dict[Node, Op] = {}
        self._uses: dict[Node, list[tuple[int, Use]]] = {}
        self._results: dict[Node, list[tuple[int, Value]]] = {}
        self._handles: dict[Node, list[RemovableHandle]] = {}
        self._linked: set[int] = set()
        self._newest: dict[Edge, Value] = {}
        self._carried: list[tuple[Value, Value]] = []
        self._arrived = arrived
        self._sent = sent
        self._ran = ran
        self._accumulates = accumulates

    def add_value(self, edge: Edge, value: Value) -> None:
        """Make a value known by its edge.

        An op that autograd does not follow (under no_grad, or through `x.data`) may write over a tensor that has an
        edge, which is then the edge of two values. Autograd's gradient is that of both; it stays with the earlier one,
        to which the op sends back what the uses of the later one do.
        """
        earlier = self.values.get(edge)
        if earlier is not None and value.producer is not None and earlier.kept_adjoint is None:
            self._carried.append((self._newest.get(edge, earlier), value))
            self._newest[edge] = value
            return
        if earlier is not None:
            self._newest.pop(edge, None)
            self._results[edge[0]] = [pair for pair in self._results[edge[0]] if pair[0] != edge[1]]
        self.values[edge] = value
        self._results.setdefault(edge[0], []).append((edge[1], value))
        self._look_on(edge[0])

    def add_use(self, use: Use, node: Node, slot: int) -> None:
        """Make known that a use sends back what the node passes on at this slot."""
        self._uses.setdefault(node, []).append((slot, use))
        self._linked.add(id(use))  # a use lives as long as its trace, which outlives this graph
        self._look_on(node)

    def carried(self) -> Iterator[tuple[Value, Value]]:
        """Yield every two values, an earlier and a later one, that share an edge, the last two first."""
        return reversed(self._carried)

    def owner(self, node: Node) -> Op | None:
        """Return the op that made a node."""
        return self._owners.get(node)

    def link(
        self,
        op: Op,
        outputs: Iterable[Edge],
        inputs: dict[Edge, list[Use]],
        leaf: Callable[[Tensor], Value],
        hidden: Callable[[Op, Node], Value],
    ) -> None:
        """Walk from the outputs of an op to the edges where its gradients leave it, and note the uses there.

        Args:
            op: the op, whose `inputs` get further uses when it takes values that are not among its arguments.
            outputs: the edges of its outputs.
            inputs: the edges of its arguments before the call, with the uses that stand for them.
            leaf: returns the value of a leaf that is met on the way.
            hidden: makes a value for an edge inside of an earlier op.
        """
        made = list(outputs)
        own = {edge for edge in made if edge in self.values}
        seen: set[Node] = set()
        waiting = [node for node, _ in made]
        names: list[str] = []
        while waiting:
            node = waiting.pop()
            if node in seen or is_leaf_node(node):
                continue
            seen.add(node)
            self._owners.setdefault(node, op)
            names.append(name_of(node))
            for slot, (below, number) in enumerate(node.next_functions):
                if below is None:
                    continue
                edge = (below, number)
                known = inputs.get(edge)
                if known is not None:
                    self.add_use(self._free_use(known), node, slot)
                elif edge in own:
                    self._note_extra(op, self.values[edge], "self", node, slot)
                    waiting.append(below)
                elif edge in self.values:
                    inputs[edge] = [self._note_extra(op, self.values[edge], "hidden", node, slot)]
                elif is_leaf_node(below):
                    inputs[edge] = [self._note_extra(op, leaf(leaf_of(below)), "hidden", node, slot)]
                elif self._owners.get(below, op) is not op:
                    self._share(op, edge, node, slot, hidden)
                else:
                    waiting.append(below)  # made by this op, or before it where nobody looked: part of this op
        op.nodes = tuple(dict.fromkeys(names))

    def _note_extra(self, op: Op, value: Value, place: str, node: Node, slot: int) -> Use:
        use = Use(value.id, op.id, (place,))
        op.inputs.append(use)
        value.uses.append(use)
        self.add_use(use, node, slot)
        return use

    def _share(self, op: Op, edge: Edge, node: Node, slot: int, hidden: Callable[[Op, Node], Value]) -> None:
        """A tensor from inside an earlier op is used again: autocast's cast of a weight. It becomes a value."""
        earlier = self._owners[edge[0]]
        value = hidden(earlier, edge[0])
        self.add_value(edge, value)
        for other in [each for each, owner in self._owners.items() if owner is earlier]:
            for place, inner in enumerate(other.next_functions):
                if inner == edge:
                    self._note_extra(earlier, value, "self", other, place)
        self._note_extra(op, value, "hidden", node, slot)

    def _free_use(self, uses: list[Use]) -> Use:
        """Return the use that an edge stands for; when one tensor is several arguments (q, k, v), the next free one."""
        if len(uses) == 1:
            return uses[0]
        return next((use for use in uses if id(use) not in self._linked), uses[-1])

    def _look_on(self, node: Node) -> None:
        if node in self._handles:
            return
        graph = weakref.ref(self)

        def look(passed: tuple[Any, ...], arrived: tuple[Any, ...]) -> None:
            alive = graph()
            if alive is not None:
                with own_work():
                    alive._node_ran(node, passed, arrived)

        self._handles[node] = [type(node).register_hook(node, look)]
        if is_leaf_node(node):

            def look_before(_arrived: tuple[Any, ...]) -> None:
                alive = graph()
                gradient = leaf_of(node).grad
                if alive is not None and gradient is not None:
                    with own_work():
                        alive._accumulates(gradient)

            self._handles[node].append(node.register_prehook(look_before))

    def _node_ran(self, node: Node, passed: tuple[Tensor | None, ...], arrived: tuple[Tensor | None, ...]) -> None:
        op = self._owners.get(node)
        if op is not None:
            self._ran(op, node)
        for slot, value in self._results.get(node, ()):
            gradient = arrived[slot]
            if gradient is not None:
                self._arrived(value, gradient)
        for slot, use in self._uses.get(node, ()):
            gradient = passed[slot]
            if gradient is not None:
                self._sent(use, gradient)

    def close(self) -> None:
        """Take every hook away, and let go of the graph."""
        for handles in self._handles.values():
            for handle in handles:
                handle.remove()
        for known in (self._handles, self._owners, self._uses, self._results, self.values, self._linked):
            known.clear()
        self._newest.clear()
        self._carried.clear()
