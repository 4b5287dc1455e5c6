"""The optimizer and the learning-rate schedule of a task."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import lr_scheduler

from chainrule.components.user_code import load_user_object, own_frames, user_error
from chainrule.errors import ChainruleError, Problem, TaskError
from chainrule.registry import OPTIMIZERS, SCHEDULERS, check_arguments
from chainrule.tasks import Component, ScheduleSpec

# Schedulers whose unit is the update, by their documentation; all others are stepped once per epoch.
PER_BATCH = ("OneCycleLR", "CyclicLR")


def build_optimizer(component: Component, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer of a task over the parameters that are trained.

    Raises:
        TaskError: torch refuses an argument, the model has nothing to train, or the optimizer does not fit the model.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not named:
        raise _refused("model", "no parameter that is trained", "at least one weight with requires_grad")
    if component.name == "Muon":
        _check_matrices(named)
    if component.name == "SparseAdam" and not _has_sparse_gradients(model):
        raise _refused("optimizer.name", "SparseAdam", "Adam: SparseAdam wants the sparse gradients of an embedding")
    arguments, _ = check_arguments(OPTIMIZERS, component.name, component.arguments, "optimizer")
    try:
        optimizer: torch.optim.Optimizer = OPTIMIZERS[component.name](
            [parameter for _, parameter in named], **arguments
        )
    except (ValueError, RuntimeError) as error:
        raise _refused("optimizer", _arguments_text(component), f"what torch takes; it says: {error}") from error
    return optimizer


def _check_matrices(named: list[tuple[str, nn.Parameter]]) -> None:
    others = [f"{name} {tuple(parameter.shape)}" for name, parameter in named if parameter.dim() != 2]
    if others:
        found = "parameters that are no matrices: " + ", ".join(others)
        raise _refused("optimizer.name", found, "matrices only, for Muon: set model.bias = false, or take AdamW")


def _has_sparse_gradients(model: nn.Module) -> bool:
    return any(getattr(module, "sparse", False) for module in model.modules())


def _arguments_text(component: Component) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in component.arguments.items())


def _refused(key: str, found: str, expected: str) -> TaskError:
    return TaskError(what="The task cannot be trained as it is written.", problems=(Problem(key, found, expected),))


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduler, and when it is stepped.

    Attributes:
        scheduler: torch's own.
        per: "epoch" or "batch".
        wants_metric: it is stepped with the validation loss, or the training loss where there is no validation part.
    """

    scheduler: lr_scheduler.LRScheduler
    per: Literal["epoch", "batch"]
    wants_metric: bool

    def describe(self) -> str:
        """Say which scheduler it is and when it is stepped."""
        watched = ", watching the loss" if self.wants_metric else ""
        return f"{type(self.scheduler).__name__}, once per {self.per}{watched}"


def build_schedule(spec: ScheduleSpec, optimizer: torch.optim.Optimizer, total_steps: int) -> Schedule:
    """Build the schedule of a task.

    Args:
        spec: the scheduler by name.
        optimizer: whose learning rate it moves.
        total_steps: updates of the whole run, for OneCycleLR.

    Raises:
        TaskError: torch refuses an argument.
    """
    per = spec.per or ("batch" if spec.name in PER_BATCH else "epoch")
    try:
        _try_out(spec, optimizer, total_steps)
        scheduler = _scheduler(spec.name, spec.arguments, optimizer, total_steps)
    except ChainruleError:
        raise
    except Exception as error:
        if own_frames(error):
            raise user_error(f"A function of {spec.name} failed.", "schedule", error) from error
        expected = f"what torch takes; it says: {str(error) or type(error).__name__}"
        raise _refused("schedule", f"{spec.name}({_arguments_text(spec)})", expected) from error
    if isinstance(scheduler, lr_scheduler.OneCycleLR) and per == "batch" and scheduler.total_steps < total_steps:
        expected = f"at least {total_steps}, the updates of this run; left out, it is as many"
        raise _refused("schedule.total_steps", str(scheduler.total_steps), expected)
    return Schedule(scheduler, per, isinstance(scheduler, lr_scheduler.ReduceLROnPlateau))


def _try_out(spec: ScheduleSpec, optimizer: torch.optim.Optimizer, total_steps: int) -> None:
    """Step the schedule of a made-up optimizer: torch refuses some arguments only then, in the middle of a run."""
    kind: Any = type(optimizer)
    made_up: torch.optim.Optimizer = kind([nn.Parameter(torch.zeros(1, 1))], lr=optimizer.defaults["lr"])
    made_up.defaults.update(optimizer.defaults)
    settings = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    made_up.param_groups[0].update(settings)
    scheduler = _scheduler(spec.name, spec.arguments, made_up, total_steps)
    for _ in range(min(2, total_steps - 1)):
        made_up.step(lambda: 0.0)
        if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
            scheduler.step(1.0)
        else:
            scheduler.step()


def _scheduler(
    name: str, given: dict[str, Any], optimizer: torch.optim.Optimizer, total_steps: int
) -> lr_scheduler.LRScheduler:
    arguments = {key: _function(value) for key, value in given.items()}
    if name in ("SequentialLR", "ChainedScheduler"):
        nested = [
            _scheduler(inner["name"], {k: v for k, v in inner.items() if k != "name"}, optimizer, total_steps)
            for inner in arguments.pop("schedulers")
        ]
        if name == "SequentialLR":
            return lr_scheduler.SequentialLR(optimizer, nested, **arguments)
        return lr_scheduler.ChainedScheduler(nested, optimizer)
    if name == "OneCycleLR" and not {"total_steps", "epochs"} & set(arguments):
        arguments["total_steps"] = total_steps
    checked, _ = check_arguments(SCHEDULERS, name, arguments, "schedule", frozenset({"total_steps"}))
    scheduler: lr_scheduler.LRScheduler = SCHEDULERS[name](optimizer, **checked)
    return scheduler


def _function(value: Any) -> Any:
    """Replace "file.py:function" by the function, as LambdaLR and CyclicLR want it, in a list too."""
    if isinstance(value, list):
        return [_function(inner) for inner in value]
    if isinstance(value, str) and ":" in value:
        return load_user_object(value, "schedule")
    return value
