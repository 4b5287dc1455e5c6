"""A task: what to train. Built in Python or read from a TOML file, and checked as a whole before anything runs."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from chainrule.errors import TaskError
from chainrule.tasks.checks import check_parts, check_together
from chainrule.tasks.data_spec import DataSpec
from chainrule.tasks.numbers import Seed
from chainrule.tasks.penalty_spec import PenaltySpec
from chainrule.tasks.problems import problems_of
from chainrule.tasks.specs import Component, Loss, MapSpec, ModelSpec, Optimizer, RunSpec, Schedule, StopSpec


class Task(BaseModel):
    """What to train: data, model, loss, optimizer, schedule, penalties, stop rule and seed.

    Every key is checked when the task is made: unknown names list the nearest valid one, and the arguments of every
    component are held against its own signature.

    Raises:
        TaskError: something is wrong; the error holds every problem that was found.

    Example:
        >>> task = Task(
        ...     name="and",
        ...     data={"inputs": [[0, 0], [0, 1], [1, 0], [1, 1]], "targets": [[0.0], [0.0], [0.0], [1.0]]},
        ...     model={"layers": [2, 1], "activation": "Tanh"},
        ...     loss="BCEWithLogitsLoss",
        ...     optimizer={"name": "SGD", "lr": 0.5},
        ... )
        >>> task.optimizer.arguments
        {'lr': 0.5}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "task"
    description: str = ""
    seed: Seed = 0
    data: DataSpec
    model: ModelSpec
    loss: Loss | None = None
    optimizer: Optimizer = Component(name="Adam")
    schedule: Schedule | None = None
    penalty: list[PenaltySpec] = []
    stop: StopSpec = StopSpec()
    run: RunSpec = RunSpec()
    map: MapSpec | None = None

    def __init__(self, **keys: Any) -> None:
        try:
            super().__init__(**keys)
        except ValidationError as error:
            problems = problems_of(error, Task)
            raise TaskError(what="The task cannot be trained as it is written.", problems=tuple(problems)) from None
        problems = check_parts(self.data, self.model, self.loss, self.optimizer, self.schedule, self.stop)
        problems += check_together(self.data, self.penalty, self.run)
        if problems:
            raise TaskError(what="The task cannot be trained as it is written.", problems=tuple(problems))
