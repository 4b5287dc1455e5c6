"""The trace that a command works on: one that was saved, or a step of a task that is recorded now."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from sys import stderr, stdout

from chainrule.cli.sources import is_trace
from chainrule.errors import TaskError
from chainrule.tasks import load_task
from chainrule.trace import Keep, Trace
from chainrule.training.recorded_step import record_step


def read_or_record(
    source: str,
    changes: Mapping[str, str],
    is_json: bool,
    done: str,
    *,
    step: int | None = None,
    keep: Keep | None = None,
) -> Trace:
    """Return the trace of a file, or record a step of a task.

    Args:
        source: the file of a trace, or a task: a file or the name of an example.
        changes: values of the task's keys, as they were typed.
        is_json: whether standard output is for JSON alone.
        done: what is done to a saved trace: "shown", "explained".
        step: which step to record, the first when None.
        keep: what to keep, tensors when None.

    Raises:
        TaskError: a saved trace was given with what only a recording can follow.
        ChainruleError: the task or the file cannot be used.
    """
    if is_trace(source):
        given = ["--step"] * (step is not None) + ["--keep"] * (keep is not None) + [f"--{key}" for key in changes]
        if given:
            raise TaskError(
                what=f"A trace that was saved is {done} as it is.",
                found=f"{source} with {given[0]}",
                expected=f"a task beside {given[0]}",
            )
        return Trace.load(source)
    task = load_task(source, changes)
    with redirect_stdout(stderr if is_json else stdout):  # what a user's module prints must not stand before the JSON
        return record_step(task, step or 0, keep or "values")
