"""The type: quantities with names, values and meanings, and the assignments that compute them in order.

Everything that shows the worked example reads one `Program`: the derivation, the LaTeX page, the exercise, the
workbook. So they cannot disagree. It holds SymPy expressions and floats, and no torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, final

from sympy import Expr, Symbol

from chainrule.errors import UnknownNameError, did_you_mean

Step = Literal["forward", "loss", "gradients", "update"]
Kind = Literal[
    "input",  # i1
    "target",  # t1
    "parameter",  # w5, b1
    "constant",  # a number that is not trained: a bias that is fixed
    "setting",  # η, μ, β1: what the optimizer is told
    "state",  # u_w5, m_w5, t: what the optimizer remembers, before this step
    "forward",  # h1, a_h1
    "loss",  # E1, E_total, and what a loss computes on the way (p1)
    "adjoint",  # ∂E/∂a_o1
    "gradient",  # ∂E/∂w5
    "updated",  # w5⁺: a parameter or a state after the step
]


def symbol_of(name: str) -> Symbol:
    """Return the symbol that stands for a quantity in all formulas."""
    return Symbol(name, real=True)


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """One scalar.

    Attributes:
        name: as people write it, unique in its program: "a_h1", "∂E/∂w5"; with several samples "a_h1⁽²⁾".
        latex: the name in LaTeX, without dollar signs.
        kind: its part in the step.
        value: its number in this step.
        meaning: in words: "output of hidden unit 1".
        sample: which sample it belongs to, from 1; None where there is one sample, or for all samples alike.
        origin: where it stands in the model, such as "hidden1.weight[0,1]"; "" where that says nothing.
    """

    name: str
    latex: str
    kind: Kind
    value: float
    meaning: str = ""
    sample: int | None = None
    origin: str = ""

    @property
    def symbol(self) -> Symbol:
        """What stands for it in formulas."""
        return symbol_of(self.name)


@dataclass(frozen=True, slots=True)
class Term:
    """One use of x by y, and what the chain rule makes of it: ∂E/∂y · ∂y/∂x.

    Attributes:
        through: the name of y.
        upstream: ∂E/∂y: the symbol of its adjoint, or the number that it is.
        partial: ∂y/∂x, over quantities of the forward pass; it may be in terms of y itself, as a·(1 − a).
    """

    through: str
    upstream: Expr
    partial: Expr


@final
@dataclass(frozen=True, slots=True)
class Assignment:
    """One line of the program: name ← formula.

    Attributes:
        name: of the quantity that is computed.
        formula: over the symbols of quantities that stand before it.
        step: which of the six steps the line belongs to.
        words: what is computed, in words: "linear", "sigmoid", "half squared error".
        partials: of the forward pass and the loss: ∂(this)/∂(each name in the formula that it depends on).
        terms: of an adjoint or a gradient: the uses whose products add up to it.
        stages: of an adjoint or a gradient that gets simpler by algebra: the forms on the way, the sum of products
            first and `formula` last; empty where nothing cancels.
        stable: `formula` in a form that does not overflow, where it would: e^(o1 − c)/Σe^(o − c) with the largest o as
            c. It is what is computed; `formula` is what people write.
    """

    name: str
    formula: Expr
    step: Step
    words: str = ""
    partials: Mapping[str, Expr] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    stages: tuple[Expr, ...] = ()
    stable: Expr | None = None

    @property
    def computed(self) -> Expr:
        """The formula to compute with."""
        return self.formula if self.stable is None else self.stable


@final
@dataclass(frozen=True)
class Program:
    """One training step, scalar by scalar.

    Attributes:
        title: what it is the program of: "two-two-two".
        quantities: all of them in the order in which they are shown: what is given, then what is computed.
        assignments: in the order in which they run.
        loss: the name of the loss, "E_total".
        updated: from a parameter or state to its name after the step: {"w5": "w5⁺"}; empty without an optimizer.
        notes: what a reader must know: conventions, what was left out.
    """

    title: str
    quantities: Mapping[str, Quantity]
    assignments: tuple[Assignment, ...]
    loss: str
    updated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Assignment]:
        """The assignment of every computed quantity."""
        return {assignment.name: assignment for assignment in self.assignments}

    def of_kind(self, *kinds: Kind) -> Iterator[Quantity]:
        """Yield the quantities of some kinds, in order."""
        return (quantity for quantity in self.quantities.values() if quantity.kind in kinds)

    def in_step(self, step: Step) -> Iterator[Assignment]:
        """Yield the assignments of one of the steps, in order."""
        return (assignment for assignment in self.assignments if assignment.step == step)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the trained parameters, in order."""
        return tuple(quantity.name for quantity in self.of_kind("parameter"))

    @property
    def samples(self) -> int:
        """How many samples the step takes."""
        return max((quantity.sample or 1 for quantity in self.quantities.values()), default=1)

    def quantity(self, name: str) -> Quantity:
        """Return a quantity by its name.

        Raises:
            UnknownNameError: there is none; the message lists the nearest names.
        """
        if name in self.quantities:
            return self.quantities[name]
        raise UnknownNameError(
            what=f"There is no '{name}' in {self.title}.",
            found=name,
            expected="one of " + ", ".join(list(self.quantities)[:24]),
            next_step=did_you_mean(name, self.quantities),
        )
