"""Composite ATen ops written as simpler ones: PyTorch's own decompositions, and ours where it has none.

Convolutions and pooling become windows of a padded tensor (a view), products and sums, so that the compiler needs to
know none of them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions

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
    table: dict[Any, Callable[..., Any]] = dict(core_aten_decompositions())
    table.update(get_decompositions(_TORCHS))
    table.update(OURS)
    return table


def _addmm(bias: Tensor, left: Tensor, right: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    product = left @ right
    product = product if alpha == 1 else product * alpha
    return product + (bias if beta == 1 else bias * beta)


def _dimensions(value: Tensor, dim: Sequence[int] | None) -> list[int]:
    return [number % max(value.dim(), 1) for number in dim] if dim else list(range(value.dim()))


def _mean(value: Tensor, dim: Sequence[int] | None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    dimensions = _dimensions(value, dim)
    return value.sum(dimensions, keepdim) / math.prod(value.shape[number] for number in dimensions)


def _mean_of_all(value: Tensor, dtype: Any = None) -> Tensor:
    return value.sum() / value.numel()


def _var(
    value: Tensor, dim: Sequence[int] | None = None, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    return _var_mean(value, dim, correction=correction, keepdim=keepdim)[0]


def _var_mean(
    value: Tensor, dim: Sequence[int] | None = None, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    dimensions = _dimensions(value, dim)
    count = math.prod(value.shape[number] for number in dimensions)
    mean = value.sum(dimensions, True) / count
    deviation = value - mean
    square = (deviation * deviation).sum(dimensions, keepdim)
    return square / (count - (1 if correction is None else correction)), mean if keepdim else mean.squeeze(dimensions)


OURS: dict[Any, Callable[..., Any]] = {
    aten.addmm.default: _addmm,
    aten.mean.dim: _mean,
    aten.mean.default: _mean_of_all,
    aten.var.correction: _var,
    aten.var_mean.correction: _var_mean,
}
