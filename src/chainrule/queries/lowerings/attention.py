"""Scaled dot-product attention."""

import math

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import Lowering, Real, unseen


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: Real = 0.0,
    is_causal: bool = False,
    scale: Real | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Y = softmax(scale · q kᵀ + mask) v, over the last two dimensions (positions, features).

    A query whose keys are all masked attends to nothing: its probabilities are 0, as they are in the kernels.
    """
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = torch.matmul(query, key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    hidden = _hidden(scores, attn_mask, is_causal)
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        scores = scores + attn_mask
    nowhere: Tensor | None = None
    if hidden is not None:
        with unseen():
            nowhere = hidden.all(-1, keepdim=True)
            if not bool(nowhere.any()):
                nowhere = None
            else:
                hidden = hidden & ~nowhere
        if attn_mask is None or attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(hidden, -torch.inf)
    if nowhere is not None:
        scores = scores.masked_fill(nowhere, 0.0)
    probabilities = torch.softmax(scores, -1)
    if nowhere is not None:
        probabilities = probabilities.masked_fill(nowhere, 0.0)
    if dropout_p > 0.0:
        probabilities = torch.dropout(probabilities, dropout_p, True)
    return torch.matmul(probabilities, value)


def _hidden(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor | None:
    """Return which keys are hidden from which queries, or None when none are."""
    with unseen():
        if is_causal:
            return torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril().logical_not()
        if mask is None:
            return None
        return mask.logical_not() if mask.dtype == torch.bool else mask == -torch.inf


ATTENTION = (Lowering(("torch.nn.functional.scaled_dot_product_attention",), _attention),)
