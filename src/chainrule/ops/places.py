"""Which element of which input stands in each slot of a formula: the wiring of a call, and what makes one.

Elements are numbered row by row through a tensor, or through several one after the other.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from sympy import IndexedBase, Symbol

from chainrule.shapes import Tensor

Arguments = Mapping[str, Any]
Scalar = Tensor | int | float  # a tensor, or the Python number that stands in its place


@dataclass(frozen=True, slots=True)
class Wiring:
    """Which element of which input stands in each slot, for every output element of a call.

    Attributes:
        places: for each argument that is a slot, the flat element numbers: shape (outputs,) or (outputs, K, ...).
        numbers: what stands for the letters that are no slots: a number, or a tensor (outputs,) or (outputs, K, ...).
        fills: the number at places of −1, by argument; 0 where nothing is said.
        outputs: the flat numbers of the outputs that the rows are of; None where they are all of them, in order.
    """

    places: Mapping[str, Tensor] = field(default_factory=dict)
    numbers: Mapping[Symbol | IndexedBase, Scalar] = field(default_factory=dict)
    fills: Mapping[str, int | float] = field(default_factory=dict)
    outputs: Tensor | None = None

    def only(self, outputs: Tensor) -> "Wiring":
        """Return the wiring of chosen outputs alone."""
        return Wiring(
            {argument: taken[outputs] for argument, taken in self.places.items()},
            {
                letter: number[outputs] if isinstance(number, Tensor) else number
                for letter, number in self.numbers.items()
            },
            self.fills,
            outputs,
        )

    def row(self, element: int) -> int:
        """Return the row of an output element."""
        return element if self.outputs is None else self.outputs.tolist().index(element)


def argument_value(arguments: Arguments, name: str) -> Any:
    """Return an argument by its name, where "operands[1]" is the second of the list "operands"."""
    if name in arguments:
        return arguments[name]
    whole, _, number = name.removesuffix("]").partition("[")
    return arguments[whole][int(number)]


def tensor_argument(arguments: Arguments, name: str = "input") -> Tensor:
    """Return an argument that is a tensor, without its history."""
    tensor: Tensor = argument_value(arguments, name)
    return tensor.detach()


def for_all_uses(found: Tensor, tensor: Tensor, output: Tensor) -> Tensor:
    """Return which elements of a tensor that broadcasts to the output have the property at all their outputs."""
    missing = (~found).broadcast_to(output.shape).to(torch.float32)
    return missing.sum_to_size(tensor.shape) == 0


def for_any_use(found: Tensor, tensor: Tensor, output: Tensor) -> Tensor:
    """Return which elements of a tensor that broadcasts to the output have the property at any of their outputs."""
    return found.broadcast_to(output.shape).to(torch.float32).sum_to_size(tensor.shape) > 0


def flat(argument: Any) -> Tensor:
    """Return the elements of a tensor, or of several one after the other, as one vector."""
    if isinstance(argument, Tensor):
        return argument.reshape(-1)
    return torch.cat([tensor.reshape(-1) for tensor in argument])


def numbered(tensor: Tensor, start: int = 0) -> Tensor:
    """Return a tensor's element numbers in the tensor's shape, counted from `start`."""
    return torch.arange(start, start + tensor.numel()).reshape(tensor.shape)


def numbered_through(tensors: Sequence[Tensor], start: int = 0) -> tuple[Tensor, ...]:
    """Return the element numbers of several tensors, counted on from one to the next."""
    starts = itertools.accumulate((tensor.numel() for tensor in tensors), initial=start)
    return tuple(numbered(tensor, start) for tensor, start in zip(tensors, starts, strict=False))


def aligned(places: Tensor, shape: tuple[int, ...] | torch.Size, outputs: int | None = None) -> Tensor:
    """Broadcast element numbers to a shape, and make its first axis run over the outputs.

    Args:
        places: element numbers; any tensor.
        shape: the output's shape, with the axes of the indices behind it.
        outputs: how many of its axes are the output's; all of them unless it is said.
    """
    places = places.broadcast_to(shape)
    split = len(shape) if outputs is None else outputs
    return places.reshape(math.prod(shape[:split]), *shape[split:])


def optional(argument: str, tensor: Any, output: Tensor) -> dict[str, Tensor]:
    """Return the places of an argument that broadcasts to the output; nothing when it is a number or None."""
    return {argument: aligned(numbered(tensor), output.shape)} if isinstance(tensor, Tensor) else {}


def call(function: Callable[..., Any], arguments: Arguments) -> Any:
    """Call a function with arguments by name, those before a variadic one by position."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    parameters = inspect.signature(function).parameters.values()
    is_variadic = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    for parameter in parameters:
        if parameter.name not in arguments:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += arguments[parameter.name]
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= arguments[parameter.name]
        elif is_variadic and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional.append(arguments[parameter.name])
        else:
            named[parameter.name] = arguments[parameter.name]
    return function(*positional, **named)


def grouped(targets: Tensor, sources: Tensor, count: int) -> Tensor:
    """Return which sources go to each of `count` targets: shape (count, largest number of them), −1 where fewer."""
    targets, sources = targets.reshape(-1), sources.reshape(-1)
    order = torch.argsort(targets, stable=True)
    amounts = torch.bincount(targets, minlength=count)
    starts = amounts.cumsum(0) - amounts
    rows = torch.full((count, max(int(amounts.max()) if count else 0, 1)), -1, dtype=torch.int64)
    ranks = torch.arange(targets.numel()) - starts[targets[order]]
    rows[targets[order], ranks] = sources[order]
    return rows
