"""`chainrule explain`: where the gradient of one element comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from chainrule.cli.exit_codes import DONE
from chainrule.cli.json_output import print_json
from chainrule.cli.tracing import read_or_record
from chainrule.cli.usage import UsageError
from chainrule.queries.explaining import explain
from chainrule.render.terminal import print_document
from chainrule.reports.explanation import explanation_dict, explanation_document


@dataclass(frozen=True, slots=True)
class Asked:
    """Which element is explained, and how far."""

    name: str
    index: str | None
    depth: int
    top: int


def run_explaining(source: str, changes: Mapping[str, str], step: int | None, asked: Asked, is_json: bool) -> int:
    """Record a step of a task, or read a trace that was saved, and explain one gradient in it.

    Raises:
        ChainruleError: the task or the file cannot be used, or there is no such value or element.
    """
    index = None if asked.index is None else read_index(asked.index)
    trace = read_or_record(source, changes, is_json, "explained", step=step)
    explanation = explain(trace, asked.name, index, depth=asked.depth, top=asked.top)
    if is_json:
        print_json(explanation_dict(explanation))
    else:
        print_document(explanation_document(explanation), Console(highlight=False))
    return DONE


def read_index(text: str) -> tuple[int, ...]:
    """Return the numbers of an index as it is typed: "1,0" or "[1, 0]".

    Raises:
        UsageError: it is no list of whole numbers.
    """
    parts = text.strip().strip("[]()").split(",")
    try:
        return tuple(int(part) for part in parts if part.strip())
    except ValueError as error:
        raise UsageError(
            what=f"'{text}' is no index.", found=text, expected="whole numbers with commas between them, such as 1,0"
        ) from error
