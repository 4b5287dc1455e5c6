"""The gradients of a run against finite differences, on a float64 copy of its model."""

import torch

from chainrule.components import (
    build_network,
    build_objective,
    generators_kept,
    seed_generators,
    targets_for,
    user_error,
)
from chainrule.errors import UserModuleError
from chainrule.penalties import attach_penalties
from chainrule.shapes import Tensor
from chainrule.training.evaluation import run_model
from chainrule.training.state import State
from chainrule.training.trajectory import trained_parameters
from chainrule.verification import GradientCheck, check_gradients

ROWS = 32
ENTRIES = 60


def check_run(state: State) -> GradientCheck:
    """Check the gradients of a run at its present weights.

    The model is built anew in float64 on the CPU with the same weights; the loss is that of the first `ROWS` training
    samples with the penalties. Dropout draws the same mask every time, and buffers are put back.
    """
    task = state.task
    shape = tuple(state.data.train.inputs.shape[1:])
    twin = build_network(task.model, shape, task.seed, torch.float64)
    twin.load_state_dict(state.model.state_dict(), strict=False)  # a module may make buffers in its first forward
    twin.train()
    inputs, truth = state.data.train.inputs[:ROWS], state.data.train.targets[:ROWS]
    columns = 0 if state.objective.classes else truth.shape[1]
    objective = build_objective(task.loss, state.objective.classes, columns, state.objective.outputs)
    objective.module.double()
    targets = targets_for(objective, truth, torch.float64)
    buffers = {name: buffer.clone() for name, buffer in twin.named_buffers()}
    penalties = attach_penalties(twin, task.penalty) if task.penalty else None

    def loss() -> Tensor:
        with generators_kept():
            seed_generators(task.seed, cuda=False)  # the run has seeded the GPU's
            value = objective(run_model(twin, inputs), targets)
        for name, buffer in twin.named_buffers():
            buffer.data.copy_(buffers.setdefault(name, buffer.clone()))
        return value if penalties is None else value + penalties.value()

    parameters = trained_parameters(twin)
    try:
        return check_gradients(loss, parameters, ENTRIES, task.seed)
    except (RuntimeError, UserModuleError) as error:
        total = sum(parameter.numel() for parameter in parameters.values())
        return GradientCheck(0.0, "", 0, total, reason=f"the model does not run in float64 on the CPU: {_last(error)}")
    except (Exception, SystemExit) as error:
        raise user_error("The backward pass failed.", "gradients", error) from error


def _last(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
