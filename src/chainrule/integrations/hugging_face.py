"""A learning rate for a `transformers.Trainer`."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from chainrule.integrations.grouped import (
    Grouped,
    IntegrationError,
    autocasting,
    clipping,
    in_training_mode,
    refuse_overridden,
    updates_of,
)
from chainrule.probes import FoundRate, Subject
from chainrule.probes.budget import SHARE
from chainrule.probes.finding_rates import SEEDS, find_subject_rate
from chainrule.probes.restoring import kept
from chainrule.probes.subject import Schedule, moved
from chainrule.shapes import Tensor

_DEPTH: Final = 4  # the trainer, its accelerator, the accelerator's lists of what it has prepared


def find_hugging_face_lr(trainer: Any, *, share: float = SHARE, seeds: int = SEEDS) -> FoundRate:
    """Find the `learning_rate` of a `transformers.Trainer` before `trainer.train()`, and leave it as it was.

    Batches come from `get_train_dataloader`, the loss from `compute_loss`, and the optimizer is the trainer's own or
    that of `create_optimizer`, so subclasses and collators count. `gradient_accumulation_steps`, `max_grad_norm`,
    `bf16`, the length of the training and the schedule are those of its arguments. Gathered batches are averaged.

    Args:
        trainer: with its model, arguments and data set.
        share: of the training's gradient evaluations, that may be spent; an update counts one.
        seeds: how often it is repeated with other orders of the batches.

    Raises:
        IntegrationError: it trains on several devices, in float16, or by a training step of its own.
        ChainruleError: see `find_lr`.
    """
    arguments = trainer.args
    refuse_overridden(trainer, "Trainer", ("training_step",))
    devices = max(int(getattr(arguments, "world_size", 1)), int(getattr(arguments, "n_gpu", 0)), 1)
    if devices > 1:
        raise IntegrationError(
            what="A probe runs on one device.", found=f"a trainer on {devices} devices", expected="1 device"
        )
    device = torch.device(arguments.device)
    precision = "fp16" if getattr(arguments, "fp16", False) else "bf16" if getattr(arguments, "bf16", False) else ""
    model: nn.Module = trainer.model
    # The model is the probe's to put back; its mode is put back here.
    with kept(trainer, depth=_DEPTH, apart=(model,)), in_training_mode(model):
        given = trainer.lr_scheduler
        size = int(arguments.gradient_accumulation_steps)
        batches = Grouped(trainer.get_train_dataloader(), size)
        optimizer = trainer.optimizer if trainer.optimizer is not None else trainer.create_optimizer()
        # Accelerate wraps an optimizer that it has prepared; the one inside is torch's.
        optimizer = getattr(optimizer, "optimizer", optimizer)
        updates, told = updates_of(batches, arguments.max_steps, arguments.num_train_epochs)

        def step(stepped: nn.Module, group: list[Mapping[str, Any]]) -> Tensor:
            losses = [trainer.compute_loss(stepped, moved(batch, device)) for batch in group]
            return torch.stack(losses).mean()

        def build(schedules: torch.optim.Optimizer, planned: int) -> LRScheduler:
            trainer.lr_scheduler = None
            scheduler: LRScheduler = trainer.create_scheduler(planned, optimizer=schedules)
            trainer.lr_scheduler = given
            return scheduler

        notes = [told] if told else []
        if given is not None:
            notes.append("The scheduler that the trainer was given is not taken into account.")
        subject = Subject(
            model=model,
            batches=batches,
            optimizer=optimizer,
            updates=updates,
            step=step,
            schedule=Schedule(build, "batch", str(arguments.lr_scheduler_type)) if given is None else None,
            before_update=clipping(optimizer, arguments.max_grad_norm),
            casting=autocasting(device, precision),
            name=type(model).__name__,
        )
        return find_subject_rate(subject, share=share, seeds=seeds, notes=tuple(notes))
