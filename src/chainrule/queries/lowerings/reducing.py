"""The reduction at the end of a loss."""

import torch
from torch import Tensor


def reduction_of(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """Return "mean", "sum" or "none"; torch's two older arguments win where they are given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """Return the losses' mean, their sum, or themselves."""
    if reduction == "mean":
        return torch.mean(losses)
    return torch.sum(losses) if reduction == "sum" else losses
