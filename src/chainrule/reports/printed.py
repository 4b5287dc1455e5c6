"""Formulas and numbers of a program as blocks of a document: the same in text and in LaTeX."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sympy import Add, Expr, Mul

from chainrule.documents import Equality, Formula
from chainrule.formulas import NAMED_FUNCTIONS, named_functions_in
from chainrule.programs import Program, program_latex, program_text
from chainrule.programs.derivation import Equation, digits_to_retype
from chainrule.programs.naming import latex_name
from chainrule.programs.printing import factors_latex, factors_text, number_latex, number_text
from chainrule.programs.program import symbol_of


def named(name: str) -> Formula:
    """Return a name: ∂E/∂w5."""
    return Formula(name, latex_name(name))


def number(value: float, digits: int) -> Formula:
    """Return a number."""
    return Formula(number_text(value, digits), number_latex(value, digits))


def formula(expression: Expr) -> Formula:
    """Return an expression over names."""
    return Formula(program_text(expression), program_latex(expression))


def product(parts: Sequence[Formula]) -> Formula:
    """Return formulas that bind at least as tightly as products, with a dot between them."""
    return Formula(" · ".join(part.text for part in parts), r" \cdot ".join(part.latex for part in parts))


def total(parts: Sequence[Formula]) -> Formula:
    """Return the sum of formulas that bind more tightly than sums; a term that begins with a minus is taken away."""
    return Formula(_sum([part.text for part in parts], "−"), _sum([part.latex for part in parts], "-"))


def _sum(parts: Sequence[str], minus: str) -> str:
    shown = parts[0]
    for part in parts[1:]:
        shown += f" {minus} {part[1:]}" if part.startswith(minus) else f" + {part}"
    return shown


def full(value: float) -> str:
    """Return a number with all of its digits, as float64 has it."""
    return repr(value + 0.0).replace("-", "−")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: "1 path", "2 paths"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def definitions(program: Program) -> tuple[Formula, ...]:
    """Return what the functions mean that a program's formulas call by a letter: σ(x) = 1/(1 + e^(−x))."""
    used = {kind for line in program.assignments for kind in named_functions_in(line.formula)}
    argument = symbol_of("x")
    return tuple(
        Formula(
            f"{program_text(kind(argument))} = {program_text(kind.definition(argument))}",
            f"{program_latex(kind(argument))} = {program_latex(kind.definition(argument))}",
        )
        for kind in NAMED_FUNCTIONS
        if kind in used
    )


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints with the numbers of one step.

    Attributes:
        numbers: of all quantities, by name.
        digits: of results; numbers inside of formulas get more where the result needs them.
    """

    numbers: Mapping[str, float]
    digits: int

    def factors(self, factors: Sequence[Expr], result: float | None = None) -> Formula:
        """Return factors with a dot between them: with names, or with numbers that give the result."""
        expressions = tuple(factors)
        if result is None:
            return Formula(factors_text(expressions), factors_latex(expressions))
        digits = digits_to_retype([Mul(*expressions)], [result], self.numbers, self.digits)
        return Formula(
            factors_text(expressions, self.numbers.__getitem__, digits),
            factors_latex(expressions, self.numbers.__getitem__, digits),
        )

    def with_numbers(self, expression: Expr, result: float) -> Formula:
        """Return an expression with numbers that give the result."""
        digits = digits_to_retype([expression], [result], self.numbers, self.digits)
        number_of = self.numbers.__getitem__
        return Formula(program_text(expression, number_of, digits), program_latex(expression, number_of, digits))

    def products_of(self, values: Iterable[Sequence[float]], result: float) -> Formula:
        """Return a sum of products of numbers, with as many digits as give the result."""
        numbers: dict[str, float] = {}
        symbols: list[list[Expr]] = []
        for row in values:
            names = [f"n{len(numbers) + place}" for place in range(len(row))]
            numbers |= dict(zip(names, row, strict=True))
            symbols.append([symbol_of(name) for name in names])
        digits = digits_to_retype([Add(*(Mul(*row) for row in symbols))], [result], numbers, self.digits)
        shown = [
            Formula(
                factors_text(tuple(row), numbers.__getitem__, digits),
                factors_latex(tuple(row), numbers.__getitem__, digits),
            )
            for row in symbols
        ]
        return total(shown)

    def line(self, line: Equation) -> Equality:
        """Return a line of a program: its name, its formula, its numbers, its result."""
        forms = [formula(line.formula), self.with_numbers(line.formula, line.value)]
        return self.equality(named(line.name), forms, line.value)

    def equality(self, left: Formula, forms: Sequence[Formula], result: float) -> Equality:
        """Return an equality that ends in the result; a form that says what the one before said is left out."""
        kept: list[Formula] = []
        for form in (*forms, number(result, self.digits)):
            if not kept or form.text.replace(" ", "") != kept[-1].text.replace(" ", ""):
                kept.append(form)
        return Equality(left, tuple(kept))
