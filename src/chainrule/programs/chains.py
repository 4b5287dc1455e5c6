"""The paths of the chain rule: from the loss to one number, each a product of local derivatives.

∂E/∂w1 = ∂E/∂a_o1 · ∂a_o1/∂o1 · ∂o1/∂a_h1 · ∂a_h1/∂h1 · ∂h1/∂w1 + the same through o2
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sympy import Add, Expr, Mul

from chainrule.programs.gradients import LOSS
from chainrule.programs.naming import derivative_name
from chainrule.programs.program import Assignment, Program, Term


@dataclass(frozen=True, slots=True)
class Factor:
    """One local derivative of a path, ∂above/∂below.

    Attributes:
        above: what is differentiated: "E" in the first factor, then the names of quantities.
        below: by what.
        expression: what the derivative is, over quantities of the forward pass.
    """

    above: str
    below: str
    expression: Expr

    @property
    def name(self) -> str:
        """Such as "∂a_o1/∂o1"."""
        return derivative_name(self.above, self.below)


@dataclass(frozen=True, slots=True)
class Path:
    """One way from the loss to a number."""

    factors: tuple[Factor, ...]

    @property
    def through(self) -> tuple[str, ...]:
        """The quantities on the way, from the loss's side: ("a_o1", "o1", "a_h1", "h1", "w1")."""
        return tuple(factor.below for factor in self.factors)

    @property
    def product(self) -> Expr:
        """The product of its factors."""
        return Mul(*(factor.expression for factor in self.factors))


def paths_to(program: Program, name: str, most: int = 1000) -> tuple[Path, ...]:
    """Return the paths from the loss to a quantity, at most `most` of them; their products add up to its gradient.

    Raises:
        UnknownNameError: the program has no such quantity, or no gradient of it.
    """
    return tuple(islice(_paths(program, name), most))


def count_paths(program: Program, name: str) -> int:
    """Return how many paths lead from the loss to a quantity; counted, not followed, so it may be very large.

    Raises:
        UnknownNameError: the program has no such quantity, or no gradient of it.
    """
    program.quantity(derivative_name(LOSS, name))
    return path_counts(program)[name]


def path_counts(program: Program) -> dict[str, int]:
    """Return how many paths lead from the loss to each quantity that has a gradient."""
    counts: dict[str, int] = {}
    for line in program.in_step("gradients"):
        inner = [counts[term.through] for term in line.terms if goes_on(program, term)]
        counts[line.name.removeprefix(derivative_name(LOSS, ""))] = sum(inner) + (len(inner) < len(line.terms))
    return counts


def _paths(program: Program, name: str) -> Iterator[Path]:
    line = program.by_name[program.quantity(derivative_name(LOSS, name)).name]
    first = _own(program, line)
    if first is not None:
        yield Path((Factor(LOSS, name, first),))
    for term in line.terms:
        if goes_on(program, term):
            for path in _paths(program, term.through):
                yield Path((*path.factors, Factor(term.through, name, term.partial)))


def goes_on(program: Program, term: Term) -> bool:
    """Say whether ∂E/∂(what a use makes) has a line of its own, so that paths run through it."""
    return derivative_name(LOSS, term.through) in program.by_name


def _own(program: Program, line: Assignment) -> Expr | None:
    """Return the part of an adjoint that comes from the loss directly, None if there is none."""
    direct = [term for term in line.terms if not goes_on(program, term)]
    if not direct:
        return None
    return line.formula if len(direct) == len(line.terms) else Add(*(term.upstream * term.partial for term in direct))
