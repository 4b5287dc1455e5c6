"""Poolings: the largest or the mean of each window."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import Lowering, unseen
from chainrule.queries.lowerings.windows import Sizes, Windows, look_up, sizes_of

Given = int | Sequence[int]


def _max_pool(dimensions: int) -> Callable[..., Any]:
    def lowered(
        input: Tensor,  # noqa: A002  # torch's name
        kernel_size: Given,
        stride: Given | None = None,
        padding: Given = 0,
        dilation: Given = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """y[p] = max_k x[s·p + d·k − padding]; of several largest the first one is taken."""
        kernel = sizes_of(kernel_size, dimensions)
        windows = Windows(
            tuple(input.shape[-dimensions:]),
            kernel,
            sizes_of(stride, dimensions) if stride not in (None, [], ()) else kernel,
            sizes_of(padding, dimensions),
            sizes_of(dilation, dimensions),
            ceil_mode,
        )
        largest, places = windows.cut(input, -torch.inf).flatten(-dimensions).max(-1)
        if not return_indices:
            return largest
        with unseen():
            positions = windows.positions(input.device)
            positions = positions.expand(*places.shape, positions.shape[-1])
        return largest, positions.gather(-1, places.unsqueeze(-1)).squeeze(-1)

    return lowered


def _max_pool_with_indices(dimensions: int) -> Callable[..., Any]:
    def lowered(*arguments: Any, **keywords: Any) -> Any:
        keywords["return_indices"] = True
        return _max_pool(dimensions)(*arguments[:6], **keywords)

    return lowered


def _avg_pool(dimensions: int) -> Callable[..., Any]:
    def lowered(
        input: Tensor,  # noqa: A002
        kernel_size: Given,
        stride: Given | None = None,
        padding: Given = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        """y[p] = Σ_k x[s·p + k − padding] / how many elements count."""
        kernel = sizes_of(kernel_size, dimensions)
        windows = Windows(
            tuple(input.shape[-dimensions:]),
            kernel,
            sizes_of(stride, dimensions) if stride not in (None, [], ()) else kernel,
            sizes_of(padding, dimensions),
            (1,) * dimensions,
            ceil_mode,
        )
        elements = windows.cut(input, 0.0).flatten(-dimensions)
        if divisor_override is not None:
            return elements.sum(-1) / divisor_override
        with unseen():
            counts = windows.covered(with_padding=count_include_pad)
            all_full = bool((counts == elements.shape[-1]).all())
            counts = counts.to(input.device, input.dtype)
        return elements.mean(-1) if all_full else elements.sum(-1) / counts

    return lowered


def _bounds(length: int, count: int) -> list[tuple[int, int]]:
    """Return where the windows of an adaptive pooling begin and end, along one dimension."""
    return [(number * length // count, -(-(number + 1) * length // count)) for number in range(count)]


def _adaptive_sizes(values: Tensor, output_size: int | Sequence[int | None] | None, dimensions: int) -> Sizes:
    given = [output_size] * dimensions if isinstance(output_size, int) or output_size is None else list(output_size)
    given = given * dimensions if len(given) == 1 else given
    lengths = values.shape[-dimensions:]
    return tuple(length if size is None else size for size, length in zip(given, lengths, strict=True))


def _adaptive_avg_pool(dimensions: int) -> Callable[..., Any]:
    def lowered(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:  # noqa: A002
        """The mean of each window: one mean for everything, or products with matrices of 1/size."""
        counts = _adaptive_sizes(input, output_size, dimensions)
        if all(count == 1 for count in counts):
            return input.mean(tuple(range(-dimensions, 0)), keepdim=True)
        for at, count in enumerate(counts):
            dim = at - dimensions
            length = input.shape[dim]
            if count == length:
                continue
            with unseen():
                means = torch.zeros(length, count, dtype=input.dtype, device=input.device)
                for number, (first, last) in enumerate(_bounds(length, count)):
                    means[first:last, number] = 1 / (last - first)
            input = torch.matmul(input.transpose(dim, -1), means).transpose(dim, -1)  # noqa: A001
        return input

    return lowered


def _adaptive_max_pool(dimensions: int, *, always_indices: bool = False) -> Callable[..., Any]:
    def lowered(
        input: Tensor,  # noqa: A002
        output_size: int | Sequence[int | None],
        return_indices: bool = False,
    ) -> Any:
        """The largest of each window; windows differ in size, so each is filled up with −∞."""
        lengths = input.shape[-dimensions:]
        counts = _adaptive_sizes(input, output_size, dimensions)
        with unseen():
            places, outside, positions = [], torch.zeros((), dtype=torch.bool), torch.zeros((), dtype=torch.int64)
            for at, (length, count) in enumerate(zip(lengths, counts, strict=True)):
                bounds = torch.tensor(_bounds(length, count))
                widest = int((bounds[:, 1] - bounds[:, 0]).max())
                coordinates = bounds[:, :1] + torch.arange(widest)
                shape = [1] * (2 * dimensions)
                shape[at], shape[dimensions + at] = count, widest
                outside = outside | (coordinates >= bounds[:, 1:]).reshape(shape)
                coordinates = coordinates.clamp(max=length - 1).reshape(shape)
                positions = positions * length + coordinates
                places.append(coordinates.to(input.device))
            outside = outside.to(input.device)
            positions = positions.flatten(-dimensions).to(input.device)
            some_outside = bool(outside.any())
        elements = look_up(input, places)
        if some_outside:
            elements = elements.masked_fill(outside, -torch.inf)
        largest, chosen = elements.flatten(-dimensions).max(-1)
        if not (return_indices or always_indices):
            return largest
        with unseen():
            positions = positions.expand(*chosen.shape, positions.shape[-1])
        return largest, positions.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    return lowered


def _rows(dimensions: int) -> tuple[Lowering, ...]:
    home = "torch.nn.functional."
    largest, adaptive = f"max_pool{dimensions}d", f"adaptive_max_pool{dimensions}d"
    return (
        Lowering((home + largest, f"torch.{largest}"), _max_pool(dimensions)),
        Lowering((home + largest + "_with_indices",), _max_pool_with_indices(dimensions)),
        Lowering((f"{home}avg_pool{dimensions}d",), _avg_pool(dimensions)),
        Lowering((f"{home}adaptive_avg_pool{dimensions}d",), _adaptive_avg_pool(dimensions)),
        Lowering((home + adaptive,), _adaptive_max_pool(dimensions)),
        Lowering((f"{home}{adaptive}_with_indices",), _adaptive_max_pool(dimensions, always_indices=True)),
    )


POOLING = (*_rows(1), *_rows(2), *_rows(3))
