"""`chainrule.find_lr`: which learning rate, for any model, loss and batches, or for a task."""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import nn

from chainrule.errors import TaskError
from chainrule.probes.budget import SHARE, Budget
from chainrule.probes.find_rate import find_rate
from chainrule.probes.first_look import first_look, refuse_strangers
from chainrule.probes.found_rate import FoundRate
from chainrule.probes.group_rates import leading_rate
from chainrule.probes.restoring import restored
from chainrule.probes.subject import (
    LossFunction,
    Schedule,
    ScheduleFactory,
    Step,
    Subject,
    planned_updates,
    subject_of,
)
from chainrule.tasks import Task

SEEDS: Final = 3


def find_lr(
    model: nn.Module,
    loss_fn: LossFunction | None,
    loader: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    *,
    updates: int | None = None,
    epochs: int | None = None,
    share: float = SHARE,
    seeds: int = SEEDS,
    step: Step | None = None,
    validation: Iterable[Any] | None = None,
    schedule: ScheduleFactory | None = None,
    full_batch: bool = False,
) -> FoundRate:
    """Find a learning rate by short runs that prove it, and leave everything as it was, bit for bit.

    Model, optimizer, generators of random numbers and the loader are put back, also after an exception or Ctrl-C. The
    model is trained in the mode that it is in: call `model.train()` before, as the training would.

    Args:
        model: any module, with the weights that the training would begin with.
        loss_fn: from the prediction and the targets to one number; None where `step` is given.
        loader: batches of (inputs, targets), that start anew each time: a DataLoader, or a list.
        optimizer: over the model's weights; the rates of its groups keep their ratios, and the suggestion is for the
            first group whose rate is not 0.
        updates: of the training that is planned.
        epochs: of the training that is planned, in place of `updates`; without both, 10.
        share: of the gradient evaluations of that training, that may be spent here.
        seeds: how often it is repeated with other orders of the batches.
        step: from the model and a batch to the loss, for batches that are no pairs.
        validation: batches that are not trained on, to judge by.
        schedule: from the optimizer and the number of updates to the scheduler that the training will use, which is
            stepped after each update; without one the rate is constant.
        full_batch: the loader's only batch is all that is trained on.

    Returns:
        The suggestion with its evidence; without a suggestion, `findings` say why and what to look at.

    Raises:
        TaskError: the optimizer does not train this model, is LBFGS, maximises, or has no rate above 0; the length of
            the training is not clear, or the model has weights without a shape.
        DataError: the batches are used up by looking at them, there are none, or they are no pairs.
        ShapeError: the loss is not one number.
        BudgetError: `share` is not above 0 and at most 1.

    Example:
        >>> found = chainrule.find_lr(model, nn.CrossEntropyLoss(), loader, optimizer, epochs=20)
        >>> found.suggestion, found.low, found.high
        >>> found.show()
    """
    planned, note = planned_updates(loader, updates, epochs)
    subject = Subject(
        model=model,
        batches=loader,
        optimizer=optimizer,
        updates=planned,
        loss_fn=loss_fn,
        step=step,
        validation=validation,
        schedule=None if schedule is None else Schedule(schedule, "batch", "your own, after each update"),
        is_full_batch=full_batch,
        device=next((weight.device for weight in model.parameters()), None),
        name=type(model).__name__,
    )
    return find_subject_rate(subject, share=share, seeds=seeds, notes=(note,) if note else ())


def find_task_rate(task: Task, *, share: float = SHARE, seeds: int = SEEDS) -> FoundRate:
    """Find a learning rate for a task, as its training would build it.

    Args:
        task: what would be trained.
        share: of its gradient evaluations, that may be spent.
        seeds: how often it is repeated with other orders of the batches.

    Raises:
        ChainruleError: as `train` and `find_lr`.
    """
    with subject_of(task) as subject:
        return find_subject_rate(subject, share=share, seeds=seeds)


def find_subject_rate(
    subject: Subject,
    *,
    share: float = SHARE,
    seeds: int = SEEDS,
    evaluations: float = 1.0,
    notes: tuple[str, ...] = (),
) -> FoundRate:
    """Find a learning rate for any subject; `find_lr` and the adapters of other libraries end here.

    Args:
        subject: what is probed; it is as it was afterwards.
        share: of the gradient evaluations of its training, that may be spent.
        seeds: how often it is repeated.
        evaluations: gradient evaluations of one update.
        notes: sentences to say with the answer.

    Raises:
        ChainruleError: see `find_lr`.
    """
    begun = time.perf_counter()
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise TaskError(
            what="The number of seeds is not a positive whole number.", found=f"seeds = {seeds}", expected="1 or more"
        )
    refuse_strangers(subject)
    _refuse_optimizers(subject.optimizer)
    budget = Budget(subject.updates, share, evaluations)
    with restored(subject) as snapshot:
        found = first_look(subject, budget)
        snapshot.put_back()
        if found is None:
            found = find_rate(subject, budget, tuple(range(seeds)))
    return replace(found, notes=(*notes, *found.notes), seconds=time.perf_counter() - begun)


def _refuse_optimizers(optimizer: torch.optim.Optimizer) -> None:
    """Refuse an optimizer whose rate short runs cannot tell.

    Raises:
        TaskError: it is LBFGS, maximises, or has no rate above 0.
    """
    name = type(optimizer).__name__
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TaskError(
            what="A learning rate of LBFGS is not looked for.",
            found=name,
            expected="an optimizer that evaluates one gradient in an update, such as SGD or Adam",
            cause="LBFGS scales its own steps and evaluates several gradients in an update, so neither what a short "
            "run shows of a long one nor its cost holds for it.",
            next_step="Leave its rate at 1, with line_search_fn='strong_wolfe'.",
        )
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise TaskError(
            what="An optimizer that maximises is not supported.",
            found=f"{name} with maximize=True",
            expected="maximize=False",
            next_step="Give the negative of the objective as the loss.",
        )
    leading_rate(optimizer)
