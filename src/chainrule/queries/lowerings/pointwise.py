"""Activations that are made of simpler functions, element by element."""

import math

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import Lowering, Real


def _gelu(input: Tensor, approximate: str = "none") -> Tensor:  # noqa: A002  # torch's name
    """x·Φ(x) with Φ(x) = (1 + erf(x/√2))/2, or its approximation by tanh."""
    if approximate == "none":
        return input * ((1 + torch.erf(input / math.sqrt(2))) / 2)
    inner = math.sqrt(2 / math.pi) * (input + 0.044715 * (input * input * input))
    return input * ((1 + torch.tanh(inner)) / 2)


def _silu(input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002
    return input * torch.sigmoid(input)


def _softplus(input: Tensor, beta: Real = 1.0, threshold: Real = 20.0) -> Tensor:  # noqa: A002
    """log(1 + exp(βx))/β, and x itself where βx is above the threshold."""
    is_large = input * beta > threshold
    small = input.masked_fill(is_large, 0.0)  # so that exp overflows nowhere, not even where it is not taken
    return torch.where(is_large, input, torch.log1p(torch.exp(small * beta)) / beta)


def _mish(input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002
    return input * torch.tanh(torch.nn.functional.softplus(input))


def _log_sigmoid(input: Tensor) -> Tensor:  # noqa: A002
    """min(x, 0) − log(1 + exp(−|x|)); at 0 the derivative of the minimum is 1/2 and that of |x| is 0."""
    return torch.minimum(input, torch.zeros_like(input)) - torch.log1p(torch.exp(-torch.abs(input)))


def _glu(input: Tensor, dim: int = -1) -> Tensor:  # noqa: A002
    first, second = input.chunk(2, dim)
    return first * torch.sigmoid(second)


def _elu(input: Tensor, alpha: Real = 1.0, inplace: bool = False) -> Tensor:  # noqa: A002
    """X where it is positive, else α(exp x − 1)."""
    is_positive = input > 0
    return torch.where(is_positive, input, alpha * torch.expm1(input.masked_fill(is_positive, 0.0)))


def _celu(input: Tensor, alpha: Real = 1.0, inplace: bool = False) -> Tensor:  # noqa: A002
    """X where it is positive, else α(exp(x/α) − 1)."""
    is_positive = input > 0
    return torch.where(is_positive, input, alpha * torch.expm1(input.masked_fill(is_positive, 0.0) / alpha))


def _selu(input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002
    """λ·elu(x, α), with the two constants of Klambauer et al. 2017."""
    return 1.0507009873554804934193349852946 * torch.nn.functional.elu(input, 1.6732632423543772848170429916717)


def _hardswish(input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002
    """x·relu6(x + 3)/6."""
    return input * torch.nn.functional.relu6(input + 3) / 6


POINTWISE = (
    Lowering(("torch.nn.functional.gelu",), _gelu),
    Lowering(("torch.nn.functional.silu",), _silu),
    Lowering(("torch.nn.functional.softplus",), _softplus),
    Lowering(("torch.nn.functional.mish",), _mish),
    Lowering(("torch.nn.functional.logsigmoid", "log_sigmoid"), _log_sigmoid),
    Lowering(("torch.nn.functional.glu",), _glu),
    Lowering(("torch.nn.functional.elu",), _elu),
    Lowering(("torch.nn.functional.celu",), _celu),
    Lowering(("torch.nn.functional.selu", "torch.selu"), _selu),
    Lowering(("torch.nn.functional.hardswish",), _hardswish),
)
