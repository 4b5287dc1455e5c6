"""What is probed: any model, loss, batches and optimizer, and the training that is planned for them."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from chainrule.components import build_schedule, not_one_tensor
from chainrule.data import load_data
from chainrule.errors import DataError, ShapeError, TaskError
from chainrule.probes.batch_stream import TaskBatches, no_batch
from chainrule.probes.group_rates import leading_rate, rate_ratios
from chainrule.shapes import Float, Tensor
from chainrule.tasks import Task
from chainrule.training.batches import Batch
from chainrule.training.devices import placement
from chainrule.training.evaluation import evaluating
from chainrule.training.six_steps import forward, initialise, loss
from chainrule.training.state import State
from chainrule.training.threads import computing_threads

LossFunction = Callable[[Any, Any], Tensor]
Step = Callable[[nn.Module, Any], Tensor]
ScheduleFactory = Callable[[torch.optim.Optimizer, int], LRScheduler]
_EPOCHS: Final = 10
"""Planned where nobody says how long the training will be."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What moves the learning rate in the planned training.

    Attributes:
        build: makes the scheduler from the optimizer and the number of updates.
        per: what it is stepped after.
        words: the schedule in words.
    """

    build: ScheduleFactory
    per: str
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is probed.

    Attributes:
        model: any module.
        batches: an iterable that starts anew each time; of (inputs, targets), or of anything that `step` takes.
        optimizer: over the model's parameters; its rates are what is asked for, so its own only say how the rates of
            its groups stand to one another.
        updates: of the training that is planned.
        loss_fn: from prediction and targets to one number; not needed beside `step`.
        step: from the model and a batch to the loss, one number that can be differentiated; without it the model is
            called with the batch's inputs and `loss_fn` with what comes of it and the targets.
        validation: batches that are not trained on, for judging; None where there are none.
        validation_step: like `step`, for `validation`; `step` where it is None.
        schedule: moves the rate in the planned training; None for a constant rate.
        is_full_batch: the one batch is all that is trained on, so nothing is drawn.
        before_update: called between the backward pass and the update, to clip gradients.
        casting: the context of forward pass and loss, such as autocast.
        device: where batches are moved; None leaves them where they are.
        name: in a heading.
    """

    model: nn.Module
    batches: Iterable[Any]
    optimizer: torch.optim.Optimizer
    updates: int
    loss_fn: LossFunction | None = None
    step: Step | None = None
    validation: Iterable[Any] | None = None
    validation_step: Step | None = None
    schedule: Schedule | None = None
    is_full_batch: bool = False
    before_update: Callable[[], object] | None = None
    casting: Callable[[], AbstractContextManager[object]] = nullcontext
    device: torch.device | None = None
    name: str = "model"

    @property
    def rate(self) -> float:
        """The learning rate of the optimizer's first group that is not held still (at 0), as it is now.

        Raises:
            TaskError: all groups stand at 0.
        """
        return leading_rate(self.optimizer)

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that the optimizer moves."""
        groups = self.optimizer.param_groups
        return [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]

    def set_rate(self, rate: float) -> None:
        """Set the rate of the first group that is not at 0, and the others' so that their ratios to it stay.

        A group at 0 stays there.

        Raises:
            TaskError: all groups stand at 0, so no ratio is known.
        """
        for group, ratio in zip(self.optimizer.param_groups, rate_ratios(self.optimizer), strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"] = torch.full_like(group["lr"], rate * ratio)
            else:
                group["lr"] = rate * ratio

    def loss(self, batch: Any) -> Float[Tensor, ""]:
        """Return the training loss of a batch, with its graph.

        Raises:
            ShapeError: it is not one number.
            DataError: without `step`, the batch is not (inputs, targets).
        """
        return self._loss(batch, self.step)

    def validation_loss(self, batch: Any) -> float:
        """Return the loss of a validation batch in evaluation mode, without a graph."""
        with evaluating(self.model):
            return self._loss(batch, self.validation_step or self.step).item()

    def update(self, batch: Any) -> float:
        """Make one update of the planned training with a batch, and return the loss before it: `zero_grad` to `step`.

        A loss that is not finite is returned without an update. An optimizer that looks around (LBFGS) evaluates the
        batch again as often as it needs.
        """
        value = self._backward(batch)
        number = value.item()
        if math.isfinite(number):
            looks = 0

            def look_again() -> Tensor:
                nonlocal looks, value
                looks += 1
                if looks > 1:  # the first look is the gradient that is there
                    value = self._backward(batch)
                return value

            if isinstance(self.optimizer, torch.optim.LBFGS):
                self.optimizer.step(look_again)  # type: ignore[no-untyped-call]  # torch leaves it without types
            else:
                self.optimizer.step()
        return number

    def _backward(self, batch: Any) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        value = self.loss(batch)
        value.backward()  # type: ignore[no-untyped-call]
        if self.before_update is not None:
            self.before_update()
        return value

    def _loss(self, batch: Any, step: Step | None) -> Tensor:
        batch = batch if self.device is None else moved(batch, self.device)
        with self.casting():
            if step is not None:
                value: object = step(self.model, batch)
            else:
                inputs, targets = pair_of(batch)
                value = self._of_prediction(self.model(inputs), targets)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise ShapeError(
                what="The loss of a batch is not one number.",
                found=f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__,
                expected="one number, such as what nn.MSELoss() or nn.CrossEntropyLoss() return",
            )
        return value.reshape(())

    def _of_prediction(self, prediction: Any, targets: Any) -> object:
        if self.loss_fn is None:
            raise not_one_tensor(prediction)
        return self.loss_fn(prediction, targets)


def describe_optimizer(optimizer: torch.optim.Optimizer) -> str:
    """Name an optimizer, and the settings beside its rate that are not torch's own: "SGD, momentum 0.9"."""
    group = optimizer.param_groups[0]
    usual = inspect.signature(type(optimizer).__init__).parameters
    words = [type(optimizer).__name__]
    for name in ("momentum", "dampening", "nesterov", "betas", "alpha", "weight_decay"):
        value = group.get(name)
        if value is not None and name in usual and value != usual[name].default:
            words.append(name if value is True else f"{name} {_text(value)}")
    return ", ".join(words)


def _text(value: Any) -> str:
    return f"({', '.join(_text(one) for one in value)})" if isinstance(value, list | tuple) else f"{value:g}"


def pair_of(batch: Any) -> tuple[Any, Any]:
    """Return the inputs and the targets of a batch.

    Raises:
        DataError: it is not a pair.
    """
    if isinstance(batch, Batch):
        return batch.inputs, batch.targets
    if isinstance(batch, list | tuple) and len(batch) == 2:
        return batch[0], batch[1]
    names = f" with {', '.join(map(str, batch))}" if isinstance(batch, dict) else ""
    length = f" of {len(batch)}" if isinstance(batch, list | tuple) else ""
    raise DataError(
        what="A batch is not a pair of inputs and targets.",
        found=f"a {type(batch).__name__}{length}{names}",
        expected="(inputs, targets)",
        next_step="Give step=, a function of the model and the batch that returns the loss.",
    )


def moved(batch: Any, device: torch.device) -> Any:
    """Return a batch with its tensors on a device: in tuples, lists and dictionaries, and what has `.to(device)`."""
    if isinstance(batch, dict):
        return {key: moved(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(moved(value, device) for value in batch)
    return batch.to(device) if hasattr(batch, "to") else batch


def planned_updates(batches: Iterable[Any], updates: int | None, epochs: int | None) -> tuple[int, str]:
    """Return how many updates the planned training has, and a sentence where that was not told.

    Args:
        batches: of an epoch.
        updates: as told.
        epochs: as told.

    Raises:
        TaskError: both are told, one is not positive, or epochs are told of batches without a length.
        DataError: there is no batch.
    """
    if updates is not None and epochs is None and updates >= 1:
        return updates, ""
    wanted = "the length of the planned training: updates=5000, or epochs=20"
    if updates is not None or (epochs is not None and epochs < 1):
        raise TaskError(
            what="The length of the planned training is not clear.",
            found=f"updates = {updates}, epochs = {epochs}",
            expected=wanted,
        )
    try:
        length = len(batches)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        raise TaskError(
            what="These batches do not tell how many they are, so the length of an epoch is not known.",
            found=type(batches).__name__,
            expected="updates=, how many updates the planned training has",
        ) from None
    if length == 0:
        raise no_batch()
    if epochs is not None:
        return length * epochs, ""
    told = f"No length of the training was told; {_EPOCHS} epochs of {length} updates were taken."
    return length * _EPOCHS, told


@contextmanager
def subject_of(task: Task, *, seed: int | None = None) -> Iterator[Subject]:
    """Build a task as its training would, ready to be probed; what it needs is taken down at the end.

    The model has its initial weights, torch's generators stand where the training would begin, and the caller's are
    put back at the end.

    Args:
        task: what would be trained.
        seed: of initial weights, batches and what else is drawn, and of the split where the task has one; the task's
            own when None.

    Raises:
        ChainruleError: as `train`.
    """
    task = task if seed is None else task.model_copy(update={"seed": seed})
    with placement(task.run.device, task.run.precision) as place:
        if place.world > 1:
            raise TaskError(what="A probe runs in one process.", found=f"{place.world} processes", expected="1 process")
        devices = [place.device] if place.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(task.seed)
            data = load_data(task.data, task.seed)
            with computing_threads(task, data) as threads:
                state = initialise(task, replace(place, threads=threads), data)
                torch.manual_seed(task.seed)
                try:
                    yield _subject(task, state)
                finally:
                    if state.penalties is not None:
                        state.penalties.remove()


def _subject(task: Task, state: State) -> Subject:
    def step(model: nn.Module, batch: Batch) -> Tensor:
        return loss(state, forward(state, batch), batch)

    def validation_step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return state.objective(model(batch[0]), batch[1])

    schedule = None
    spec = task.schedule
    if spec is not None and state.schedule is not None:
        per = state.schedule.per

        def build(optimizer: torch.optim.Optimizer, updates: int) -> LRScheduler:
            moves = updates if spec.per != "epoch" else -(-updates // state.batches.per_epoch)
            return build_schedule(spec, optimizer, moves).scheduler

        schedule = Schedule(build, per, state.schedule.describe())
    return Subject(
        model=state.model,
        batches=TaskBatches(state.batches, state.place),
        optimizer=state.optimizer,
        updates=state.total_steps,
        step=step,
        validation=None if state.validation is None else [state.validation],
        validation_step=validation_step,
        schedule=schedule,
        is_full_batch=state.batches.per_epoch == 1,
        name=task.name,
    )
