"""Training by backpropagation in six steps. All of it is on this page.

1. initialise: the model with its initial weights, the loss, the optimizer
2. forward: the model's prediction for a batch
3. loss: how wrong it is, one number
4. gradients: zero_grad, then backward: ∂loss/∂w for every weight w
5. update: the optimizer moves every weight against its gradient
6. repeat: 2 to 5, until the epochs are done or it has converged
"""

import math
from typing import Protocol, runtime_checkable

import torch

from chainrule.data import Dataset
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.training.batches import Batch
from chainrule.training.building import build_state
from chainrule.training.devices import Placement, any_process
from chainrule.training.evaluation import backpropagate, run_model
from chainrule.training.not_finite import stop_at_loss_not_finite
from chainrule.training.sharing import global_loss, recorded_loss, shared_objective
from chainrule.training.state import State
from chainrule.training.stopping import INTERRUPTED, close_epoch, limit_reached, move_rate


@runtime_checkable
class Observer(Protocol):
    """Looks on while a run repeats its steps, and changes nothing in it."""

    def step_begins(self, state: State, batch: Batch) -> None:
        """Look at the weights before the forward pass."""

    def loss_known(self, state: State, value: Tensor, number: float) -> None:
        """Look at the loss before the gradients are computed: its graph, and the number of the whole batch."""

    def gradients_known(self, state: State) -> None:
        """Look at the gradients before the update."""

    def weights_moved(self, state: State) -> None:
        """Look at the weights after the update, which is not counted yet."""

    def step_done(self, state: State, loss: float) -> None:
        """Look at a run that could be stopped here; `loss` is that of the weights before the update."""


def initialise(task: Task, place: Placement, data: Dataset) -> State:
    """Step 1: build the model with its initial weights, the loss and the optimizer for the data."""
    return build_state(task, place, data)


def forward(state: State, batch: Batch) -> Tensor:
    """Step 2: the prediction for a batch, shape (samples, outputs)."""
    with state.place.casting():
        return run_model(state.runner, batch.inputs)


def loss(state: State, prediction: Tensor, batch: Batch) -> Tensor:
    """Step 3: the loss of the batch, with the penalties on its activations: one number."""
    with state.place.casting():
        if state.penalties is None and state.place.world == 1:
            return state.objective(prediction, batch.targets)
        return shared_objective(state, prediction, batch)


def gradients(state: State, value: Tensor) -> None:
    """Step 4: forget the gradients of the step before, then backpropagate: w.grad becomes ∂loss/∂w."""
    state.optimizer.zero_grad(set_to_none=True)
    backpropagate(value)


def update(state: State, batch: Batch, value: Tensor) -> None:
    """Step 5: the optimizer moves the weights; one that looks around first (LBFGS) repeats 2 to 4 as it needs."""
    looks = 0

    def look_again() -> float:
        nonlocal looks
        looks += 1
        if looks == 1:  # the first look is the step that was just taken
            return global_loss(state, value)
        again = loss(state, forward(state, batch), batch)
        gradients(state, again)
        return global_loss(state, again)

    if state.needs_closure:
        state.optimizer.step(look_again)
    else:
        _move(state)
    if state.schedule is not None and state.schedule.per == "batch":
        move_rate(state.schedule.scheduler, lambda: global_loss(state, value))


def _move(state: State) -> None:
    """Let the optimizer move the weights; where the factor of an update is beyond the precision they become NaN.

    torch refuses such a factor by an error. As a number of that precision it is infinite, and so is the update.
    """
    try:
        state.optimizer.step()
    except RuntimeError as error:
        if "without overflow" not in str(error):
            raise
        with torch.no_grad():
            for group in state.optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.fill_(math.nan)


def repeat(state: State, observer: Observer) -> None:
    """Step 6: forward, loss, gradients, update, until a stop rule holds; `state.progress.stopped` says which.

    The loss of a step is that of the weights before its update, over its batch or, where the task says so, over the
    whole training part. A loss that is not finite ends the run before it can
    spoil the weights.
    """
    progress = state.progress
    while not progress.stopped:
        for batch in state.batches.epoch(progress.epoch, progress.batch, state.place):
            observer.step_begins(state, batch)
            value = loss(state, forward(state, batch), batch)
            number = recorded_loss(state, value)
            if not math.isfinite(number):
                stop_at_loss_not_finite(state, batch, number)
                return
            observer.loss_known(state, value, number)
            gradients(state, value)
            observer.gradients_known(state)
            update(state, batch, value)
            observer.weights_moved(state)
            progress.count(number, state.batches)
            if progress.batch == state.batches.per_epoch:
                close_epoch(state)
            else:
                progress.stopped = limit_reached(state)
            observer.step_done(state, number)
            if not progress.stopped and any_process(state.stop_requested, state.place):
                progress.stopped = INTERRUPTED
            if progress.stopped:
                return
