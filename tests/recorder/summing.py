"""The law of a recording: the contributions over all uses of a value add up to autograd's gradient of it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from chainrule.trace import Trace

ULPS = 4  # of the largest term, where the order of summation is not autograd's


@dataclass
class Sums:
    """How the contributions of a trace add up.

    Attributes:
        checked: values that have an adjoint and contributions.
        exact: those whose contributions add up to it bit for bit.
        worst_ulps: the largest difference, in units in the last place of the largest term.
        worst_relative: the largest difference over the largest element of the adjoint.
        wrong: the names of values that differ by more than `ULPS`.
    """

    checked: int = 0
    exact: int = 0
    worst_ulps: float = 0.0
    worst_relative: float = 0.0
    wrong: list[str] = field(default_factory=list)


def check_sums(trace: Trace) -> Sums:
    """Add up the contributions of every value of a trace that keeps tensors."""
    sums = Sums()
    for value in trace.values:
        parts = [use.contribution for use in value.uses if use.contribution is not None]
        if value.adjoint is None or not parts:
            continue
        assert isinstance(value.adjoint, Tensor), value.name
        assert all(isinstance(part, Tensor) for part in parts), value.name
        tensors = [dense(part) for part in parts if isinstance(part, Tensor)]
        total, adjoint = sum(tensors[1:], tensors[0]), dense(value.adjoint)
        sums.checked += 1
        if torch.equal(total, adjoint):
            sums.exact += 1
            continue
        difference = (total - adjoint).abs()
        largest = torch.stack([tensor.abs() for tensor in tensors]).amax(0)
        off = difference > 0
        ulp = torch.finfo(largest.dtype).eps * torch.exp2(torch.floor(torch.log2(largest[off])))
        ulps = (
            (difference[off] / ulp).max().item() if bool(off.any()) else float("inf")
        )  # unequal, and no difference: NaN
        sums.worst_ulps = max(sums.worst_ulps, ulps)
        sums.worst_relative = max(sums.worst_relative, (difference.max() / adjoint.abs().max()).item())
        sums.wrong += [f"{value.name}: {ulps} ulp"] if ulps > ULPS else []
    return sums


def dense(tensor: Tensor) -> Tensor:
    """Return a tensor with its zeros, without its graph."""
    return (tensor.to_dense() if tensor.is_sparse else tensor).detach()
