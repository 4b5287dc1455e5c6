"""Ops: what ran, where it stands in the user's code, what it took and what it made."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chainrule.shapes import Tensor
from chainrule.trace.values import Use

Phase = Literal["forward", "loss", "backward", "update"]


@dataclass(frozen=True, slots=True)
class Source:
    """A line of Python: the innermost one outside of PyTorch and chainrule that led to an op.

    Attributes:
        file: the path as Python knows it.
        line: its number, from 1.
        function: the function that it stands in.
        text: the line itself, without its indentation; empty when the file cannot be read.
    """

    file: str
    line: int
    function: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"


@dataclass(frozen=True, slots=True)
class ValueRef:
    """Stands in the recorded arguments of an op where a tensor stood."""

    value: int


@dataclass(slots=True, eq=False)
class Op:
    """One operation that ran.

    Attributes:
        id: its position in `Trace.ops`.
        name: what the user called: "linear", "add", "cross_entropy"; in the backward phase "linear backward"; in the
            update phase the optimizer's class.
        phase: forward, loss, backward or update.
        module: the path of the module that it ran in, as `named_modules` has it; "" is the model itself, and what ran
            outside of it.
        module_class: the class of that module, such as "Linear"; "" outside of the model.
        call: which call of that module this was, from 0.
        source: the line of code.
        function: the full name of what was called, such as "torch.nn.functional.linear"; "" when nothing was seen to
            be called.
        arguments: the positional arguments, with `ValueRef` in place of tensors.
        keywords: the keyword arguments, likewise.
        inputs: every use that this op makes of a value.
        outputs: the ids of the values that it made, those that it changed in place among them; an output that is the
            very input (`contiguous()` of a contiguous tensor) is that input's id.
        overwrites: the ids of the values that it wrote over.
        gradients_on: whether autograd was recording (False inside `no_grad`).
        autocast: the dtype that autocast was casting to, such as "bfloat16"; "" when it was off.
        random_state: the generator's state before an op that drew random numbers; None for all others.
        opaque: why the inside of the op cannot be seen, as a sentence; "" when it is an ordinary op.
        of: for the backward phase, the id of the op whose backward this is.
        nodes: the names of autograd's nodes that belong to it, such as "AddmmBackward0".
        recomputed: whether it ran again inside the backward pass (torch.utils.checkpoint).
        run: what was called, to call it again; None in a trace that was loaded, and for opaque ops.
    """

    id: int
    name: str
    phase: Phase
    module: str
    module_class: str
    call: int
    source: Source | None
    function: str = ""
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    inputs: list[Use] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    overwrites: tuple[int, ...] = ()
    gradients_on: bool = True
    autocast: str = ""
    random_state: Tensor | None = None
    opaque: str = ""
    of: int | None = None
    nodes: tuple[str, ...] = ()
    recomputed: bool = False
    run: Callable[..., Any] | None = None


def where_of(op: Op) -> str:
    """Say where an op stands: "linear in fc1, net.py:12"."""
    place = f"{op.name} in {op.module}" if op.module else op.name
    return f"{place}, {op.source}" if op.source else place


def walk(structure: Any, place: tuple[int | str, ...] = ()) -> Iterator[tuple[tuple[int | str, ...], Any]]:
    """Yield every leaf of nested tuples, lists and dictionaries with its place."""
    if isinstance(structure, tuple | list):
        for number, part in enumerate(structure):
            yield from walk(part, (*place, number))
    elif isinstance(structure, Mapping):
        for key, part in structure.items():
            yield from walk(part, (*place, key))
    else:
        yield place, structure


def rebuild(structure: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dictionaries with every leaf changed; named tuples stay named tuples."""
    if isinstance(structure, tuple):
        parts = [rebuild(part, change) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)
    if isinstance(structure, list):
        return [rebuild(part, change) for part in structure]
    if isinstance(structure, Mapping):
        return {key: rebuild(part, change) for key, part in structure.items()}
    return change(structure)
