"""What an explanation holds: one gradient as a sum of products, and the paths that it comes along."""

from dataclasses import dataclass
from typing import final

from chainrule.documents import Shown
from chainrule.queries.again import Index


@dataclass(frozen=True, slots=True)
class Rest:
    """What is not shown, as one number: the sum of `count` terms."""

    total: float = 0.0
    count: int = 0


@final
@dataclass(frozen=True, slots=True)
class Term:
    """One product of the chain rule: the adjoint of an output element times its local derivative.

    Attributes:
        output: the name of the output's value.
        index: the element of it.
        adjoint: ∂L/∂output[index].
        derivative: ∂output[index]/∂ the explained element.
        product: adjoint · derivative.
        further: where the adjoint itself comes from; None where the explanation stops.
    """

    output: str
    index: Index
    adjoint: float
    derivative: float
    product: float
    further: "Explanation | None" = None


@final
@dataclass(frozen=True, slots=True)
class UseExplanation:
    """What one op sends back to the explained element, term by term.

    Attributes:
        op: the id of the op.
        name: its name, such as "linear".
        module: the path of the module that it ran in.
        source: its line, such as "net.py:12"; "" when it is not known.
        formula: such as "y = Σₖ x[k]·w[k] + b"; "" when the op has none.
        derivative: of the formula, by the argument that the element stands in; "" when there is none.
        note: what a reader must know: why there are no terms, that there is no formula.
        contribution: what comes back along this use: the recorded number, or the sum of the products where autograd
            did not follow the value.
        terms: the largest products, largest first.
        rest: the other products that are not zero.
    """

    op: int
    name: str
    module: str
    source: str
    formula: str
    derivative: str
    note: str
    contribution: float
    terms: tuple[Term, ...] = ()
    rest: Rest = Rest()

    @property
    def total(self) -> float:
        """The terms and the rest, added up."""
        return sum((term.product for term in self.terms), 0.0) + self.rest.total


@final
@dataclass(frozen=True, slots=True)
class SampleShare:
    """What one sample of the batch contributes to a gradient; over all samples they add up to it."""

    sample: int
    contribution: float


@final
@dataclass(frozen=True, slots=True)
class Factor:
    """A local derivative on a path: ∂upper/∂lower, through one op."""

    upper: str
    lower: str
    op: str
    derivative: float


@final
@dataclass(frozen=True, slots=True)
class Path:
    """One way from the loss down to the explained element: an adjoint times local derivatives.

    Attributes:
        element: the explained element, such as "fc1.weight[1, 0]".
        start: the element at which the path begins: in what the model returned, or where following it was given up.
        adjoint: ∂L/∂start.
        factors: the local derivatives, from the loss downwards.
        product: the adjoint times all of them: what comes along this path.
    """

    element: str
    start: str
    adjoint: float
    factors: tuple[Factor, ...]
    product: float

    def __str__(self) -> str:
        parts = [f"∂L/∂{self.start} ({self.adjoint:.6g})"]
        parts += [f"∂{factor.upper}/∂{factor.lower} ({factor.derivative:.6g})" for factor in self.factors]
        return " · ".join(parts) + f" = {self.product:.6g}"


@final
@dataclass(frozen=True, slots=True)
class Explanation(Shown):
    """The gradient of one element, as the sum of products that the chain rule says it is.

    gradient = Σ over uses ( Σ shown terms + rest ) + others, up to `difference`.

    Attributes:
        value: the name of the value.
        index: the element of it.
        kind: "parameter", "input", "computed", ...
        precision: the coarsest dtype in which its products were computed, which sets the rounding of the gradient.
        number: the element itself.
        gradient: ∂L/∂value[index], as recorded; computed on demand where autograd did not follow the value.
        is_recorded: whether autograd computed it.
        chosen: whether the element was chosen because its gradient is the largest.
        uses: the ops that take the value, those that send most back first.
        others: the uses that are not taken apart, because they send less.
        by_sample: what each sample of the batch contributes, in their order; empty where the batch cannot be told.
        paths: ways along which most of it comes; only at the top of an explanation.
        other_paths: the gradient less what comes along `paths`; its count is not known and 0.
        note: what a reader must know.
    """

    value: str
    index: Index
    kind: str
    precision: str
    number: float
    gradient: float
    is_recorded: bool = True
    chosen: bool = False
    uses: tuple[UseExplanation, ...] = ()
    others: Rest = Rest()
    by_sample: tuple[SampleShare, ...] = ()
    paths: tuple[Path, ...] = ()
    other_paths: Rest = Rest()
    note: str = ""

    @property
    def element(self) -> str:
        """The value's name with the element's index."""
        return element_name(self.value, self.index)

    @property
    def total(self) -> float:
        """All terms and rests, added up; the gradient itself where it comes from no op: that of the loss is 1."""
        if not self.uses:
            return self.gradient
        return sum((use.total for use in self.uses), 0.0) + self.others.total

    @property
    def difference(self) -> float:
        """The gradient less `total`: rounding, and nothing else. 0 for the loss, whose gradient is 1 by definition."""
        return self.gradient - self.total if self.uses else 0.0


def element_name(value: str, index: Index) -> str:
    """Return an element's name: "fc1.weight[1, 0]"; that of a value without dimensions is the value's."""
    return f"{value}[{', '.join(str(number) for number in index)}]" if index else value
