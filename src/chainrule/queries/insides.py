"""Where the smaller version of an op comes from.

There are three sources, and the first that has one is taken: the table of lowerings; PyTorch's own Python, where the
function is written in other functions of torch; and PyTorch's decompositions into core ATen operations.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

import torch
from torch._decomp import core_aten_decompositions
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from chainrule.queries.again import function_of
from chainrule.queries.lowerings import Refusal, lowering_for
from chainrule.recorder.open_functions import ASKS, opened
from chainrule.shapes import Tensor
from chainrule.trace import Op, rebuild, walk

Body = Callable[..., Any]

# Ops that are one step each: what is below them is a kernel, or only another way to call them.
_NAMES = """
abs acos acosh add alias all amax amin any arange argmax argmin argsort as_strided as_tensor asin asinh atan atan2
atanh bernoulli bmm broadcast_tensors broadcast_to cat ceil chunk clamp clamp_max clamp_min clone complex conj
contiguous copy cos cosh cummax cummin cumprod cumsum data deg2rad detach diagonal div dot double empty empty_like
eq erf erfc erfinv exp exp2 expand expand_as expm1 fft_fft fft_ifft fft_irfft fft_rfft fill flatten flip float floor
floor_divide floordiv fmod full full_like gather ge getitem gt H half hypot iadd idiv imul index_add index_copy
index_fill index_put index_select isfinite isinf isnan isub itruediv le lerp lgamma linalg_vector_norm log log10
log1p log2 logical_and logical_not logical_or logical_xor lt masked_fill masked_scatter masked_select matmul max
maximum mean median mH min minimum mm mT mul narrow ne neg new_empty new_full new_ones new_zeros nonzero norm normal
numel one_hot ones ones_like outer pack_padded_sequence pad pad_packed_sequence permute pow prod put rad2deg rand
randint randn randperm reciprocal relu relu6 remainder rep repeat repeat_interleave reshape resize roll round rpow
rsqrt rsub rtruediv scatter scatter_add select setitem sgn sigmoid sign sin sinh slice sort split sqrt square
squeeze stack std sub sum swapaxes T t take tan tanh tensor to topk transpose tril triu truediv trunc type type_as
unbind unflatten unfold uniform unsqueeze vector_norm view view_as where xlogy zero zeros zeros_like
"""
_SINGLE_STEPS = frozenset(_NAMES.split())

# What makes tensors without setting their elements, with what sets them to 0 instead; None where nothing does.
_UNSET: dict[str, Any] = {
    "empty": torch.ops.aten.zeros.default,
    "empty_like": torch.ops.aten.zeros_like.default,
    "new_empty": torch.ops.aten.new_zeros.default,
    "empty_permuted": torch.ops.aten.zeros.default,
    "empty_strided": None,
    "new_empty_strided": None,
}
_SETS_ALL = frozenset(
    (
        *("fill_", "zero_", "copy_", "bernoulli_", "uniform_", "normal_", "exponential_", "random_"),
        *("fill", "zero", "bernoulli", "full_like", "zeros_like", "ones_like", "rand_like", "randn_like"),
    )
)

_CALLED_FOR_FILES: dict[str, Body] = {
    "torch.nn.functional.multi_head_attention_forward": torch.nn.functional.multi_head_attention_forward
}


@dataclass(frozen=True, slots=True)
class Inside:
    """The smaller version of an op.

    Attributes:
        body: takes the op's arguments.
        origin: where it comes from, as a reader may know it.
        is_certain: whether it says something even when it is one op only.
    """

    body: Body
    origin: str
    is_certain: bool


def can_open(op: Op) -> str:
    """Return why an op cannot be opened, as a sentence; "" when there is no reason known before it is tried.

    It looks at the op alone and runs nothing. `open_op` may still find that an op is one step, that the trace does not
    keep the numbers that it needs, or that the smaller version gives other numbers.
    """
    if op.phase == "backward":
        return "It is the backward pass of an op: open the op of the forward pass, whose inside has its own backward."
    if op.phase == "update":
        return "It is the update of the optimizer: the trace's updates hold its terms."
    if op.opaque:
        return op.opaque
    if isinstance(op.keywords.get("generator"), torch.Generator):
        return "It draws from a generator of its own."
    lowering = lowering_for(op)
    if lowering is not None:
        return lowering.refuses(*op.arguments, **op.keywords)
    if op.name.strip("_").removesuffix(" =") in _SINGLE_STEPS:
        return f"It is one step: '{op.name}' is not made of smaller ops."
    if op.run is None and not op.function.startswith("torch."):
        return "The trace was loaded from a file, which does not hold what was called."
    return ""


def insides_of(op: Op, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Iterator[Inside]:
    """Yield the smaller versions of an op, the one that says most first.

    Args:
        op: an op that `can_open` has no objection to.
        arguments: its arguments, with tensors in them; they are not changed.
        keywords: likewise.

    Raises:
        Refusal: PyTorch cannot decompose the op.
        RunAgainError: the trace was loaded, and the op's function is not among those that a file may name.
    """
    lowering = lowering_for(op)
    if lowering is not None:
        yield Inside(lowering.body, "chainrule's table of smaller versions", is_certain=True)
        return
    # A file may not name what is called, but for these, which call nothing that they are given.
    function = op.run or _CALLED_FOR_FILES.get(op.function) or function_of(op)
    python = _opened(function)
    if python is not None:
        yield Inside(python, f"the Python code of {op.function or op.name}", is_certain=False)
    yield Inside(
        _decomposed(function, arguments, keywords),
        "PyTorch's decomposition into core ATen operations",
        is_certain=False,
    )


# -- PyTorch's own Python


def _opened(function: Body) -> Body | None:
    """Return a Python function of torch whose own question "is somebody looking on?" is answered by no.

    The recorder stays on while it runs, and sees the functions that it calls, but not the function itself. Functions
    that do not ask the question, and those that are not Python, give None.
    """
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if not isinstance(function, FunctionType) or not str(function.__module__).startswith("torch."):
        return None
    if ASKS.isdisjoint(function.__code__.co_names):
        return None
    return opened(function)


# -- decompositions


def _decomposed(function: Body, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Body:
    """Return a function written in core ATen operations, for arguments of these shapes."""
    tensors = _tensors(arguments, keywords)

    def call(*parts: Tensor) -> Any:
        given = iter(parts)

        def put(part: Any) -> Any:
            return next(given) if isinstance(part, Tensor) else part

        return function(*rebuild(arguments, put), **rebuild(keywords, put))

    try:
        table = core_aten_decompositions()
        graph = make_fx(call, decomposition_table=cast(Any, table))(*[tensor.detach().clone() for tensor in tensors])
    except Exception as error:
        raise Refusal(f"PyTorch cannot decompose it: {type(error).__name__}: {_first_line(error)}") from error
    _set_all(graph)
    _write_over_nothing(graph)

    def body(*given: Any, **named: Any) -> Any:
        return graph.forward(*_tensors(given, named))  # not graph(): it is no module of the user's

    return body


def _tensors(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> list[Tensor]:
    return [part for structure in (arguments, keywords) for _, part in walk(structure) if isinstance(part, Tensor)]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _set_all(graph: GraphModule) -> None:
    """Let tensors whose elements are not set begin with 0, where they are written over whole before they are read.

    The inside would show what memory happened to hold.

    Raises:
        Refusal: such a tensor is read first.
    """
    for node in reversed(list(graph.graph.nodes)):
        if _aten_name(node) not in _UNSET:
            continue
        if not node.users:
            graph.graph.erase_node(node)
            continue
        first = next(iter(sorted(node.users)))
        zeros = _UNSET[_aten_name(node)]
        if zeros is None or not first.args or first.args[0] is not node or _aten_name(first) not in _SETS_ALL:
            raise Refusal("PyTorch's decomposition of it works with tensors whose elements are not set.")
        if _aten_name(node) == "empty_permuted":
            size, order = node.args
            if list(cast(Any, order)) != sorted(cast(Any, order)):
                raise Refusal("PyTorch's decomposition of it works with tensors whose elements are not set.")
            node.args = (size,)
        node.target = zeros
        node.kwargs = {name: part for name, part in node.kwargs.items() if name != "memory_format"}
    graph.recompile()


def _aten_name(node: Node) -> str:
    target = node.target
    return target._schema.name.split("::")[1] if isinstance(target, torch._ops.OpOverload) else ""


def _write_over_nothing(graph: GraphModule) -> None:
    """Turn `a.add_(b)` into `a' = a.add(b)`, with a' for a from there on.

    Autograd refuses to differentiate through writes into some views. Where a view of the tensor is read later, the
    numbers become wrong by this; that is seen when they are compared.
    """
    for node in graph.graph.nodes:
        target = _without_writing(node)
        if target is None:
            continue
        node.target = target
        written = node.args[0]
        later = False
        for user in graph.graph.nodes:
            if later:
                user.replace_input_with(written, node)
            later = later or user is node
    graph.recompile()


def _without_writing(node: Node) -> Any:
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or not node.args or not isinstance(node.args[0], Node):
        return None
    packet = target._schema.name.split("::")[1]
    if not packet.endswith("_") or packet.endswith("__"):
        return None
    plain = getattr(torch.ops.aten, packet[:-1], None)
    return getattr(plain, target._overloadname, None) if plain is not None else None
