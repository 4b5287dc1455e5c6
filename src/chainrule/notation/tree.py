"""A formula as a tree, before it is an expression: what was written, and where."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

from chainrule.notation.written import Name


@final
@dataclass(frozen=True, slots=True)
class Number:
    """A number, exactly as written: 0.1 is 1/10."""

    value: Fraction
    place: int


@final
@dataclass(frozen=True, slots=True)
class Constant:
    """e or π."""

    name: str
    place: int


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """A name."""

    name: Name
    place: int


@final
@dataclass(frozen=True, slots=True)
class Call:
    """A function of its arguments; `name` is a key of `functions.FUNCTIONS`, with ' for its derivative."""

    name: str
    arguments: tuple["Node", ...]
    place: int


@final
@dataclass(frozen=True, slots=True)
class Total:
    """A sum of terms, each with its sign."""

    terms: tuple[tuple[bool, "Node"], ...]  # (is subtracted, term)
    place: int


@final
@dataclass(frozen=True, slots=True)
class Product:
    """A product of factors, each multiplied or divided by."""

    factors: tuple[tuple[bool, "Node"], ...]  # (is divided by, factor)
    place: int


@final
@dataclass(frozen=True, slots=True)
class Power:
    """A base with an exponent."""

    base: "Node"
    exponent: "Node"
    place: int


@final
@dataclass(frozen=True, slots=True)
class Derivative:
    """∂(...)/∂w5 of something that has no name of its own."""

    above: "Node"
    below: Name
    place: int


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """a < b ≤ c."""

    sides: tuple["Node", ...]
    relations: tuple[str, ...]
    place: int


@final
@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by "and" or "or"."""

    word: str
    conditions: tuple["Node", ...]
    place: int


@final
@dataclass(frozen=True, slots=True)
class Cases:
    """1 if x > 0, else 0; the last condition is None for "else"."""

    cases: tuple[tuple["Node", "Node | None"], ...]
    place: int


_Arithmetic: TypeAlias = Number | Constant | Quantity | Call | Total | Product | Power | Derivative
Node: TypeAlias = _Arithmetic | Comparison | Junction | Cases


def quantities_in(node: Node) -> Iterator[Name]:
    """Yield the names in a tree, from left to right; a name that stands there twice comes twice."""
    match node:
        case Quantity():
            yield node.name
        case Derivative():
            yield from quantities_in(node.above)
            yield node.below
        case _:
            for part in _parts(node):
                yield from quantities_in(part)


def _parts(node: Node) -> Iterable[Node]:
    match node:
        case Call():
            return node.arguments
        case Total():
            return [term for _, term in node.terms]
        case Product():
            return [factor for _, factor in node.factors]
        case Power():
            return (node.base, node.exponent)
        case Comparison():
            return node.sides
        case Junction():
            return node.conditions
        case Cases():
            return [part for case in node.cases for part in case if part is not None]
        case _:
            return ()
