"""Two numbers that stand at the same place of broadcast arguments: their wiring, what silences and what breaks them."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable
from typing import Any

import torch

from chainrule.ops.letters import X, Z
from chainrule.ops.places import Arguments, Scalar, Wiring, argument_value, for_all_uses, for_any_use, optional
from chainrule.ops.rule import Hazard, Silencer
from chainrule.shapes import Tensor

PAIR = {"input": X, "other": Z}


def pair(output: Tensor, input: Scalar, other: Scalar) -> Wiring:
    """Return the wiring of two arguments that broadcast to the output."""
    return Wiring(optional("input", input, output) | optional("other", other, output))


def _tensor(arguments: Arguments, name: str, output: Tensor) -> Tensor:
    value = argument_value(arguments, name)
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=output.dtype, device=output.device)


def silenced(
    name: str, words: str, argument: str, found: Callable[[dict[str, Tensor], float], Tensor], *others: str
) -> Silencer:
    """Return a silencer that is a condition on elements that stand at the same place of the broadcast arguments."""

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        values = {key: _tensor(arguments, key, output) for key in (argument, *others)}
        return for_all_uses(found(values, threshold), values[argument], output)

    return Silencer(name, words, argument, find)


def endangered(
    name: str, words: str, argument: str, hits: Any, found: Callable[[dict[str, Tensor], Tensor], Tensor], *others: str
) -> Hazard:
    """Return a hazard that is a condition on elements that stand at the same place of the broadcast arguments."""

    def find(arguments: Arguments, output: Tensor) -> Tensor:
        values = {key: _tensor(arguments, key, output) for key in (argument, *others)}
        return for_any_use(found(values, output), values[argument], output)

    return Hazard(name, words, argument, hits, find)


def overflow(argument: str, *others: str) -> Hazard:
    """Return the hazard of an infinite result of finite arguments."""

    def found(values: dict[str, Tensor], output: Tensor) -> Tensor:
        finite = torch.ones_like(output, dtype=torch.bool)
        for value in values.values():
            finite = finite & value.isfinite()
        return output.isinf() & finite

    words = "so large that the result is beyond the largest number of its type"
    return endangered("overflow", words, argument, "forward", found, *others)


BOTH_WAYS = (("input", "other"), ("other", "input"))
