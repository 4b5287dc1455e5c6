"""When a run ends: the stop rules at the end of an epoch, and the loss that is no longer finite."""

import copy
import math

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from chainrule.data import Part
from chainrule.findings import Finding
from chainrule.shapes import Tensor
from chainrule.training.batches import Batch
from chainrule.training.evaluation import evaluate
from chainrule.training.state import State

LOSS_NOT_FINITE = "the loss is no longer finite"
INTERRUPTED = "interrupted"


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
        _step_schedule(state.schedule.scheduler, watched)
    quiet = stop.tolerance is not None and change < stop.tolerance
    progress.quiet_epochs = progress.quiet_epochs + 1 if quiet else 0
    progress.stopped = _reason(state, mean)


def _step_schedule(scheduler: torch.optim.lr_scheduler.LRScheduler, watched: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(watched)
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
        return "the one epoch is done" if stop.epochs == 1 else f"all {stop.epochs} epochs are done"
    if stop.steps is not None and progress.step >= stop.steps:
        return "the one update is done" if stop.steps == 1 else f"all {stop.steps} updates are done"
    return ""


def stop_at_loss_not_finite(state: State, batch: Batch, loss: float) -> None:
    """End the run at a loss that is NaN or infinite, and say in which tensor it began and what to try."""
    where, claim, evidence, remedy = _first_not_finite(state, batch)
    step = state.progress.step
    state.progress.stopped = LOSS_NOT_FINITE
    state.history.note(step, {"loss": loss, "lr": state.learning_rate})
    evidence = {"loss": str(loss), "updates done": step, "learning rate": state.learning_rate, **evidence}
    state.findings.append(
        Finding(
            code="loss-not-finite",
            severity="error",
            claim=f"The loss is {loss} at step {step + 1}: {claim}",
            where=where,
            evidence=evidence,
            remedy=remedy,
        )
    )


def _first_not_finite(state: State, batch: Batch) -> tuple[str, str, dict[str, float | int | str], str]:
    """Return where the first NaN or infinity is, in time: gradients of the last step, weights, then outputs."""
    lower = f"Try a learning rate ten times lower: --optimizer.lr {state.learning_rate / 10:g}."
    for name, parameter in state.model.named_parameters():
        gradient = parameter.grad
        if gradient is not None and not gradient.isfinite().all():
            count = int((~gradient.isfinite()).sum())
            claim = f"the gradient of {name} was already not finite in the update before."
            remedy = f"{lower} If that does not help, clip or rescale what {name} feeds."
            return f"gradient of {name}", claim, {"entries not finite": count, "of": gradient.numel()}, remedy
    for name, parameter in state.model.named_parameters():
        if not parameter.isfinite().all():
            count = int((~parameter.isfinite()).sum())
            claim = f"the weights of {name} are not finite after the last update."
            return name, claim, {"entries not finite": count, "of": parameter.numel()}, lower
    largest = max(float(parameter.detach().abs().max()) for parameter in state.model.parameters())
    found = _first_module(state.model, batch.inputs)
    if found is not None:
        path, kind = found
        claim = f"the weights are finite, and the output of {path} ({kind}) is the first that is not."
        remedy = f"{lower} Or look at what {path} computes: an overflow, a division by 0, a logarithm of 0."
        return f"output of {path}", claim, {"largest |weight|": largest}, remedy
    claim = "the weights and the prediction are finite, and the loss itself is not."
    return (
        f"loss {state.objective.name}",
        claim,
        {"largest |weight|": largest},
        f"{lower} Or check that predictions and targets lie where {state.objective.name} is defined.",
    )


def _first_module(model: nn.Module, inputs: Tensor) -> tuple[str, str] | None:
    found: list[tuple[str, str]] = []
    handles = []

    def look(path: str) -> object:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append((path or "the model", type(module).__name__))

        return hook

    for path, module in model.named_modules():
        handles.append(module.register_forward_hook(look(path)))
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
