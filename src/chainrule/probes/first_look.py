"""Before any run: whether a learning rate can be known at all for a subject."""

import math
from typing import Final

import torch

from chainrule.errors import TaskError
from chainrule.findings import Finding
from chainrule.probes.batch_stream import BatchStream
from chainrule.probes.budget import FORWARD, GRADIENT, Budget
from chainrule.probes.found_rate import FoundRate
from chainrule.probes.subject import Subject, describe_optimizer
from chainrule.training.evaluation import evaluating

PURPOSE: Final = "first look"
_LOOKS: Final = 2
_COST: Final = GRADIENT + _LOOKS * FORWARD
_ROOM: Final = 20 * _COST  # a budget that is smaller is not spent on looking
_NOISE: Final = 0.3  # of the loss: the same weights and batch must agree to this


def refuse_strangers(subject: Subject) -> None:
    """Refuse an optimizer that trains nothing of the model.

    Raises:
        TaskError: it does.
    """
    own = {id(weight) for weight in subject.model.parameters()}
    if subject.trained and any(id(weight) in own for weight in subject.trained):
        return
    raise TaskError(
        what="The optimizer trains no weight of this model.",
        found="parameters without requires_grad, or of another model" if own else "a model without parameters",
        expected="an optimizer over model.parameters()",
        cause="A model that was copied, moved or compiled after the optimizer was made has other weights.",
    )


def first_look(subject: Subject, budget: Budget) -> FoundRate | None:
    """Return why no rate can be known, where one batch shows it; None where there is no such reason.

    Use it inside `restored`. It takes one gradient and two forward passes of the same batch, where the budget is such
    that they hardly count.

    Args:
        subject: what is probed.
        budget: pays.

    Raises:
        ChainruleError: the batches or the loss cannot be used; see `find_lr`.
    """
    stream = BatchStream(subject.batches)
    batches = stream.take(1)
    if stream.per_epoch is None:
        batches += stream.take(1)  # so that it has gone through an epoch of one
    if stream.per_epoch == 1 and not subject.is_full_batch:
        return refused(subject, budget, _one_batch())
    if budget.allowed < _ROOM:
        return None
    budget.spend(_COST, PURPOSE)
    value = subject.loss(batches[0])
    start = value.item()
    if not math.isfinite(start):
        return None  # the search says so, with what to look at
    if not _has_gradient(subject, value):
        return refused(subject, budget, _no_gradient(start), start_loss=start)
    with torch.no_grad(), evaluating(subject.model):
        losses = [subject.loss(batches[0]).item() for _ in range(_LOOKS)]
    if max(losses) - min(losses) > _NOISE * max(map(abs, losses)):
        return refused(subject, budget, _is_noise(losses), start_loss=start)
    return None


def _has_gradient(subject: Subject, value: torch.Tensor) -> bool:
    if not value.requires_grad:
        return False
    found = torch.autograd.grad(value, subject.trained, allow_unused=True)
    return any(gradient is not None and bool(gradient.count_nonzero()) for gradient in found)


def _one_batch() -> Finding:
    return Finding(
        code="one-batch",
        severity="warning",
        claim="The loader has one batch only, so it cannot be known what other batches would do.",
        where="the loader",
        evidence={"batches": 1},
        remedy="If this batch is all that you train on, say so with full_batch=True; otherwise give the loader of the "
        "training, with at least two batches.",
    )


def _no_gradient(start: float) -> Finding:
    return Finding(
        code="no-gradient",
        severity="error",
        claim="No weight that the optimizer trains gets a gradient other than zero, so no rate moves anything.",
        where="the first batch",
        evidence={"loss": round(start, 6)},
        remedy="Look for a detach(), no_grad(), argmax or .data on the way from the weights to the loss, for units "
        "that are all dead or saturated, and for frozen weights; chainrule.why says which op cuts the way.",
    )


def _is_noise(losses: list[float]) -> Finding:
    return Finding(
        code="loss-is-noise",
        severity="warning",
        claim="The loss of one batch at the same weights is another each time, so what a rate does cannot be seen.",
        where="the first batch, in evaluation mode",
        evidence={"loss": round(losses[0], 6), "again": round(losses[1], 6)},
        remedy="Look for random numbers in the loss or the model that evaluation mode does not turn off; take larger "
        "batches, or average the loss over several draws.",
    )


def refused(subject: Subject, budget: Budget, *findings: Finding, start_loss: float = math.nan) -> FoundRate:
    """Return an answer without a suggestion: why, and what to look at."""
    return FoundRate(
        name=subject.name,
        optimizer=describe_optimizer(subject.optimizer),
        suggestion=None,
        low=None,
        high=None,
        regions=(),
        curves=(),
        limit=None,
        twins=(),
        seeds=(),
        spread=math.nan,
        certainty="unsure",
        why_so_sure="",
        cost=budget.by_purpose,
        allowed=budget.allowed,
        planned=budget.planned,
        present=subject.rate,
        start_loss=start_loss,
        noise=math.nan,
        findings=findings,
    )
