"""From a traced step to the graph that kernels are made of."""

import math
import operator
from collections.abc import Hashable
from typing import Any

import torch
from torch import fx

from chainrule.lanes.graph import Batch, Graph, Kind, Node, Source
from chainrule.lanes.tracing import StepInputs
from chainrule.lanes.unsupported import Unsupported

FILLS = {
    "full_like": 1, "full": 1, "zeros_like": 0, "ones_like": 1, "zeros": 0, "ones": 1, "scalar_tensor": 0,
    "new_zeros": 0, "new_ones": 1, "new_full": 2, "empty_like": 0, "empty": 0,
    "new_empty": 0, "new_empty_strided": 0, "empty_strided": 0, "empty_permuted": 0,
}  # fmt: skip
_SPLITS = (torch.ops.aten.split_with_sizes.default, torch.ops.aten.split.Tensor, torch.ops.aten.unbind.int)
RANDOM = frozenset({"rand", "rand_like", "randn", "randn_like"})
_REFUSED = ("bernoulli", "multinomial", "normal", "uniform", "randint", "randperm", "poisson", "exponential")


def build_graph(traced: fx.GraphModule, inputs: StepInputs, *, has_batches: bool, own_order: bool) -> Graph:
    """Return the graph of a traced step, with what is shared and what differs between the runs marked.

    Args:
        traced: the step.
        inputs: of it.
        has_batches: each step has other samples.
        own_order: each run has other samples than the other runs.

    Raises:
        Unsupported: a random op that has no generator of its own here; it would be the same number in every step.
    """
    sources = _sources(inputs)
    known: dict[fx.Node, Node] = {}
    seen: dict[Hashable, Node] = {}
    random = 0
    outputs: list[Node] = []
    for item in traced.graph.nodes:
        if item.op == "output":
            outputs = [known[value] for value in item.args[0]]
            continue
        node = _node(item, known)
        same = _identity(node)
        if same in seen:  # computed before, of the same values
            known[item] = seen[same]
            continue
        if item.op == "placeholder":
            node.source, node.number = sources.pop(0)
            is_own = node.source is Source.SAMPLES and own_order
            node.is_lane = node.source in (Source.STATE, Source.SETTING) or is_own
            node.changes = node.source in (Source.STEP, Source.MOVE)
            node.changes |= node.source is Source.SAMPLES and has_batches
            if node.source is Source.SAMPLES:
                node.batch = Batch(0)  # the first dimension of every tensor of samples
        elif node.op in RANDOM:
            node.number, random = random, random + 1
            node.is_lane = True
        elif any(word in node.op for word in _REFUSED):
            raise Unsupported.because("It draws random numbers in a way that the engine has no generator for.", node.op)
        elif node.op not in FILLS and node.op != "parts":
            node.is_lane = any(source.is_lane for source in node.inputs)
            node.changes = any(source.changes for source in node.inputs)
        known[item] = seen[same] = node
    nodes = tuple(node for node in dict.fromkeys(known.values()) if node.op != "parts")
    for node in nodes:
        for source in node.inputs:
            source.users.append(node)
    for node in nodes:
        if node.is_lane and node not in outputs:
            _join_factors(node, outputs)
    states = tuple(node for node in nodes if node.source is Source.STATE)
    samples = max((node.shape[0] for node in nodes if node.source is Source.SAMPLES), default=0)
    return Graph(nodes, states, tuple(outputs[:-1]), outputs[-1], samples)


def _join_factors(node: Node, outputs: list[Node]) -> None:
    """Multiply once where a step multiplies twice by numbers, one of them ½, ¼, ⅛ ...: every bit stays the same."""
    inner = node.arguments[0] if node.arguments else None
    one = _factor(node)
    if one is None or not isinstance(inner, Node) or inner.users != [node] or inner in outputs:
        return
    other = _factor(inner)
    if other is None or not (_is_half_of_half(one) or _is_half_of_half(other)):
        return
    source = inner.arguments[0]
    node.op, node.arguments = "mul", (source, one * other)
    inner.users.remove(node)
    source.users[source.users.index(inner)] = node


def _factor(node: Node) -> float | None:
    """Return the number that a node multiplies with, if that is all it does and no rounding is lost by saying so."""
    if node.op not in ("mul", "div") or node.options or node.kind is not Kind.FLOAT or len(node.arguments) != 2:
        return None
    source, number = node.arguments
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not is_number or not isinstance(source, Node) or source.kind is not Kind.FLOAT or source.shape != node.shape:
        return None
    if node.op == "mul":
        return float(number)
    return 1.0 / number if number and _is_half_of_half(1.0 / number) else None


def _is_half_of_half(number: float) -> bool:
    """Return whether a number is 2⁻ⁿ, and not so small that products of it vanish early."""
    return math.frexp(number)[0] == 0.5 and 2.0**-20 <= number <= 1.0


def evaluate_shared(
    graph: Graph, wanted: list[Node], values: dict[Node, torch.Tensor], owner: fx.GraphModule
) -> dict[Node, torch.Tensor]:
    """Compute shared nodes with torch from the values of the shared inputs."""
    known = dict(values)
    needed = set(wanted)
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(source for source in node.inputs if node.op not in FILLS)
    with torch.no_grad():
        for node in graph.nodes:
            if node in needed and node not in known:
                known[node] = _computed(node, known, owner)
    return known


def fill_value(node: Node) -> float:
    """Return the number that a constant tensor is filled with."""
    place = FILLS[node.op]
    if node.op.startswith(("zeros", "ones", "new_zeros", "new_ones", "empty", "new_empty")):
        return float("ones" in node.op)
    return float(node.arguments[place])


def _computed(node: Node, known: dict[Node, torch.Tensor], owner: fx.GraphModule) -> torch.Tensor:
    if node.op in FILLS:
        dtype = {Kind.FLOAT: torch.float64, Kind.INT: torch.int64, Kind.BOOL: torch.bool}[node.kind]
        return torch.full(node.shape, fill_value(node), dtype=dtype)
    if node.op == "constant":
        value: torch.Tensor = getattr(owner, str(node.traced.target))
        return value
    target: Any = getattr(torch.ops.aten, node.op) if node.op in ("slice", "select") else node.traced.target
    result: torch.Tensor = target(*_real(node.arguments, known), **_real(node.options, known))
    return result


def _real(value: Any, known: dict[Node, torch.Tensor]) -> Any:
    if isinstance(value, Node):
        return known[value]
    if isinstance(value, (tuple, list)):
        return type(value)(_real(item, known) for item in value)
    if isinstance(value, dict):
        return {name: _real(item, known) for name, item in value.items()}
    return value


def _identity(node: Node) -> Hashable:
    """Return what tells a node from others: inputs and random numbers are always of their own."""
    if not node.arguments or node.op in RANDOM:
        return node
    options = tuple((name, str(value)) for name, value in node.options.items() if not isinstance(value, Node))
    given = tuple(value for value in node.options.values() if isinstance(value, Node))
    return (node.traced.target, _typed(node.arguments), options, given)


def _typed(value: Any) -> Hashable:
    """Return a value that differs from 1 when it is 1.0 or True, and from 0.0 when it is −0.0."""
    if isinstance(value, tuple):
        return tuple(_typed(item) for item in value)
    return value if isinstance(value, Node) else (type(value).__name__, str(value))


def _sources(inputs: StepInputs) -> list[tuple[Source, int]]:
    counts = (
        (Source.STATE, len(inputs.states)),
        (Source.SETTING, len(inputs.settings)),
        (Source.STEP, 1),
        (Source.MOVE, len(inputs.moves)),
        (Source.SAMPLES, len(inputs.samples)),
        (Source.CONSTANT, len(inputs.constants)),
    )
    return [(source, number) for source, count in counts for number in range(count)]


def _node(item: fx.Node, known: dict[fx.Node, Node]) -> Node:
    value: Any = item.meta.get("val")
    if item.op == "placeholder":
        return Node(item.name, "input", (), {}, tuple(value.shape), Kind.of(value.dtype), item)
    if item.op == "get_attr":
        value = value if value is not None else getattr(item.graph.owning_module, str(item.target))
        return Node(item.name, "constant", (), {}, tuple(value.shape), Kind.of(value.dtype), item)
    arguments = tuple(_ours(argument, known) for argument in item.args)
    options = {name: _ours(argument, known) for name, argument in item.kwargs.items()}
    if item.target is operator.getitem:
        part = _part(item, known, value)
        if part is not None:
            return part
        raise Unsupported.because(f"The op {_op(item.args[0])} has several results.", _op(item.args[0]))
    if item.target in _SPLITS:
        return Node(item.name, "parts", arguments, options, (), Kind.FLOAT, item)
    if not isinstance(value, torch.Tensor):
        raise Unsupported.because(f"The op {_op(item)} does not give one tensor.", _op(item))
    return Node(item.name, _op(item), arguments, options, tuple(value.shape), Kind.of(value.dtype), item)


def _part(item: fx.Node, known: dict[fx.Node, Node], value: Any) -> Node | None:
    """Return one of the parts that a tensor is split into, as a slice of it."""
    whole = known.get(item.args[0]) if isinstance(item.args[0], fx.Node) else None
    if whole is None or whole.op != "parts":
        return None
    source, number, dimension = whole.arguments[0], int(str(item.args[1])), whole.argument(2, 0)
    kind = Kind.of(value.dtype)
    if whole.traced.target is torch.ops.aten.unbind.int:
        dimension = whole.argument(1, 0)
        return Node(item.name, "select", (source, dimension, number), {}, tuple(value.shape), kind, item)
    sizes = whole.arguments[1]
    begin = sum(sizes[:number]) if isinstance(sizes, tuple) else sizes * number
    return Node(item.name, "slice", (source, dimension, begin), {}, tuple(value.shape), kind, item)


def _ours(argument: Any, known: dict[fx.Node, Node]) -> Any:
    if isinstance(argument, fx.Node):
        return known[argument]
    if isinstance(argument, (tuple, list)):
        return tuple(_ours(part, known) for part in argument)
    return argument


def _op(item: Any) -> str:
    target = item.target
    return str(target).split(".")[1] if isinstance(target, torch._ops.OpOverload) else str(target)
