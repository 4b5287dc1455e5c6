"""A derivation as a document: symbols first, then formulas, then numbers, then the result."""

from collections.abc import Iterator, Sequence
from math import fsum

from sympy import tanh

from chainrule.documents import Block, Cell, Column, Document, Equalities, Equality, Formula, Heading, Prose, Table
from chainrule.formulas import Sigmoid
from chainrule.programs import Program, program_text
from chainrule.programs.derivation import Adjoint, Derivation, DerivedFactor, DerivedPath, Equation, Use, is_exact
from chainrule.programs.program import symbol_of
from chainrule.reports.printed import Printer, counted, formula, full, named, number, product, total

DIGITS = 6
_MOST_PATHS = 4  # of a sample, written out
_ALL_SAMPLES = 4  # so many are all written out;
_FIRST_SAMPLES = 2  # of more, these
_MOST_ROWS = 16  # of the table of samples
_MOST_PRODUCTS = 6  # of a sum that is written out
_MOST_ADJOINTS = 12  # of the shared form
_LONGEST_SOURCE = 60  # characters of a line that a factor comes from


def derivation_document(program: Program, derivation: Derivation, digits: int = DIGITS) -> Document:
    """Return the derivation of one gradient.

    Args:
        program: with the numbers of its step.
        derivation: of one of its numbers.
        digits: significant digits of the results that are shown.
    """
    writer = _Writer(program, derivation, digits, 2)
    title = f"{derivation.name} = {number(derivation.gradient, digits).text}"
    return Document(title, (*writer.blocks(), *writer.update(), digits_note(program, digits, derivation)))


def digits_note(program: Program, digits: int, derivation: Derivation | None = None) -> Prose:
    """Return what a reader must know of the digits that are shown."""
    whole = f" In full: {derivation.name} = {full(derivation.gradient)}." if derivation else ""
    if not is_exact(program):
        return Prose(
            f"Results are shown with {digits} digits. The step was computed in a lower precision than float64, so "
            f"the last digits may come out otherwise when the numbers are typed in again.{whole}"
        )
    return Prose(
        f"Results are shown with {digits} digits. The numbers in a formula have as many, or more where the result "
        f"needs them: typed in again, they give it.{whole}"
    )


def derivation_blocks(
    program: Program, derivation: Derivation, digits: int = DIGITS, level: int = 2
) -> Iterator[Block]:
    """Yield the blocks of a derivation, without the update.

    Args:
        program: with the numbers of its step.
        derivation: of one of its numbers.
        digits: significant digits of the results that are shown.
        level: of its headings.
    """
    yield from _Writer(program, derivation, digits, level).blocks()


class _Writer:
    def __init__(self, program: Program, derivation: Derivation, digits: int, level: int) -> None:
        self.program, self.derivation, self.level, self.digits = program, derivation, level, digits
        self.printer = Printer({name: each.value for name, each in program.quantities.items()}, digits)

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks."""
        derivation = self.derivation
        yield Prose(self._opening())
        if derivation.samples > 1 and len(derivation.uses) > 1:
            yield from self._samples()
        else:
            for use in derivation.uses:
                yield from self._use(use, len(derivation.uses) == 1)
            if len(derivation.uses) > 1:
                yield Heading("The sum over its uses", self.level)
                yield self._sum(derivation.adjoint)
        yield from self._cancellations(derivation.paths)

    def _opening(self) -> str:
        derivation = self.derivation
        meaning = f", the {derivation.meaning}" if derivation.meaning else ""
        said = f"{derivation.parameter} = {number(derivation.value, self.digits).text}{meaning}."
        ways = counted(derivation.path_count, "way")
        if derivation.path_count == len(derivation.paths) == 1:
            way = " → ".join([derivation.parameter, *reversed(derivation.paths[0].through), self.program.loss])
            return f"{said} It acts on the loss in one way: {way}."
        samples = f", through {derivation.samples} samples" if derivation.samples > 1 else ""
        return f"{said} It acts on the loss in {ways}{samples}; the gradient is the sum over all of them."

    def _path(self, path: DerivedPath, left: Formula) -> Equality:
        """Return a path: names, formulas, numbers, the factors' values, the result."""
        factors = [factor.equation for factor in path.factors]
        expressions = [factor.formula for factor in factors]
        if path.factors[0].adjoint is not None and not path.factors[0].source:
            expressions[0] = symbol_of(factors[0].name)  # an adjoint that has a derivation of its own
        forms = [
            product([named(factor.name) for factor in factors]),
            self.printer.factors(expressions),
            self.printer.factors(expressions, path.value),
            self.printer.products_of([[factor.value for factor in factors]], path.value),
        ]
        return self.printer.equality(left, forms, path.value)

    def _factors(self, factors: Sequence[DerivedFactor]) -> Table:
        rows: list[tuple[Cell, ...]] = [
            (
                named(factor.equation.name),
                formula(factor.equation.formula),
                number(factor.equation.value, self.digits),
                self._source(factor),
            )
            for factor in factors
        ]
        columns = (Column("factor"), Column("formula"), Column("number"), Column("comes from"))
        return Table(columns, tuple(rows))

    def _source(self, factor: DerivedFactor) -> Cell:
        below = _below(factor.equation.name)
        lines = [_shortened(line, below) for line in factor.source]
        if factor.adjoint is not None:
            if not factor.source:
                return "the sum over the uses of " + below
            shares = [each.upstream for each in factor.adjoint.products if each.upstream.formula.is_number]
            if factor.adjoint.stages:
                return f"{' and '.join(dict.fromkeys(line.words for line in factor.source))}: derived below"
            takes = Formula(" takes ", r"\text{ takes }"), Formula(" of ", r"\text{ of }")
            lines += [
                _joined(named(self.program.loss), takes[0], formula(share.formula), takes[1], named(_below(share.name)))
                for share in shares
                if share.formula != 1
            ]
        commas = [part for line in lines[:3] for part in (Formula(", ", r",\ "), line)][1:]
        dots = [Formula(", ...", r",\ \ldots")] if len(lines) > 3 else []
        said = _joined(*commas, *dots, _rule(factor.source[0]))
        return said if said.latex else said.text

    def _cancellations(self, paths: Sequence[DerivedPath]) -> Iterator[Block]:
        """Yield how first factors that algebra shortens came to be, each once."""
        seen: set[str] = set()
        for path in paths:
            adjoint = path.factors[0].adjoint
            if adjoint is not None and adjoint.stages and adjoint.equation.name not in seen:
                seen.add(adjoint.equation.name)
                if len(seen) == 1:
                    yield Heading(
                        f"Why {adjoint.equation.name} is {program_text(adjoint.equation.formula)}", self.level
                    )
                    yield Prose(self._cancelling(adjoint))
                    yield self._sum(adjoint)
        if len(seen) > 1:
            others = ", ".join(sorted(seen, key=list(self.program.quantities).index)[1:])
            yield Prose(f"The same holds for {others}.")

    def _cancelling(self, adjoint: Adjoint) -> str:
        through = [_below(each.upstream.name) for each in adjoint.products]
        below = _below(adjoint.equation.name)
        targets = [name for name in self.program.quantities if self.program.quantities[name].kind == "target"]
        used = {symbol.name for symbol in adjoint.stages[0].free_symbols}
        known = [name for name in targets if name in used or name in _names(adjoint)]
        sums = " + ".join(known) + " = 1"
        return (
            f"{below} acts on {', '.join(through[:-1])} and {through[-1]}, so there is a product for each. The "
            f"brackets are multiplied out; then, because {sums}, what stands before the targets comes out as one term."
        )

    def _sum(self, adjoint: Adjoint) -> Equality:
        """Return an adjoint as the sum over its uses: names, formulas, the forms on the way, numbers, the result."""
        value = adjoint.equation.value
        names = [product([named(each.upstream.name), named(each.partial.name)]) for each in adjoint.products]
        parts = [self.printer.factors([each.upstream.formula, each.partial.formula]) for each in adjoint.products]
        if len(names) > _MOST_PRODUCTS:
            forms = [_cut(names), _cut(parts), *(formula(stage) for stage in adjoint.stages[-1:])]
            return self.printer.equality(named(adjoint.equation.name), forms, value)
        forms = [total(names), total(parts), *(formula(stage) for stage in adjoint.stages)]
        forms += [] if adjoint.stages else [formula(adjoint.equation.formula)]
        forms.append(self.printer.with_numbers(adjoint.equation.formula, value))
        return self.printer.equality(named(adjoint.equation.name), forms, value)

    def _use(self, use: Use, is_only: bool) -> Iterator[Block]:
        """Yield the paths through one use; of the only one, the sum is the gradient."""
        left = named(self.derivation.name) if is_only else Formula("", "")
        if use.path_count == 1:
            yield self._path(use.shared, left)
            yield self._factors(use.shared.factors)
            return
        shown = use.paths[:_MOST_PATHS]
        for path in shown:
            yield Heading(f"Path through {' and '.join(path.branches) or path.through[-1]}", self.level)
            yield self._path(path, Formula("", ""))
        yield Heading("The sum over the paths", self.level)
        value = use.shared.value
        rest = fsum([value, *(-path.value for path in shown)])
        count = use.path_count - len(shown)
        if count:
            others = counted(count, "other path")
            yield Prose(f"{others[0].upper()}{others[1:]} together: {number(rest, self.digits).text}.")
        parts = [[path.value] for path in shown] + ([[rest]] if count else [])
        yield self.printer.equality(left, [self.printer.products_of(parts, value)], value)
        yield self._factors(_distinct(shown))
        yield from self._shared(use, left)

    def _shared(self, use: Use, left: Formula) -> Iterator[Block]:
        """Yield the shared form, which is how backpropagation computes it: from the last branching on."""
        head = use.shared.factors[0].adjoint
        if head is None or use.shared.factors[0].source:
            return
        yield Heading("The shared factors taken out", self.level)
        yield Prose(
            f"All paths have the factors behind {head.equation.name} in common. Backpropagation goes from the loss to "
            "the inputs and computes every adjoint once:"
        )
        above = [adjoint.equation for adjoint in self._above(head)]
        yield Equalities(tuple(map(self.printer.line, above[:_MOST_ADJOINTS])))
        if len(above) > _MOST_ADJOINTS:
            yield Prose(f"{counted(len(above) - _MOST_ADJOINTS, 'other adjoint')} in the same way.".capitalize())
        yield self._sum(head)
        yield self._path(use.shared, left)

    def _above(self, head: Adjoint) -> list[Adjoint]:
        """Return the adjoints that one is made of, from the loss's side."""
        wanted = {head.equation.name}
        found: list[Adjoint] = []
        for adjoint in (head, *reversed(self.derivation.needed)):
            if adjoint.equation.name in wanted:
                wanted |= {each.upstream.name for each in adjoint.products}
                found.insert(0, adjoint)
        return [adjoint for adjoint in found if adjoint.equation.name != head.equation.name]

    def _samples(self) -> Iterator[Block]:
        """Yield the sum over the samples, and the first samples with their paths."""
        derivation = self.derivation
        yield Heading("The sum over the samples", self.level)
        yield self._sum(derivation.adjoint)
        if len(derivation.adjoint.products) > _MOST_PRODUCTS:
            yield self._shares()
        count = len(derivation.uses)
        shown = count if count <= _ALL_SAMPLES else _FIRST_SAMPLES
        for use in derivation.uses[:shown]:
            yield Heading(f"Sample {use.shared.sample}", self.level)
            inner = _Writer(self.program, self.derivation, self.digits, self.level + 1)
            yield from inner._use(use, False)
        if count > shown:
            yield Prose(f"{count - shown} other samples in the same way.")

    def _shares(self) -> Table:
        """Return what each sample adds."""
        derivation = self.derivation
        shown = derivation.adjoint.products[:_MOST_ROWS]
        rows: list[tuple[Cell, ...]] = [
            (
                product([named(each.upstream.name), named(each.partial.name)]),
                number(each.upstream.value, self.digits),
                number(each.partial.value, self.digits),
                number(each.upstream.value * each.partial.value, self.digits),
            )
            for each in shown
        ]
        if len(derivation.adjoint.products) > len(shown):
            hidden = derivation.adjoint.products[_MOST_ROWS:]
            rest = fsum(each.upstream.value * each.partial.value for each in hidden)
            rows.append((f"{counted(len(hidden), 'other')}, added up", "", "", number(rest, self.digits)))
        rows.append(("sum", "", "", number(derivation.gradient, self.digits)))
        return Table((Column("share of a sample"), Column("∂E/∂y"), Column("∂y/∂x"), Column("product")), tuple(rows))

    def update(self) -> Iterator[Block]:
        """Yield what the optimizer makes of the gradient."""
        if not self.derivation.update:
            return
        yield Heading("The update", self.level)
        yield Equalities(tuple(map(self.printer.line, self.derivation.update)))


def _cut(parts: Sequence[Formula]) -> Formula:
    """Return the first terms of a long sum, its last one, and dots between."""
    dots = Formula("...", r"\cdots")
    return total([*parts[:2], dots, parts[-1]])


def _distinct(paths: Sequence[DerivedPath]) -> list[DerivedFactor]:
    return list({factor.equation.name: factor for path in paths for factor in path.factors}.values())


def _names(adjoint: Adjoint) -> set[str]:
    formulas = [part.formula for each in adjoint.products for part in (each.upstream, each.partial)]
    return {symbol.name for each in formulas for symbol in each.free_symbols}


def _joined(*parts: Formula) -> Formula:
    """Return formulas one behind another; without LaTeX where one of them has none."""
    is_set = all(part.latex for part in parts if part.text)
    return Formula("".join(part.text for part in parts), "".join(part.latex for part in parts) if is_set else "")


def _shortened(line: Equation, below: str) -> Formula:
    equals = Formula(" = ", " = ")
    whole = _joined(named(line.name), equals, formula(line.formula))
    if len(whole.text) <= _LONGEST_SOURCE:
        return whole
    terms = [term for term in line.formula.args if below in {symbol.name for symbol in term.free_symbols}]
    if line.formula.is_Add and len(terms) == 1:
        dots = Formula("... + ", r"\cdots + "), Formula(" + ...", r" + \cdots")
        return _joined(named(line.name), equals, dots[0], formula(terms[0]), dots[1])
    return Formula(f"{line.name}, {line.words}")


def _rule(line: Equation) -> Formula:
    if isinstance(line.formula, Sigmoid):
        return Formula(": σ′ = σ(1 − σ)", r":\ \sigma' = \sigma(1 - \sigma)")
    if isinstance(line.formula, tanh):
        return Formula(": tanh′ = 1 − tanh²", r":\ \tanh' = 1 - \tanh^2")
    return Formula("")


def _below(derivative: str) -> str:
    return derivative.rpartition("∂")[2]
