"""Softmax and its relatives, and dropout: what makes and thins out probabilities."""

import torch
from torch import Tensor, nn

from chainrule.queries.lowerings.lowering import Lowering, Real, unseen


def _legacy_dim(dimensions: int) -> int:
    """Return the dimension that torch takes when none is given (it warns of it)."""
    return 0 if dimensions in (0, 1, 3) else 1


def _softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:  # noqa: A002
    """p[c] = exp(x[c] − m) / Σ_k exp(x[k] − m), with m = max x, a constant."""
    values = input if dtype is None else input.to(dtype)
    largest = values.detach().amax(dim, keepdim=True)
    powers = torch.exp(values - largest)
    return powers / powers.sum(dim, keepdim=True)


def _log_softmax(input: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:  # noqa: A002
    """Log p[c] = (x[c] − m) − log Σ_k exp(x[k] − m), with m = max x, a constant."""
    values = input if dtype is None else input.to(dtype)
    shifted = values - values.detach().amax(dim, keepdim=True)
    return shifted - torch.log(torch.exp(shifted).sum(dim, keepdim=True))


def _functional_softmax(
    input: Tensor,  # noqa: A002
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> Tensor:
    return _softmax(input, _legacy_dim(input.dim()) if dim is None else dim, dtype)


def _functional_log_softmax(
    input: Tensor,  # noqa: A002
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> Tensor:
    return _log_softmax(input, _legacy_dim(input.dim()) if dim is None else dim, dtype)


def _functional_softmin(
    input: Tensor,  # noqa: A002
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: torch.dtype | None = None,
) -> Tensor:
    return _functional_softmax(-input, dim, dtype=dtype)


def _logsumexp(input: Tensor, dim: int | tuple[int, ...], keepdim: bool = False) -> Tensor:  # noqa: A002
    """Y = m + log Σ_k exp(x[k] − m), with m = max x, a constant; 0 where the largest is not finite."""
    largest = input.detach().amax(dim, keepdim=True)
    with unseen():
        largest = largest.masked_fill(largest.abs() == torch.inf, 0)
    total = torch.log(torch.exp(input - largest).sum(dim, keepdim=True)) + largest
    if keepdim:
        return total
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    return total.squeeze(dims)


def _dropout(input: Tensor, p: Real = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: A002
    """Y = x · mask / (1 − p), where mask is 1 with probability 1 − p; the mask is drawn again from the same state."""
    if not training or p == 0.0:
        return input * 1.0
    if p == 1.0:
        return input * 0.0
    if input.device.type == "cuda":
        # The fused kernel draws four numbers for each of its threads: no other call draws those again.
        with unseen():
            kept = nn.functional.dropout(torch.ones_like(input), p, training=True) != 0
            mask = kept.to(input.dtype)
    else:
        with unseen():
            mask = torch.empty_like(input).bernoulli_(1 - p)
    return input * (mask / (1 - p))


PROBABILITIES = (
    Lowering(("torch.softmax", "torch.Tensor.softmax"), _softmax),
    Lowering(("torch.log_softmax", "torch.Tensor.log_softmax"), _log_softmax),
    Lowering(("torch.nn.functional.softmax",), _functional_softmax),
    Lowering(("torch.nn.functional.log_softmax",), _functional_log_softmax),
    Lowering(("torch.nn.functional.softmin",), _functional_softmin),
    Lowering(("torch.logsumexp", "torch.Tensor.logsumexp"), _logsumexp),
    Lowering(("torch.nn.functional.dropout", "torch.dropout"), _dropout),
)
