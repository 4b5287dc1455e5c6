"""A task trained on a grid of two hyperparameters: one complete run for each pixel of a map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from chainrule.components import build_network
from chainrule.data import load_data
from chainrule.errors import TaskError, UnknownNameError
from chainrule.sweeps.axes import Axis, Value, parse_axis
from chainrule.sweeps.keys import canonical_key
from chainrule.sweeps.map_result import Map, MapPlan
from chainrule.sweeps.outcome import Outcome, Progress, Want
from chainrule.sweeps.points import Grid, grid
from chainrule.sweeps.problem import weight_layers
from chainrule.sweeps.results import measure_named
from chainrule.sweeps.running import Scale, run_points
from chainrule.sweeps.sweeping import EngineChoice
from chainrule.sweeps.zoom import check_is_ascending, zoomed
from chainrule.tasks import Task, load_task
from chainrule.training.devices import placement

RESOLUTION: Final = 64
SIDE_AT_MOST: Final = 4096
"""Pixels along each side; more take more memory than one process should have."""
MEASURE: Final = "convergence"
RATES_OF_SGD: Final = "log:1e-3:1e3"
RATES: Final = "log:1e-5:10"
SCALES: Final = "log:0.01:100"
_BYTES_OF_A_PIXEL: Final = 180  # measured between maps of 64 and of 1024 pixels a side, the page's among them
_TEST: Final = "test_accuracy"
_KNOWN: Final = ("convergence", "final_loss", "lowest_loss")
_WITH_CONVERGENCE: Final = ("convergence", "final_loss", _TEST)
"""Measures beside which the published one is computed in the same run."""


@dataclass(frozen=True, slots=True)
class MapRequest:
    """How a map is computed.

    Attributes:
        resolution: pixels along an axis that does not say itself how many.
        measure: the number of each run; the task's own, or "convergence", when None.
        zoom: (x, y, factor): the window around a point, each side shorter by that factor.
        steps: updates of each run; as many as the task has when None.
        engine: "auto" takes the fastest that can.
        fixed: what a task has no key for and all runs have in common, such as {"lr.2": 0.1}.
    """

    resolution: int = RESOLUTION
    measure: str | None = None
    zoom: tuple[float, float, float] | None = None
    steps: int | None = None
    engine: EngineChoice = "auto"
    fixed: Mapping[str, Value] = field(default_factory=dict)


def map_runs(
    task: str | Path | Mapping[str, Any] | Task,
    axes: Mapping[str, str | Sequence[Value]] | Sequence[Axis] | None = None,
    *,
    resolution: int = RESOLUTION,
    measure: str | None = None,
    zoom: tuple[float, float, float] | None = None,
    steps: int | None = None,
    engine: EngineChoice = "auto",
    folder: Path | None = None,
    progress: Progress | None = None,
    scale: Scale = "local",
) -> Map:
    """Train a task once for every pixel of a map over two hyperparameters.

    Both ends of a range are pixels: `resolution` values evenly apart, in their logarithm for "log", as the code of the
    published map has them (`logspace(low, high, resolution)`).

    Args:
        task: a Task, the path of a TOML file, the name of a built-in example, or a table.
        axes: two hyperparameters → their values, x first: "log:1e-3:1e6", "lin:0:1", with a count of its own such as
            "log:1e-3:1e6:128", or a list. The task's own map when not given, or else the learning rates of its first
            and last weight layers.
        resolution: values of an axis that does not say how many.
        measure: what colours a pixel: "convergence" (how fast it converges or diverges), "final_loss", "lowest_loss",
            "steps_to:0.01" (updates until the loss is at most 0.01) or "test_accuracy".
        zoom: (x, y, factor): the window around that point, each side shorter by that factor, in decades where the
            axis is logarithmic.
        steps: updates of each run; as many as the task has when not given.
        engine: what computes the runs; "auto" takes the fastest that can.
        folder: where finished parts are kept, so that the same call goes on where another one was ended.
        progress: is told how it goes.
        scale: "ray" computes on a Ray cluster.

    Raises:
        ChainruleError: the task, a hyperparameter, a window or the measure cannot be used.

    Example:
        >>> axes = {"lr": "log:0.1:1e4", "init.scale": "log:0.1:10"}
        >>> found = map_runs("two-two-two", axes, resolution=4, steps=50, measure="final_loss")
        >>> found.measure.shape
        (4, 4)
    """
    read = load_task(task)
    request = MapRequest(resolution, measure, zoom, steps, engine)
    return map_plan(read, plan_of(read, axes, request), folder=folder, progress=progress, scale=scale)


def plan_of(
    task: Task, axes: Mapping[str, str | Sequence[Value]] | Sequence[Axis] | None, request: MapRequest
) -> MapPlan:
    """Return what a map is of; see `map_runs`.

    Raises:
        ChainruleError: an axis, the resolution, the window or the measure cannot be used.
    """
    own = task.map
    measure = request.measure or (own.measure if own is not None and not axes else None) or MEASURE
    _check_measure(measure)
    if request.resolution < 2:
        raise TaskError(
            what="A map has at least two pixels along each side.", where="resolution", found=str(request.resolution)
        )
    x, y = _read_axes(task, axes, request.resolution)
    _check_axes(task, x, y, request.fixed)
    if request.zoom is not None:
        at_x, at_y, factor = request.zoom
        x, y = zoomed(x, at_x, factor), zoomed(y, at_y, factor)
    return MapPlan(x, y, dict(request.fixed), measure, request.steps, request.engine)


def usual_axes(task: Task, resolution: int = RESOLUTION) -> tuple[Axis, Axis]:
    """Return the axes of a map when nothing is said: x, then y.

    The task's own, or the learning rates of the first and the last weight layer; of a network with one weight layer
    its learning rate and a factor of its initial weights.
    """
    if task.map is not None:
        return read_side(task.map.x, resolution), read_side(task.map.y, resolution)
    rates = RATES_OF_SGD if task.optimizer.name == "SGD" else RATES
    layers = _layers(task)
    if layers < 2:
        return parse_axis("lr", rates, resolution), parse_axis("init.scale", SCALES, resolution)
    return parse_axis("lr.0", rates, resolution), parse_axis(f"lr.{layers - 1}", rates, resolution)


def read_side(text: str, resolution: int) -> Axis:
    """Read an axis as it is typed: KEY=VALUES, such as "lr.0=log:1e-3:1e6".

    Raises:
        TaskError: it is not of this form, or its values cannot be read.
    """
    key, equals, values = text.partition("=")
    if not equals or not key.strip() or not values.strip():
        raise TaskError(
            what="An axis of a map is a hyperparameter and its values.",
            found=text,
            expected="KEY=VALUES, such as lr.0=log:1e-3:1e6, momentum=lin:0:0.99 or model.activation=ReLU,Tanh",
        )
    return parse_axis(key.strip(), values.strip(), resolution)


def map_plan(
    task: Task,
    plan: MapPlan,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    scale: Scale = "local",
) -> Map:
    """Train the runs of a map; see `map_runs`."""
    points = points_of(plan)
    if plan.measure == _TEST:
        _check_has_metric(task, points)
    measure = "convergence" if plan.measure in _WITH_CONVERGENCE else plan.measure
    want = Want(losses=False, measure=measure, test=plan.measure == _TEST)
    outcome = run_points(
        task, points, steps=plan.steps, want=want, engine=plan.engine, folder=folder, progress=progress, scale=scale
    )
    return _map(task, plan, outcome)


def points_of(plan: MapPlan) -> Grid:
    """Return the runs of a map, row by row from the bottom left."""
    return grid(*(Axis(key, (value,)) for key, value in plan.fixed.items()), plan.y, plan.x)


def _map(task: Task, plan: MapPlan, outcome: Outcome) -> Map:
    shape = plan.shape
    own = outcome.measure.reshape(shape) if outcome.measure is not None else None
    convergence = own if plan.measure in _WITH_CONVERGENCE else None
    final = outcome.final_loss.reshape(shape)
    measure = {"final_loss": final, _TEST: _or_none(outcome.test_metric, shape)}.get(plan.measure, own)
    if measure is None:
        raise TaskError(what="These runs have no such measure.", found=plan.measure)
    if plan.measure.startswith("steps_to"):  # of a run that never reaches the target it would be the number of steps
        measure = np.where(measure < outcome.steps, measure, np.nan)
    return Map(
        task=task,
        plan=plan,
        steps=outcome.steps,
        measure=measure,
        convergence=convergence,
        final_loss=final,
        diverged=outcome.diverged.reshape(shape),
        steps_run=outcome.steps_run.reshape(shape),
        is_done=outcome.is_done.reshape(shape),
        metric_name=outcome.metric_name,
        engine=outcome.engine,
        why=outcome.why,
        notes=outcome.notes,
        seconds=outcome.seconds,
    )


def _or_none(values: Any, shape: tuple[int, int]) -> Any:
    return None if values is None else values.reshape(shape)


def _read_axes(
    task: Task, axes: Mapping[str, str | Sequence[Value]] | Sequence[Axis] | None, resolution: int
) -> tuple[Axis, Axis]:
    if not axes:
        return usual_axes(task, resolution)
    if isinstance(axes, Mapping):
        axes = [
            parse_axis(key, values, resolution) if isinstance(values, str) else Axis(key, tuple(values))
            for key, values in axes.items()
        ]
    if len(axes) != 2:
        raise TaskError(
            what="A map is over two hyperparameters.",
            found=", ".join(axis.key for axis in axes),
            expected="x and y",
            next_step="`chainrule sweep` takes one, or more than two.",
        )
    return axes[0], axes[1]


def _check_axes(task: Task, x: Axis, y: Axis, fixed: Mapping[str, Value]) -> None:
    keys = [canonical_key(key, task) for key in (x.key, y.key, *fixed)]
    if keys[0] == keys[1]:
        raise TaskError(
            what="The two axes of a map are the same hyperparameter.",
            found=f"x is {x.key}, y is {y.key}",
            next_step="Rates of single weight layers are lr.0, lr.1 and so on.",
        )
    if repeated := next((key for key in keys[2:] if key in keys[:2]), None):
        raise TaskError(what=f"'{repeated}' is an axis of the map, and is said to be one value as well.")
    for axis in (x, y):
        if len(axis) < 2:
            raise TaskError(what=f"The axis '{axis.key}' of a map has one value only.", found=str(axis.values[0]))
        if len(axis) > SIDE_AT_MOST:
            raise _too_large(x, y)
        if axis.scale != "list":
            check_is_ascending(axis.key, axis.values)


def _too_large(x: Axis, y: Axis) -> TaskError:
    runs = len(x) * len(y)
    return TaskError(
        what="The map has too many pixels.",
        found=f"{len(x):,} by {len(y):,}: {runs:,} runs, about {runs * _BYTES_OF_A_PIXEL / 1e9:,.0f} GB of memory",
        expected=f"at most {SIDE_AT_MOST} along each side",
        next_step="Zoom into the part that you want to see closer.",
    )


def _check_measure(measure: str) -> None:
    if measure != _TEST and measure.partition(":")[0] != "steps_to" and measure not in _KNOWN:
        raise UnknownNameError.unknown_name("measure", measure, [*_KNOWN, _TEST, "steps_to:TARGET"])
    if measure != _TEST:
        measure_named(measure)


def _check_has_metric(task: Task, points: Grid) -> None:
    """Refuse a test metric that there is not, before the runs are made."""
    first = run_points(task, [points[0]], steps=1, want=Want(losses=False, test=True), engine="loop")
    if first.metric_name != "accuracy":
        raise TaskError(
            what="The task has no accuracy, as it does not tell classes apart.",
            where="measure",
            found=_TEST,
            expected="convergence, final_loss, lowest_loss or steps_to:TARGET",
        )


def _layers(task: Task) -> int:
    with placement(task.run.device, task.run.precision) as place:
        shape = tuple(load_data(task.data, task.seed).train.inputs.shape[1:])
        return len(weight_layers(build_network(task.model, shape, task.seed, place.dtype)))
