"""A training step as a document: what is given, forward, loss, gradients and how they are derived, update."""

from collections.abc import Iterator
from itertools import islice

from chainrule.documents import Block, Cell, Column, Document, Equalities, Fold, Formula, Heading, Prose, Table
from chainrule.programs import Assignment, Program
from chainrule.programs.derivation import Equation, derive_all
from chainrule.programs.evaluating import loss_after
from chainrule.programs.program import Kind, Step
from chainrule.reports.derivation import DIGITS, derivation_blocks, digits_note
from chainrule.reports.printed import Printer, counted, definitions, formula, full, named, number
from chainrule.reports.program_network import network_of

GIVEN: tuple[Kind, ...] = ("input", "target", "parameter", "constant", "setting", "state")
_MOST_EQUALITIES = 80  # lines of a step that are written one under another; more stand in a table
_MOST_DERIVATIONS = 40


def worked_example_document(program: Program, digits: int = DIGITS, hint: str = "") -> Document:
    """Return the worked example of one step.

    Args:
        program: with the numbers of its step.
        digits: significant digits of the results that are shown.
        hint: a sentence for those who read this on a terminal, where the derivations are folded.
    """
    return Document(f"Worked example: {program.title}", tuple(_Writer(program, digits, hint).blocks()))


def given_table(program: Program) -> Table:
    """Return everything that a step begins with."""
    rows: list[tuple[Cell, ...]] = [
        (named(each.name), Formula(full(each.value).removesuffix(".0")), each.meaning)
        for each in program.of_kind(*GIVEN)
    ]
    return Table((Column("name"), Column("number"), Column("is")), tuple(rows))


class _Writer:
    def __init__(self, program: Program, digits: int, hint: str) -> None:
        self.program, self.digits, self.hint = program, digits, hint
        self.printer = Printer({name: each.value for name, each in program.quantities.items()}, digits)

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks."""
        yield Heading("What is given")
        drawing = network_of(self.program)
        if drawing is not None:
            yield drawing
        yield given_table(self.program)
        yield from definitions(self.program)
        yield from map(Prose, self.program.notes)
        yield Heading("Forward")
        yield from self._lines("forward")
        yield Heading("Loss")
        yield from self._lines("loss")
        yield Heading("Gradients")
        yield Prose("From the loss back to the parameters, each line with what the lines above it give.")
        yield from self._lines("gradients")
        yield Heading("The gradients derived")
        yield from self._derivations()
        if self.program.updated:
            yield Heading("Update")
            yield from self._lines("update")
            yield from self._after()
        yield digits_note(self.program, self.digits)

    def _lines(self, step: Step) -> Iterator[Block]:
        lines = [self._equation(line) for line in self.program.in_step(step)]
        if len(lines) <= _MOST_EQUALITIES:
            yield Equalities(tuple(map(self.printer.line, lines)))
            return
        rows: list[tuple[Cell, ...]] = [
            (named(line.name), formula(line.formula), number(line.value, self.digits)) for line in lines
        ]
        yield Table((Column("name"), Column("formula"), Column("number")), tuple(rows))

    def _equation(self, line: Assignment) -> Equation:
        return Equation(line.name, line.formula, self.program.quantities[line.name].value, line.words)

    def _derivations(self) -> Iterator[Block]:
        names = self.program.parameters
        said = "The chain rule for each parameter, path by path, down to the numbers of the forward pass."
        yield Prose(f"{said} {self.hint}".rstrip())
        for derivation in islice(derive_all(self.program), _MOST_DERIVATIONS):
            summary = f"{derivation.name} = {number(derivation.gradient, self.digits).text}"
            blocks = tuple(derivation_blocks(self.program, derivation, self.digits, 3))
            yield Fold(summary, blocks, folds_on_terminal=True)
        if len(names) > _MOST_DERIVATIONS:
            yield Prose(f"{counted(len(names) - _MOST_DERIVATIONS, 'other parameter')} in the same way.")

    def _after(self) -> Iterator[Block]:
        before, after = self.program.quantities[self.program.loss].value, loss_after(self.program)
        yield Heading("The loss after the update")
        yield Prose(
            f"With the new parameters, {self.program.loss} is {full(after)}; it was {full(before)}. "
            f"The change is {number(after - before, self.digits).text}."
        )
