"""What is settled when a recording is over: adjoints of values that share an edge, memory that is gone."""

from collections.abc import Iterable

import torch
from torch import Tensor

from chainrule.recorder.keeping import Keeper
from chainrule.trace import Held, Kept, Missing, Trace, Value, read


def settle_carried(trace: Trace, carried: Iterable[tuple[Value, Value]], keeper: Keeper) -> None:
    """Give values that share an edge with an earlier one their part of its adjoint, and their writers the same.

    Autograd has one gradient for both. The later one's adjoint is the sum over its uses; the op that wrote it sends
    the same back to the earlier one, as if the write were not there, which is how autograd sees it.

    Args:
        trace: the trace.
        carried: the earlier and the later value, the last two first.
        keeper: keeps the sums.
    """
    for earlier, later in carried:
        parts = [kept for use in later.uses for kept in use.sent]
        if not parts or later.producer is None:
            continue
        later.kept_adjoint = parts[0] if len(parts) == 1 else _sum(parts, keeper, len(trace.ops))
        use = next((each for each in trace.ops[later.producer].inputs if each.value == earlier.id), None)
        if use is not None:
            use.sent.append(later.kept_adjoint)


def _sum(parts: list[Kept], keeper: Keeper, op: int) -> Kept:
    numbers = [read(kept) for kept in parts]
    tensors = [number for number in numbers if isinstance(number, Tensor)]
    if len(tensors) < len(numbers):
        return Missing("it is the sum of several contributions, of which only statistics are kept")
    return keeper.keep(sum(tensors[1:], tensors[0]), op)


def settle_freed(trace: Trace) -> None:
    """Say so where memory was given back under a tensor, as FSDP does with parameters that it has gathered."""
    for value in trace.values:
        kept = value.kept
        if not isinstance(kept, Held) or type(kept.tensor) is not Tensor or kept.tensor.layout is not torch.strided:
            continue
        is_gone = kept.tensor.numel() and not kept.tensor.untyped_storage().nbytes()
        if is_gone and kept.tensor.device.type != "meta":
            value.kept = Missing("its memory was given back during the step (storage.resize_), as FSDP does")
