"""The largest eigenvalue of a symmetric matrix that is known by its products with vectors only."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from chainrule.shapes import Float, Tensor

_KEPT_NUMBERS: Final = 50_000_000
"""So many numbers of basis vectors are kept. Beyond, the basis drifts; the largest value is found all the same."""
_INVARIANT: Final = 1e-10  # the basis spans an invariant space: its next vector is rounding


@dataclass(frozen=True, slots=True)
class Extremes:
    """The ends of a spectrum, as far as they are known.

    Attributes:
        largest: NaN where a product was not finite.
        smallest: from inside, and less well known.
        residual: of the largest, over its absolute value.
        products: that it took.
    """

    largest: float
    smallest: float
    residual: float
    products: int


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor],
    first: Float[Tensor, " size"],
    *,
    tolerance: float,
    products: int,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Extremes:
    """Return the largest eigenvalue of a symmetric matrix that is known by its products with vectors (Lanczos).

    The tridiagonal matrix T of the basis q₁ … q_k has eigenvalues (Ritz values) that approach the matrix's from
    inside. With T·s = θ·s, the residual of θ is |t_{k+1,k} · s_k|, and θ is off by at most that, by about its square
    where the next eigenvalue is far.

    Args:
        product: from v to A·v; of a matrix that is not zero in every direction.
        first: a direction that is not orthogonal to the eigenvector; a drawn one almost surely is not.
        tolerance: the residual over |θ| that ends it.
        products: at most.
        may_go_on: asked before each product.
    """
    keeps_basis = first.numel() * products <= _KEPT_NUMBERS
    basis = [first / first.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    value, smallest, residual = math.nan, math.nan, math.inf
    while len(diagonal) < products and may_go_on():
        vector = basis[-1]
        image = product(vector)
        diagonal.append(float(vector @ image))
        image = image - diagonal[-1] * vector
        if len(basis) > 1:
            image = image - beside[-1] * basis[-2]
        if keeps_basis:
            rows = torch.stack(basis)
            image = image - rows.T @ (rows @ image)
        beside.append(float(image.norm()))
        if not math.isfinite(diagonal[-1]) or not math.isfinite(beside[-1]):
            return Extremes(math.nan, math.nan, math.inf, len(diagonal))
        tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
        tridiagonal += torch.diag(torch.tensor(beside[:-1], dtype=torch.float64), 1)
        tridiagonal += torch.diag(torch.tensor(beside[:-1], dtype=torch.float64), -1)
        values, vectors = torch.linalg.eigh(tridiagonal)
        value, smallest = float(values[-1]), float(values[0])
        size = abs(value) or 1.0
        residual = beside[-1] * abs(float(vectors[-1, -1])) / size
        if residual <= tolerance or beside[-1] <= _INVARIANT * size or len(diagonal) == first.numel():
            residual = min(residual, 1.0) if len(diagonal) < first.numel() else 0.0
            break
        basis = [*basis, image / beside[-1]] if keeps_basis else [basis[-1], image / beside[-1]]
    return Extremes(value, smallest, residual, len(diagonal))
