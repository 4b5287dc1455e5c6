"""One step of a task, recorded: training up to it is as any, and nobody looks on; then that step is taken once more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from chainrule.components import generators_kept, seed_generators, user_error
from chainrule.data import load_data
from chainrule.errors import ChainruleError, TaskError
from chainrule.recorder import record
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.trace import Keep, Trace
from chainrule.training.batches import Batch
from chainrule.training.devices import Placement, placement
from chainrule.training.six_steps import initialise, loss, repeat
from chainrule.training.state import State
from chainrule.training.stopping import LOSS_NOT_FINITE, keep_finite_weights
from chainrule.training.threads import computing_threads


class _NobodyLooks:
    """An observer that does nothing."""

    def step_begins(self, state: State, batch: Batch) -> None: ...

    def loss_known(self, state: State, value: Tensor, number: float) -> None: ...

    def gradients_known(self, state: State) -> None: ...

    def weights_moved(self, state: State) -> None: ...

    def step_done(self, state: State, loss: float) -> None: ...


def record_step(task: Task, step: int = 0, keep: Keep = "values") -> Trace:
    """Train a task up to a step, and record that step: forward, loss with its penalties, backward, update.

    The steps before are those of `train` bit for bit, and so is the recorded one. Nothing is written, and the
    global generators are left as they were.

    Args:
        task: what to train.
        step: which one to record; step k begins after k updates.
        keep: "values" keeps tensors, "statistics" a few numbers of each.

    Raises:
        TaskError: the run does not come as far as this step, or several processes share it.
        ChainruleError: something does not fit or cannot be read; see `chainrule.errors`.
    """
    if step < 0:
        raise TaskError(what="There is no such step.", found=f"step {step}", expected="0 or more; 0 is the first")
    with placement(task.run.device, task.run.precision) as place:
        if place.world > 1:
            raise TaskError(
                what="A step is recorded in one process.", found=f"{place.world} processes", expected="no torchrun"
            )
        with _seeded(task, place):
            data = load_data(task.data, task.seed)
            with computing_threads(task, data) as threads:
                state = initialise(task, replace(place, threads=threads), data)
                seed_generators(task.seed)
                _train_up_to(state, step)
                return _recorded(state, keep)


@contextmanager
def _seeded(task: Task, place: Placement) -> Iterator[None]:
    """Draw from generators that start at the task's seed, and put the caller's back afterwards."""
    with generators_kept(place.device):
        seed_generators(task.seed)
        yield


def _train_up_to(state: State, step: int) -> None:
    task = state.task
    if step >= state.total_steps:
        last = state.total_steps - 1
        raise TaskError(
            what=f"'{task.name}' has no step {step}.",
            found=f"step {step}",
            expected=f"0 to {last}",
            next_step="A longer run has more steps: --stop.epochs.",
        )
    if step == 0:
        return
    # The schedule is made for the whole run; only where this one halts is changed.
    state.task = task.model_copy(update={"stop": task.stop.model_copy(update={"steps": step})})
    keep_finite_weights(state)
    repeat(state, _NobodyLooks())
    state.task = task
    progress = state.progress
    if progress.step < step:
        at = f"step {progress.step}"
        advice = f"Record {at} to see why." if progress.stopped == LOSS_NOT_FINITE else "Record an earlier step."
        raise TaskError(
            what=f"The run does not come as far as step {step}.",
            found=f"it ended at {at}: {progress.stopped}",
            next_step=advice,
        )


def _recorded(state: State, keep: Keep) -> Trace:
    progress = state.progress
    batch = next(state.batches.epoch(progress.epoch, progress.batch, state.place))

    def compute_loss(prediction: Tensor, targets: Tensor) -> Tensor:
        return loss(state, prediction, Batch(batch.inputs, targets))

    try:
        with state.place.casting():
            trace = record(state.model, compute_loss, batch.inputs, batch.targets, state.optimizer, keep=keep)
    except ChainruleError:
        raise
    except Exception as error:
        raise user_error(f"Step {progress.step} failed.", "the recorded step", error) from error
    trace.about = {"task": state.task.name, "step": progress.step, **trace.about, "loss": state.objective.convention()}
    return trace
