"""Memory for many copies at once.

What an update is about to overwrite is copied: parameters and the optimizer's state, hundreds of megabytes for a large
model. Most of the cost is not copying but first touching new memory, page by page. So all copies of a step go into one
block, which Linux is asked to back with large pages, and when a trace is gone, the next recording of the same model
uses its block again. A block is freed with its model.
"""

import mmap
import sys
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_ALIGNMENT = 64
_LARGE_PAGE = 2 * 2**20
_PLAIN = (Tensor, nn.Parameter)  # a class of its own (DTensor) may lie elsewhere than in its memory
_BLOCKS: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()


class Arena:
    """One block of CPU memory that copies are laid into, one after the other.

    The block lives as long as any of its copies.

    Args:
        block: the memory, as bytes.
    """

    def __init__(self, block: Tensor) -> None:
        self._block = block
        self._used = 0

    def copy(self, tensor: Tensor) -> Tensor | None:
        """Return a copy of a dense CPU tensor with the same strides, or None when it does not fit into what is left."""
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided or type(tensor) not in _PLAIN:
            return None
        begin = -(-self._used // _ALIGNMENT) * _ALIGNMENT
        end = begin + tensor.nbytes
        if end > self._block.nbytes or not torch.ops.aten.is_non_overlapping_and_dense(tensor):
            return None
        self._used = end
        copy = torch.empty(0, dtype=tensor.dtype)  # of its own, not a view: views would share one version counter
        copy.set_(self._block.untyped_storage(), begin // tensor.element_size(), tensor.size(), tensor.stride())
        return copy.copy_(tensor)


def arena_for(model: nn.Module, tensors: list[Tensor]) -> Arena:
    """Return an arena with room for copies of these tensors, if possible in the block of the model's last trace."""
    size = sum(-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors)
    block = _BLOCKS.get(model)
    if block is None or block.nbytes < size or not _is_free(block):
        block = _new_block(size)
        _BLOCKS[model] = block
    return Arena(block)


def _is_free(block: Tensor) -> bool:
    """Return whether no copy of an earlier trace lives in a block: only the block's own tensor holds its memory."""
    return bool(torch._C._storage_Use_Count(block.untyped_storage()._cdata) <= 2)  # its own, and the one asked here


def _new_block(size: int) -> Tensor:
    if sys.platform != "linux" or size < _LARGE_PAGE:
        return torch.empty(size, dtype=torch.uint8)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)
