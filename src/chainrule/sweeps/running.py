"""Many runs of a task from beginning to end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chainrule.sweeps.outcome import Outcome, Progress, Want
from chainrule.tasks import Task


def run_points(
    task: Task,
    points: Sequence[Mapping[str, Any]],
    *,
    steps: int | None = None,
    want: Want | None = None,
    engine: Literal["auto", "lanes", "vmap", "loop"] = "auto",
    precision: Literal["float64", "float32", "bf16"] | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Train a task once for each point, and return what became of the runs.

    Args:
        task: what to train.
        points: for each run the values that differ from the task's own, by key. All points have the same keys.
        steps: updates of each run; as many as the task has when not given.
        want: what to know of each run; its losses when not given.
        engine: what computes them; "auto" takes the fastest that can.
        precision: of parameters and data; the task's own when not given.
        folder: where finished parts are kept, so that the same call goes on where another one was ended.
        progress: is told how it goes.
    """
    raise NotImplementedError
