"""Sweeps over built-in tasks, and what `chainrule train` computes for each of their points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.data import load_data
from chainrule.shapes import Tensor
from chainrule.sweeps import Grid, grid, parse_axis
from chainrule.tasks import Task, load_task
from chainrule.training.batches import Batch
from chainrule.training.devices import placement
from chainrule.training.six_steps import initialise, repeat
from chainrule.training.state import State


@dataclass(frozen=True)
class Case:
    """A built-in task with changes, and the axes of a sweep over it."""

    task: str
    axes: Mapping[str, str]
    steps: int = 50
    changes: Mapping[str, Any] = field(default_factory=dict)
    lanes: bool = True
    vmap: bool = True

    @property
    def points(self) -> Grid:
        return grid(*(parse_axis(key, text) for key, text in self.axes.items()))


IN_FLOAT64 = {"run.precision": "float64", "run.device": "cpu"}
L2 = {"kind": "L2", "strength": 0.1, "modules": "hidden1"}

CASES: dict[str, Case] = {
    "worked example": Case("two-two-two", {"lr": ".1,.5,2"}),
    "fixed biases, momentum": Case("two-two-two-biased", {"lr": ".1,1", "momentum": "0,.9"}),
    "seeds, full batch, Adam": Case("xor", {"lr": ".01,.05", "seed": "0,1,2"}),
    "minibatches with shuffle, seeds that split": Case("iris", {"lr": ".01,.05", "seed": "0,3"}, 30),
    "one seed, minibatches": Case("wine", {"lr": ".001,.1"}, 30),
    "betas and weight decay": Case("iris", {"beta1": ".9,.5", "weight_decay": "0,.1"}, 30),
    "AdamW": Case("wine", {"lr": ".003,.01"}, 30, {"optimizer": {"name": "AdamW", "weight_decay": 0.1}}),
    "RMSprop": Case("wine", {"optimizer.alpha": ".9,.5"}, 30, {"optimizer": {"name": "RMSprop", "lr": 0.01}}),
    "momentum, weight decay": Case("breast-cancer", {"momentum": "0,.9", "lr": ".01,.1"}, 30),
    "digits": Case("digits", {"lr": ".001,.01"}, 25),
    "a penalty, full batch": Case("wine", {"penalty.0.strength": "0,.01,1"}, 30,
                                  {"data.batch_size": "full", "penalty": [L2]}),
    "a penalty, smaller last batch": Case("wine", {"penalty.0.strength": "0,.01,1"}, 30, {"penalty": [L2]},
                                          lanes=False),
    "schedule by epoch": Case("wine", {"lr": ".001,.01"}, 40,
                              {"schedule": {"name": "StepLR", "step_size": 2, "gamma": 0.5}}),
    "schedule with its own rate": Case("wine", {"lr": ".001,.01"}, 40,
                                       {"schedule": {"name": "OneCycleLR", "max_lr": 0.1}}),
    "schedule with a least rate": Case(
        "wine", {"lr": ".001,.02"}, 30,
        {"schedule": {"name": "CosineAnnealingLR", "T_max": 12, "eta_min": 0.0005, "per": "batch"}}),
    "schedule by the losses": Case("diabetes", {"lr": ".003,.01"}, 30, lanes=False, vmap=False),
    "LBFGS": Case("xor", {"lr": ".5,1"}, 5, {"optimizer": {"name": "LBFGS"}}, lanes=False, vmap=False),
    "an optimizer without a rule": Case("xor", {"lr": ".01,.1"}, 20, {"optimizer": {"name": "NAdam"}}, lanes=False,
                                        vmap=False),
    "drawn with replacement, all recorded, seeds": Case(
        "wine", {"lr": ".001,.1", "seed": "0,4"}, 25,
        {"data.test": 0.0, "data.sampling": "with_replacement", "run.recorded_loss": "training"},
    ),
    "data drawn by the seed": Case("fractal-tanh", {"lr": ".1,3", "seed": "0,4"}, 20, {"data.samples": 30}),
    "data drawn by the seed, all recorded": Case("fractal-minibatch", {"lr": ".1,3", "seed": "0,4"}, 25, lanes=False),
    "seeds that split, all recorded": Case(
        "iris", {"lr": ".01,.05", "seed": "0,3"}, 20, {"run.recorded_loss": "training"}, lanes=False
    ),
    "divergence": Case("wine", {"lr": ".1,1e200"}, 20, {"optimizer": {"name": "SGD"}}),
}  # fmt: skip


class _Losses:
    def __init__(self) -> None:
        self.found: list[float] = []

    def step_begins(self, state: State, batch: Batch) -> None: ...

    def loss_known(self, state: State, value: Tensor, number: float) -> None:
        self.found.append(number)

    def gradients_known(self, state: State) -> None: ...

    def weights_moved(self, state: State) -> None: ...

    def step_done(self, state: State, loss: float) -> None: ...


def six_steps_losses(case: Case, point: Mapping[str, Any]) -> tuple[NDArray[np.float64], dict[str, Tensor]]:
    """Return the losses of `training.six_steps` for a point, as far as it comes, and the parameters afterwards."""
    names = {"lr": "optimizer.lr", "momentum": "optimizer.momentum", "weight_decay": "optimizer.weight_decay"}
    values = {names.get(key, key): value for key, value in point.items()}
    if "beta1" in values:
        values["optimizer.betas"] = [values.pop("beta1"), 0.999]
    stop = {"stop": {"epochs": 1000, "steps": case.steps}}
    task = load_task(case.task, {**case.changes, **values, **stop, **IN_FLOAT64})
    observer = _Losses()
    with placement("cpu", "float64") as place, torch.random.fork_rng():
        torch.manual_seed(task.seed)
        state = initialise(task, place, load_data(task.data, task.seed))
        torch.manual_seed(task.seed)
        repeat(state, observer)
    if state.penalties is not None:
        state.penalties.remove()
    parameters = {name: value.detach() for name, value in state.model.named_parameters()}
    return np.array(observer.found), parameters


def task_of(case: Case) -> Task:
    """Return the task of a case, in float64."""
    return load_task(case.task, {**case.changes, **IN_FLOAT64})
