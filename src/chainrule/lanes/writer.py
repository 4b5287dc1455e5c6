"""Writing LLVM's language: names, constants, blocks and loops.

Nothing here says that an operation may be reordered or contracted, so that a result is the same bits whatever the
number of lanes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.lanes.graph import Kind
from chainrule.lanes.indices import Index, Variable, as_index
from chainrule.lanes.mathematics.block import BITS, ELEMENTS, Precision, literal


@dataclass(frozen=True, slots=True)
class Value:
    """A vector with one number for each lane: LLVM's name of it, and what kind of number it holds."""

    name: str
    kind: Kind


class Writer:
    """The text of one function, from its first instruction on."""

    def __init__(self, precision: Precision, lanes: int) -> None:
        self.precision = precision
        self.element = ELEMENTS[precision]
        self.bits = BITS[precision]
        self.lanes = lanes
        self.vector = f"<{lanes} x {self.element}>"
        self.whole = f"<{lanes} x i{self.bits}>"
        self.mask = f"<{lanes} x i1>"
        self.bytes = lanes * self.bits // 8
        self.lines: list[str] = []
        self.allocations: list[str] = []
        self.functions: set[str] = set()
        self.generators: set[str] = set()
        self.block = "entry"
        self._count = 0

    # What is written ------------------------------------------------------------------------------------------------

    def new(self, hint: str = "v") -> str:
        """Return a name that is not in use."""
        self._count += 1
        return f"{hint}{self._count}"

    def value(self, instruction: str) -> str:
        """Write an instruction and return the name of its result."""
        name = f"%{self.new()}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def write(self, instruction: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def begin(self, block: str) -> None:
        """Begin a block; the one before must have ended."""
        self.lines.append(f"{block}:")
        self.block = block

    def allocate(self, count: int) -> str:
        """Return the address of `count` vectors on the stack."""
        name = f"%{self.new('stack')}"
        self.allocations.append(f"  {name} = alloca [{count * self.bytes} x i8], align 64")
        return name

    # Types and constants --------------------------------------------------------------------------------------------

    def type(self, kind: Kind) -> str:
        """Return LLVM's type of a vector of that kind."""
        return {Kind.FLOAT: self.vector, Kind.INT: self.whole, Kind.BOOL: self.mask}[kind]

    def constant(self, number: float | int, kind: Kind = Kind.FLOAT) -> Value:
        """Return a vector filled with a number."""
        if kind is Kind.FLOAT:
            return Value(f"splat ({self.element} {literal(float(number), self.precision)})", kind)
        if kind is Kind.INT:
            return Value(f"splat (i{self.bits} {int(number)})", kind)
        return Value(f"splat (i1 {'true' if number else 'false'})", kind)

    def spread(self, scalar: str, element: str) -> str:
        """Return a vector filled with a scalar of LLVM's type `element`."""
        kind = f"<{self.lanes} x {element}>"
        first = self.value(f"insertelement {kind} poison, {element} {scalar}, i32 0")
        return self.value(f"shufflevector {kind} {first}, {kind} poison, <{self.lanes} x i32> zeroinitializer")

    # Calls ----------------------------------------------------------------------------------------------------------

    def intrinsic(self, name: str, *values: Value) -> Value:
        """Call one of LLVM's own functions of vectors of floats."""
        full = f"llvm.{name}.v{self.lanes}f{self.bits}"
        arguments = ", ".join(f"{self.vector} {value.name}" for value in values)
        return Value(self.value(f"call {self.vector} @{full}({arguments})"), Kind.FLOAT)

    def function(self, name: str, *values: Value) -> Value:
        """Call one of the functions of `mathematics`."""
        self.functions.add(name)
        arguments = ", ".join(f"{self.vector} {value.name}" for value in values)
        return Value(self.value(f"call {self.vector} @lane_{name}({arguments})"), Kind.FLOAT)

    # Memory ---------------------------------------------------------------------------------------------------------

    def position(self, index: Index) -> str:
        """Write the value of an index, as i64."""
        total = ""
        for variable, coefficient in index.terms:
            term = variable.name if coefficient == 1 else self.value(f"mul nsw i64 {variable.name}, {coefficient}")
            total = self.value(f"add nsw i64 {total}, {term}") if total else term
        if not total:
            return str(index.constant)
        return self.value(f"add nsw i64 {total}, {index.constant}") if index.constant else total

    def address(self, base: str, index: Index, size: int) -> str:
        """Write the address of element `index` of elements of `size` bytes at `base`."""
        if not index.terms:
            return self.value(f"getelementptr i8, ptr {base}, i64 {index.constant * size}") if index.constant else base
        moving = self.position(Index(0, index.terms))
        place = self.value(f"getelementptr [{size} x i8], ptr {base}, i64 {moving}")
        if not index.constant:
            return place
        return self.value(f"getelementptr i8, ptr {place}, i64 {index.constant * size}")

    def load(self, base: str, index: Index, kind: Kind = Kind.FLOAT) -> Value:
        """Read vector `index` of the vectors at `base`; a bool is stored as a whole number."""
        stored = Kind.INT if kind is Kind.BOOL else kind
        place = self.address(base, index, self.bytes)
        name = self.value(f"load {self.type(stored)}, ptr {place}, align {self.alignment}")
        if kind is Kind.BOOL:
            name = self.value(f"icmp ne {self.whole} {name}, zeroinitializer")
        return Value(name, kind)

    def store(self, value: Value, base: str, index: Index) -> None:
        """Write a vector as number `index` of the vectors at `base`."""
        name, kind = value.name, value.kind
        if kind is Kind.BOOL:
            name, kind = self.value(f"zext {self.mask} {name} to {self.whole}"), Kind.INT
        self.write(
            f"store {self.type(kind)} {name}, ptr {self.address(base, index, self.bytes)}, align {self.alignment}"
        )

    @property
    def alignment(self) -> int:
        """The bytes to which vectors are aligned."""
        return min(self.bytes, 64)

    # Loops ----------------------------------------------------------------------------------------------------------

    def loop(
        self, count: int, body: Callable[[Index], None], *, unrolled: bool = False, most: int | None = None
    ) -> None:
        """Write a loop over 0 … count − 1; `most` is the greatest value that its variable is said to take."""
        if count <= 0:
            return
        if unrolled or count == 1:
            for number in range(count):
                body(Index(number))
            return
        before, head, end = self.block, self.new("loop"), self.new("end")
        variable = Variable(f"%{self.new('i')}", count - 1 if most is None else most)
        follow = f"%{self.new('next')}"
        self.write(f"br label %{head}")
        self.begin(head)
        here = len(self.lines)
        body(as_index(variable))
        self.write(f"{follow} = add nuw nsw i64 {variable.name}, 1")
        again = self.value(f"icmp ult i64 {follow}, {count}")
        self.write(f"br i1 {again}, label %{head}, label %{end}")
        phi = f"  {variable.name} = phi i64 [ 0, %{before} ], [ {follow}, %{self.block} ]"
        self.lines.insert(here, phi)
        self.begin(end)

    def accumulate(
        self,
        count: int,
        values: list[Value],
        body: Callable[[Index, list[Value]], list[Value]],
        *,
        unrolled: int = 1,
    ) -> list[Value]:
        """Write a loop that carries values from turn to turn, `unrolled` turns at a time, and return the last ones.

        The turns are done in their order, whatever is unrolled.
        """
        whole = count - count % unrolled
        if whole > unrolled:
            before, head, end = self.block, self.new("sum"), self.new("end")
            variable = Variable(f"%{self.new('k')}", count - unrolled)
            carried = [Value(f"%{self.new('carry')}", value.kind) for value in values]
            self.write(f"br label %{head}")
            self.begin(head)
            here = len(self.lines)
            new = carried
            for turn in range(unrolled):
                new = body(as_index(variable) + turn, new)
            follow = self.value(f"add nuw nsw i64 {variable.name}, {unrolled}")
            again = self.value(f"icmp ult i64 {follow}, {whole}")
            self.write(f"br i1 {again}, label %{head}, label %{end}")
            phis = [f"  {variable.name} = phi i64 [ 0, %{before} ], [ {follow}, %{self.block} ]"]
            for carry, old, value in zip(carried, values, new, strict=True):
                kind = self.type(carry.kind)
                phis.append(f"  {carry.name} = phi {kind} [ {old.name}, %{before} ], [ {value.name}, %{self.block} ]")
            self.lines[here:here] = phis
            self.begin(end)
            values = new
        else:
            whole = 0
        for turn in range(whole, count):
            values = body(Index(turn), values)
        return values

    def loops(self, extents: Sequence[int], body: Callable[[list[Index]], None], *, unrolled: bool = False) -> None:
        """Write loops within loops, the last one innermost."""

        def inner(depth: int, indices: list[Index]) -> None:
            if depth == len(extents):
                body(indices)
            else:
                self.loop(extents[depth], lambda index: inner(depth + 1, [*indices, index]), unrolled=unrolled)

        inner(0, [])
