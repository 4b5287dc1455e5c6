"""The first update of a small network, with every number in view."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from chainrule.components import leaf_modules
from chainrule.data import Dataset
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.training.devices import Placement
from chainrule.training.six_steps import forward, gradients, initialise, loss, update
from chainrule.training.state import State
from chainrule.training.trajectory import LARGEST, gradient_of, trained_parameters

MOST_SAMPLES = 16


@dataclass(frozen=True, slots=True, eq=False)
class FirstUpdate:
    """Every value of the first step: forward, loss, gradients, update.

    Attributes:
        inputs: of the first batch (samples, ...).
        targets: in the form that the loss wants.
        outputs: of every module that computes, in the order in which they ran, by path.
        adjoints: ∂loss/∂output for each of them that the loss depends on.
        loss: of the initial weights.
        before: every trained parameter before the update.
        gradients: ∂loss/∂parameter.
        after: every trained parameter after the update.
        learning_rate: of the update.
    """

    inputs: Tensor
    targets: Tensor
    outputs: dict[str, Tensor]
    adjoints: dict[str, Tensor]
    loss: float
    before: dict[str, Tensor]
    gradients: dict[str, Tensor]
    after: dict[str, Tensor]
    learning_rate: float


def take_first_update(task: Task, place: Placement, data: Dataset) -> FirstUpdate | None:
    """Take the first step of a task once, on a run of its own, and keep every number.

    Returns:
        the numbers, or None when the network or its first batch is too large to read, or processes share a batch.
    """
    size = len(data.train) if task.data.batch_size == "full" else task.data.batch_size
    if min(size, len(data.train)) > MOST_SAMPLES or place.world > 1:
        return None
    state = initialise(task, place, data)
    if sum(parameter.numel() for parameter in state.model.parameters()) > LARGEST:
        return None
    batch = next(state.batches.epoch(0, 0, place))
    outputs: dict[str, Tensor] = {}
    adjoints: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(_keeping(path, outputs, adjoints))
        for path, module in leaf_modules(state.model).items()
    ]
    before = _copies(state)
    learning_rate = state.learning_rate
    value = loss(state, forward(state, batch), batch)
    for handle in handles:
        handle.remove()
    gradients(state, value)
    slopes = {name: gradient_of(parameter) for name, parameter in trained_parameters(state.model).items()}
    update(state, batch, value)
    if state.penalties is not None:
        state.penalties.remove()
    return FirstUpdate(
        inputs=batch.inputs,
        targets=batch.targets,
        outputs=outputs,
        adjoints=adjoints,
        loss=value.item(),
        before=before,
        gradients=slopes,
        after=_copies(state),
        learning_rate=learning_rate,
    )


def _copies(state: State) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trained_parameters(state.model).items()}


def _keeping(
    path: str, outputs: dict[str, Tensor], adjoints: dict[str, Tensor]
) -> Callable[[nn.Module, tuple[object, ...], object], None]:
    def keep(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if not isinstance(output, Tensor):
            return
        outputs[path] = output.detach().clone()
        if output.requires_grad:
            output.register_hook(keep_adjoint)  # type: ignore[no-untyped-call]

    def keep_adjoint(adjoint: Tensor) -> None:
        # A module that runs twice has two outputs; what is shown is the last one and its adjoint.
        adjoints.setdefault(path, adjoint.detach().clone())

    return keep
