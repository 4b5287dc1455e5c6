"""Formulas over vectors, written with Python's operators, as lines of LLVM's language.

A `Real` is a vector of floating-point numbers, a `Whole` the same bits as integers, a `Truth` a vector of yes and no;
an operator between two of them adds a line to the block that they stand in. No line carries a fast-math flag and every
fused multiply-add is asked for by name (`fma`), so LLVM has no choice that could change a bit: a lane's number depends
neither on how many lanes there are nor on which of them it is.

LLVM declares its own functions (`llvm.fma`, ...) by itself when a module uses them.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

Precision: TypeAlias = Literal["float64", "float32"]

ELEMENTS: dict[Precision, str] = {"float64": "double", "float32": "float"}
BITS: dict[Precision, int] = {"float64": 64, "float32": 32}
FRACTION_BITS: dict[Precision, int] = {"float64": 52, "float32": 23}
BIAS: dict[Precision, int] = {"float64": 1023, "float32": 127}

BEGIN = "begin"  # the label of a function's first line


@final
@dataclass(slots=True)
class Block:
    """The lines of one function, in their order.

    Attributes:
        lanes: how many numbers a vector holds.
        lines: what was written so far.
    """

    lanes: int
    lines: list[str] = field(default_factory=list)

    def line(self, instruction: str) -> str:
        """Add an instruction and return the name of its result."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def real(self, value: float, precision: Precision) -> "Real":
        """Return a constant in every lane, rounded to the precision."""
        return Real(self, f"splat ({ELEMENTS[precision]} {literal(value, precision)})", precision)

    def whole(self, value: int, precision: Precision) -> "Whole":
        """Return an integer in every lane, as wide as a number of the precision."""
        return Whole(self, f"splat (i{BITS[precision]} {value})", precision)


def literal(value: float, precision: Precision) -> str:
    """Return LLVM's exact way to write a number: the bits of it as float64, in hexadecimal."""
    rounded = struct.unpack("<f", struct.pack("<f", value))[0] if precision == "float32" else value
    return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"


@final
@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """A vector of floating-point numbers; comparisons with NaN are false."""

    block: Block
    name: str
    precision: Precision

    @property
    def type(self) -> str:
        """LLVM's name of the vector's type."""
        return f"<{self.block.lanes} x {ELEMENTS[self.precision]}>"

    def __add__(self, other: "Real | float") -> "Real":
        return self._calculated("fadd", other)

    def __radd__(self, other: float) -> "Real":
        return self.constant(other) + self

    def __sub__(self, other: "Real | float") -> "Real":
        return self._calculated("fsub", other)

    def __rsub__(self, other: float) -> "Real":
        return self.constant(other) - self

    def __mul__(self, other: "Real | float") -> "Real":
        return self._calculated("fmul", other)

    def __rmul__(self, other: float) -> "Real":
        return self.constant(other) * self

    def __truediv__(self, other: "Real | float") -> "Real":
        return self._calculated("fdiv", other)

    def __rtruediv__(self, other: float) -> "Real":
        return self.constant(other) / self

    def __neg__(self) -> "Real":
        return self._named(self.block.line(f"fneg {self.type} {self.name}"))

    def __abs__(self) -> "Real":
        return self.intrinsic("fabs")

    def __lt__(self, other: "Real | float") -> "Truth":
        return self._compared("olt", other)

    def __le__(self, other: "Real | float") -> "Truth":
        return self._compared("ole", other)

    def __gt__(self, other: "Real | float") -> "Truth":
        return self._compared("ogt", other)

    def __ge__(self, other: "Real | float") -> "Truth":
        return self._compared("oge", other)

    def equals(self, other: "Real | float") -> "Truth":
        """Return where two numbers are the same; −0 is 0, and NaN is nothing."""
        return self._compared("oeq", other)

    def is_nan(self) -> "Truth":
        """Return where it is not a number."""
        return self._compared("uno", self)

    def constant(self, value: "Real | float") -> "Real":
        """Return a constant of the same precision; a vector as it is."""
        return value if isinstance(value, Real) else self.block.real(value, self.precision)

    def intrinsic(self, name: str, *others: "Real | float") -> "Real":
        """Return one of LLVM's own functions of this number and others."""
        others = tuple(self.constant(other) for other in others)
        arguments = ", ".join(f"{self.type} {value.name}" for value in (self, *others) if isinstance(value, Real))
        suffix = f"v{self.block.lanes}f{BITS[self.precision]}"
        return self._named(self.block.line(f"call {self.type} @llvm.{name}.{suffix}({arguments})"))

    def with_sign_of(self, other: "Real") -> "Real":
        """Return the magnitude of this with the sign of another."""
        return self.intrinsic("copysign", other)

    def at_least(self, low: float) -> "Real":
        """Return it, or `low` where it is less; NaN stays."""
        bound = self.constant(low)
        return (bound > self).choose(bound, self)

    def at_most(self, high: float) -> "Real":
        """Return it, or `high` where it is more; NaN stays."""
        bound = self.constant(high)
        return (bound < self).choose(bound, self)

    def as_bits(self) -> "Whole":
        """Return its bits."""
        whole = f"<{self.block.lanes} x i{BITS[self.precision]}>"
        return Whole(self.block, self.block.line(f"bitcast {self.type} {self.name} to {whole}"), self.precision)

    def as_float64(self) -> "Real":
        """Return the same number in float64."""
        return self.as_precision("float64")

    def as_precision(self, precision: Precision) -> "Real":
        """Return the nearest number in a precision."""
        if self.precision == precision:
            return self
        instruction = "fpext" if precision == "float64" else "fptrunc"
        target = f"<{self.block.lanes} x {ELEMENTS[precision]}>"
        return Real(self.block, self.block.line(f"{instruction} {self.type} {self.name} to {target}"), precision)

    def _calculated(self, instruction: str, other: "Real | float") -> "Real":
        right = self.constant(other)
        return self._named(self.block.line(f"{instruction} {self.type} {self.name}, {right.name}"))

    def _compared(self, relation: str, other: "Real | float") -> "Truth":
        right = self.constant(other)
        return Truth(self.block, self.block.line(f"fcmp {relation} {self.type} {self.name}, {right.name}"))

    def _named(self, name: str) -> "Real":
        return Real(self.block, name, self.precision)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A vector of integers as wide as the numbers of a precision; sums, products and shifts wrap, none has a sign."""

    block: Block
    name: str
    precision: Precision

    @property
    def type(self) -> str:
        """LLVM's name of the vector's type."""
        return f"<{self.block.lanes} x i{BITS[self.precision]}>"

    def __add__(self, other: "Whole | int") -> "Whole":
        return self._calculated("add", other)

    def __sub__(self, other: "Whole | int") -> "Whole":
        return self._calculated("sub", other)

    def __mul__(self, other: "Whole | int") -> "Whole":
        return self._calculated("mul", other)

    def __and__(self, other: "Whole | int") -> "Whole":
        return self._calculated("and", other)

    def __or__(self, other: "Whole | int") -> "Whole":
        return self._calculated("or", other)

    def __xor__(self, other: "Whole | int") -> "Whole":
        return self._calculated("xor", other)

    def __lshift__(self, places: "Whole | int") -> "Whole":
        return self._calculated("shl", places)

    def __rshift__(self, places: "Whole | int") -> "Whole":
        return self._calculated("lshr", places)

    def equals(self, other: "Whole | int") -> "Truth":
        """Return where two integers are the same."""
        right = self.constant(other)
        return Truth(self.block, self.block.line(f"icmp eq {self.type} {self.name}, {right.name}"))

    def bit(self, place: int) -> "Truth":
        """Return where one of its bits is set; place 0 is the last."""
        return (self & (1 << place)).equals(1 << place)

    def as_real(self) -> Real:
        """Return the number that has these bits."""
        target = f"<{self.block.lanes} x {ELEMENTS[self.precision]}>"
        return Real(self.block, self.block.line(f"bitcast {self.type} {self.name} to {target}"), self.precision)

    def constant(self, value: "Whole | int") -> "Whole":
        """Return an integer in every lane; a vector as it is."""
        return value if isinstance(value, Whole) else self.block.whole(value, self.precision)

    def _calculated(self, instruction: str, other: "Whole | int") -> "Whole":
        right = self.constant(other)
        name = self.block.line(f"{instruction} {self.type} {self.name}, {right.name}")
        return Whole(self.block, name, self.precision)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A vector of yes and no."""

    block: Block
    name: str

    @property
    def type(self) -> str:
        """LLVM's name of the vector's type."""
        return f"<{self.block.lanes} x i1>"

    def __and__(self, other: "Truth") -> "Truth":
        return self._calculated("and", other)

    def __or__(self, other: "Truth") -> "Truth":
        return self._calculated("or", other)

    def __invert__(self) -> "Truth":
        return Truth(self.block, self.block.line(f"xor {self.type} {self.name}, splat (i1 true)"))

    def choose(self, yes: Real | float, no: Real | float) -> Real:
        """Return `yes` where it holds and `no` elsewhere; at least one of them is a vector."""
        if isinstance(yes, Real):
            no = yes.constant(no)
        elif isinstance(no, Real):
            yes = no.constant(yes)
        else:
            raise TypeError("Two constants do not say of which precision the choice is.")
        line = f"select {self.type} {self.name}, {yes.type} {yes.name}, {no.type} {no.name}"
        return Real(self.block, self.block.line(line), yes.precision)

    def _calculated(self, instruction: str, other: "Truth") -> "Truth":
        return Truth(self.block, self.block.line(f"{instruction} {self.type} {self.name}, {other.name}"))


def fma(left: Real, right: Real | float, added: Real | float) -> Real:
    """Return left · right + added, rounded once."""
    return left.intrinsic("fma", right, added)


def polynomial(x: Real, coefficients: Sequence[float]) -> Real:
    """Return Σ cₖ xᵏ, the constant first: Horner's rule in x² over pairs, half as many steps one after the other."""
    *lower, last = [
        fma(x, pair[1], pair[0]) if len(pair) == 2 else x.constant(pair[0])
        for pair in (coefficients[k : k + 2] for k in range(0, len(coefficients), 2))
    ]
    total, square = last, x * x
    for pair in reversed(lower):
        total = fma(square, total, pair)
    return total
