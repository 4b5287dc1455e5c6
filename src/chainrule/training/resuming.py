"""Going on with a run from its newest checkpoint."""

from pathlib import Path

from torch.optim import lr_scheduler

from chainrule.errors import CheckpointError
from chainrule.tasks import fingerprint, load_task
from chainrule.training.checkpoints import another_task, find_checkpoints, load_checkpoint
from chainrule.training.run_folder import RunFolder
from chainrule.training.state import State
from chainrule.training.stopping import reason_to_stop
from chainrule.training.trajectory import Trajectory


def resume_run(folder: Path, state: State, trajectory: Trajectory | None, written: RunFolder | None) -> None:
    """Put a run that was just initialised where its folder says that it was.

    A run that was killed before its first checkpoint begins anew. The stop rules are applied again, as the task may
    have other ones now.

    Raises:
        CheckpointError: there is no run, or it cannot go on as this task says.
    """
    file = folder / "task.toml"
    if not file.is_file():
        raise CheckpointError(
            what="There is no run to resume.",
            where=str(folder),
            found="no task.toml",
            expected="the folder of a run",
        )
    if found := find_checkpoints(folder / "checkpoints"):
        load_checkpoint(found[-1], state, trajectory)
        state.progress.stopped = reason_to_stop(state)
        _check_schedule(found[-1], state)
    elif (begun := fingerprint(load_task(file))) != fingerprint(state.task):
        raise another_task(folder, begun, state)
    if written is not None:
        state.history = written.read_history(before=state.progress.step)


def _check_schedule(path: Path, state: State) -> None:
    """Refuse to go on past the last update that a one-cycle schedule was made for."""
    schedule = state.schedule
    if schedule is None or not isinstance(schedule.scheduler, lr_scheduler.OneCycleLR):
        return
    made_for, steps = schedule.scheduler.total_steps, state.total_steps
    if schedule.per == "batch" and made_for < steps:
        raise CheckpointError(
            what="The schedule of this run cannot go on for so long.",
            where=str(path),
            found=f"OneCycleLR made for {made_for} updates",
            expected=f"{steps} updates, as [stop] says now",
            cause="Its rate comes down to the end that it was made for; another end would have meant other rates.",
            next_step="Resume with the [stop] that the run began with, or train again with the longer one.",
        )
