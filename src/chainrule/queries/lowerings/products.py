"""Products: linear and bilinear maps, and embedding, which is a product with one-hot vectors."""

from typing import Any

import torch
from torch import Tensor

from chainrule.queries.lowerings.lowering import Lowering, Real


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002  # torch's name
    """y[n,o] = Σᵢ x[n,i]·W[o,i] + b[o]."""
    product = torch.matmul(input, weight.t())
    return product if bias is None else product + bias


def _addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Real = 1, alpha: Real = 1) -> Tensor:  # noqa: A002
    """β·b + α·(X Z)."""
    product = torch.matmul(mat1, mat2)
    product = product if alpha == 1 else alpha * product
    if beta == 0:
        return product
    return (input if beta == 1 else beta * input) + product


def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[n,o] = Σᵢⱼ x[n,i]·W[o,i,j]·z[n,j] + b[o]."""
    inner = torch.matmul(input1.unsqueeze(-2).unsqueeze(-2), weight).squeeze(-2)
    product = (inner * input2.unsqueeze(-2)).sum(-1)
    return product if bias is None else product + bias


def _embedding(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: Real | None = None,
    norm_type: Real = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[n,·] = W[index[n],·]; the row of the padding index gets no gradient."""
    rows = weight[input]
    if padding_idx is None:
        return rows
    is_padding = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
    return torch.where(is_padding, rows.detach(), rows)


def _refuses_embedding(
    _input: Any,
    _weight: Any,
    _padding_idx: int | None = None,
    max_norm: Real | None = None,
    norm_type: Real = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
    **_named: Any,
) -> str:
    if max_norm is not None:
        return "With max_norm it shortens rows of its weight in place before it reads them."
    if scale_grad_by_freq:
        return "With scale_grad_by_freq its gradient is not the derivative of what it computes."
    return ""


PRODUCTS = (
    Lowering(("torch.nn.functional.linear",), _linear),
    Lowering(("torch.nn.functional.bilinear",), _bilinear),
    Lowering(("torch.addmm", "torch.Tensor.addmm", "torch.baddbmm", "torch.Tensor.baddbmm"), _addmm),
    Lowering(("torch.nn.functional.embedding",), _embedding, _refuses_embedding),
)
