"""The gradient of one number of a program, derived: paths, factors, samples, and the update that follows.

Each factor has its formula, its number, and the lines of the program that it comes from:

    ∂E/∂w5 = ∂E/∂a_o1 · ∂a_o1/∂o1 · ∂o1/∂w5 = (a_o1 − t1) · a_o1(1 − a_o1) · a_h1
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sympy import Expr, Mul

from chainrule.errors import UnknownNameError, nearest
from chainrule.programs.chains import Factor, goes_on, path_counts, paths_to
from chainrule.programs.evaluating import evaluate
from chainrule.programs.gradients import LOSS
from chainrule.programs.naming import derivative_name, plain_digits
from chainrule.programs.program import Assignment, Program, Term

MOST_PATHS = 12  # of a use, listed
_MOST_LISTED = 96  # of all uses together
_DOUBLE = 17  # significant digits that tell every float64 from its neighbours


@dataclass(frozen=True, slots=True)
class Equation:
    """A name, the formula of it, and its number.

    Attributes:
        name: "w5⁺".
        formula: w5 − η·∂E/∂w5.
        value: its number in this step.
        words: what it is, "" where that says nothing.
    """

    name: str
    formula: Expr
    value: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """One use of x by y in the chain rule: ∂E/∂y · ∂y/∂x.

    Attributes:
        upstream: ∂E/∂y.
        partial: ∂y/∂x.
    """

    upstream: Equation
    partial: Equation


@dataclass(frozen=True, slots=True)
class Adjoint:
    """A derivative of the loss, as the sum over the uses of what it is by.

    Attributes:
        equation: its name, formula and number.
        products: what the formula is the sum of.
        stages: the forms on the way to the formula, where algebra makes it shorter; else empty.
    """

    equation: Equation
    products: tuple[Product, ...]
    stages: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class DerivedFactor:
    """A factor of a path.

    Attributes:
        equation: such as ∂a_o1/∂o1 = a_o1(1 − a_o1) and its number.
        source: the lines of the program that it is the derivative of: a_o1 = σ(o1).
        adjoint: of a first factor, which may be a sum: where it comes from; else None.
    """

    equation: Equation
    source: tuple[Equation, ...]
    adjoint: Adjoint | None = None


@dataclass(frozen=True, slots=True)
class DerivedPath:
    """One way from the loss to a number, or from an adjoint to it.

    Attributes:
        factors: from the loss's side.
        through: the quantities on the way: ("a_o1", "o1", "a_h1", "h1").
        branches: those of them between which other paths choose otherwise: ("o1",).
        sample: the sample that it runs through, from 1; None where there is one sample.
        value: the product of the factors.
    """

    factors: tuple[DerivedFactor, ...]
    through: tuple[str, ...]
    branches: tuple[str, ...]
    sample: int | None
    value: float

    @property
    def product(self) -> Expr:
        """The product of the factors' formulas."""
        return Mul(*(factor.equation.formula for factor in self.factors))


@dataclass(frozen=True, slots=True)
class Use:
    """One use of what the loss is differentiated by: one line of the program that takes it, so one for each sample.

    Attributes:
        shared: the factors from the last branching on, the first of them an adjoint: ∂E/∂a_h1 · ∂a_h1/∂h1 · ∂h1/∂w1.
        paths: the first of the paths that run through this use; their values add up to that of `shared` when there
            are no others.
        path_count: how many there are.
    """

    shared: DerivedPath
    paths: tuple[DerivedPath, ...]
    path_count: int


@dataclass(frozen=True, slots=True)
class Derivation:
    """The gradient of one number, derived.

    Attributes:
        parameter: by what the loss is differentiated: "w5".
        value: its number.
        meaning: in words: "weight from a_h1 into o1".
        adjoint: ∂E/∂w5 as the sum over its uses; its value is the gradient.
        uses: with their paths. The values of their `shared` add up to the gradient.
        needed: every other adjoint that it needs, from the loss's side.
        update: what the optimizer makes of it; empty without an optimizer, and for what is not trained.
        samples: how many samples the step takes.
    """

    parameter: str
    value: float
    meaning: str
    adjoint: Adjoint
    uses: tuple[Use, ...]
    needed: tuple[Adjoint, ...]
    update: tuple[Equation, ...]
    samples: int

    @property
    def gradient(self) -> float:
        """The number of ∂E/∂w5."""
        return self.adjoint.equation.value

    @property
    def paths(self) -> tuple[DerivedPath, ...]:
        """All paths that are listed."""
        return tuple(path for use in self.uses for path in use.paths)

    @property
    def path_count(self) -> int:
        """How many paths there are."""
        return sum(use.path_count for use in self.uses)

    @property
    def name(self) -> str:
        """Such as "∂E/∂w5"."""
        return derivative_name(LOSS, self.parameter)


def derive(program: Program, name: str, most_paths: int = MOST_PATHS) -> Derivation:
    """Derive the gradient of one number.

    Args:
        program: with the numbers of its step.
        name: of a parameter, or of anything on the way to the loss: "w5", "a_h1"; "∂E/∂w5" is read as "w5", and "h1(2)"
            as "h1⁽²⁾".
        most_paths: how many paths of each use are listed.

    Raises:
        UnknownNameError: the program has no gradient of it.
    """
    return _Reader(program).derivation(known_name(program, name), most_paths)


def derive_all(program: Program, most_paths: int = MOST_PATHS) -> Iterator[Derivation]:
    """Yield the derivations of the gradients of all parameters, in order; what they share is computed once."""
    reader = _Reader(program)
    return (reader.derivation(name, most_paths) for name in program.parameters)


def known_name(program: Program, name: str) -> str:
    """Return the name in a program's own spelling: "∂E/∂w5" is "w5", and "h1(2)" is "h1⁽²⁾".

    Raises:
        UnknownNameError: the program has no gradient of it.
    """
    known = derivable(program)
    found = find_name(program, name)
    if found is not None:
        return found
    name = _spelled(name, [*program.quantities, LOSS]) or name
    if name in (program.loss, LOSS):
        raise UnknownNameError(
            what=f"{program.loss} is the loss E itself: ∂E/∂{name} = 1, and there is nothing to derive.",
            found=name,
            expected="one of " + ", ".join(known[:24]),
        )
    if name in program.quantities:
        raise UnknownNameError(
            what=f"There is no derivation for {name} in {program.title}: {_reason(program, name)}.",
            found=name,
            expected="one of " + ", ".join(known[:24]),
        )
    close = nearest(name, known)
    raise UnknownNameError(
        what=f"There is no '{name}' in {program.title}.",
        found=name,
        expected="one of " + ", ".join(known[:24]) + (", ..." if len(known) > 24 else ""),
        next_step=f"Did you mean {' or '.join(close)}?" if close else "",
    )


def find_name(program: Program, name: str) -> str | None:
    """Return the name in a program's own spelling, or None when the program has no gradient of it."""
    return _spelled(name, derivable(program))


def knows(program: Program, name: str) -> bool:
    """Say whether a program has a quantity of this name, with a gradient or not; E is its loss."""
    return _spelled(name, [*program.quantities, *derivable(program), LOSS]) is not None


def _spelled(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is meant; capitals count only where two names differ in nothing else."""
    spelled = {plain_digits(each): each for each in known}
    plain = plain_digits(name.strip()).removeprefix(derivative_name(LOSS, ""))
    if plain in spelled:
        return spelled[plain]
    alike = [each for key, each in spelled.items() if key.lower() == plain.lower()]
    return alike[0] if len(alike) == 1 else None


def derivable(program: Program) -> tuple[str, ...]:
    """Return the names whose gradients a program has: its parameters, then what lies between them and the loss."""
    prefix = derivative_name(LOSS, "")
    names = [line.name.removeprefix(prefix) for line in program.in_step("gradients")]
    return (*program.parameters, *(name for name in names if name not in program.parameters))


def digits_to_retype(
    expressions: Sequence[Expr], results: Sequence[float], numbers: Mapping[str, float], digits: int
) -> int:
    """Return how many digits the numbers in formulas need for the results to come out when they are typed in again.

    Args:
        expressions: the formulas.
        results: what each of them should give.
        numbers: of every quantity in them.
        digits: of the results. As many are returned, or more up to 17 where the results need them; as many too where
            no number of digits gives the results, because they were rounded when they were computed.
    """
    tried = range(digits, max(digits, _DOUBLE) + 1)
    names = sorted({symbol.name for expression in expressions for symbol in expression.free_symbols})
    rounded = {name: np.array([float(f"{numbers[name]:.{count}g}") for count in tried]) for name in names}
    fits = np.ones(len(tried), dtype=bool)
    for values, result in zip(evaluate(expressions, rounded), results, strict=True):
        wanted = f"{result + 0.0:.{digits}g}"  # −0 is 0
        values = np.broadcast_to(values, fits.shape)
        fits &= np.array([f"{value + 0.0:.{digits}g}" == wanted for value in values.tolist()])
    return tried[int(np.argmax(fits))] if fits.any() else digits


def is_exact(program: Program) -> bool:
    """Return whether a program's numbers follow from each other in float64, to a relative 1e-9.

    Those of a step that was recorded in float32 do not.
    """
    numbers = {name: quantity.value for name, quantity in program.quantities.items()}
    values = evaluate([line.computed for line in program.assignments], numbers)
    recorded = [numbers[line.name] for line in program.assignments]
    return bool(np.allclose([float(value) for value in values], recorded, rtol=1e-9, atol=1e-12, equal_nan=True))


def _reason(program: Program, name: str) -> str:
    reasons = {
        "input": "inputs are not trained",
        "target": "targets are not trained",
        "constant": "it is fixed",
        "setting": "it is a setting of the optimizer",
        "state": "it belongs to the optimizer",
        "updated": "it is computed after the gradients",
    }
    adjoints = [term.upstream for line in program.assignments for term in line.terms if term.through == name]
    shown = f"{derivative_name(LOSS, name)} = {adjoints[0]}" if adjoints and adjoints[0].is_number else "it"
    return reasons.get(program.quantities[name].kind, f"{shown} is written into the lines of other gradients")


class _Reader:
    """Reads derivations from a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.numbers = {name: quantity.value for name, quantity in program.quantities.items()}

        self._counts = path_counts(program)
        self._values: dict[Expr, float] = {}
        self._factors: dict[tuple[str, str], DerivedFactor] = {}
        self._adjoints: dict[str, Adjoint] = {}

    def derivation(self, name: str, most_paths: int) -> Derivation:
        """Return the derivation of ∂E/∂name."""
        program = self.program
        line = program.by_name[derivative_name(LOSS, name)]
        quantity = program.quantity(name)
        return Derivation(
            parameter=name,
            value=quantity.value,
            meaning=quantity.meaning,
            adjoint=self._adjoint(line),
            uses=tuple(self._uses(line, name, most_paths)),
            needed=tuple(self._adjoint(needed) for needed in self._needed(line)),
            update=tuple(self._equation(update) for update in self._update(name)),
            samples=program.samples,
        )

    def _value(self, expression: Expr) -> float:
        if expression not in self._values:
            self._values[expression] = float(evaluate([expression], self.numbers)[0])
        return self._values[expression]

    def _equation(self, line: Assignment) -> Equation:
        return Equation(line.name, line.formula, self.numbers[line.name], line.words)

    def _path(self, factors: Sequence[Factor]) -> DerivedPath:
        derived = tuple(self._factor(factor) for factor in factors)
        above = [factor.above for factor in factors[1:]]
        value = float(np.prod([factor.equation.value for factor in derived]))
        branches = tuple(factor.above for factor in factors[1:] if self._is_branch(factor))
        return DerivedPath(derived, tuple(above), branches, self._sample(above), value)

    def _is_branch(self, factor: Factor) -> bool:
        """Say whether what is below has another use in the same sample."""
        line = self.program.by_name[derivative_name(LOSS, factor.below)]
        samples = [self.program.quantities[term.through].sample for term in line.terms]
        return samples.count(self.program.quantities[factor.above].sample) > 1

    def _sample(self, through: Sequence[str]) -> int | None:
        return self.program.quantities[through[-1]].sample if through else None

    def _factor(self, factor: Factor) -> DerivedFactor:
        key = factor.above, factor.below
        if key not in self._factors:
            self._factors[key] = self._new_factor(factor)
        return self._factors[key]

    def _new_factor(self, factor: Factor) -> DerivedFactor:
        equation = Equation(factor.name, factor.expression, self._value(factor.expression))
        if factor.above != LOSS:
            return DerivedFactor(equation, (self._equation(self.program.by_name[factor.above]),))
        line = self.program.by_name[factor.name]
        direct = [term for term in line.terms if not goes_on(self.program, term)]
        stages = line.stages if len(direct) == len(line.terms) else ()
        adjoint = Adjoint(equation, tuple(self._product(term, factor.below) for term in direct), stages)
        return DerivedFactor(equation, self._sources(direct), adjoint)

    def _sources(self, terms: Sequence[Term]) -> tuple[Equation, ...]:
        """Return the lines of the loss that direct terms are derivatives of, without the total."""
        lines: dict[str, Assignment] = {}
        for term in terms:
            above = [line for line in self.program.in_step("loss") if line.partials.get(term.through, 0) not in (0, 1)]
            lines |= {line.name: line for line in (self.program.by_name[term.through], *above)}
        if len(lines) > 1:
            lines.pop(self.program.loss, None)
        return tuple(self._equation(line) for line in lines.values())

    def _product(self, term: Term, below: str) -> Product:
        upstream = Equation(derivative_name(LOSS, term.through), term.upstream, self._value(term.upstream))
        partial = Equation(derivative_name(term.through, below), term.partial, self._value(term.partial))
        return Product(upstream, partial)

    def _adjoint(self, line: Assignment) -> Adjoint:
        if line.name not in self._adjoints:
            below = line.name.removeprefix(derivative_name(LOSS, ""))
            products = tuple(self._product(term, below) for term in line.terms)
            self._adjoints[line.name] = Adjoint(self._equation(line), products, line.stages)
        return self._adjoints[line.name]

    def _uses(self, line: Assignment, name: str, most_paths: int) -> Iterator[Use]:
        direct = [term for term in line.terms if not goes_on(self.program, term)]
        if direct:
            own = self._path(paths_to(self.program, name, 1)[0].factors)
            yield Use(own, (own,), 1)
        left = _MOST_LISTED
        for term in line.terms:
            if goes_on(self.program, term):
                last = Factor(term.through, name, term.partial)
                listed = paths_to(self.program, term.through, min(most_paths, left))
                left -= len(listed)
                paths = tuple(self._path([*path.factors, last]) for path in listed)
                yield Use(self._chain(term, name), paths, self._counts[term.through])

    def _chain(self, term: Term, below: str) -> DerivedPath:
        factors: list[Factor] = []
        while True:
            factors.insert(0, Factor(term.through, below, term.partial))
            below = term.through
            line = self.program.by_name[derivative_name(LOSS, below)]
            if len(line.terms) != 1 or not goes_on(self.program, line.terms[0]):
                break
            term = line.terms[0]
        path = self._path([Factor(LOSS, below, line.formula), *factors])
        if any(goes_on(self.program, term) for term in line.terms):
            first = DerivedFactor(path.factors[0].equation, (), self._adjoint(line))
            return replace(path, factors=(first, *path.factors[1:]))
        return path

    def _needed(self, line: Assignment) -> list[Assignment]:
        needed = {line.name}
        for other in reversed(self.program.assignments):
            if other.name in needed:
                needed |= {derivative_name(LOSS, term.through) for term in other.terms if goes_on(self.program, term)}
        return [other for other in self.program.in_step("gradients") if other.name in needed - {line.name}]

    def _update(self, name: str) -> list[Assignment]:
        needed = {self.program.updated.get(name, "")}
        lines: list[Assignment] = []
        for line in reversed(list(self.program.in_step("update"))):
            if line.name in needed:
                lines.insert(0, line)
                needed |= {symbol.name for symbol in line.formula.free_symbols}
        return lines
