"""A learning rate for a `LightningModule` and its `Trainer`."""

import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import nn

from chainrule.integrations.grouped import (
    Grouped,
    IntegrationError,
    autocasting,
    clipping,
    in_training_mode,
    one_loader,
    refuse_overridden,
    updates_of,
)
from chainrule.probes import FoundRate, Subject
from chainrule.probes.budget import SHARE
from chainrule.probes.finding_rates import SEEDS, find_subject_rate
from chainrule.probes.restoring import kept
from chainrule.shapes import Tensor

_DEPTH: Final = 3
_OWN_STEPS: Final = ("optimizer_step", "optimizer_zero_grad", "backward", "configure_gradient_clipping")
_NO_TRAINER: Final = r"You are trying to `self\.log\(\)`"


def find_lightning_lr(
    trainer: Any,
    module: nn.Module,
    train_dataloaders: Iterable[Any] | None = None,
    *,
    datamodule: Any = None,
    optimizer: torch.optim.Optimizer | None = None,
    share: float = SHARE,
    seeds: int = SEEDS,
) -> FoundRate:
    """Find the learning rate of a `LightningModule` before `trainer.fit(...)`, and leave all as it was.

    The loss comes from `training_step`, the optimizer from `configure_optimizers`, batches pass through the module's
    transfer hooks. `accumulate_grad_batches`, `gradient_clip_val`, `limit_train_batches`, bfloat16 and the length of
    the training are the trainer's. Gathered batches are averaged. The module computes where it is; its other hooks,
    callbacks and loggers do not run, and what it logs goes nowhere. A schedule is not taken into account: the rate is
    meant for the part of the training at which the schedule stands highest.

    Args:
        trainer: with its settings.
        module: a `LightningModule` with automatic optimization and one optimizer.
        train_dataloaders: one loader; that of `datamodule`, or of the module, when None.
        datamodule: a `LightningDataModule`.
        optimizer: over the module's weights, where `configure_optimizers` cannot be called before `fit`.
        share: of the training's gradient evaluations, that may be spent; an update counts one.
        seeds: how often it is repeated with other orders of the batches.

    Raises:
        IntegrationError: the module optimizes by hand, has several optimizers or a step of its own, or trains in
            float16.
        ChainruleError: see `find_lr`.
    """
    if not getattr(module, "automatic_optimization", True):
        raise IntegrationError(
            what=f"{type(module).__name__} optimizes by hand, so it is not known what one update is.",
            found="automatic_optimization = False",
            expected="automatic optimization",
            next_step="Use chainrule.find_lr with step=, a function of the model and a batch.",
        )
    refuse_overridden(module, "LightningModule", _OWN_STEPS)
    with (
        kept(trainer, datamodule, depth=_DEPTH, apart=(module,)),
        _attached(module, trainer),
        in_training_mode(module),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message=_NO_TRAINER)
        chosen, has_schedule = (optimizer, False) if optimizer is not None else _configured(module)
        loader = one_loader(_loader(module, train_dataloaders, datamodule), "train_dataloaders")
        batches = Grouped(loader, int(trainer.accumulate_grad_batches), _limit(loader, trainer.limit_train_batches))
        updates, told = updates_of(batches, trainer.max_steps, trainer.max_epochs)
        device = next(module.parameters()).device
        module.trainer = None  # type: ignore[assignment]  # `self.log` needs a loop that runs, or no trainer at all
        algorithm = getattr(trainer.gradient_clip_algorithm, "value", trainer.gradient_clip_algorithm) or "norm"
        subject = Subject(
            model=module,
            batches=batches,
            optimizer=chosen,
            updates=updates,
            step=lambda stepped, group: _mean_loss(module, group, device),
            before_update=clipping(chosen, trainer.gradient_clip_val, str(algorithm)),
            casting=autocasting(device, _precision(str(trainer.precision))),
            name=type(module).__name__,
        )
        schedule = "The schedule of configure_optimizers is not taken into account." if has_schedule else ""
        return find_subject_rate(
            subject, share=share, seeds=seeds, notes=tuple(note for note in (told, schedule) if note)
        )


@contextmanager
def _attached(module: Any, trainer: Any) -> Iterator[None]:
    """Let a module know its trainer while its optimizer and loader are made, and put back the one that it had."""
    try:
        before = module.trainer
    except RuntimeError:  # a module that has none says so in this way
        before = None
    module.trainer = trainer
    try:
        yield
    finally:
        module.trainer = before


def _configured(module: Any) -> tuple[torch.optim.Optimizer, bool]:
    """Return the one optimizer of `configure_optimizers`, with the rates that its schedule starts from."""
    made = module.configure_optimizers()
    has_schedule = False
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], list):
        has_schedule = bool(made[1])
        made = made[0]
    if isinstance(made, list | tuple) and len(made) == 1:
        made = made[0]
    if isinstance(made, Mapping):
        has_schedule = has_schedule or "lr_scheduler" in made
        made = made["optimizer"]
    if not isinstance(made, torch.optim.Optimizer):
        found = f"{len(made)} optimizers" if isinstance(made, list | tuple) else type(made).__name__
        raise IntegrationError(
            what="A probe needs one optimizer.", where="configure_optimizers", found=found, expected="one optimizer"
        )
    for group in made.param_groups:
        # A scheduler that begins with a warm-up has set the rate to what the first update takes.
        group["lr"] = group.get("max_lr", group.get("initial_lr", group["lr"]))
    return made, has_schedule


def _loader(module: Any, given: Iterable[Any] | None, datamodule: Any) -> Any:
    if given is not None:
        return given
    if datamodule is None:
        return module.train_dataloader()
    datamodule.prepare_data()
    datamodule.setup("fit")
    return datamodule.train_dataloader()


def _limit(loader: Any, limit: float | int | None) -> int | None:
    """Return how many batches of an epoch are used; None for all."""
    if limit is None or (isinstance(limit, float) and limit == 1.0):
        return None
    return int(limit) if isinstance(limit, int) else int(len(loader) * limit)


def _precision(text: str) -> str:
    if text.startswith("16"):
        return "fp16"
    return "bf16" if text.startswith("bf16-mixed") else ""


def _mean_loss(module: Any, group: list[Any], device: torch.device) -> Tensor:
    takes_number = len(inspect.signature(module.training_step).parameters) > 1
    losses = []
    for number, batch in enumerate(group):
        batch = module.on_before_batch_transfer(batch, 0)
        batch = module.transfer_batch_to_device(batch, device, 0)
        batch = module.on_after_batch_transfer(batch, 0)
        made = module.training_step(batch, number) if takes_number else module.training_step(batch)
        value = made["loss"] if isinstance(made, Mapping) else made
        if not isinstance(value, Tensor):
            raise IntegrationError(
                what="training_step returned no loss.",
                where=type(module).__name__,
                found=type(value).__name__,
                expected="a tensor, or a dictionary with 'loss'",
                cause="Lightning skips the update of a batch for which it returns None; a probe cannot.",
            )
        losses.append(value)
    return torch.stack(losses).mean()
