"""What single samples still ask of the weights, where the loss stands still.

At a minimum the gradients of the samples cancel; on a saturated plateau each of them vanishes, though the loss does
not. The sum over all samples is zero in both, so they are told apart one by one:

    pull(W) = Σₙ Σⱼ ‖∂L/∂ŷ[n,j] · ∂ŷ[n,j]/∂W‖

over samples n and outputs j, for every weight tensor W.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.components import generators_kept, seed_generators
from chainrule.shapes import Tensor
from chainrule.sweeps.groups import groups_of
from chainrule.sweeps.keys import is_initial
from chainrule.sweeps.problem import make_problem
from chainrule.tasks import Task
from chainrule.training.devices import placement
from chainrule.training.evaluation import run_model
from chainrule.training.state import State

SAMPLES_AT_MOST: Final = 64
PASSES_AT_MOST: Final = 128


def least_pulls(
    task: Task, points: Sequence[Mapping[str, Any]], parameters: Sequence[Mapping[str, NDArray[Any]]], passes: int
) -> list[float | None]:
    """Return for each run the pull after training over the pull before it, for the weight tensor where this is least.

    Args:
        task: what was trained.
        points: the values of each run.
        parameters: for each run, name → value after the last update.
        passes: how many outputs of samples to follow back at most; evenly spaced ones when there are more.

    Returns:
        None for a run of which no weight tensor is pulled at the start.

    Raises:
        ChainruleError: see `run_points`.
    """
    found: list[float | None] = [None] * len(points)
    for group in groups_of(task, points) if points else ():
        with placement(group.task.run.device, group.task.run.precision) as place:
            problem = make_problem(group, place, None)
            begun: dict[tuple[Any, ...], tuple[State, dict[str, float]]] = {}
            for number, row in enumerate(group.rows.tolist()):
                values = problem.values(number)
                # Runs that differ in nothing that is there before the first step begin with the same network.
                key = tuple(value for name, value in values.items() if is_initial(name))
                if key not in begun:
                    state = problem.state(number)
                    begun[key] = (state, _pulls(state, passes))
                state, before = begun[key]
                _put(state, parameters[row])
                after = _pulls(state, passes)
                found[row] = min((after[name] / value for name, value in before.items() if value > 0), default=None)
    return found


def _put(state: State, parameters: Mapping[str, NDArray[Any]]) -> None:
    with torch.no_grad():
        for name, parameter in state.model.named_parameters():
            parameter.copy_(torch.as_tensor(np.asarray(parameters[name])))


def _pulls(state: State, passes: int) -> dict[str, float]:
    """Return the pull on each trained tensor of two dimensions or more."""
    weights = {name: value for name, value in state.model.named_parameters() if value.requires_grad and value.dim() > 1}
    rows = _spread(len(state.batches.inputs), SAMPLES_AT_MOST)
    with generators_kept(state.place.device):
        seed_generators(state.task.seed)
        prediction = run_model(state.model, state.batches.inputs[rows])
    (adjoint,) = torch.autograd.grad(
        state.objective(prediction, state.batches.targets[rows]), prediction, retain_graph=True
    )
    terms = (prediction * adjoint).reshape(-1)
    found = dict.fromkeys(weights, 0.0)
    for place in _spread(terms.numel(), passes).tolist():
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            terms[place], list(weights.values()), retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(weights, gradients, strict=True):
            found[name] += 0.0 if gradient is None else float(gradient.norm())
    return found


def _spread(count: int, most: int) -> Tensor:
    """Return at most so many whole numbers below `count`, evenly spaced."""
    return torch.arange(count) if count <= most else torch.linspace(0, count - 1, most).round().long()
