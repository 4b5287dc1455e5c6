"""What the losses of single elements share: their wiring, and where they are flat."""
# the parameters of a wiring bear torch's own names

from collections.abc import Callable, Mapping

import torch

from chainrule.ops.letters import X, Z
from chainrule.ops.loss_reductions import (
    LossNumbers,
    wired,
)
from chainrule.ops.places import Arguments, Wiring, for_all_uses, numbered
from chainrule.ops.rule import Mask, Silencer
from chainrule.shapes import Tensor

PAIR = {"input": X, "target": Z}


def one_by_one(reduction: str, tensors: Mapping[str, Tensor], numbers: LossNumbers) -> Wiring:
    """Wire tensors that broadcast to one shape, and numbers that are tensors of theirs."""
    others = [number for number in numbers.values() if isinstance(number, Tensor)]
    shape = torch.broadcast_tensors(*tensors.values(), *others)[0].shape  # type: ignore[no-untyped-call]
    return wired(
        reduction,
        {argument: numbered(tensor).broadcast_to(shape).reshape(-1) for argument, tensor in tensors.items()},
        {
            letter: number.detach().to(torch.float64).broadcast_to(shape).reshape(-1)
            if isinstance(number, Tensor)
            else number
            for letter, number in numbers.items()
        },
    )


def silencers_of(name: str, words: str, find: Mask, *arguments: str) -> tuple[Silencer, ...]:
    """Return a silencer of each argument, from a condition on the elements that are compared."""

    def of_uses(argument: str) -> Mask:
        def mask(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
            found = find(arguments, output, threshold)
            return for_all_uses(found, arguments[argument], found)

        return mask

    return tuple(Silencer(name, words, argument, of_uses(argument)) for argument in arguments)


def gap_of(arguments: Arguments) -> Tensor:
    """Return how far each input is from its target."""
    gap: Tensor = (arguments["input"].detach() - arguments["target"].detach()).abs()
    return gap


def right_where(words: str, is_right: Callable[[Arguments, float], Tensor]) -> tuple[Silencer, ...]:
    """Return the silencers of input and target where the loss is flat, from the arguments and the threshold."""
    return silencers_of("already right", words, lambda arguments, _, share: is_right(arguments, share), *PAIR)


def _no_weight(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    is_zero: Tensor = arguments["weight"] == 0 if arguments.get("weight") is not None else torch.tensor(False)
    return is_zero.broadcast_to(gap_of(arguments).shape)


NO_WEIGHT = silencers_of("weight 0", "given a weight of 0", _no_weight, *PAIR)
EQUAL = "equal to what it is compared with, where the loss is flat"
AT_TARGET = right_where(EQUAL, lambda arguments, _: gap_of(arguments) == 0)
