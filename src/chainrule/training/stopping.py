"""When a run ends: the stop rules, at the end of an epoch and in the middle of one."""

import copy
import math
from collections.abc import Callable, Mapping

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from chainrule.data import Part
from chainrule.shapes import Tensor
from chainrule.training.evaluation import evaluate
from chainrule.training.state import State

LOSS_NOT_FINITE = "the loss is no longer finite"
INTERRUPTED = "interrupted"
SNAPSHOTS = 20  # of a run, in case its weights are spoiled later


def close_epoch(state: State) -> None:
    """Count the epoch, look at the validation part, move an epoch-wise schedule, and apply the stop rules."""
    progress, stop = state.progress, state.task.stop
    mean = progress.loss_sum / progress.loss_share
    change = math.inf if progress.last_loss is None else abs(mean - progress.last_loss)
    progress.epoch, progress.batch = progress.epoch + 1, 0
    progress.loss_sum, progress.loss_share, progress.last_loss = 0.0, 0.0, mean
    if state.batches.per_epoch > 1:
        state.history.note(progress.step, {"epoch/loss": mean})
    watched = mean
    if state.data.validation is not None and state.validation is not None:
        watched = _validate(state, state.data.validation, state.validation)
    if state.schedule is not None and state.schedule.per == "epoch":
        move_rate(state.schedule.scheduler, lambda: watched)
    quiet = stop.tolerance is not None and change < stop.tolerance
    progress.quiet_epochs = progress.quiet_epochs + 1 if quiet else 0
    progress.stopped = _reason(state, mean)
    if progress.epoch % -(-stop.epochs // SNAPSHOTS) == 0:
        keep_finite_weights(state)


def move_rate(scheduler: torch.optim.lr_scheduler.LRScheduler, watched: Callable[[], float]) -> None:
    """Step a scheduler; one that waits for a plateau is given the loss that it watches."""
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(watched())
    else:
        scheduler.step()


def _validate(state: State, part: Part, tensors: tuple[Tensor, Tensor]) -> float:
    """Return the validation loss; note it, and keep the weights when they are the best so far."""
    progress = state.progress
    truth = part.targets.to(tensors[0].device)
    result = evaluate(state.model, state.objective, *tensors, truth)
    state.history.note(progress.step, {"epoch/validation_loss": result.loss})
    if result.metric_name:
        state.history.note(progress.step, {"epoch/validation_metric": result.metric})
    if progress.best_loss is None or result.loss < progress.best_loss:
        progress.best_loss, progress.best_epoch = result.loss, progress.epoch
        if state.task.stop.early_stopping is not None:
            state.best_weights = copy.deepcopy(state.model.state_dict())
    return result.loss


def keep_finite_weights(state: State) -> None:
    """Keep a copy of the weights, if no tensor is spoiled that was not so in the copy before."""
    weights = state.model.state_dict()
    found = spoiled(weights)
    if not found or not state.finite_weights or found <= spoiled(state.finite_weights):
        state.finite_weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights.items()}
        state.progress.finite_step = state.progress.step


def spoiled(weights: Mapping[str, Tensor]) -> set[str]:
    """Return the names of the tensors that hold a NaN or an infinity; a mask of −∞ is one, and is meant so."""
    return {name for name, tensor in weights.items() if not tensor.isfinite().all()}


def reason_to_stop(state: State) -> str:
    """Say which stop rule holds where the run is now, after a resume; nothing when it may go on."""
    progress = state.progress
    if progress.batch == 0 and progress.last_loss is not None:
        return _reason(state, progress.last_loss)
    return limit_reached(state)


def _reason(state: State, mean: float) -> str:
    progress, stop = state.progress, state.task.stop
    if stop.target_loss is not None and mean <= stop.target_loss:
        return f"the loss {mean:.6g} reached the target {stop.target_loss:g}"
    if stop.tolerance is not None and progress.quiet_epochs >= stop.patience:
        return f"converged: the loss moved by less than {stop.tolerance:g} in {stop.patience} epochs in a row"
    if stop.early_stopping is not None and progress.epoch - progress.best_epoch >= stop.early_stopping:
        return f"early stopping: the validation loss was lowest after epoch {progress.best_epoch}"
    return limit_reached(state)


def limit_reached(state: State) -> str:
    """Say which limit on epochs or updates is reached; nothing when the run may go on."""
    progress, stop = state.progress, state.task.stop
    if progress.epoch >= stop.epochs:
        return "the one epoch is done" if progress.epoch == 1 else f"all {progress.epoch} epochs are done"
    if stop.steps is not None and progress.step >= stop.steps:
        return "the one update is done" if progress.step == 1 else f"all {progress.step} updates are done"
    return ""
