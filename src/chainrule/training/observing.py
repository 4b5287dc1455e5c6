"""What is written down while a run goes on: losses at every step, statistics at some, checkpoints now and then."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

from chainrule.shapes import Tensor
from chainrule.training.batches import Batch
from chainrule.training.checkpoints import save_checkpoint
from chainrule.training.devices import any_process
from chainrule.training.evaluation import evaluating, metric, run_model
from chainrule.training.first_update import FirstUpdate
from chainrule.training.run_folder import RunFolder
from chainrule.training.state import State
from chainrule.training.statistics import StepStatistics, sample_interval, watch
from chainrule.training.trajectory import Trajectory
from chainrule.verification import GradientCheck

REFRESH_SECONDS = 0.25
FLUSH_SECONDS = 1.0
METRIC_EPOCHS = 10  # epochs of a run, evenly spread, after which the training metric is taken
METRIC_ROWS = 256  # of the training part, for the metric while the run goes on; the final one is of the whole part


@runtime_checkable
class Reporter(Protocol):
    """Is told how a run goes, and shows it."""

    def run_begins(self, state: State, check: GradientCheck) -> None:
        """The run is about to take its first step, or to go on."""

    def first_update(self, state: State, first: FirstUpdate) -> None:
        """The first update of a small network, with its numbers."""

    def progress(self, state: State, loss: float) -> None:
        """A few times a second: the run is at `state.progress`."""

    def metrics(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """About once a second: what was noted since the last time."""


@dataclass(slots=True)
class _Clock:
    """When something was last done, so that it is done again after so many seconds."""

    seconds: float
    last: float

    def strikes(self, now: float) -> bool:
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


@final
class RunObserver:
    """Notes numbers, writes checkpoints and tells the reporters; takes no part in the training."""

    def __init__(
        self,
        state: State,
        reporters: Sequence[Reporter],
        folder: RunFolder | None,
        trajectory: Trajectory | None,
    ) -> None:
        now = time.perf_counter()
        self._reporters = reporters
        self._folder = folder
        self._trajectory = trajectory
        self._interval = sample_interval(state.total_steps)
        self._watched = watch(state.model)
        self._epochs_between = -(-state.task.stop.epochs // METRIC_EPOCHS)
        self._statistics: StepStatistics | None = None
        self._refresh = _Clock(REFRESH_SECONDS, now - REFRESH_SECONDS)
        self._flush = _Clock(FLUSH_SECONDS, now)
        self._save = _Clock(state.task.run.checkpoint_seconds, now)
        self._save_interval = state.task.run.checkpoint_steps
        self._is_save_due = False
        self._has_metric = bool(state.objective.classes) or len(state.batches.inputs) > 1
        self._note = state.history.note

    def step_begins(self, state: State, batch: Batch) -> None:
        """Take the statistics of this step if its turn has come."""
        if state.progress.step % self._interval == 0:
            self._statistics = StepStatistics(state, self._watched)

    def loss_known(self, state: State, value: Tensor, number: float) -> None:
        """Note the loss and the rate of the coming update; pass on to the statistics."""
        self._note(state.progress.step, {"loss": number, "lr": state.learning_rate})
        if self._statistics is not None:
            self._statistics.loss_known(state, value)

    def gradients_known(self, state: State) -> None:
        """Note weights and gradients of a small network; pass on to the statistics."""
        if self._trajectory is not None and state.progress.step % self._trajectory.interval == 0:
            self._trajectory.note(state.progress.step, state.model)
        if self._statistics is not None:
            self._statistics.gradients_known()

    def weights_moved(self, state: State) -> None:
        """Note the statistics of this step."""
        if self._statistics is not None:
            self._note(state.progress.step, self._statistics.weights_moved())
            self._statistics = None

    def step_done(self, state: State, loss: float) -> None:
        """Now and then refresh the screen, flush the metrics and write a checkpoint."""
        progress = state.progress
        if progress.batch == 0 and self._has_metric and progress.epoch % self._epochs_between == 0:
            self._note_training_metric(state)
        now = time.perf_counter()
        if self._refresh.strikes(now):  # the other clocks are slower, so that most steps look at one only
            for reporter in self._reporters:
                reporter.progress(state, loss)
            if self._flush.strikes(now):
                self.flush(state)
            self._is_save_due = self._is_save_due or self._save.strikes(now)
        if self._save_interval and progress.step % self._save_interval == 0:
            self._is_save_due = True
        if self._folder is not None and any_process(self._is_save_due, state.place):
            self.save(state)
            self._is_save_due = False

    def _note_training_metric(self, state: State) -> None:
        inputs = state.batches.inputs[:METRIC_ROWS]
        truth = state.data.train.targets[:METRIC_ROWS].to(inputs.device)
        with evaluating(state.model):
            predictions = run_model(state.model, inputs)
        name, value = metric(state.objective, predictions, truth)
        if name:
            self._note(state.progress.step, {"epoch/train_metric": value})

    def flush(self, state: State) -> None:
        """Write down what was noted, and tell the reporters."""
        if not state.place.is_main:
            state.history.take_pending()
            return
        rows = state.history.take_pending() if self._folder is None else self._folder.write_metrics(state.history)
        for reporter in self._reporters:
            reporter.metrics(rows)

    def save(self, state: State) -> None:
        """Write a checkpoint; the metrics up to it come first."""
        if self._folder is not None:
            self.flush(state)
            save_checkpoint(self._folder.checkpoints, state, self._trajectory)

    def close(self) -> None:
        """Take what is left on the model off it, also after an error."""
        if self._statistics is not None:
            self._statistics.discard()
