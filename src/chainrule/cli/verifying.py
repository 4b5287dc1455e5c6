"""`chainrule verify`: are the gradients of a step of a task right?"""

from collections.abc import Mapping
from contextlib import redirect_stdout
from sys import stderr, stdout

from rich.console import Console

from chainrule.cli.exit_codes import DONE, WRONG
from chainrule.cli.json_output import print_json
from chainrule.cli.sources import refuse_trace
from chainrule.cli.training import DEFAULT_TASK
from chainrule.errors import ChainruleError
from chainrule.render.terminal import print_document
from chainrule.reports.verification import verification_document
from chainrule.tasks import load_task
from chainrule.training.recorded_step import record_step
from chainrule.verification import verify


def run_verification(task: str | None, changes: Mapping[str, str], step: int, entries: int, is_json: bool) -> int:
    """Record a step of a task, verify its gradients, and print what was found.

    Args:
        task: a file or the name of an example; the worked example when None.
        changes: values of the task's keys, as they were typed.
        step: which step; step k begins after k updates.
        entries: how many single entries to check at most.
        is_json: whether the result is printed as JSON.

    Raises:
        ChainruleError: the task cannot be used, or has no such step.
    """
    if entries < 1:
        raise ChainruleError(what="At least one entry is verified.", where="--entries", found=str(entries))
    refuse_trace(task, "verify")
    read = load_task(DEFAULT_TASK if task is None else task, changes)
    # What a user's module prints must not stand before the JSON.
    with redirect_stdout(stderr if is_json else stdout):
        verification = verify(record_step(read, step), entries=entries, seed=read.seed)
    if is_json:
        print_json({"task": read.name, "step": step, **verification.to_dict()})
    else:
        print_document(verification_document(verification), Console(highlight=False))
    return DONE if verification.is_right else WRONG
