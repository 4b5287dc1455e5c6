"""Tensors as blocks of memory and views of them, so that memory that several tensors share is stored once.

The values of a trace share much: an adjoint is often the contribution that it came from, and a query, its heads and
their transpose are one tensor seen three ways. Each stretch of memory that tensors of one dtype cover becomes a block;
a tensor is then a block, an offset, a shape and strides.

A tensor whose elements overlap or repeat (`expand`), and one that would drag along more than its own size of memory
that no other tensor needs, is a block of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch

from chainrule.errors import TraceFileError
from chainrule.shapes import Tensor
from chainrule.tensor_files import DTYPE_NAMES
from chainrule.trace.records import ViewRecord

_COMPLEX = {torch.complex64: torch.float32, torch.complex128: torch.float64}
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*DTYPE_NAMES, *_COMPLEX)}


@dataclass(slots=True)
class _View:
    """A tensor that waits for its block."""

    tensor: Tensor  # strided, on its device
    span: int  # how many elements lie between its first and its last, both counted; 0 for an empty one
    shares: bool  # whether a block may hold it beside others
    block: int = -1
    offset: int = 0


@final
class BlockWriter:
    """Collects tensors, each under a number; lays out their blocks in the end."""

    def __init__(self) -> None:
        self._views: list[_View] = []
        self._numbers: dict[tuple[object, ...], int] = {}

    def add(self, tensor: Tensor) -> int | str:
        """Return the number of a tensor, the same for the same elements of the same memory.

        Sparse and quantised tensors are stored dense.

        Returns:
            Its number, or the reason why it cannot be stored, as the end of "it is missing because ...".
        """
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor) or tensor.is_meta:
            return "it had no numbers of its own when the trace was saved"
        tensor = tensor.detach()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.is_nested:
            return "a trace file cannot hold nested tensors"
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        tensor = tensor.resolve_conj().resolve_neg()
        if tensor.dtype not in DTYPE_NAMES and tensor.dtype not in _COMPLEX:
            return f"a trace file cannot hold tensors of dtype {_name(tensor.dtype)}"
        key = self._key(tensor)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._views)
            self._views.append(_view(tensor))
        return number

    def _key(self, tensor: Tensor) -> tuple[object, ...]:
        shape = tuple(tensor.shape)
        if not tensor.numel():
            return (tensor.dtype, shape)
        memory = tensor.untyped_storage().data_ptr()
        # The strides of dimensions with one element say nothing.
        strides = tuple(stride for stride, size in zip(tensor.stride(), shape, strict=True) if size > 1)
        return (tensor.dtype, tensor.device, memory, tensor.storage_offset(), shape, strides)

    def finish(self) -> tuple[list[Tensor], list[ViewRecord]]:
        """Return the blocks, each of one dimension and real, and where in them each tensor lies."""
        by_memory: dict[tuple[object, ...], list[_View]] = {}
        for number, view in enumerate(self._views):
            tensor = view.tensor
            key = (tensor.dtype, tensor.device, tensor.untyped_storage().data_ptr()) if view.shares else (number,)
            by_memory.setdefault(key, []).append(view)
        groups = [part for views in by_memory.values() for group in _overlapping(views) for part in _worthwhile(group)]
        numbers = {id(view): number for number, view in enumerate(self._views)}
        groups.sort(key=lambda group: min(numbers[id(view)] for view in group))
        return [_laid_out(group, block) for block, group in enumerate(groups)], [_record(view) for view in self._views]


def _laid_out(group: list[_View], block: int) -> Tensor:
    """Return the block of views that lie together, and tell them where in it they are."""
    start, end = _reach(group)
    for view in group:
        view.block, view.offset = block, int(view.tensor.storage_offset()) - start
    return _real(group[0].tensor.as_strided((end - start,), (1,), start))


def _view(tensor: Tensor) -> _View:
    if not tensor.numel():
        return _View(torch.empty(tuple(tensor.shape), dtype=tensor.dtype), 0, False)
    sizes, strides = tuple(tensor.shape), tensor.stride()
    if not _is_distinct(sizes, strides):
        # One that repeats would be small in the file and may be huge once it is computed with.
        return _View(tensor.contiguous(), tensor.numel(), False)
    return _View(tensor, _span(sizes, strides), True)


def _span(sizes: Sequence[int], strides: Sequence[int]) -> int:
    return 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))


def _is_distinct(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Return whether no two elements lie at the same place, as far as can be seen from strides in order."""
    reach: int = 0
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1:
            if stride <= reach:
                return False
            reach += int((size - 1) * stride)
    return True


def _overlapping(views: list[_View]) -> list[list[_View]]:
    """Return the views of one memory in groups that do not overlap."""
    groups: list[list[_View]] = []
    end = -1
    for view in sorted(views, key=lambda view: view.tensor.storage_offset()):
        start = int(view.tensor.storage_offset())
        if start < end:
            groups[-1].append(view)
        else:
            groups.append([view])
        end = max(end, start + view.span)
    return groups


def _worthwhile(group: list[_View]) -> list[list[_View]]:
    """Return a group as it is, or each view on its own when most of the memory between them is nobody's."""
    start, end = _reach(group)
    if 2 * sum(view.tensor.numel() for view in group) >= end - start:
        return [group]
    for view in group:
        view.tensor, view.span = view.tensor.contiguous(), view.tensor.numel()
    return [[view] for view in group]


def _reach(group: list[_View]) -> tuple[int, int]:
    starts = [int(view.tensor.storage_offset()) for view in group]
    return min(starts), max(start + view.span for start, view in zip(starts, group, strict=True))


def _real(block: Tensor) -> Tensor:
    return torch.view_as_real(block).reshape(-1) if block.is_complex() else block


def _record(view: _View) -> ViewRecord:
    tensor = view.tensor
    sizes = list(tensor.shape)
    strides = [stride if size > 1 else 1 for stride, size in zip(tensor.stride(), sizes, strict=True)]
    return ViewRecord(
        block=view.block,
        dtype=_name(tensor.dtype),
        shape=sizes,
        strides=strides if tensor.numel() else [1] * len(sizes),
        offset=view.offset,
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def view_of(record: ViewRecord, blocks: Sequence[Tensor]) -> Tensor:
    """Return the tensor that a record describes.

    Raises:
        TraceFileError: its block is not there, is of another dtype or is smaller than what it describes.
    """
    dtype = _DTYPES.get(record.dtype)
    if dtype is None:
        raise damaged(f"a tensor of dtype '{record.dtype[:40]}'", "a dtype of PyTorch that a trace file can hold")
    sizes, strides = record.shape, record.strides
    if not 0 <= record.block < len(blocks):
        raise damaged(f"a tensor in block {record.block}", f"blocks 0 to {len(blocks) - 1}")
    block = blocks[record.block]
    if block.dtype is not _COMPLEX.get(dtype, dtype) or block.dim() != 1 or (dtype.is_complex and len(block) % 2):
        raise damaged(
            f"a block of {_name(block.dtype)} and shape {list(block.shape)[:8]} for a tensor of {record.dtype}",
            "one dimension, of the same dtype",
        )
    if dtype.is_complex:
        block = torch.view_as_complex(block.view(-1, 2))
    if len(sizes) != len(strides) or len(sizes) > 64 or min([*sizes, *strides, record.offset], default=0) < 0:
        raise damaged(f"a tensor of shape {sizes[:8]} and strides {strides[:8]}", "as many sizes as strides, from 0")
    if math.prod(size for size in sizes if size) >= 2**62 or not (0 in sizes or _is_distinct(sizes, strides)):
        raise damaged(f"a tensor of shape {sizes[:8]} and strides {strides[:8]}", "elements at places of their own")
    if 0 in sizes:
        return torch.empty(sizes, dtype=dtype)
    if record.offset + _span(sizes, strides) > len(block):
        raise damaged(
            f"a tensor of shape {sizes[:8]} at element {record.offset} of a block of {len(block)}",
            "a tensor that lies inside of its block",
        )
    return block.as_strided(sizes, strides, record.offset)


def damaged(found: str, expected: str) -> TraceFileError:
    """Return the error for a trace file that says what cannot be."""
    return TraceFileError("The trace file is damaged.", found=found, expected=expected)
