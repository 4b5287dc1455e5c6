"""Whole-number expressions of loop variables: where an element lies.

An index is constant + Σ coefficient · variable. Every variable has a known greatest value, so that dividing and
taking remainders, which reshapes need, mostly stay of this form: (16·i + j) // 16 = i when j ≤ 15. Where they do not,
the caller makes a new variable for the result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """A whole number from 0 to `most` that is known when the kernel runs; equal names mean equal values."""

    name: str
    most: int


@dataclass(frozen=True, slots=True)
class Index:
    """constant + Σ coefficient · variable."""

    constant: int
    terms: tuple[tuple[Variable, int], ...] = ()

    @property
    def most(self) -> int:
        """The greatest value."""
        return self.constant + sum(max(coefficient, 0) * variable.most for variable, coefficient in self.terms)

    @property
    def least(self) -> int:
        """The smallest value."""
        return self.constant + sum(min(coefficient, 0) * variable.most for variable, coefficient in self.terms)

    @property
    def variable(self) -> Variable | None:
        """The variable that it is, when it is one and nothing else."""
        if self.constant == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0]
        return None

    def __add__(self, other: "Index | int") -> "Index":
        other = as_index(other)
        if not other.terms:
            return Index(self.constant + other.constant, self.terms)
        sums = dict(self.terms)
        for variable, coefficient in other.terms:
            sums[variable] = sums.get(variable, 0) + coefficient
        return Index(self.constant + other.constant, _sorted(sums))

    def __mul__(self, factor: int) -> "Index":
        if factor == 0:
            return Index(0)
        terms = tuple((variable, coefficient * factor) for variable, coefficient in self.terms)
        return Index(self.constant * factor, terms)

    def without(self, variable: Variable) -> "Index":
        """Return it with that variable at 0."""
        return Index(self.constant, tuple(term for term in self.terms if term[0] != variable))


NewVariable = Callable[[str, Index, int], Variable]  # ("div" or "rem", dividend, divisor) → the result as a variable


def as_index(value: "Index | Variable | int") -> Index:
    """Return a number or a variable as an index."""
    if isinstance(value, Index):
        return value
    return Index(value) if isinstance(value, int) else Index(0, ((value, 1),))


def structural(kind: str, dividend: Index, divisor: int) -> Variable:
    """Return a variable that stands for a quotient or a remainder and is named by what it stands for."""
    most = dividend.most // divisor if kind == "div" else min(dividend.most, divisor - 1)
    return Variable(f"{kind}({text(dividend)},{divisor})", most)


def text(index: Index) -> str:
    """Return it as text, equal for equal indices."""
    return "+".join([str(index.constant), *(f"{coefficient}*{variable.name}" for variable, coefficient in index.terms)])


def divide(index: Index, divisor: int, new: NewVariable) -> tuple[Index, Index]:
    """Return quotient and remainder of an index by a number above 0."""
    if divisor == 1 or (index.least >= 0 and index.most < divisor):
        return (index, Index(0)) if divisor == 1 else (Index(0), index)
    whole = tuple((variable, c // divisor) for variable, c in index.terms if c % divisor == 0)
    rest = Index(index.constant % divisor, tuple(term for term in index.terms if term[1] % divisor))
    quotient = Index(index.constant // divisor, whole)
    if rest.least >= 0 and rest.most < divisor:
        return quotient, rest
    if quotient.least < 0 or rest.least < 0:
        return as_index(new("div", index, divisor)), as_index(new("rem", index, divisor))
    return quotient + as_index(new("div", rest, divisor)), as_index(new("rem", rest, divisor))


def linear(indices: Sequence[Index], shape: Sequence[int]) -> Index:
    """Return the position in a contiguous tensor of that shape."""
    position = Index(0)
    for index, extent in zip(indices, shape, strict=True):
        position = position * extent + index
    return position


def unlinear(position: Index, shape: Sequence[int], new: NewVariable) -> list[Index]:
    """Return the indices of a position in a contiguous tensor of that shape."""
    indices: list[Index] = []
    for extent in reversed(shape[1:]):
        position, index = divide(position, extent, new)
        indices.append(index)
    return [*([position] if shape else []), *reversed(indices)]


def _sorted(sums: dict[Variable, int]) -> tuple[tuple[Variable, int], ...]:
    return tuple(sorted(((v, c) for v, c in sums.items() if c), key=lambda term: (term[0].name, term[1])))
