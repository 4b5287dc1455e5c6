"""Convolutions: cut windows, multiply each by the kernel; transposed ones as convolutions of a stretched input."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.queries.lowerings.lowering import Lowering
from chainrule.queries.lowerings.windows import Sizes, Windows, sizes_of

_CONVOLUTIONS = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)


def _convolution(
    input: Tensor,  # noqa: A002  # torch's name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """y[n,o,p] = Σ_{c,k} x[n,c,s·p + d·k − padding]·W[o,c,k] + b[o]."""
    dimensions = weight.dim() - 2
    values = input if input.dim() == weight.dim() else input.unsqueeze(0)
    kernel, apart = tuple(weight.shape[2:]), sizes_of(dilation, dimensions)
    if isinstance(padding, str):
        around: Sizes = (0,) * dimensions
        if padding == "same":
            values = _padded_to_same(values, kernel, apart)
    else:
        around = sizes_of(padding, dimensions)
    windows = Windows(tuple(values.shape[2:]), kernel, sizes_of(stride, dimensions), around, apart)
    patches = windows.cut(values, 0.0)  # (batch, in, places, kernel)
    batch, out = values.shape[0], weight.shape[0]
    # (batch, groups, in of the group, places, kernel) to (batch, groups, places, in of the group · kernel)
    patches = patches.reshape(batch, groups, weight.shape[1], -1, _elements(kernel))
    patches = patches.permute(0, 1, 3, 2, 4).reshape(batch, groups, -1, weight.shape[1] * _elements(kernel))
    kernels = weight.reshape(groups, out // groups, -1).transpose(1, 2)
    product = torch.matmul(patches, kernels).transpose(2, 3).reshape(batch, out, *windows.counts)
    if bias is not None:
        product = product + bias.reshape(-1, *[1] * dimensions)
    return product if input.dim() == weight.dim() else product.squeeze(0)


def _elements(kernel: Sizes) -> int:
    """Return how many elements a kernel has for each channel."""
    size = 1
    for length in kernel:
        size *= length
    return size


def _padded_to_same(values: Tensor, kernel: Sizes, dilation: Sizes) -> Tensor:
    """Pad so that the output has the input's size; where the padding is odd, one more behind."""
    pads: list[int] = []
    for length, apart in zip(reversed(kernel), reversed(dilation), strict=True):
        total = apart * (length - 1)
        pads += [total // 2, total - total // 2]
    return nn.functional.pad(values, pads) if any(pads) else values


def _transposed(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """Put stride − 1 zeros between the input's elements, and convolve with the kernel turned round."""
    dimensions = weight.dim() - 2
    steps, apart = sizes_of(stride, dimensions), sizes_of(dilation, dimensions)
    values = input if input.dim() == weight.dim() else input.unsqueeze(0)
    for at, step in enumerate(steps):
        values = _stretched(values, 2 + at, step)
    pads: list[int] = []
    for at in reversed(range(dimensions)):
        reach = apart[at] * (weight.shape[2 + at] - 1)
        before = reach - sizes_of(padding, dimensions)[at]
        pads += [before, before + sizes_of(output_padding, dimensions)[at]]
    values = nn.functional.pad(values, pads)
    channels_in, channels_out, *kernel = weight.shape
    turned = weight.flip(tuple(range(2, weight.dim()))).reshape(groups, channels_in // groups, channels_out, *kernel)
    turned = turned.transpose(1, 2).reshape(groups * channels_out, channels_in // groups, *kernel)
    convolve: Callable[..., Any] = _CONVOLUTIONS[dimensions - 1]
    product: Tensor = convolve(values, turned, bias, dilation=apart, groups=groups)
    return product if input.dim() == weight.dim() else product.squeeze(0)


def _stretched(values: Tensor, dim: int, step: int) -> Tensor:
    """Return a tensor with step − 1 zeros between its elements along a dimension."""
    if step == 1:
        return values
    length = values.shape[dim]
    pads = [0, 0] * (values.dim() - dim - 1) + [0, step - 1]
    return (
        nn.functional.pad(values.unsqueeze(dim + 1), pads).flatten(dim, dim + 1).narrow(dim, 0, (length - 1) * step + 1)
    )


CONVOLUTION = (
    Lowering(tuple(f"torch.nn.functional.conv{number}d" for number in (1, 2, 3)), _convolution),
    Lowering(tuple(f"torch.nn.functional.conv_transpose{number}d" for number in (1, 2, 3)), _transposed),
)
