"""Everything that a run has in hand between two steps."""

from dataclasses import dataclass, field

import torch
from torch import nn

from chainrule.components import Objective, Schedule
from chainrule.data import Dataset
from chainrule.findings import Finding
from chainrule.penalties import AttachedPenalties
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.trace import History
from chainrule.training.batches import Batches
from chainrule.training.devices import Placement


@dataclass(slots=True)
class Progress:
    """How far a run is, and what its stop rules remember. All of it is in a checkpoint.

    Attributes:
        step: updates that are done.
        epoch: the epoch that the next update belongs to.
        batch: updates that are done in this epoch.
        loss_sum: of the losses of this epoch, each times its share.
        loss_share: the sum of these shares.
        last_loss: the mean loss of the epoch before.
        quiet_epochs: epochs in a row in which the mean loss moved less than the tolerance.
        best_loss: the lowest validation loss.
        best_epoch: the epoch that reached it.
        finite_step: the update after which `State.finite_weights` were kept.
        stopped: why the run ended; empty while it goes on.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    loss_share: float = 0.0
    last_loss: float | None = None
    quiet_epochs: int = 0
    best_loss: float | None = None
    best_epoch: int = 0
    finite_step: int = 0
    stopped: str = ""

    def count(self, loss: float, batches: Batches) -> None:
        """Count an update; the last batch of an epoch may be smaller than the others."""
        samples = batches.samples_of(self.batch)
        self.loss_sum += loss * samples
        self.loss_share += samples
        self.step += 1
        self.batch += 1


@dataclass(slots=True, eq=False)
class State:
    """A run between two steps.

    Attributes:
        task: what is trained.
        data: the data set, on the CPU in float64.
        place: device, precision and processes.
        model: the model itself.
        runner: what a training step calls: the model, or its DDP wrapper.
        objective: the loss.
        optimizer: moves the parameters.
        schedule: moves the learning rate.
        penalties: sit on the model; None when the task has none.
        batches: the training part.
        validation: inputs and targets of the validation part, on the device; None where there is none.
        progress: how far the run is.
        history: what was noted.
        parts: the loss on the data and each penalty of the step under way, by label; empty without penalties.
        best_weights: the weights of the best epoch, under early stopping.
        finite_weights: weights that were all finite, kept now and then, on the CPU.
        findings: what went wrong.
        stop_requested: set from outside (Ctrl-C); the run stops after the update that is under way.
    """

    task: Task
    data: Dataset
    place: Placement
    model: nn.Module
    runner: nn.Module
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: Schedule | None
    penalties: AttachedPenalties | None
    batches: Batches
    validation: tuple[Tensor, Tensor] | None = None
    progress: Progress = field(default_factory=Progress)
    history: History = field(default_factory=History)
    parts: dict[str, Tensor] = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    finite_weights: dict[str, Tensor] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    stop_requested: bool = False

    def __repr__(self) -> str:
        return f"State({self.task.name!r}, step={self.progress.step}, epoch={self.progress.epoch})"

    @property
    def needs_closure(self) -> bool:
        """Whether the optimizer evaluates the loss several times for one update."""
        return isinstance(self.optimizer, torch.optim.LBFGS)

    @property
    def total_steps(self) -> int:
        """Updates of the whole run, if no other rule stops it before."""
        epochs = self.task.stop.epochs * self.batches.per_epoch
        return min(epochs, self.task.stop.steps or epochs)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])
