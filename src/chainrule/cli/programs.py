"""The program that a command works on: that of a step of a task, or of a trace that was saved."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from sys import stderr, stdout
from typing import Any

from chainrule.cli.sources import is_trace
from chainrule.errors import TaskError
from chainrule.programs import Program
from chainrule.programs.written_out import written_out_program
from chainrule.task_files import keys_of, override


def read_program(source: str, changes: Mapping[str, str], step: int | None, *, is_json: bool) -> Program:
    """Return the worked example of a source; torch is imported only where it is needed.

    Args:
        source: a task (a file or the name of an example), or the file of a trace.
        changes: values of the task's keys, as they were typed.
        step: which step, the first when None.
        is_json: whether standard output is for JSON alone.

    Raises:
        TaskError: a saved trace was given with what only a task can follow.
        WorkedExampleError: the network is too large to be written out, or something in it has no formula.
        ChainruleError: the task or the file cannot be used.
    """
    if is_trace(source):
        given = ["--step"] * (step is not None) + [f"--{key}" for key in changes]
        if given:
            raise TaskError(
                what="A trace that was saved is explained as it is.",
                found=f"{source} with {given[0]}",
                expected=f"a task beside {given[0]}",
            )
        return _of_trace(source)
    program = written_out(source, changes, step or 0)
    if program is not None:
        return program
    tasks, training = import_module("chainrule.tasks"), import_module("chainrule.training.worked_example")
    task = tasks.load_task(source, changes)
    with redirect_stdout(stderr if is_json else stdout):  # what a user's module prints must not stand before the JSON
        recorded: Program = training.worked_example(task, step or 0)
    return recorded


def written_out(source: str, changes: Mapping[str, str], step: int) -> Program | None:
    """Return the program of a task whose numbers are all written out, without importing torch; None for others."""
    keys, _, _ = keys_of(source)
    return written_out_program(override(keys, changes), step)


def _of_trace(source: str) -> Program:
    trace: Any = import_module("chainrule.trace").Trace.load(source)
    program: Program = import_module("chainrule.worked").program_of(trace, title=Path(source).name)
    return program
