"""What is read from the weights of runs at their ends: first and last gradients, loss and metric of the test part.

Whichever engine trained the runs, this looks at them in one way: many at once where torch.func can, else one by one.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.func import functional_call, vmap

from chainrule.components import generators_kept, seed_generators
from chainrule.shapes import Tensor
from chainrule.sweeps.batched_step import BatchedStep, Settings, States, looking_step, settings_of_step
from chainrule.sweeps.batches_of_runs import RunBatch, batches_of
from chainrule.sweeps.outcome import Numbers
from chainrule.sweeps.problem import Problem, stacked_tensors
from chainrule.sweeps.results import Rows
from chainrule.training.building import part_tensors
from chainrule.training.evaluation import evaluating, metric


def gradient_norms(problem: Problem, rows: Rows, states: States) -> Numbers:
    """Return ‖∂L/∂w‖₂ over all trained weights, (runs, 2): at the initial weights, and after the last update.

    Args:
        problem: the group.
        rows: which of its runs.
        states: their parameters and buffers after the last update.
    """
    step = looking_step(problem)
    settings = settings_of_step(step, rows, [], 0)
    first, last = batches_of(problem, rows, (0, problem.steps - 1))
    begin = stacked_tensors(problem, rows)
    columns = [_norms(step, begin, settings, first), _norms(step, states, settings, last)]
    return np.stack(columns, axis=1)


def tested(problem: Problem, rows: Rows, states: States) -> tuple[Numbers, Numbers, str]:
    """Return loss and metric of each run on the test part, and the metric's name.

    Args:
        problem: the group; its data have a test part.
        rows: which of its runs.
        states: their parameters and buffers after the last update.
    """
    losses, metrics, name = np.full(len(rows), np.nan), np.full(len(rows), np.nan), ""
    objective, device = problem.base.objective, problem.place.device
    model = copy.deepcopy(problem.base.model)
    seeds = problem.seeds[rows] if problem.has_parts else np.zeros(len(rows), np.int64)
    with evaluating(model):
        for seed in np.unique(seeds):
            own = np.flatnonzero(seeds == seed)
            part = problem.data(int(seed) if problem.has_parts else problem.task.seed).test
            assert part is not None  # noqa: S101 - asked for before the first run
            inputs, targets = part_tensors(part, objective, problem.place)

            def predict(each: States, inputs: Tensor = inputs) -> Tensor:
                prediction: Tensor = functional_call(model, each, (inputs,))
                return prediction

            chosen = {key: value[torch.from_numpy(own)].to(device) for key, value in states.items()}
            predictions = _of_each(predict, chosen, len(own))
            for run, prediction in zip(own.tolist(), predictions, strict=True):
                losses[run] = float(objective(prediction, targets))
                name, metrics[run] = metric(objective, prediction, part.targets.to(device))
    return losses, metrics, name


def _norms(step: BatchedStep, states: States, settings: Settings, batch: RunBatch) -> Numbers:
    device = step.problem.place.device
    states = {name: value.to(device) for name, value in states.items()}

    def squares(own: States, of_run: Settings, inputs: Tensor, targets: Tensor) -> Tensor:
        gradients, _, _ = step.gradients(own, of_run, inputs, targets)
        # In float64: the square of a small float32 number is 0.
        return torch.stack([gradient.double().square().sum() for gradient in gradients.values()]).sum()

    over = None if batch.is_shared else 0
    try:
        found = vmap(squares, in_dims=(0, 0, over, over), randomness="error")(
            states, settings, batch.inputs, batch.targets
        )
    except RuntimeError:  # what torch.func cannot compute many times at once, it can once
        if step.penalties is not None:
            step.penalties.clear()
        found = torch.stack([_one(squares, step, states, settings, batch, run) for run in range(_count(states))])
    norms: Numbers = found.sqrt().cpu().numpy()
    return norms


def _one(
    function: Callable[..., Tensor], step: BatchedStep, states: States, settings: Settings, batch: RunBatch, run: int
) -> Tensor:
    own = {name: value[run] for name, value in states.items()}
    of_run = {name: value[run] for name, value in settings.items()}
    inputs, targets = (each if batch.is_shared else each[run] for each in (batch.inputs, batch.targets))
    with generators_kept(step.problem.place.device):
        seed_generators(step.problem.task.seed)
        return function(own, of_run, inputs, targets)


def _of_each(function: Callable[[Any], Tensor], states: States, count: int) -> list[Tensor]:
    try:
        return list(vmap(function, randomness="error")(states))
    except RuntimeError:
        return [function({name: value[run] for name, value in states.items()}) for run in range(count)]


def _count(states: States) -> int:
    return len(next(iter(states.values())))
