"""The rate above which an optimizer leaves a minimum of the loss's quadratic model.

The largest curvature λ comes from the Lanczos method (`lanczos`) on Hessian-vector products: H·v is the derivative of
∇L·v. What the optimizer makes of it stands in `recursions`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.autograd.graph import Node
from torch.nn.attention import SDPBackend, sdpa_kernel

from chainrule.probes.budget import GRADIENT, HESSIAN_PRODUCT, Budget
from chainrule.probes.found_rate import StabilityLimit
from chainrule.probes.lanczos import largest_eigenvalue
from chainrule.probes.recursions import recursion_of, unknown_recursion
from chainrule.probes.subject import Subject
from chainrule.shapes import Tensor

PURPOSE: Final = "stability limit"
_QUADRATIC: Final = 1e-4  # of float32's products; a network that is not quadratic differs by far more
_EXACT: Final = 1e-6  # residual of the eigenvalue where the limit is exact; its own error is smaller
_PRODUCTS_EXACT: Final = 200
_ONCE: Final = "torch::autograd::Error"  # the node that torch puts where a derivative must not go on


@dataclass(frozen=True, slots=True)
class NoLimit:
    """Why there is no stability limit, as a sentence."""

    reason: str


def stability_limit(
    subject: Subject,
    batches: Sequence[Any],
    budget: Budget,
    *,
    tolerance: float = 1e-2,
    products: int = 30,
    seed: int = 0,
) -> StabilityLimit | NoLimit:
    """Compute the largest rate that is stable at the model's present weights, for the mean loss of some batches.

    Use it inside `restored`: forward passes move buffers and draw random numbers. It ends when the budget is spent,
    and says by its residual how far it came. Where the loss is quadratic and the batch is all data, the limit is exact
    for the whole training, and is computed until its residual is 1e-6.

    Args:
        subject: what is probed.
        batches: whose mean loss is looked at; for a full batch, this one.
        budget: pays for the gradients and products.
        tolerance: relative residual at which the eigenvalue is good enough.
        products: Hessian-vector products at most.
        seed: of the first direction.

    Returns:
        The limit, or why there is none: the optimizer's recursion is not known, the loss has no positive curvature or
        cannot be differentiated twice, or the budget does not allow for it.
    """
    needed = len(batches) * (GRADIENT + 2 * HESSIAN_PRODUCT)
    if not budget.allows(needed):
        return NoLimit(
            f"Not computed: it takes at least {needed:g} gradient evaluations, and {budget.left:g} are left."
        )
    if reason := unknown_recursion(subject.optimizer):
        return NoLimit(reason)
    try:
        # The fused attention kernels have no second derivative; the plain one has.
        with sdpa_kernel(SDPBackend.MATH):
            return _limit(subject, batches, budget, tolerance, products, seed)
    except (RuntimeError, NotImplementedError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return NoLimit(f"Not computed: the loss cannot be differentiated twice; torch says: {lines[0]}")


def _limit(
    subject: Subject, batches: Sequence[Any], budget: Budget, tolerance: float, products: int, seed: int
) -> StabilityLimit | NoLimit:
    weights = subject.trained
    wide = torch.float32 if weights[0].device.type == "mps" else torch.float64  # MPS has no float64
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(sum(weight.numel() for weight in weights), generator=generator, dtype=torch.float64)
    first = (first / first.norm()).to(weights[0].device, wide)
    # Only SGD's recursion stays what it is while it trains; its D is that of the groups' rates.
    far = _far_product(subject, batches, budget, first, generator) if _may_be_exact(subject, budget, batches) else None
    budget.spend(len(batches) * GRADIENT, PURPOSE)
    graphs = [_gradient(subject, batch) for batch in batches]
    if any(_is_cut(gradient) for gradient in graphs):
        return NoLimit("Not computed: an autograd.Function of the model says that it can be differentiated once only.")
    gradients = torch.stack([_flat(gradient, wide) for gradient in graphs])
    if not bool(gradients.isfinite().all()):
        return NoLimit("Not computed: the gradient at the present weights is not finite.")
    recursion = recursion_of(subject.optimizer, weights, gradients.square().mean(dim=0), len(batches), wide)
    root = recursion.scale.sqrt()

    def hessian_product(direction: Tensor) -> Tensor:
        budget.spend(len(batches) * HESSIAN_PRODUCT, PURPOSE)
        return _product(graphs, weights, direction)

    def product(direction: Tensor) -> Tensor:
        scaled = root * direction
        return root * (hessian_product(scaled) + recursion.ridge * scaled) + recursion.shift * direction

    here = None if far is None else hessian_product(first)
    is_quadratic = far is not None and here is not None and bool((far - here).norm() <= _QUADRATIC * here.norm())
    found = largest_eigenvalue(
        product,
        first,
        tolerance=_EXACT if is_quadratic else tolerance,
        products=max(products, _PRODUCTS_EXACT) if is_quadratic else products,
        may_go_on=lambda: budget.allows(len(batches) * HESSIAN_PRODUCT),
    )
    if not math.isfinite(found.largest):
        return NoLimit("Not computed: the Hessian at the present weights is not finite.")
    if found.largest <= 0:
        return NoLimit("There is none at the present weights: the loss curves upwards in no direction.")
    is_convex = found.smallest >= -_QUADRATIC * found.largest
    is_exact = is_quadratic and is_convex and recursion.is_constant and found.residual <= _EXACT
    words = [_meaning(is_exact, subject.is_full_batch, len(batches)), recursion.words]
    return StabilityLimit(
        limit=2 / (recursion.factor * found.largest),
        curvature=found.largest,
        formula=recursion.formula,
        is_exact=is_exact,
        residual=found.residual,
        products=found.products,
        batches=len(batches),
        words=" ".join(word for word in words if word),
    )


def _meaning(is_exact: bool, is_full_batch: bool, batches: int) -> str:
    if is_exact:
        return (
            "The loss is quadratic in the weights and every update sees all data, so this is exact for the whole "
            "training: below it the loss converges, above it it diverges."
        )
    of = "the full batch" if is_full_batch else "one batch" if batches == 1 else f"the mean loss of {batches} batches"
    return (
        f"For {of} at the initial weights: above it the first updates go uphill along the steepest curvature. "
        "Training then often finds flatter weights, so a larger rate may still train."
    )


# Hessian-vector products


def _gradient(subject: Subject, batch: Any) -> list[Tensor]:
    """Return ∇L of a batch with its graph; zeros for what does not take part."""
    weights = subject.trained
    with torch.enable_grad():
        found = torch.autograd.grad(subject.loss(batch), weights, create_graph=True, allow_unused=True)
    return _filled(found, weights)


def _product(graphs: list[list[Tensor]], weights: list[torch.nn.Parameter], direction: Tensor) -> Tensor:
    """Return H·v of the mean loss: the derivative of ∇L·v, for v of all trained numbers in a row."""
    parts = torch.split(direction, [weight.numel() for weight in weights])
    shaped = [part.view_as(weight).to(weight.dtype) for part, weight in zip(parts, weights, strict=True)]
    total = torch.zeros_like(direction)
    for gradients in graphs:
        # A gradient without a graph does not depend on the weights: a loss that is linear in them.
        curved = [(one, part) for one, part in zip(gradients, shaped, strict=True) if one.requires_grad]
        if curved:
            ends, along = [one for one, _ in curved], [part for _, part in curved]
            found = torch.autograd.grad(ends, weights, along, retain_graph=True, allow_unused=True)
            total += _flat(_filled(found, weights), direction.dtype)
    return total / len(graphs)


def _is_cut(gradients: list[Tensor]) -> bool:
    """Whether the graph of a gradient ends at a Function that is marked `once_differentiable`.

    torch raises when it passes such an end, and it passes none that does not lead to the weights: a second derivative
    that is missing would be taken for zero.
    """
    seen: set[Node] = set()
    waiting = [gradient.grad_fn for gradient in gradients]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            if node.name() == _ONCE:
                return True
            seen.add(node)
            waiting += [below for below, _ in node.next_functions]
    return False


def _filled(found: Sequence[Tensor | None], weights: list[torch.nn.Parameter]) -> list[Tensor]:
    return [torch.zeros_like(weight) if one is None else one for weight, one in zip(weights, found, strict=True)]


def _flat(tensors: Sequence[Tensor], wide: torch.dtype) -> Tensor:
    return torch.cat([tensor.detach().to(wide).flatten() for tensor in tensors])


def _may_be_exact(subject: Subject, budget: Budget, batches: Sequence[Any]) -> bool:
    """Whether a limit can hold for the whole training, and there is enough to find out."""
    cost = len(batches) * (2 * GRADIENT + 4 * HESSIAN_PRODUCT)
    return subject.is_full_batch and type(subject.optimizer) is torch.optim.SGD and budget.allows(cost)


def _far_product(
    subject: Subject, batches: Sequence[Any], budget: Budget, direction: Tensor, generator: torch.Generator
) -> Tensor:
    """Return H·v at weights that are drawn far from the present ones, and put these back.

    If the loss is quadratic, it is H·v at the present weights.
    """
    weights = subject.trained
    before = [weight.detach().clone() for weight in weights]
    size = math.sqrt(sum(float(weight.square().sum()) for weight in before) / direction.numel())
    budget.spend(len(batches) * (GRADIENT + HESSIAN_PRODUCT), PURPOSE)
    try:
        with torch.no_grad():
            for weight in weights:
                move = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * (1 + size)
                weight.add_(move.to(weight.dtype).to(weight.device))
        return _product([_gradient(subject, batch) for batch in batches], weights, direction)
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
