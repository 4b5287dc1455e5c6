"""The loss when several processes share a batch, and the penalties beside it.

DDP averages the gradients of W processes. So that this average is the gradient of the whole batch, each process
multiplies what is a mean over its own samples by W · (its share / the whole batch's), and what is a sum by W.
"""

import math

from torch import nn

from chainrule.components import Objective
from chainrule.shapes import Float, Tensor
from chainrule.training.batches import Batch
from chainrule.training.devices import total
from chainrule.training.evaluation import evaluating, run_parts
from chainrule.training.state import State


def shared_objective(state: State, prediction: Tensor, batch: Batch) -> Float[Tensor, ""]:
    """Return this process's part of the loss and of the penalties; `state.parts` holds them one by one."""
    parts = {"loss": state.objective(prediction, batch.targets)}
    sums = {"loss"} if state.objective.reduction == "sum" else set()
    if state.penalties is not None:
        values = state.penalties.values()
        parts |= values
        specs = zip(values, state.task.penalty, strict=True)
        sums |= {label for label, spec in specs if spec.normalisation == "sum"}
    if state.place.world > 1:
        of_loss, of_mean, of_sum = _factors(state, batch)
        if of_loss == 0.0:  # a mean over nothing, or over classes of weight 0, is NaN, and 0 times it as well
            parts["loss"] = prediction.sum()
        factors = {name: of_sum if name in sums else of_mean for name in parts}
        factors["loss"] = of_sum if "loss" in sums and of_loss else of_loss
        parts = {name: part * factors[name] for name, part in parts.items()}
    state.parts = parts
    whole = parts["loss"]
    for name, part in parts.items():
        if name != "loss":
            whole = whole + part
    return whole


def _factors(state: State, batch: Batch) -> tuple[float, float, float]:
    """Return what a mean loss, a mean over samples and a sum of this process are multiplied by."""
    own = [0.0, 0.0] if batch.is_padding else [state.objective.share(batch.targets), float(len(batch.targets))]
    whole = total(batch.inputs.new_tensor(own), state.place).tolist()
    of_loss, of_mean = (state.place.world * mine / everyones for mine, everyones in zip(own, whole, strict=True))
    return of_loss, of_mean, 0.0 if batch.is_padding else float(state.place.world)


def global_loss(state: State, value: Float[Tensor, ""]) -> float:
    """Return the loss of the whole batch as a number, the same in every process."""
    if state.place.world == 1:
        return value.item()
    return total(value, state.place).item() / state.place.world


def recorded_loss(state: State, value: Float[Tensor, ""]) -> float:
    """Return the loss that a step is recorded with: that of its batch, or that of the whole training part.

    Args:
        state: after the forward pass of the step, and before its update.
        value: the loss of this process's share of the batch. Where that of the whole batch is not finite, it is what
            is recorded: the update would spoil the weights.
    """
    of_batch = global_loss(state, value)
    if state.task.run.recorded_loss == "batch" or not math.isfinite(of_batch):
        return of_batch
    with state.place.casting():
        return loss_of_part(state.model, state.objective, state.batches.inputs, state.batches.targets).item()


def loss_of_part(model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor) -> Float[Tensor, ""]:
    """Return the loss over a whole part in evaluation mode; the mode is put back, and nothing else is changed."""
    with evaluating(model):
        return objective(run_parts(model, inputs), targets)
