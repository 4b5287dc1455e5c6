"""`chainrule explain`: where a gradient comes from.

A short name (w5) is derived by the chain rule, scalar by scalar; any other (output.weight 0,0) is explained by the
numbers of the recorded tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from chainrule.cli.deriving import Sheet, program_for, show, show_program
from chainrule.cli.exit_codes import DONE
from chainrule.cli.programs import read_program
from chainrule.cli.usage import UsageError
from chainrule.errors import UnknownNameError, nearest
from chainrule.programs import Program
from chainrule.programs.derivation import derivable, knows

_DEPTH, _TOP = 1, 5


@dataclass(frozen=True, slots=True)
class Asked:
    """Which number is explained, and how far.

    Attributes:
        name: a short name, or that of a value of the trace; None for the whole step.
        index: the element of a tensor, as it was typed.
        depth: how many levels of adjoints; None where it was not said.
        top: how many products, uses and paths; None where it was not said.
    """

    name: str | None
    index: str | None
    depth: int | None
    top: int | None

    @property
    def tensor_options(self) -> list[str]:
        """What was given that only an element of a tensor can have."""
        given = {"the index " + (self.index or ""): self.index, "--depth": self.depth, "--top": self.top}
        return [option for option, value in given.items() if value is not None]


def run_explaining(source: str, changes: Mapping[str, str], step: int | None, asked: Asked, sheet: Sheet) -> int:
    """Explain a whole step, or one gradient of it.

    Raises:
        ChainruleError: the task or the file cannot be used, or there is no such value or element.
    """
    is_json = sheet.chosen_format == "json"
    if asked.name is None:
        if asked.tensor_options:
            raise UsageError(
                what="--depth and --top belong to the numeric explanation of a tensor, which needs a name.",
                found=asked.tensor_options[0],
                expected="a name beside it, such as output.weight",
            )
        return show_program(read_program(source, changes, step, is_json=is_json), None, sheet)
    program = program_for(source, changes, step, asked.name, is_json=is_json)
    if program is None or not knows(program, asked.name):
        return _explain_tensor(source, changes, step, asked, sheet, program)
    if asked.tensor_options:
        raise UsageError(
            what=f"{asked.name} is one number and has no index; --depth and --top belong to a tensor.",
            found=f"{asked.name} with {asked.tensor_options[0]}",
            expected=f"{asked.name} alone, or the name of a tensor such as output.weight",
        )
    return show_program(program, asked.name, sheet)


def _explain_tensor(
    source: str, changes: Mapping[str, str], step: int | None, asked: Asked, sheet: Sheet, program: Program | None
) -> int:
    if sheet.is_exercise or sheet.digits is not None:
        option = "--exercise" if sheet.is_exercise else "--digits"
        raise UsageError(
            what=f"{option} is for the worked example, which has short names.",
            found=f"{asked.name} with {option}",
            expected="a short name such as w5, or none",
        )
    index = None if asked.index is None else read_index(asked.index)
    # Torch takes more than a second to import, and derivations do without it.
    tracing, queries = import_module("chainrule.cli.tracing"), import_module("chainrule.queries.explaining")
    reports: Any = import_module("chainrule.reports.explanation")
    trace = tracing.read_or_record(source, changes, sheet.chosen_format == "json", "explained", step=step)
    depth = _DEPTH if asked.depth is None else asked.depth
    top = _TOP if asked.top is None else asked.top
    try:
        explanation = queries.explain(trace, asked.name, index, depth=depth, top=top)
    except UnknownNameError as error:
        raise _of_both_kinds(error, program) from error
    show(sheet, lambda: reports.explanation_document(explanation), lambda: reports.explanation_dict(explanation))
    return DONE


def _of_both_kinds(error: UnknownNameError, program: Program | None) -> UnknownNameError:
    """Return the error with the names of single numbers first, where the program of the step is known."""
    if not error.what.startswith("The trace has no value"):
        return error
    error = replace(error, next_step="`chainrule record` shows the names of the tensors.")
    if program is None:
        return error
    known = derivable(program)
    close = nearest(error.found, known, 8) or list(known[:8])
    is_short = "[" not in known[0]
    tensors = (error.expected or "").removeprefix("one of ")
    return replace(
        error,
        what=f"There is no '{error.found}' in {program.title}.",
        expected=f"one of {', '.join(close)}; or the name of a tensor: {tensors}",
        next_step=f"{'' if is_short else f'Its numbers have names like {known[0]}. '}{error.next_step}",
    )


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
