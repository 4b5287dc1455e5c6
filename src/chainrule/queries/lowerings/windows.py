"""The windows that convolutions and poolings look at: every place of a kernel over the last dimensions of a tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import final

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import unseen

Sizes = tuple[int, ...]


def sizes_of(given: int | Sequence[int], dimensions: int) -> Sizes:
    """Return one number for each dimension, where one stands for all."""
    if isinstance(given, int):
        return (given,) * dimensions
    return tuple(given) * dimensions if len(given) == 1 else tuple(given)


def look_up(values: Tensor, places: Sequence[Tensor]) -> Tensor:
    """Return the elements of a tensor at some places of its last dimensions."""
    key: tuple[EllipsisType | Tensor, ...] = (..., *places)
    return values[key]


@final
@dataclass(frozen=True, slots=True)
class Windows:
    """Where a kernel stands, for each of the last dimensions of a tensor.

    Attributes:
        lengths: the sizes of the tensor.
        kernel: the sizes of the kernel.
        stride: how far it moves.
        padding: how many elements are added before; as many are added behind, or more where windows reach further.
        dilation: how far the kernel's elements lie apart.
        rounds_up: whether a last window counts that reaches beyond the padded end.
    """

    lengths: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    rounds_up: bool = False

    @property
    def counts(self) -> Sizes:
        """How many windows there are along each dimension."""
        return tuple(self._count(number) for number in range(len(self.lengths)))

    def _count(self, at: int) -> int:
        room = self.lengths[at] + 2 * self.padding[at] - self._reach(at)
        count = (-(-room // self.stride[at]) if self.rounds_up else room // self.stride[at]) + 1
        # The last window must begin inside of the tensor or of the padding before it.
        if self.rounds_up and (count - 1) * self.stride[at] >= self.lengths[at] + self.padding[at]:
            count -= 1
        return count

    def _reach(self, at: int) -> int:
        return self.dilation[at] * (self.kernel[at] - 1) + 1

    def cut(self, values: Tensor, filler: float) -> Tensor:
        """Return the windows of a tensor: (..., counts, kernel); what is added around the tensor is the filler."""
        pads: list[int] = []
        for at in reversed(range(len(self.lengths))):
            end = (self.counts[at] - 1) * self.stride[at] + self._reach(at)
            pads += [self.padding[at], max(end - self.lengths[at] - self.padding[at], 0)]
        if any(pads):
            values = torch.nn.functional.pad(values, pads, value=filler)
        with unseen():
            places = tuple(self._places(at, values.device) for at in range(len(self.lengths)))
        return look_up(values, places)

    def _places(self, at: int, device: torch.device) -> Tensor:
        """Return the padded coordinate of every kernel element of every window, to broadcast over the dimensions."""
        starts = torch.arange(self.counts[at], device=device) * self.stride[at]
        inside = torch.arange(self.kernel[at], device=device) * self.dilation[at]
        dimensions = len(self.lengths)
        shape = [1] * (2 * dimensions)
        shape[at], shape[dimensions + at] = self.counts[at], self.kernel[at]
        return (starts[:, None] + inside).reshape(shape)

    def positions(self, device: torch.device) -> Tensor:
        """Return the flat position in the tensor of every kernel element: (counts, number of kernel elements)."""
        flat = torch.zeros((), dtype=torch.int64, device=device)
        for at, length in enumerate(self.lengths):
            flat = flat * length + (self._places(at, device) - self.padding[at])
        return flat.flatten(-len(self.lengths))

    def covered(self, *, with_padding: bool) -> Tensor:
        """Return how many elements each window covers: (counts), those of the padding counted or not."""
        total = torch.ones((), dtype=torch.int64)
        for at, length in enumerate(self.lengths):
            first = torch.arange(self.counts[at]) * self.stride[at] - self.padding[at]
            last = first + self.kernel[at]
            if with_padding:
                size = last.clamp(max=length + self.padding[at]) - first
            else:
                size = last.clamp(max=length) - first.clamp(min=0)
            total = total[..., None] * size
        return total
