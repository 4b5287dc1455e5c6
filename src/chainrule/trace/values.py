"""Values: what flows between ops; and uses: one op taking one value once."""

from dataclasses import dataclass, field
from typing import Literal

from chainrule.shapes import Tensor
from chainrule.trace.numbers import Kept, Missing, Number, read

ValueKind = Literal["parameter", "buffer", "input", "target", "constant", "computed", "hidden"]


@dataclass(slots=True, eq=False)
class Use:
    """One op takes one value at one place of its arguments.

    Attributes:
        value: the id of the value.
        op: the id of the op.
        place: where it stands among the arguments: (0,) is the first positional one, ("weight",) a keyword, (0, 2)
            the third tensor of a list that stands first. Two places are no arguments: ("self",) is an output of the
            op that another output of the same op is computed from, ("hidden",) a tensor that the op took from inside
            an earlier op (autocast's cast of a weight) or from an opaque one.
        sent: what this use sends back, ∂loss/∂value along it, one number for each edge of autograd's graph; empty
            when nothing came back.
    """

    value: int
    op: int
    place: tuple[int | str, ...]
    sent: list[Kept] = field(default_factory=list)

    @property
    def contribution(self) -> Number | None:
        """What this use sends back: the part of the value's adjoint that comes along it; None when nothing does."""
        if not self.sent:
            return None
        if len(self.sent) == 1:
            return read(self.sent[0])
        total: Tensor | None = None
        for kept in self.sent:
            number = read(kept)
            if not isinstance(number, Tensor):
                return Missing("it came back in several parts, of which only statistics are kept")
            total = number if total is None else total + number
        return total


@dataclass(slots=True, eq=False)
class Value:
    """A tensor at one moment of a step. A tensor that is changed in place is another value afterwards.

    Attributes:
        id: its position in `Trace.values`.
        kind: where it comes from. "constant" is a leaf that is none of the others; "hidden" was made inside an op and
            is used by another one.
        name: what a reader calls it, unique in the trace: "fc1.weight", "input", "fc1.linear", "add#2".
        shape: its shape.
        dtype: such as "float32".
        device: such as "cpu" or "cuda:0".
        producer: the id of the op that made it; None for a leaf.
        output: which output of the producer it is.
        requires_grad: whether autograd follows it.
        kept: what is kept of it; read it through `data`.
        kept_adjoint: what is kept of its adjoint; read it through `adjoint`. None: the backward pass never came here.
        uses: every op that takes it, in the order in which they ran.
    """

    id: int
    kind: ValueKind
    name: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    producer: int | None
    output: int
    requires_grad: bool
    kept: Kept
    kept_adjoint: Kept | None = None
    uses: list[Use] = field(default_factory=list)

    @property
    def data(self) -> Number:
        """The value: a tensor, statistics, or the reason why it is missing."""
        number = read(self.kept)
        assert number is not None  # noqa: S101  # `kept` is never None
        return number

    @property
    def adjoint(self) -> Number | None:
        """∂loss/∂value, of the value's shape; None when the backward pass never came here."""
        return read(self.kept_adjoint)
