"""A group of runs made ready: its data, its initial weights and batches by seed, and the State of any of its runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from chainrule.components import build_network, build_optimizer, build_schedule
from chainrule.data import Dataset, load_data
from chainrule.data.drawn import GAUSSIAN
from chainrule.errors import TaskError, UnknownNameError
from chainrule.shapes import Tensor
from chainrule.sweeps.groups import Columns, Group
from chainrule.sweeps.keys import BUFFER, INITIAL, LAYER_RATE, with_values
from chainrule.tasks import Task
from chainrule.training.batches import Batches
from chainrule.training.devices import Placement
from chainrule.training.six_steps import initialise
from chainrule.training.state import State


@dataclass(slots=True, eq=False)
class Problem:
    """What every engine needs to know of a group of runs.

    Attributes:
        task: of the group, with the number of updates as its only stop rule.
        place: device and precision.
        columns: what differs between the runs.
        steps: updates of each run.
        base: the first run before its first step; nobody trains it.
        layers: the names of the trained parameters of each weight layer.
        notes: what the task says and a sweep does otherwise, as sentences.
    """

    task: Task
    place: Placement
    columns: Columns
    steps: int
    base: State
    layers: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    _data: dict[int, Dataset] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(next(iter(self.columns.values())))

    @property
    def seeds(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The seed of each run."""
        return self.columns["seed"] if "seed" in self.columns else np.full(self.runs, self.task.seed, np.int64)

    @property
    def has_parts(self) -> bool:
        """Whether the data are split or drawn by the seed, so that runs of different seeds have different samples."""
        data = self.task.data
        return bool(data.test or data.validation or data.source == GAUSSIAN)

    @property
    def records_training(self) -> bool:
        """Whether a step's loss is that of the whole training part, and not of its batch."""
        return self.task.run.recorded_loss == "training"

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: value for name, value in self.base.model.named_parameters() if value.requires_grad}

    def data(self, seed: int) -> Dataset:
        """Return the data set of the runs with this seed."""
        key = seed if self.has_parts else self.task.seed
        if key not in self._data:
            self._data[key] = load_data(self.task.data, key)
        return self._data[key]

    def values(self, run: int) -> dict[str, Any]:
        """Return what one run has for each key that differs."""
        return {key: values[run].item() for key, values in self.columns.items()}

    def state(self, run: int) -> State:
        """Return one run before its first step: what `chainrule train` begins with, and what a task cannot say.

        The rates of weight layers and the factors and offsets of initial weights are put in after the task's own.
        """
        values = self.values(run)
        task = with_values(self.task, values)
        state = initialise(task, self.place, self.data(task.seed))
        with torch.no_grad():
            for name, parameter in state.model.named_parameters():
                factor, offset = self.initial_change(name, values)
                if factor != 1.0 or offset != 0.0:
                    parameter.mul_(factor).add_(offset)
            for key, value in values.items():
                if found := BUFFER.fullmatch(key):
                    state.model.get_buffer(found[1]).fill_(value)
        rates = {int(found[1]): value for key, value in values.items() if (found := LAYER_RATE.fullmatch(key))}
        if rates:
            _split_rates(state, self.layers, rates)
        return state

    def initial_change(self, name: str, values: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the factor and the offset of a parameter's initial values: numbers, or arrays with one a run."""
        layer = next((number for number, names in enumerate(self.layers) if name in names), None)
        parameter = self.base.model.get_parameter(name)
        if layer is None or parameter.dim() < 2:
            return 1.0, 0.0
        factor = values.get("init.scale", 1.0) * values.get(f"init.scale.{layer}", 1.0)
        offset = values.get("init.offset", 0.0) + values.get(f"init.offset.{layer}", 0.0)
        return factor, offset

    def initial_weights(self, seed: int) -> nn.Module:
        """Return the model as the task's own initialiser makes it for a seed."""
        shape = tuple(self.base.data.train.inputs.shape[1:])
        return build_network(self.task.model, shape, seed, self.place.dtype)

    def batch_rows(self, seed: int) -> Batches:
        """Return the batches of a seed; their inputs and targets are the numbers of the rows."""
        batches = self.base.batches
        rows = torch.arange(batches.samples)
        return replace(batches, inputs=rows, targets=rows, seed=seed)


def make_problem(group: Group, place: Placement, steps: int | None) -> Problem:
    """Return a group made ready.

    Args:
        group: the runs.
        place: device and precision.
        steps: updates of each run; as many as the task has when None.

    Raises:
        ChainruleError: the task cannot be trained, for any of the reasons that `train` has.
    """
    seeds = {"seed": group.columns["seed"][0].item()} if "seed" in group.columns else {}
    task = with_values(group.task, seeds)
    data = load_data(task.data, task.seed)
    notes = _passed_over(task, steps)
    task, steps = _fixed_steps(task, len(data.train), steps)
    base = initialise(task, place, data)
    if base.penalties is not None:  # every engine puts them on the models that it runs
        base.penalties.remove()
    layers = weight_layers(base.model)
    _check_layers(group.columns, layers)
    _check_buffers(group.columns, base.model)
    return Problem(task, place, group.columns, steps, base, layers, notes, {task.seed: data})


def weight_layers(model: nn.Module) -> tuple[tuple[str, ...], ...]:
    """Return the names of the trained parameters of each weight layer, from the inputs on.

    A weight layer is a trained tensor of two or more dimensions; tensors of fewer dimensions (biases, the weights of a
    normalisation) belong to the layer that comes before them in the model's own order, or to the first.
    """
    layers: list[list[str]] = []
    early: list[str] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.dim() >= 2:
            layers.append([*early, name])
            early = []
        elif layers:
            layers[-1].append(name)
        else:
            early.append(name)
    return tuple(tuple(names) for names in layers)


def _fixed_steps(task: Task, samples: int, steps: int | None) -> tuple[Task, int]:
    """Return the task with a number of updates as its only stop rule, and that number."""
    size = samples if task.data.batch_size == "full" else task.data.batch_size
    per_epoch = -(-samples // size)
    stop = task.stop
    own = min(stop.epochs * per_epoch, stop.steps or stop.epochs * per_epoch)
    number = own if steps is None else steps
    if number < 1:
        raise TaskError(what="A run has at least one update.", found=f"steps = {number}", expected="1 or more")
    epochs = -(-number // per_epoch)
    # The length of the whole run decides some schedules, so it stays the task's own where the task says it.
    only = stop.model_copy(
        update={
            "epochs": stop.epochs if steps is None else epochs,
            "steps": number if steps is not None or stop.steps is not None else None,
            "target_loss": None,
            "tolerance": None,
            "early_stopping": None,
        }
    )
    return task.model_copy(update={"stop": only}), number


def _passed_over(task: Task, steps: int | None) -> tuple[str, ...]:
    """Return what a sweep passes over in the stop rules of a task."""
    stop = task.stop
    rules = {"target_loss": stop.target_loss, "tolerance": stop.tolerance, "early_stopping": stop.early_stopping}
    names = [f"stop.{name} = {value:g}" for name, value in rules.items() if value is not None]
    if not names:
        return ()
    return (f"Every run takes the same number of updates; {', '.join(names)} of the task would end some sooner.",)


def _check_layers(columns: Columns, layers: tuple[tuple[str, ...], ...]) -> None:
    for key in columns:
        found = LAYER_RATE.fullmatch(key) or INITIAL.fullmatch(key)
        number = found[found.re.groups] if found else None
        if number is not None and int(number) >= len(layers):
            names = [f"{number} ({', '.join(layer)})" for number, layer in enumerate(layers)]
            raise UnknownNameError(
                what=f"The model has no weight layer {number}.",
                where=key,
                found=number,
                expected="one of " + "; ".join(names) if names else "a model with a weight matrix",
            )


def _check_buffers(columns: Columns, model: nn.Module) -> None:
    known = [name for name, value in model.named_buffers() if value.is_floating_point()]
    for key in columns:
        if (found := BUFFER.fullmatch(key)) and found[1] not in known:
            error = UnknownNameError.unknown_name("buffer of floats in the model", found[1], known, key)
            error.expected = error.expected if known else "a model that has one"
            raise error


def _split_rates(state: State, layers: tuple[tuple[str, ...], ...], rates: Mapping[int, float]) -> None:
    """Give each weight layer a parameter group of its own, and the schedule the new groups."""
    optimizer = build_optimizer(state.task.optimizer, state.model)
    whole = optimizer.param_groups[0]
    named = dict(state.model.named_parameters())
    settings = {key: value for key, value in whole.items() if key != "params"}
    optimizer.param_groups.clear()
    for number, names in enumerate(layers):
        own = settings | {"lr": rates[number]} if number in rates else settings
        optimizer.add_param_group({"params": [named[name] for name in names], **own})
    state.optimizer = optimizer
    if state.task.schedule is not None:
        per_epoch = state.batches.per_epoch
        moves = state.total_steps if state.task.schedule.per != "epoch" else -(-state.total_steps // per_epoch)
        state.schedule = build_schedule(state.task.schedule, optimizer, moves)


def initial_tensors(problem: Problem, rows: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Tensor]:
    """Return the initial parameters and buffers of some runs: [run, *shape], or *shape where all runs agree.

    Args:
        problem: the group.
        rows: which of its runs.
    """
    found = _by_seed(problem, rows)
    chosen = {key: values[rows] for key, values in problem.columns.items() if key.startswith("init.")}
    for name in problem.trained:
        factor, offset = problem.initial_change(name, chosen)
        if isinstance(factor, float) and isinstance(offset, float):
            continue
        own = problem.base.model.get_parameter(name).shape
        value = found[name] if found[name].dim() > len(own) else found[name].expand(len(rows), *own)
        for number, change in ((factor, torch.mul), (offset, torch.add)):
            value = change(value, _spread(number, len(rows), len(own)).to(problem.place.dtype))
        found[name] = value
    for key, values in problem.columns.items():
        if buffer := BUFFER.fullmatch(key):
            like = problem.base.model.get_buffer(buffer[1])
            value = _spread(values[rows], len(rows), like.dim()).to(like.dtype)
            found[buffer[1]] = value.expand(len(rows), *like.shape).clone()
    return found


def _spread(numbers: Any, runs: int, dimensions: int) -> Tensor:
    """Return a number for each run, as float64 in a shape that fits tensors with the runs in front."""
    one_each = np.broadcast_to(np.asarray(numbers, np.float64), (runs,)).copy()
    return torch.from_numpy(one_each).reshape(runs, *[1] * dimensions)


def stacked_tensors(problem: Problem, rows: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Tensor]:
    """Return the initial parameters and buffers of some runs, each [run, *shape]; see `initial_tensors`."""
    own = _tensors(problem.base.model)
    found = initial_tensors(problem, rows)
    return {
        name: value if value.dim() > own[name].dim() else value.expand(len(rows), *value.shape)
        for name, value in found.items()
    }


def _by_seed(problem: Problem, rows: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Tensor]:
    seeds, places = np.unique(problem.seeds[rows], return_inverse=True)
    if len(seeds) == 1 and int(seeds[0]) == problem.base.task.seed:
        model = problem.base.model
        return {name: value.detach().cpu().clone() for name, value in _tensors(model).items()}
    models = [_tensors(problem.initial_weights(int(seed))) for seed in seeds]
    index = torch.from_numpy(places)
    stacked = {name: torch.stack([each[name].detach() for each in models]) for name in models[0]}
    return {name: value[index] if len(seeds) > 1 else value[0] for name, value in stacked.items()}


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


_PENALTY = re.compile(r"penalty\.(\d+)\.strength")


def varying_strengths(columns: Columns) -> dict[int, str]:
    """Return the penalties whose strength differs between runs: number → key."""
    return {int(found[1]): key for key in columns if (found := _PENALTY.fullmatch(key))}
