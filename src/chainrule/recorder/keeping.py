"""What is kept of a tensor: the tensor without a copy, a copy where something is about to write over it, or statistics.

A kept tensor shares memory with the user's, and with it the version counter that every in-place operation moves. A
read that finds another version says that the number was overwritten; it never returns a wrong one.
"""

import weakref
from typing import NamedTuple

import torch
from torch import Tensor, nn

from chainrule.recorder.arena import Arena, arena_for
from chainrule.recorder.graph import is_wrapped
from chainrule.trace import Held, Keep, Kept, LeftOut, Missing, Statistics
from chainrule.trace.reduction import statistics_of

_RECENT = 256  # tensors whose statistics are remembered, because one is often a contribution and an adjoint at once


class _Recent(NamedTuple):  # made for every tensor, in a third of a frozen dataclass's time
    tensor: weakref.ref[Tensor]
    version: int
    statistics: Statistics


class Keeper:
    """Decides what is kept of each tensor of one recording, and counts the bytes.

    Args:
        keep: tensors or statistics.
        byte_budget: how many bytes of tensors may be kept; None is no limit.
    """

    def __init__(self, keep: Keep, byte_budget: int | None) -> None:
        self._keeps_tensors = keep == "values"
        self._budget = byte_budget
        self._bytes = 0
        self._storages: dict[int, list[Held]] = {}
        self._recent: dict[tuple[int, int, torch.dtype], _Recent] = {}
        self._arena: Arena | None = None
        self.left_out: LeftOut | None = None

    def keep(self, tensor: Tensor, op: int, bounds: tuple[float, float] | None = None) -> Kept:
        """Return what is kept of a value that op number `op` has just made or is about to take."""
        if is_wrapped(tensor):
            return Missing(
                "it is a batched or differentiated tensor inside torch.func, which has no numbers of its own"
            )
        if not self._keeps_tensors:
            return self._statistics(tensor, bounds)
        if tensor.layout is not torch.strided or tensor.is_inference():
            return self._copied(tensor, op, bounds)
        storage = tensor.untyped_storage()
        known = self._storages.get(storage._cdata)
        if known is None:
            if not self._has_room(storage.nbytes(), op):
                return self._statistics(tensor, bounds)
            known = self._storages[storage._cdata] = []
        held = Held(tensor.detach(), tensor._version)
        known.append(held)
        return held

    def copy(self, tensor: Tensor, op: int) -> Kept:
        """Return a copy of a tensor that will change, or its statistics."""
        return self._copied(tensor, op, None) if self._keeps_tensors else self._statistics(tensor, None)

    def expect_copies(self, model: nn.Module, tensors: list[Tensor]) -> None:
        """Make room at once for copies of many tensors of a model's step."""
        dense = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.layout is torch.strided]
        size = sum(tensor.nbytes for tensor in dense)
        if self._keeps_tensors and size and (self._budget is None or self._bytes + size <= self._budget):
            self._arena = arena_for(model, dense)

    def will_be_overwritten(self, tensor: Tensor, op: int) -> None:
        """Copy every value that lies in the memory of a tensor, because something is about to write there."""
        if is_wrapped(tensor) or tensor.layout is not torch.strided or not self._keeps_tensors:
            return
        kept = self._storages.pop(tensor.untyped_storage()._cdata, ())
        current = [held for held in kept if held.tensor._version == held.version]
        if not current:
            return
        memory = tensor.untyped_storage()
        self._bytes += memory.nbytes()
        if len(current) == 1:
            current[0].tensor = self._clone(current[0].tensor)
            current[0].version = current[0].tensor._version
            return
        copy = memory.clone()  # type: ignore[no-untyped-call]  # once, however many views of it are values
        for held in current:
            old = held.tensor
            held.tensor = torch.empty(0, dtype=old.dtype, device=old.device)
            held.tensor.set_(copy, old.storage_offset(), old.size(), old.stride())
            held.version = held.tensor._version

    def forget_memory(self) -> None:
        """Forget which memory is whose, when the recording is over."""
        self._storages.clear()
        self._recent.clear()
        self._arena = None

    def _copied(self, tensor: Tensor, op: int, bounds: tuple[float, float] | None) -> Kept:
        if not self._has_room(0 if tensor.is_sparse else tensor.nbytes, op):
            return self._statistics(tensor, bounds)
        copy = self._clone(tensor.detach())
        return Held(copy, copy._version)

    def _clone(self, tensor: Tensor) -> Tensor:
        copy = None if self._arena is None else self._arena.copy(tensor)
        return tensor.clone() if copy is None else copy

    def _has_room(self, size: int, op: int) -> bool:
        if self._budget is not None and self._bytes + size > self._budget:
            self._keeps_tensors = False
            self.left_out = LeftOut(op, self._budget)
            return False
        self._bytes += size
        return True

    def _statistics(self, tensor: Tensor, bounds: tuple[float, float] | None) -> Statistics:
        """Return a tensor's statistics, those of the same memory when it was seen a moment ago.

        One gradient is a contribution, then an adjoint, and views of it are further ones; a reshaped value is its
        input. While the tensor that was looked at is alive, nothing else can lie at its address.
        """
        if tensor.layout is not torch.strided:
            return statistics_of(tensor, bounds)
        count = tensor.numel()
        version = version_of(tensor)
        place = (tensor.data_ptr(), count, tensor.dtype)
        recent = self._recent.get(place)
        if recent is not None and bounds is None and recent.version == version:
            earlier = recent.tensor()
            if earlier is tensor or (earlier is not None and _is_dense(tensor)):
                return recent.statistics
        statistics = statistics_of(tensor, bounds)
        if count and _is_dense(tensor):
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[place] = _Recent(weakref.ref(tensor), version, statistics)
        return statistics


def _is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor's elements fill its memory without gaps or repeats, whatever their order."""
    return tensor.is_contiguous() or bool(torch.ops.aten.is_non_overlapping_and_dense(tensor))


def version_of(tensor: Tensor) -> int:
    """Return how often a tensor was written over in place; those of inference mode do not count."""
    try:
        return tensor._version
    except RuntimeError:
        return -1


def memory_of(tensor: Tensor) -> int:
    """Return a number for the memory that a tensor lies in, good while it lives; 0 when it has none of its own."""
    if tensor.layout is not torch.strided or is_wrapped(tensor):
        return 0
    return int(tensor.untyped_storage()._cdata)
