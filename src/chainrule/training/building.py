"""A run before its first step: data, model, loss, optimizer, schedule and penalties, on the device of the run."""

from pathlib import Path

import torch
from torch import nn

from chainrule.components import (
    Objective,
    build_network,
    build_objective,
    build_optimizer,
    build_schedule,
    check_shapes,
    generators_kept,
    targets_for,
)
from chainrule.data import Dataset, Part, read_order
from chainrule.data.wording import count_of
from chainrule.errors import TaskError
from chainrule.penalties import attach_penalties
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.training.batches import Batches
from chainrule.training.devices import Placement, parallel
from chainrule.training.evaluation import evaluating, run_model
from chainrule.training.state import State


def build_state(task: Task, place: Placement, data: Dataset) -> State:
    """Build everything that a task names for its data, and refuse what does not fit before anything is trained.

    Raises:
        TaskError, DataError, ShapeError, UserModuleError: see the functions that it calls.
    """
    classes = len(data.class_names)
    columns = 0 if classes else data.train.targets.shape[1]
    outputs = task.model.layers[-1] if task.model.layers else None
    objective = build_objective(task.loss, classes, columns, _outputs_after(task, outputs))
    model = build_network(task.model, tuple(data.train.inputs.shape[1:]), task.seed, place.dtype)
    model = model.to(place.device)
    objective.module.to(place.device, place.dtype)
    inputs, targets = part_tensors(data.train, objective, place)
    if data.test is not None:
        targets_for(objective, data.test.targets, place.dtype)
    if outputs is None:
        objective = _fit_to_model(task, model, objective, inputs, columns, place)
        targets = part_tensors(data.train, objective, place)[1]
    _dry_run(model, objective, inputs, targets)
    optimizer = build_optimizer(task.optimizer, model)
    size = len(inputs) if task.data.batch_size == "full" else task.data.batch_size
    given = _given_order(task, len(inputs), size)
    batches = Batches(
        inputs,
        targets,
        size,
        shuffle=task.data.shuffle and given is None,
        seed=task.seed,
        with_replacement=task.data.sampling == "with_replacement",
        given=None if given is None else given.to(place.device),
    )
    state = State(
        task=task,
        data=data,
        place=place,
        model=model,
        runner=parallel(model, place),
        objective=objective,
        optimizer=optimizer,
        schedule=None,
        penalties=attach_penalties(model, task.penalty) if task.penalty else None,
        batches=batches,
        validation=None if data.validation is None else part_tensors(data.validation, objective, place),
    )
    if given is not None and state.total_steps > len(given):
        raise TaskError(
            what="The order of the samples is shorter than the run.",
            where="data.order",
            found=count_of(len(given), "update"),
            expected=f"{state.total_steps}, which the run may take",
            next_step=f"Say stop.steps = {len(given)}.",
        )
    if task.schedule is not None:
        moves = state.total_steps if task.schedule.per != "epoch" else -(-state.total_steps // batches.per_epoch)
        state.schedule = build_schedule(task.schedule, optimizer, moves)
    model.train()
    return state


def _given_order(task: Task, samples: int, size: int) -> Tensor | None:
    if task.data.order is None:
        return None
    rows = read_order(Path(task.data.order), samples)
    if rows.shape[1] != size:
        raise TaskError(
            what="The order of the samples has batches of another size.",
            where="data.order",
            found=f"{rows.shape[1]} samples in each update",
            expected=f"{size}, as data.batch_size says",
            next_step=f"Say data.batch_size = {rows.shape[1]}.",
        )
    return rows


def _outputs_after(task: Task, outputs: int | None) -> int | None:
    """Return how many numbers the model returns: GLU halves its layer."""
    last = task.model.output_activation
    halves = outputs is not None and not isinstance(last, list) and last.name == "GLU"
    return outputs // 2 if halves and outputs is not None else outputs


def part_tensors(part: Part, objective: Objective, place: Placement) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of a part, on the device and in the precision of the run."""
    targets = targets_for(objective, part.targets, place.dtype)
    # First the precision, then the device: MPS has no float64 to take the data in.
    return part.inputs.to(place.dtype).to(place.device), targets.to(place.device)


def _fit_to_model(
    task: Task, model: nn.Module, objective: Objective, inputs: Tensor, columns: int, place: Placement
) -> Objective:
    """Ask a module of the user's own how many outputs it has; two classes may be told by one output or by two."""
    prediction = _quiet_forward(model, inputs[:2].clone())
    if objective.classes != 2 or objective.rule.form in ("class", "class set") or prediction.dim() != 2:
        return objective
    fitted = build_objective(task.loss, objective.classes, columns, prediction.shape[1])
    fitted.module.to(place.device, place.dtype)
    return fitted


def _dry_run(model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor) -> None:
    rows = min(3, len(inputs))  # three, so that (N,) against (N, 1) shows: two samples of two outputs would hide it
    sample = inputs[:rows].clone()
    prediction = _quiet_forward(model, sample)
    if sample._version:
        raise TaskError(
            what="The model changes its inputs in place, so every pass would see other data.",
            where="the first forward pass",
            found="inputs that are overwritten",
            expected="a forward pass that leaves its inputs alone",
            next_step="Start it with `x = x.clone()`, or use the operation that is not in place.",
        )
    check_shapes(objective, prediction, targets[:rows])
    if not prediction.requires_grad and any(parameter.requires_grad for parameter in model.parameters()):
        raise TaskError(
            what="The prediction does not depend on any weight that is trained, so there is nothing to backpropagate.",
            where="the first forward pass",
            found="a prediction without a graph",
            expected="a prediction that autograd can follow back to the weights",
            next_step="Take detach(), no_grad(), argmax, .data or a way through NumPy out of the forward pass.",
        )


def _quiet_forward(model: nn.Module, inputs: Tensor) -> Tensor:
    """Run the model once and leave no trace: buffers and generators are as before."""
    with generators_kept(inputs.device), evaluating(model), torch.enable_grad():
        return run_model(model, inputs)


def dataset_parts(data: Dataset) -> dict[str, Part]:
    """Return the parts that a data set has, by name."""
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: part for name, part in parts.items() if part is not None}
