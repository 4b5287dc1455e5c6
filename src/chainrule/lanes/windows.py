"""Convolutions and pooling as views of windows, products and sums, forward and backward.

    x[n, c, s·o + d·k]  =  W[n, c, o, k],   the windows of a padded tensor: a view

    convolution:  y[n, q, o] = Σ over c, k of w[q, c, k]·W[n, c, o, k]

Going back, each element of x gets what the windows send that hold it. These are again windows: of the upstream
gradient with s − 1 zeros between its elements and a margin around it, with the kernel turned round.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def windows(value: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """Return the windows of [n, c, *space]: [n, c, *places, *kernel]."""
    for dimension, (size, step, spread) in enumerate(zip(kernel, stride, dilation, strict=True)):
        value = value.unfold(dimension + 2, (size - 1) * spread + 1, step)
        value = value[..., ::spread] if spread > 1 else value
    return value


def pad(value: Tensor, before: Sequence[int], after: Sequence[int], number: float = 0.0) -> Tensor:
    """Return a tensor with margins around its space; a margin below 0 cuts."""
    amounts = [amount for pair in zip(reversed(before), reversed(after), strict=True) for amount in pair]
    return torch.constant_pad_nd(value, amounts, number) if any(amounts) else value


def spread_out(value: Tensor, stride: Sequence[int], number: float = 0.0) -> Tensor:
    """Return a tensor with stride − 1 numbers between its elements in space."""
    for dimension, step in enumerate(stride):
        if step > 1:
            place = dimension + 2
            wide = torch.constant_pad_nd(value.unsqueeze(-1), [0, step - 1], number)
            wide = wide.movedim(-1, place + 1).flatten(place, place + 1)
            value = wide.narrow(place, 0, (value.shape[place] - 1) * step + 1)
    return value


def backward_windows(
    value: Tensor, space: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], number: float = 0.0,
) -> Tensor:  # fmt: skip
    """Return, for each place of the space that windows were taken from, what belongs to the windows that hold it.

    The result is [n, c, *space, *kernel], the kernel turned round; where no window is, it is `number`.
    """
    reach = [(size - 1) * spread for size, spread in zip(kernel, dilation, strict=True)]
    before = [far - margin for far, margin in zip(reach, padding, strict=True)]
    wide = spread_out(value, stride, number)
    after = [
        extent + far - (low + size) for extent, far, low, size in zip(space, reach, before, wide.shape[2:], strict=True)
    ]
    return windows(pad(wide, before, after, number), kernel, [1] * len(kernel), dilation)


def _products(found: Tensor, weight: Tensor, groups: int) -> Tensor:
    """Return y[n, q, o] = Σ w[q, c, k]·W[n, c, o, k] within each group; weight is [groups, q, c·k]."""
    rank = weight_rank(found)
    places = found.shape[2 : 2 + rank]
    rows = _rows(found, groups)
    result = rows @ weight.transpose(1, 2) if groups > 1 else (rows[0] @ weight[0].t()).unsqueeze(0)
    result = result.reshape(groups, found.shape[0], *places, weight.shape[1])
    order = [1, 0, rank + 2, *range(2, rank + 2)]
    return result.permute(order).reshape(found.shape[0], groups * weight.shape[1], *places)


def weight_rank(found: Tensor) -> int:
    """Return the dimensions of the space of windows."""
    return (found.dim() - 2) // 2


def _rows(found: Tensor, groups: int) -> Tensor:
    """Return windows as [group, n·o, c·k]."""
    rank = weight_rank(found)
    count, channels = found.shape[:2]
    split = found.reshape(count, groups, channels // groups, *found.shape[2:])
    order = [1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank)]
    kernel = math.prod(found.shape[2 + rank :])
    return split.permute(order).reshape(groups, -1, channels // groups * kernel)


def _convolution(
    value: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    kernel = weight.shape[2:]
    rank = len(kernel)
    stride, padding, dilation = (_of_rank(numbers, rank) for numbers in (stride, padding, dilation))
    if transposed:
        more = _of_rank(output_padding, rank)
        space = [
            (extent - 1) * step - 2 * margin + spread * (size - 1) + 1 + extra
            for extent, step, margin, spread, size, extra in zip(
                value.shape[2:], stride, padding, dilation, kernel, more, strict=True
            )
        ]
        found = backward_windows(value, space, kernel, stride, padding, dilation)
        result = _products(found, _turned(weight, groups), groups)
    else:
        found = windows(pad(value, padding, padding), kernel, stride, dilation)
        result = _products(found, weight.reshape(groups, weight.shape[0] // groups, -1), groups)
    return result if bias is None else result + bias.reshape(1, -1, *[1] * rank)


def _turned(weight: Tensor, groups: int) -> Tensor:
    """Return weights [c, q, *kernel] for the way back: [group, q, c·kernel], the kernel turned round."""
    rank = weight.dim() - 2
    split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    for dimension in range(3, 3 + rank):
        split = _reversed(split, dimension)
    return split.transpose(1, 2).reshape(groups, weight.shape[1], -1)


def _reversed(value: Tensor, dimension: int) -> Tensor:
    return torch.flip(value, [dimension])


def _convolution_backward(
    upstream: Tensor, value: Tensor, weight: Tensor, bias_sizes: Sequence[int] | None, stride: Sequence[int],
    padding: Sequence[int], dilation: Sequence[int], transposed: bool, output_padding: Sequence[int], groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    kernel = weight.shape[2:]
    rank = len(kernel)
    stride, padding, dilation = (_of_rank(numbers, rank) for numbers in (stride, padding, dilation))
    to_value = to_weight = to_bias = None
    if wanted[0] and transposed:
        found = windows(pad(upstream, padding, padding), kernel, stride, dilation)
        to_value = _products(found, weight.reshape(groups, weight.shape[0] // groups, -1), groups)
    elif wanted[0]:
        found = backward_windows(upstream, value.shape[2:], kernel, stride, padding, dilation)
        to_value = _products(found, _turned(weight, groups), groups)
    if wanted[1]:
        wide, narrow = (upstream, value) if transposed else (value, upstream)
        found = windows(pad(wide, padding, padding), kernel, stride, dilation)
        found = _cut(found, narrow.shape[2:])
        rows = _rows(found, groups)
        sent = narrow.reshape(narrow.shape[0], groups, narrow.shape[1] // groups, -1)
        sent = sent.permute(1, 0, 3, 2).reshape(groups, -1, narrow.shape[1] // groups)
        product = sent.transpose(1, 2) @ rows if groups > 1 else (sent[0].t() @ rows[0]).unsqueeze(0)
        to_weight = product.reshape(weight.shape)
    if wanted[2]:
        to_bias = upstream.sum([0, *range(2, 2 + rank)])
    return to_value, to_weight, to_bias


def _cut(found: Tensor, places: Sequence[int]) -> Tensor:
    """Return the windows that belong to so many places; a stride can leave more."""
    for dimension, count in enumerate(places):
        if found.shape[dimension + 2] > count:
            found = found.narrow(dimension + 2, 0, count)
    return found


def _of_rank(numbers: Sequence[int], rank: int) -> list[int]:
    given = list(numbers)
    return given * rank if len(given) == 1 else given


def _pooling(
    rank: int, value: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil_mode: bool
) -> tuple[Tensor, list[int], list[int], list[int], list[int]]:
    """Return the value as [n, c, *space], kernel, stride and margins, and what to add after for the last windows."""
    kernel = _of_rank(kernel, rank)
    stride = _of_rank(stride, rank) if stride else kernel
    padding = _of_rank(padding, rank)
    batched = value if value.dim() == rank + 2 else value.unsqueeze(0)
    more = [0] * rank
    if ceil_mode:
        for dimension, (size, step, margin) in enumerate(zip(kernel, stride, padding, strict=True)):
            extent = batched.shape[dimension + 2]
            places = -(-(extent + 2 * margin - size) // step) + 1
            places -= (places - 1) * step >= extent + margin
            more[dimension] = max((places - 1) * step + size - extent - 2 * margin, 0)
    return batched, kernel, stride, padding, more


def _after(padding: Sequence[int], more: Sequence[int]) -> list[int]:
    return [margin + extra for margin, extra in zip(padding, more, strict=True)]


def _max_pool(
    rank: int, value: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,), ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    dilation = _of_rank(dilation, rank)
    wide = [(size - 1) * spread + 1 for size, spread in zip(_of_rank(kernel, rank), dilation, strict=True)]
    batched, _, stride, padding, more = _pooling(rank, value, wide, stride or kernel, padding, ceil_mode)
    kernel = _of_rank(kernel, rank)
    after = _after(padding, more)
    found = windows(pad(batched, padding, after, -math.inf), kernel, stride, dilation)
    space = batched.shape[2:]
    numbers = torch.arange(math.prod(space), dtype=value.dtype).reshape(1, 1, *space)
    numbers = windows(pad(numbers, padding, after, -1.0), kernel, stride, dilation)
    result = found.amax(_last(rank))
    is_it = found == result.reshape(*result.shape, *[1] * rank)
    place = torch.where(is_it, numbers, float(math.prod(space) - 1)).amin(_last(rank)).to(torch.int64)
    return (result, place) if value.dim() == rank + 2 else (result.squeeze(0), place.squeeze(0))


def _max_pool_backward(
    rank: int, upstream: Tensor, value: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int], ceil_mode: bool, places: Tensor,
) -> Tensor:  # fmt: skip
    batched = value if value.dim() == rank + 2 else value.unsqueeze(0)
    sent = upstream if value.dim() == rank + 2 else upstream.unsqueeze(0)
    chosen = (places if value.dim() == rank + 2 else places.unsqueeze(0)).to(value.dtype)
    kernel, dilation = _of_rank(kernel, rank), _of_rank(dilation, rank)
    stride, padding = _of_rank(stride, rank) if stride else kernel, _of_rank(padding, rank)
    space = batched.shape[2:]
    own = torch.arange(math.prod(space), dtype=value.dtype).reshape(1, 1, *space, *[1] * rank)
    names = backward_windows(chosen, space, kernel, stride, padding, dilation, -1.0)
    values = backward_windows(sent, space, kernel, stride, padding, dilation)
    result = torch.where(names == own, values, 0.0).sum(_last(rank))
    return result if value.dim() == rank + 2 else result.squeeze(0)


def _divisors(
    value: Tensor, kernel: list[int], stride: list[int], padding: list[int], more: list[int], counts_margin: bool,
    divisor: int | None,
) -> Tensor | float:  # fmt: skip
    if divisor is not None:
        return float(divisor)
    if not any(more) and (counts_margin or not any(padding)):
        return float(math.prod(kernel))
    inside = torch.ones((1, 1, *value.shape[2:]), dtype=value.dtype)
    counted = pad(inside, padding, padding, 1.0 if counts_margin else 0.0)
    return windows(pad(counted, [0] * len(more), more), kernel, stride, [1] * len(kernel)).sum(_last(len(kernel)))


def _avg_pool(
    rank: int, value: Tensor, kernel: Sequence[int], stride: Sequence[int] = (), padding: Sequence[int] = (0,),
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    batched, sizes, steps, margins, more = _pooling(rank, value, kernel, stride, padding, ceil_mode)
    found = windows(pad(batched, margins, _after(margins, more)), sizes, steps, [1] * rank)
    result = found.sum(_last(rank)) / _divisors(
        batched, sizes, steps, margins, more, count_include_pad, divisor_override
    )
    return result if value.dim() == rank + 2 else result.squeeze(0)


def _avg_pool_backward(
    rank: int, upstream: Tensor, value: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int],
    ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
) -> Tensor:  # fmt: skip
    batched, sizes, steps, margins, more = _pooling(rank, value, kernel, stride, padding, ceil_mode)
    sent = upstream if value.dim() == rank + 2 else upstream.unsqueeze(0)
    sent = sent / _divisors(batched, sizes, steps, margins, more, count_include_pad, divisor_override)
    result = backward_windows(sent, batched.shape[2:], sizes, steps, margins, [1] * rank).sum(_last(rank))
    return result if value.dim() == rank + 2 else result.squeeze(0)


def _adaptive_kernel(value: Tensor, size: Sequence[int]) -> list[int]:
    space = value.shape[value.dim() - len(size) :]
    if any(extent % count for extent, count in zip(space, size, strict=True)):
        raise NotImplementedError("adaptive maximum pooling into windows of several sizes")
    return [extent // count for extent, count in zip(space, size, strict=True)]


def _adaptive_max_pool(value: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    return _max_pool(2, value, _adaptive_kernel(value, size))


def _adaptive_max_pool_backward(upstream: Tensor, value: Tensor, places: Tensor) -> Tensor:
    kernel = _adaptive_kernel(value, upstream.shape[-2:])
    return _max_pool_backward(2, upstream, value, kernel, kernel, [0], [1], False, places)


def _last(rank: int) -> list[int]:
    return list(range(-rank, 0))


WINDOWS: dict[Any, Callable[..., Any]] = {
    aten.adaptive_max_pool2d.default: _adaptive_max_pool,
    aten.adaptive_max_pool2d_backward.default: _adaptive_max_pool_backward,
    aten.avg_pool2d.default: partial(_avg_pool, 2),
    aten.avg_pool2d_backward.default: partial(_avg_pool_backward, 2),
    aten.avg_pool3d.default: partial(_avg_pool, 3),
    aten.avg_pool3d_backward.default: partial(_avg_pool_backward, 3),
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
    aten.max_pool2d_with_indices.default: partial(_max_pool, 2),
    aten.max_pool2d_with_indices_backward.default: partial(_max_pool_backward, 2),
    aten.max_pool3d_with_indices.default: partial(_max_pool, 3),
    aten.max_pool3d_with_indices_backward.default: partial(_max_pool_backward, 3),
}
"""Convolutions and pooling, and their ways back."""
