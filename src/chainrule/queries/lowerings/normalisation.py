"""Normalisations: subtract a mean, divide by a spread, then scale and shift.

What batch and instance norm write into their running statistics lies beside the path to the loss, and is left out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import Lowering, Real


def _standardised(values: Tensor, dims: tuple[int, ...], eps: Real) -> Tensor:
    """(x − μ) / √(σ² + ε), with μ and σ² = mean (x − μ)² over some dimensions."""
    centred = values - values.mean(dims, keepdim=True)
    variance = (centred * centred).mean(dims, keepdim=True)
    return centred / torch.sqrt(variance + eps)


def _scaled(values: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        values = values * weight
    return values if bias is None else values + bias


def _of_channels(parameter: Tensor | None, dimensions: int) -> Tensor | None:
    """Give a number for each channel the shape in which it broadcasts over (batch, channels, ...)."""
    return None if parameter is None else parameter.reshape(1, -1, *[1] * (dimensions - 2))


def _layer_norm(
    input: Tensor,  # noqa: A002  # torch's name
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: Real = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    dims = tuple(range(-len(normalized_shape), 0))
    return _scaled(_standardised(input, dims, eps), weight, bias)


def _rms_norm(
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: Real | None = None,
) -> Tensor:
    """Y = x / √(mean x² + ε) · weight; without ε, that of the dtype."""
    dims = tuple(range(-len(normalized_shape), 0))
    mean_square = (input * input).mean(dims, keepdim=True)
    small = torch.finfo(input.dtype).eps if eps is None else eps
    return _scaled(input / torch.sqrt(mean_square + small), weight, None)


def _batch_norm(
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: Real = 0.1,
    eps: Real = 1e-5,
) -> Tensor:
    if training or running_mean is None or running_var is None:
        normal = _standardised(input, (0, *range(2, input.dim())), eps)
    else:
        normal = _by_running_statistics(input, running_mean, running_var, eps)
    return _scaled(normal, _of_channels(weight, input.dim()), _of_channels(bias, input.dim()))


def _instance_norm(
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: Real = 0.1,
    eps: Real = 1e-5,
) -> Tensor:
    if use_input_stats or running_mean is None or running_var is None:
        normal = _standardised(input, tuple(range(2, input.dim())), eps)
    else:
        normal = _by_running_statistics(input, running_mean, running_var, eps)
    return _scaled(normal, _of_channels(weight, input.dim()), _of_channels(bias, input.dim()))


def _by_running_statistics(values: Tensor, mean: Tensor, variance: Tensor, eps: Real) -> Tensor:
    shape = (1, -1, *[1] * (values.dim() - 2))
    return (values - mean.reshape(shape)) / torch.sqrt(variance.reshape(shape) + eps)


def _group_norm(
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: Real = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    groups = input.reshape(input.shape[0], num_groups, -1)
    normal = _standardised(groups, (-1,), eps).reshape(input.shape)
    return _scaled(normal, _of_channels(weight, input.dim()), _of_channels(bias, input.dim()))


NORMALISATION = (
    Lowering(("torch.nn.functional.layer_norm", "torch.layer_norm"), _layer_norm),
    Lowering(("torch.nn.functional.rms_norm",), _rms_norm),
    Lowering(("torch.nn.functional.batch_norm",), _batch_norm),
    Lowering(("torch.nn.functional.instance_norm",), _instance_norm),
    Lowering(("torch.nn.functional.group_norm", "torch.group_norm"), _group_norm),
)
