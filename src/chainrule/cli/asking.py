"""`chainrule why`: what is wrong with a step, or with one gradient of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from chainrule.cli.exit_codes import DONE, WRONG
from chainrule.cli.json_output import print_json
from chainrule.cli.tracing import read_or_record
from chainrule.queries import Question, why
from chainrule.render.terminal import print_document
from chainrule.reports.answer import answer_document


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
    answer = why(
        read_or_record(source, changes, is_json, "asked about", step=step), asked.name, question=asked.question
    )
    if is_json:
        print_json(answer.to_dict())
    else:
        print_document(answer_document(answer), Console(highlight=False))
    return WRONG if any(finding.severity == "error" for finding in answer.findings) else DONE
