"""Losses of classes: negative log-likelihood and cross-entropy, for indices and for probabilities."""

import torch
from torch import Tensor, nn

from chainrule.queries.lowerings.lowering import Lowering, Real, unseen
from chainrule.queries.lowerings.reducing import reduced, reduction_of


def _nll_loss(
    input: Tensor,  # noqa: A002  # torch's name
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """−w[t]·x[t] for each sample's class t, 0 where it is ignored; the mean is over the sum of the weights."""
    kind = reduction_of(reduction, size_average, reduce)
    dim = _class_dim(input)
    with unseen():
        is_ignored = target == ignore_index
        some_ignored = bool(is_ignored.any())
        classes = target.masked_fill(is_ignored, 0) if some_ignored else target
        count = float(classes.numel() - int(is_ignored.sum()))
    losses = -input.gather(dim, classes.unsqueeze(dim)).squeeze(dim)
    weights = None
    if weight is not None:
        weights = weight[classes]
        if some_ignored:
            weights = weights.masked_fill(is_ignored, 0.0)
        losses = losses * weights
    if some_ignored:
        losses = losses.masked_fill(is_ignored, 0.0)
    if kind != "mean":
        return reduced(losses, kind)
    return torch.sum(losses) / (_divisor(losses, count) if weights is None else torch.sum(weights))


def _cross_entropy(
    input: Tensor,  # noqa: A002
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: Real = 0.0,
) -> Tensor:
    """−Σ_c q[c]·log p[c], with p = softmax x and q the target: an index, or probabilities."""
    kind = reduction_of(reduction, size_average, reduce)
    dim = _class_dim(input)
    logarithms = nn.functional.log_softmax(input, dim)
    if target.dim() == input.dim() and target.is_floating_point():
        return _against_probabilities(logarithms, target, weight, kind, label_smoothing)
    likelihood = nn.functional.nll_loss(logarithms, target, weight, ignore_index=ignore_index, reduction=kind)
    if label_smoothing == 0.0:
        return likelihood
    spread = _spread_evenly(logarithms, target, weight, ignore_index, kind)
    return (1 - label_smoothing) * likelihood + label_smoothing / input.shape[dim] * spread


def _against_probabilities(
    logarithms: Tensor, target: Tensor, weight: Tensor | None, kind: str, label_smoothing: Real
) -> Tensor:
    dim = _class_dim(logarithms)
    if label_smoothing > 0.0:
        target = target * (1 - label_smoothing) + label_smoothing / logarithms.shape[dim]
    products = logarithms * target
    if weight is not None:
        products = products * _of_classes(weight, logarithms)
    if kind == "none":
        return -products.sum(dim)
    total = -products.sum()
    return total / (logarithms.numel() / logarithms.shape[dim]) if kind == "mean" else total


def _spread_evenly(logarithms: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, kind: str) -> Tensor:
    """Return −Σ_c w[c]·log p[c], reduced: what label smoothing adds for all classes alike."""
    dim = _class_dim(logarithms)
    with unseen():
        is_ignored = target == ignore_index
        classes = target.masked_fill(is_ignored, 0)
        count = float(classes.numel() - int(is_ignored.sum()))
    losses = -(logarithms if weight is None else logarithms * _of_classes(weight, logarithms)).sum(dim)
    if count < target.numel():
        losses = losses.masked_fill(is_ignored, 0.0)
    if kind != "mean":
        return reduced(losses, kind)
    if weight is None:
        return torch.sum(losses) / _divisor(losses, count)
    return torch.sum(losses) / torch.sum(weight[classes].masked_fill(is_ignored, 0.0))


def _divisor(losses: Tensor, count: float) -> float | Tensor:
    """Return a count to divide by; 0 as a tensor, because 0/0 is NaN in torch and an error in Python."""
    if count:
        return count
    with unseen():
        return torch.zeros((), dtype=losses.dtype, device=losses.device)


def _class_dim(values: Tensor) -> int:
    return 1 if values.dim() > 1 else 0


def _of_classes(weight: Tensor, values: Tensor) -> Tensor:
    return weight if values.dim() == 1 else weight.reshape(1, -1, *[1] * (values.dim() - 2))


CLASSIFICATION = (
    Lowering(("torch.nn.functional.nll_loss",), _nll_loss),
    Lowering(("torch.nn.functional.cross_entropy",), _cross_entropy),
)
