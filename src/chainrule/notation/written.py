"""What people write, read: names and equations."""

from dataclasses import dataclass
from typing import Literal, final

from sympy import Expr

from chainrule.notation.problem import NotationError

NameKind = Literal[
    "input",  # i1
    "target",  # t1
    "parameter",  # w5, b1
    "setting",  # η, μ, β1
    "state",  # m_w5, t
    "forward",  # h1, a_h1, o1, a_o1
    "loss",  # E1, E_total, p1
    "adjoint",  # ∂E/∂a_o1, δ_o1
    "gradient",  # ∂E/∂w5
    "partial",  # ∂a_o1/∂o1, ∂E1/∂a_o1: a local derivative, or the derivative of one part of the loss
    "updated",  # w5⁺
    "change",  # Δw5: what an update adds
    "step",  # epoch, iteration, #
    "formula",  # no name but a formula: "w1*i1 + w2*i2"
    "own",  # a name that only its writer knows, and that was given to the reader
]


@final
@dataclass(frozen=True, slots=True)
class Name:
    """A name as somebody wrote it, read.

    Attributes:
        text: as it was written.
        quantity: the canonical name of `programs`: "a_h1", "∂E/∂w5", "w5⁺", "η", "E_total". Of several readings the
            likeliest; None where there is no such name ("epoch", or a formula without a name).
        kind: which part the quantity has.
        readings: all quantities that it may be, the likeliest first; exactly one when it is certain.
        is_certain: it can be nothing else. A slip of the pen (a_01 for a_o1) has one reading and is not certain, nor
            is a weight's place in a matrix (w1_2): the canonical weights are counted, w1, w2, ...
        formula: what the header says the quantity is, "h1 = w1*i1 + w2*i2"; None where it says nothing.
        equation: the whole of such a header, every side of it.
        value: the number in "η = 0.5".
        problem: why what stands behind the equals sign could not be read; None where it could, or nothing stands there.
        of: what a gradient, an update or a state belongs to: w5 of ∂E/∂w5, of w5⁺ and of m_w5.
        above: what is differentiated: E1 of ∂E1/∂w5.
        indices: the numbers of a name that may be indices of a matrix or of a layer and a unit: (1, 2) of w12 and
            h1_2. Which of a weight's is from and which is to, nobody can say from the name.
        layer: the layer that a weight's or a bias's name gives: 1 of w11^(1).
        ends: the units that a weight's or a bias's name gives: ("i1", "h1") of w_i1_h1, ("h1",) of b_h1.
    """

    text: str
    quantity: str | None
    kind: NameKind
    readings: tuple[str, ...] = ()
    is_certain: bool = True
    formula: Expr | None = None
    equation: "Equation | None" = None
    value: float | None = None
    problem: NotationError | None = None
    of: "Name | None" = None
    above: "Name | None" = None
    indices: tuple[int, ...] = ()
    layer: int | None = None
    ends: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Equation:
    """A formula that was read.

    Attributes:
        left: the canonical name of what it defines; None where no name stands on the left: "= (a_o1 - t1) * w5".
        right: what it is said to be, over `symbol_of(canonical name)`: of several sides ("a = b = c") the last that
            is not a bare number.
        text: as it was written.
        sides: all expressions behind the name on the left, in order.
        names: every name in it once, the one on the left first; those that are not certain can be read otherwise.
        line: which line of a file, from 1; None where there is no file.
    """

    left: str | None
    right: Expr
    text: str
    sides: tuple[Expr, ...] = ()
    names: tuple[Name, ...] = ()
    line: int | None = None

    @property
    def uncertain(self) -> tuple[Name, ...]:
        """The names in it that can be read otherwise."""
        return tuple(name for name in self.names if not name.is_certain)


@final
@dataclass(frozen=True, slots=True)
class UnreadLine:
    """A line of a file of formulas that is no equation, and why."""

    line: int
    text: str
    problem: NotationError
