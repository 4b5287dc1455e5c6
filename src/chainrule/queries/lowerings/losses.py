"""Losses, element by element and then reduced."""

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import Lowering, Real, Refusal, unseen
from chainrule.queries.lowerings.reducing import reduced, reduction_of

_SMALLEST_VARIANCE = 1e-12  # of a probability: torch divides by at least that in the derivative


def _mse_loss(
    input: Tensor,  # noqa: A002  # torch's name
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    difference = input - target
    return _weighted(difference * difference, weight, reduction_of(reduction, size_average, reduce))


def _l1_loss(
    input: Tensor,  # noqa: A002
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    return _weighted(torch.abs(input - target), weight, reduction_of(reduction, size_average, reduce))


def _weighted(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduced(losses, reduction)
    total = losses * weight
    return torch.sum(total) / torch.sum(weight) if reduction == "mean" else reduced(total, reduction)


def _huber_loss(
    input: Tensor,  # noqa: A002
    target: Tensor,
    reduction: str = "mean",
    delta: Real = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d²/2 where |d| < δ, else δ(|d| − δ/2)."""
    difference = input - target
    size = torch.abs(difference)
    losses = torch.where(size < delta, difference * difference / 2, delta * (size - delta / 2))
    return reduced(losses if weight is None else losses * weight, reduction)


def _smooth_l1_loss(
    input: Tensor,  # noqa: A002
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: Real = 1.0,
) -> Tensor:
    """d²/2β where |d| < β, else |d| − β/2."""
    difference = input - target
    size = torch.abs(difference)
    losses = size
    if beta > 0:
        losses = torch.where(size < beta, difference * difference / (2 * beta), size - beta / 2)
    return reduced(losses, reduction_of(reduction, size_average, reduce))


def _binary_cross_entropy(
    input: Tensor,  # noqa: A002
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """−(t log p + (1 − t) log(1 − p)), each logarithm at least −100."""
    with unseen():
        too_sure = bool((input.detach() * (1 - input.detach()) < _SMALLEST_VARIANCE).any())
    if too_sure:
        raise Refusal(
            "A probability among its inputs is 0 or 1: there the kernel's derivative is a convention of its own and "
            "not the derivative of the formula."
        )
    losses = -(target * torch.log(input).clamp(min=-100) + (1 - target) * torch.log(1 - input).clamp(min=-100))
    return reduced(losses if weight is None else losses * weight, reduction_of(reduction, size_average, reduce))


def _binary_cross_entropy_with_logits(
    input: Tensor,  # noqa: A002
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """(1 − t)x − (1 + (w − 1)t) log σ(x), with the weight w of the positive class."""
    logarithm = torch.nn.functional.logsigmoid(input)
    if pos_weight is not None:
        logarithm = (1 + (pos_weight - 1) * target) * logarithm
    losses = (1 - target) * input - logarithm
    return reduced(losses if weight is None else losses * weight, reduction_of(reduction, size_average, reduce))


def _kl_div(
    input: Tensor,  # noqa: A002
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t(log t − x), with 0·log 0 = 0; the input x is a logarithm already."""
    losses = _divergence(input, target, log_target)
    kind = reduction_of(reduction, size_average, reduce)
    if kind == "batchmean":
        return losses.sum() / (input.shape[0] if input.dim() else 1)
    return reduced(losses, kind)


def _divergence(values: Tensor, target: Tensor, log_target: bool) -> Tensor:
    if log_target:
        return torch.exp(target) * (target - values)
    return torch.xlogy(target, target) - target * values


LOSSES = (
    Lowering(("torch.nn.functional.mse_loss",), _mse_loss),
    Lowering(("torch.nn.functional.l1_loss",), _l1_loss),
    Lowering(("torch.nn.functional.huber_loss",), _huber_loss),
    Lowering(("torch.nn.functional.smooth_l1_loss",), _smooth_l1_loss),
    Lowering(("torch.nn.functional.binary_cross_entropy",), _binary_cross_entropy),
    Lowering(("torch.nn.functional.binary_cross_entropy_with_logits",), _binary_cross_entropy_with_logits),
    Lowering(("torch.nn.functional.kl_div",), _kl_div),
)
