"""What becomes of an activation: a task trained with it at several rates and seeds, and judged where it ends."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call, vmap

from chainrule.components import Objective
from chainrule.data import Dataset, load_data
from chainrule.errors import TaskError
from chainrule.probes.candidates import Candidate
from chainrule.probes.gains import LayerGain, measure_gains
from chainrule.shapes import Tensor
from chainrule.sweeps import Progress, Want, run_points
from chainrule.tasks import Task, load_task
from chainrule.training.building import part_tensors
from chainrule.training.devices import placement
from chainrule.training.evaluation import evaluating
from chainrule.training.six_steps import initialise
from chainrule.training.state import State
from chainrule.training.threads import computing_threads

Numbers: TypeAlias = NDArray[np.float64]
Point: TypeAlias = tuple[float, int]
"""A learning rate and a seed."""

ORDERS: Final = 16
"""In so many orders predictions are held against the targets of other samples."""
_CHUNK: Final = 16  # runs that are judged side by side
_GAIN_SAMPLES: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """How some runs end, one entry each.

    Attributes:
        judged: loss after the last update, on the validation part where there is one, else on the training part; NaN
            for a run that diverged.
        shuffled: the same with predictions held against the targets of other samples, mean over 16 orders: what a
            model reaches that knows which outputs occur, and not for which inputs.
        spread: standard deviation of that over the orders; NaN where predictions are not known.
        training: loss on the training part after the last update.
        is_done: False for runs that an interruption left out.
    """

    judged: Numbers
    shuffled: Numbers
    spread: Numbers
    training: Numbers
    is_done: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A model before its first update.

    Attributes:
        judged: loss on the part that is judged.
        training: loss on the training part.
        layers: gains of its hidden layers.
    """

    judged: float
    training: float
    layers: tuple[LayerGain, ...]


@runtime_checkable
class Runs(Protocol):
    """Trains what is compared, with any candidate."""

    @property
    def judges_validation(self) -> bool:
        """Whether there is a validation part to judge by."""

    def ends(self, candidate: Candidate, points: Sequence[Point], part: str, progress: Progress | None) -> Ends:
        """Train once for each point, and judge."""

    def start(self, candidate: Candidate, seed: int) -> Start:
        """Return the model of a seed before its first update."""


@dataclass(slots=True, eq=False)
class TaskRuns:
    """A task of layers with other activations.

    Attributes:
        task: what is trained; every candidate takes the place of all its hidden activations.
        steps: updates of each run.
        has_own_init: each candidate's weights are initialised with its own gain; the task's own initialiser stands
            otherwise.
        engine: as for a sweep.
        folder: where finished parts are kept.
        notes: what the sweeps said, as sentences.
    """

    task: Task
    steps: int
    has_own_init: bool
    engine: Any = "auto"
    folder: Path | None = None
    notes: dict[str, None] = field(default_factory=dict)
    engines: dict[str, None] = field(default_factory=dict)
    _data: dict[int, Dataset] = field(default_factory=dict)

    @property
    def judges_validation(self) -> bool:
        """Whether there is a validation part to judge by."""
        return bool(self.task.data.validation)

    def ends(self, candidate: Candidate, points: Sequence[Point], part: str, progress: Progress | None) -> Ends:
        """Train once for each point; see `Runs`."""
        outcome = run_points(
            self.with_candidate(candidate),
            [{"lr": rate, "seed": seed} for rate, seed in points],
            steps=self.steps,
            want=Want(losses=False, parameters=True),
            engine=self.engine,
            folder=None if self.folder is None else self.folder / f"{candidate.label}-{part}",
            progress=progress,
        )
        self.notes |= dict.fromkeys(outcome.notes)
        self.engines |= dict.fromkeys(outcome.engine.split(", "))
        found = {key: np.full(len(points), np.nan) for key in ("judged", "shuffled", "spread", "training")}
        seeds = np.array([seed for _, seed in points])
        states = {name: torch.from_numpy(value) for name, value in (outcome.parameters or {}).items()}
        for seed in np.unique(seeds):
            rows = np.flatnonzero((seeds == seed) & outcome.is_done & ~outcome.diverged)
            if rows.size:
                own = {name: value[torch.from_numpy(rows)] for name, value in states.items()}
                for key, values in self._judge(candidate, int(seed), own, len(rows)).items():
                    found[key][rows] = values
        return Ends(**found, is_done=outcome.is_done)

    def start(self, candidate: Candidate, seed: int) -> Start:
        """Return the model of a seed before its first update; see `Runs`."""
        with self._state(candidate, seed) as state:
            own = {name: value.detach()[None] for name, value in state.model.named_parameters()}
            inputs = state.batches.inputs[:_GAIN_SAMPLES]
            names = [name for name, _ in state.model.named_children() if name.startswith("hidden")]
            paths = [name for name in names if name.endswith("_activation")]
            layers = measure_gains(state.model, inputs, paths, seed)
        judged = self._judge(candidate, seed, own, 1)
        return Start(float(judged["judged"][0]), float(judged["training"][0]), layers)

    def with_candidate(self, candidate: Candidate) -> Task:
        """Return the task with a candidate in all hidden layers."""
        changes: dict[str, Any] = {"model.activation": candidate.component}
        if self.has_own_init:
            changes["model.init"] = candidate.initialiser
        return load_task(self.task, changes)

    @contextmanager
    def _state(self, candidate: Candidate, seed: int) -> Iterator[State]:
        task = self.with_candidate(candidate).model_copy(update={"seed": seed, "schedule": None})
        key = seed if task.data.test or task.data.validation else self.task.seed
        if key not in self._data:
            self._data[key] = load_data(task.data, key)
        with placement(task.run.device, task.run.precision) as place, computing_threads(task, self._data[key]) as count:
            state = initialise(task, replace(place, threads=count), self._data[key])
            try:
                yield state
            finally:
                if state.penalties is not None:
                    state.penalties.remove()

    def _judge(self, candidate: Candidate, seed: int, states: Mapping[str, Tensor], count: int) -> dict[str, Numbers]:
        """Return the losses of some runs of one seed from their weights."""
        with self._state(candidate, seed) as state, evaluating(state.model):
            own = {name: value.to(state.place.device, state.place.dtype) for name, value in states.items()}
            parts = {"training": part_tensors(state.data.train, state.objective, state.place)}
            if state.data.validation is not None:
                parts["judged"] = part_tensors(state.data.validation, state.objective, state.place)
            judged = parts.get("judged", parts["training"])
            others = [each.to(judged[1].device) for each in orders(len(judged[1]), seed)]
            losses: dict[str, list[float]] = {key: [] for key in (*parts, "shuffled", "spread")}
            for first in range(0, count, _CHUNK):
                few = {name: value[first : first + _CHUNK] for name, value in own.items()}
                for key, (inputs, targets) in parts.items():
                    for prediction in _predictions(state.model, few, inputs):
                        losses[key].append(_loss(state.objective, prediction, targets))
                        if inputs is judged[0]:
                            apart = [_loss(state.objective, prediction, targets[order]) for order in others]
                            mean, spread = mean_and_spread(np.array(apart))
                            losses["shuffled"].append(mean)
                            losses["spread"].append(spread)
        found = {key: np.array(values) for key, values in losses.items()}
        return found if "judged" in found else {**found, "judged": found["training"]}


def derangement(count: int, seed: int) -> Tensor:
    """Return an order of `count` rows that leaves none in its place: along one cycle through all of them.

    Args:
        count: of the rows; at least 2, or the only row stays.
        seed: decides the cycle.
    """
    cycle = torch.randperm(count, generator=torch.Generator().manual_seed(seed % 2**63))
    order = torch.empty_like(cycle)
    order[cycle] = cycle.roll(1)
    return order


def orders(count: int, seed: int) -> list[Tensor]:
    """Return the orders in which targets are held against predictions of other samples; see `derangement`."""
    return [derangement(count, seed * ORDERS + number) for number in range(ORDERS)]


def mean_and_spread(values: Numbers) -> tuple[float, float]:
    """Return mean and standard deviation of some losses; NaN where one is not finite."""
    if not np.isfinite(values).all():
        return math.nan, math.nan
    return float(values.mean()), float(values.std(ddof=1))


def task_has_own_init(task: Task) -> bool:
    """Return whether a task leaves the initial weights open, so that each candidate can have its own gain."""
    return task.model.init is None and task.model.weights is None


def refuse_task(task: Task) -> None:
    """Refuse a task whose hidden activations cannot be compared.

    Raises:
        TaskError: it has no hidden layer, or its seed decides nothing.
    """
    if task.model.layers is None or len(task.model.layers) < 2:
        raise TaskError(
            what="There is no hidden layer, so there is no activation to compare.",
            where="model.layers",
            found=str(task.model.layers),
            expected="sizes of at least two layers; the last is the output layer",
        )
    has_parts = bool(task.data.test or task.data.validation)
    has_order = task.data.batch_size != "full" and task.data.shuffle
    if task.model.weights is not None and not has_parts and not has_order:
        raise TaskError(
            what="Every seed gives the same run, so nothing says how sure a difference between activations is.",
            where="model.weights",
            found="weights written out, and one batch of all samples",
            expected="initial weights, batches or parts that the seed decides",
            next_step="Leave model.weights and model.biases out, or compare two runs with `chainrule train`.",
        )


def _predictions(model: nn.Module, states: Mapping[str, Tensor], inputs: Tensor) -> list[Tensor]:
    def predict(each: Mapping[str, Tensor]) -> Tensor:
        prediction: Tensor = functional_call(model, dict(each), (inputs,))
        return prediction

    try:
        return list(_vmapped(predict)(dict(states)))
    except RuntimeError:  # what torch.func cannot compute many times at once, it can once
        count = len(next(iter(states.values())))
        return [predict({name: value[run] for name, value in states.items()}) for run in range(count)]


def _vmapped(function: Callable[[Mapping[str, Tensor]], Tensor]) -> Callable[[Mapping[str, Tensor]], Tensor]:
    mapped: Callable[[Mapping[str, Tensor]], Tensor] = vmap(function, randomness="error")
    return mapped


def _loss(objective: Objective, prediction: Tensor, targets: Tensor) -> float:
    return float(objective(prediction, targets))
