"""Composite ATen ops written as simpler ones: PyTorch's own decompositions, and ours where it has none.

Convolutions and pooling become windows of a padded tensor (a view), products and sums, so that the compiler needs to
know none of them.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions

from chainrule.lanes.windows import WINDOWS

aten = torch.ops.aten

_TORCHS = (
    aten._log_softmax, aten._softmax, aten._log_softmax_backward_data, aten._softmax_backward_data,
    aten.native_layer_norm, aten.native_layer_norm_backward, aten.native_group_norm, aten.native_group_norm_backward,
    aten.native_batch_norm, aten._native_batch_norm_legit, aten.std, aten.baddbmm,
    aten.gelu, aten.gelu_backward, aten.elu, aten.elu_backward, aten.leaky_relu, aten.hardtanh, aten.embedding,
    aten.native_dropout, aten.hardtanh_backward,
)  # fmt: skip


def decomposition_table() -> dict[Any, Callable[..., Any]]:
    """Return which ops are traced as what."""
    return dict(_table())


@cache
def _table() -> dict[Any, Callable[..., Any]]:  # PyTorch looks its own up anew each time, which takes half a second
    table: dict[Any, Callable[..., Any]] = dict(core_aten_decompositions())
    table.update(get_decompositions(_TORCHS))
    table.update(OURS)
    return table


def _addmm(bias: Tensor, left: Tensor, right: Tensor, beta: float | int = 1, alpha: float | int = 1) -> Tensor:
    product = left @ right
    product = product if alpha == 1 else product * alpha
    return product + (bias if beta == 1 else bias * beta)


def _outer(left: Tensor, right: Tensor) -> Any:
    """A product that sums over one term is no sum."""
    return left * right if left.shape[1] == 1 else NotImplemented


def _dimensions(value: Tensor, dim: Sequence[int] | None) -> list[int]:
    return [number % max(value.dim(), 1) for number in dim] if dim else list(range(value.dim()))


def _mean(value: Tensor, dim: Sequence[int] | None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    dimensions = _dimensions(value, dim)
    return value.sum(dimensions, keepdim) / math.prod(value.shape[number] for number in dimensions)


def _mean_of_all(value: Tensor, dtype: Any = None) -> Tensor:
    return value.sum() / value.numel()


def _var(
    value: Tensor, dim: Sequence[int] | None = None, correction: float | int | None = None, keepdim: bool = False
) -> Tensor:
    return _var_mean(value, dim, correction=correction, keepdim=keepdim)[0]


def _var_mean(
    value: Tensor, dim: Sequence[int] | None = None, correction: float | int | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    dimensions = _dimensions(value, dim)
    count = math.prod(value.shape[number] for number in dimensions)
    mean = value.sum(dimensions, True) / count
    deviation = value - mean
    square = (deviation * deviation).sum(dimensions, keepdim)
    return square / (count - (1 if correction is None else correction)), mean if keepdim else mean.squeeze(dimensions)


def _max(value: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return _extreme(value, value.amax(dim, True), dim, keepdim)


def _min(value: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return _extreme(value, value.amin(dim, True), dim, keepdim)


def _extreme(value: Tensor, extreme: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """Return an extreme along a dimension, and its first place there."""
    number = torch.arange(value.shape[dim], dtype=value.dtype)
    number = number.reshape([-1 if place == dim % value.dim() else 1 for place in range(value.dim())])
    last = float(value.shape[dim] - 1)  # the place of a NaN, which equals nothing
    place = torch.where(value == extreme, number, last).amin(dim, True).to(torch.int64)
    return (extreme, place) if keepdim else (extreme.squeeze(dim), place.squeeze(dim))


def _vector_norm(
    value: Tensor,
    ord: float | int = 2,  # noqa: A002 - PyTorch's name, by which it is given
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    dimensions = _dimensions(value, dim)
    if ord == 2:
        return (value * value).sum(dimensions, keepdim).sqrt()
    if ord == 1:
        return value.abs().sum(dimensions, keepdim)
    if math.isinf(ord):
        return value.abs().amax(dimensions, keepdim) if ord > 0 else value.abs().amin(dimensions, keepdim)
    return (value.abs() ** ord).sum(dimensions, keepdim) ** (1 / ord)


def _written_over(
    base: Tensor, value: Tensor, size: Sequence[int], stride: Sequence[int], offset: int | None = None
) -> Tensor:
    """Write into the places of memory that strides name; a tensor of a graph lies there in its own order."""
    places = [offset or 0]
    for extent, step in zip(size, stride, strict=True):
        places = [place + number * step for place in places for number in range(extent)]
    if places == list(range(base.numel())):
        return value.reshape(base.shape)
    return base.flatten().scatter(0, torch.tensor(places), value.flatten()).reshape(base.shape)


def _exponential(value: Tensor, rate: float | int = 1.0, generator: Any = None) -> Tensor:
    return -torch.log1p(-torch.rand_like(value)) / rate


def _trilinear(
    one: Tensor, two: Tensor, three: Tensor, expand_one: Sequence[int], expand_two: Sequence[int],
    expand_three: Sequence[int], summed: Sequence[int], unroll_dim: int = 1,
) -> Tensor:  # fmt: skip
    for dimension in expand_one:
        one = one.unsqueeze(dimension)
    for dimension in expand_two:
        two = two.unsqueeze(dimension)
    for dimension in expand_three:
        three = three.unsqueeze(dimension)
    return (one * two * three).sum(list(summed))


def _hardshrink_backward(upstream: Tensor, value: Tensor, lambd: float | int) -> Tensor:
    return torch.where((value >= -lambd) & (value <= lambd), 0.0, upstream)


def _hardsigmoid_backward(upstream: Tensor, value: Tensor) -> Tensor:
    sixth = 0.1666666716337204  # PyTorch's kernel has the sixth of float32 in every precision
    return torch.where((value > -3.0) & (value < 3.0), upstream * sixth, 0.0)


def _bernoulli(value: Tensor, p: float = 0.5, generator: Any = None) -> Tensor:
    return (torch.rand_like(value) < p).to(value.dtype)


def _rrelu(
    value: Tensor,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Any = None,
) -> tuple[Tensor, Tensor]:
    if not training:
        return torch.where(value <= 0, value * ((lower + upper) / 2), value), noise
    drawn = torch.rand_like(value) * (upper - lower) + lower
    noise = torch.where(value <= 0, drawn, 1.0)
    return value * noise, noise


def _rrelu_backward(
    upstream: Tensor, value: Tensor, noise: Tensor, lower: float, upper: float, training: bool, is_result: bool
) -> Tensor:
    if not training:
        return torch.where(value <= 0, upstream * ((lower + upper) / 2), upstream)
    return upstream * noise


OURS: dict[Any, Callable[..., Any]] = {
    aten._trilinear.default: _trilinear,
    aten.addmm.default: _addmm,
    aten.as_strided_scatter.default: _written_over,
    aten.bernoulli.p: _bernoulli,
    aten.exponential.default: _exponential,
    aten.hardshrink_backward.default: _hardshrink_backward,
    aten.hardsigmoid_backward.default: _hardsigmoid_backward,
    aten.linalg_vector_norm.default: _vector_norm,
    aten.max.dim: _max,
    aten.mean.default: _mean_of_all,
    aten.mean.dim: _mean,
    aten.min.dim: _min,
    aten.mm.default: _outer,
    aten.rrelu_with_noise_backward.default: _rrelu_backward,
    aten.rrelu_with_noise_functional.default: _rrelu,
    aten.softshrink_backward.default: _hardshrink_backward,
    aten.var.correction: _var,
    aten.var_mean.correction: _var_mean,
    **WINDOWS,
}
"""What is traced in another way than PyTorch decomposes it, or where PyTorch does not."""
