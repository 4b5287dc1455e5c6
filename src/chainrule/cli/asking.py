"""`chainrule why`: what is wrong with a step, or with one gradient of it."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from sys import stderr, stdout

from rich.console import Console

from chainrule.cli.exit_codes import DONE, WRONG
from chainrule.cli.json_output import print_json
from chainrule.cli.sources import is_trace
from chainrule.errors import TaskError
from chainrule.queries import Question, why
from chainrule.render.terminal import print_document
from chainrule.reports.answer import answer_document
from chainrule.tasks import load_task
from chainrule.trace import Trace
from chainrule.training.recorded_step import record_step


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: of which value, and what; None where the command line does not say."""

    name: str | None
    question: Question | None


def run_asking(source: str, changes: Mapping[str, str], step: int | None, asked: Asked, is_json: bool) -> int:
    """Record a step of a task, or read a trace that was saved, and say why what is wrong with it is so.

    Returns:
        1 when a finding is an error, else 0.

    Raises:
        ChainruleError: the task or the file cannot be used, or there is no such value.
    """
    answer = why(_trace(source, changes, step, is_json), asked.name, question=asked.question)
    if is_json:
        print_json(answer.to_dict())
    else:
        print_document(answer_document(answer), Console(highlight=False))
    return WRONG if any(finding.severity == "error" for finding in answer.findings) else DONE


def _trace(source: str, changes: Mapping[str, str], step: int | None, is_json: bool) -> Trace:
    if is_trace(source):
        given = ["--step"] * (step is not None) + [f"--{key}" for key in changes]
        if given:
            raise TaskError(
                what="A trace that was saved is asked about as it is.",
                found=f"{source} with {given[0]}",
                expected=f"a task beside {given[0]}",
            )
        return Trace.load(source)
    task = load_task(source, changes)
    with redirect_stdout(stderr if is_json else stdout):  # what a user's module prints must not stand before the JSON
        return record_step(task, step or 0)
