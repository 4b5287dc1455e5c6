"""An exercise sheet made of a program: what is given, what to compute with blanks for it, and the key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chainrule.documents import Block, Cell, Column, Document, Heading, Prose, Table
from chainrule.errors import ChainruleError
from chainrule.programs import Assignment, Program, program_latex, program_text
from chainrule.programs.derivation import known_name
from chainrule.programs.evaluating import loss_after
from chainrule.programs.gradients import LOSS
from chainrule.programs.naming import derivative_name, next_name
from chainrule.programs.program import Step
from chainrule.reports.derivation import DIGITS
from chainrule.reports.derivation_data import quantity_dicts
from chainrule.reports.printed import definitions, formula, named, number
from chainrule.reports.program_network import network_of
from chainrule.reports.worked_example import GIVEN, given_table

_MOST_TASKS: Final = 200
_BLANK: Final = "_" * 14
_PARTS: Final[tuple[tuple[Step, str, str], ...]] = (
    ("forward", "Forward", "Compute what every unit takes and what it gives."),
    ("loss", "Loss", "Compute the loss, part by part."),
    ("gradients", "Gradients", "Go from the loss back, and use in each line what the lines before it gave."),
    ("update", "Update", "Compute what the optimizer makes of the parameters."),
)


@dataclass(frozen=True, slots=True)
class _Task:
    number: int
    line: Assignment
    value: float


def exercise_document(program: Program, name: str | None = None, digits: int = DIGITS) -> Document:
    """Return the exercise sheet of a step, and behind it the key.

    Args:
        program: with the numbers of its step.
        name: whose gradient is asked for; of all parameters when None.
        digits: significant digits of the key's numbers.

    Raises:
        UnknownNameError: the program has no gradient of this name.
        ChainruleError: there would be more than 200 numbers to compute.
    """
    tasks = _tasks(program, name)
    asked = "" if name is None else f", the gradient of {known_name(program, name)}"
    title = f"Exercise: one training step of {program.title}{asked}"
    return Document(title, (*_sheet(program, tasks), *_key(program, name, tasks, digits)))


def exercise_dict(program: Program, name: str | None = None) -> dict[str, Any]:
    """Return an exercise as data: what is given, and the numbers that are asked for, in order, with the answers.

    Raises:
        UnknownNameError: the program has no gradient of this name.
        ChainruleError: there would be more than 200 numbers to compute.
    """
    return {
        "program": program.title,
        "given": [each for each in quantity_dicts(program) if each["kind"] in GIVEN],
        "tasks": [
            {
                "number": task.number,
                "step": task.line.step,
                "name": task.line.name,
                "formula": program_text(task.line.formula),
                "latex": program_latex(task.line.formula),
                "value": task.value,
            }
            for part in _tasks(program, name).values()
            for task in part
        ],
        "loss_after": loss_after(program) if name is None else None,
    }


def _tasks(program: Program, name: str | None) -> dict[Step, list[_Task]]:
    lines = program.assignments if name is None else _leading_to(program, known_name(program, name))
    if len(lines) > _MOST_TASKS:
        raise ChainruleError(
            what="The network is too large for an exercise sheet.",
            found=f"{len(lines)} numbers to compute",
            expected=f"at most {_MOST_TASKS}",
            next_step="Name one parameter, or take fewer samples in a batch.",
        )
    tasks: dict[Step, list[_Task]] = {step: [] for step, _, _ in _PARTS}
    count = 0
    for step in tasks:
        for line in lines:
            if line.step == step:
                count += 1
                tasks[step].append(_Task(count, line, program.quantities[line.name].value))
    return tasks


def _leading_to(program: Program, name: str) -> list[Assignment]:
    """Return the lines that the gradient of a name, the loss and the update of the name need."""
    needed = {derivative_name(LOSS, name), next_name(name), program.loss}
    lines: list[Assignment] = []
    for line in reversed(program.assignments):
        if line.name in needed:
            needed |= {symbol.name for symbol in line.formula.free_symbols}
            lines.insert(0, line)
    return lines


def _sheet(program: Program, tasks: dict[Step, list[_Task]]) -> Iterator[Block]:
    yield Heading("What is given")
    drawing = network_of(program, with_values=False)
    if drawing is not None:
        yield drawing
    yield given_table(program)
    yield from definitions(program)
    yield from map(Prose, program.notes)
    for step, heading, instruction in _PARTS:
        if tasks[step]:
            yield Heading(heading)
            yield Prose(instruction)
            rows: tuple[tuple[Cell, ...], ...] = tuple(
                (str(task.number), named(task.line.name), _BLANK * 2, _BLANK) for task in tasks[step]
            )
            yield Table(
                (Column("no."), Column("compute"), Column("your formula"), Column("your number")), rows, is_roomy=True
            )


def _key(program: Program, name: str | None, tasks: dict[Step, list[_Task]], digits: int) -> Iterator[Block]:
    yield Heading("Key", starts_page=True)
    rows: list[tuple[Cell, ...]] = [
        (str(task.number), named(task.line.name), formula(task.line.formula), number(task.value, digits))
        for part in tasks.values()
        for task in part
    ]
    yield Table((Column("no."), Column("name"), Column("formula"), Column("number")), tuple(rows))
    yield Prose(f"The numbers have {digits} digits. They were computed in float64, without rounding on the way.")
    if name is None and program.updated:
        after = number(loss_after(program), digits).text
        yield Prose(f"To check yourself: with the new parameters, {program.loss} is {after}.")
