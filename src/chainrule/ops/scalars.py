"""The formula of one single output element, with a symbol for every input element: y = w0·x0 + w1·x1 + b0."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy import (
    Add,
    Eq,
    Expr,
    Float,
    Indexed,
    IndexedBase,
    Integer,
    KroneckerDelta,
    Max,
    Min,
    Mul,
    Piecewise,
    Sum,
    Symbol,
)

from chainrule.ops.differentiation import (
    ArgLargest,
    ArgSmallest,
    OverIndex,
    ProductOfOthers,
    ProductOver,
    Smallest,
    SmallestShared,
)
from chainrule.ops.letters import N, Y
from chainrule.ops.places import Wiring
from chainrule.ops.rule import OpRule
from chainrule.shapes import Tensor

Name = Callable[[str, int], Expr]


def scalar_formula(rule: OpRule, wiring: Wiring, element: int, name: Name) -> Expr:
    """Return the formula of one output element, with its sums written out.

    It is the form that does not overflow, where the rule has one.

    Args:
        rule: the rule, as `chosen` for the arguments.
        wiring: as `rule.wiring` returns it, of all outputs or of some with this one among them.
        element: the flat number of the output element.
        name: from an argument and a flat element number to what shall stand for it, such as a symbol.
    """
    if rule.formula is None:
        raise rule.without_formula()
    formula = rule.formula if rule.stable is None else rule.stable
    return _Writer(rule, wiring, element, name)(formula, {})


def scalar_derivatives(
    rule: OpRule, wiring: Wiring, element: int, name: Name, argument: str, school: bool | None = None
) -> dict[int, Expr]:
    """Return ∂(one output element)/∂ each element of an argument that it takes, by flat element number.

    Args:
        rule: the rule, as `chosen` for the arguments.
        wiring: as `rule.wiring` returns it, of all outputs or of some with this one among them.
        element: the flat number of the output element.
        name: from an argument, or "output", and a flat element number to what shall stand for it.
        argument: such as "weight".
        school: whether in terms of the output, `name("output", element)`; by default where the formula itself
            overflows.
    """
    letters, derivative = rule.local_derivative(argument, school)
    writer = _Writer(rule, wiring, element, name)
    places = wiring.places[argument][wiring.row(element)]
    result: dict[int, Expr] = {}
    for numbers in _positions(tuple(places.shape)):
        place = int(places[numbers])
        if place >= 0:
            at = {letter: Integer(number) for letter, number in zip(letters, numbers, strict=True)}
            result[place] = result.get(place, Integer(0)) + writer(derivative, at)
    return result


def _positions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    positions: list[tuple[int, ...]] = [()]
    for size in shape:
        positions = [(*position, number) for position in positions for number in range(size)]
    return positions


class _Writer:
    def __init__(self, rule: OpRule, wiring: Wiring, element: int, name: Name) -> None:
        self.wiring, self.element, self.name = wiring, element, name
        self.row = wiring.row(element)
        self.arguments: dict[Any, str] = {
            slot.base if isinstance(slot, Indexed) else slot: argument for argument, slot in rule.slots.items()
        }
        self.arguments[IndexedBase("y", real=True)] = "output"

    def __call__(self, expression: Any, at: Mapping[Symbol, Expr]) -> Any:
        if isinstance(expression, Symbol):
            return self._symbol(expression, at)
        if isinstance(expression, Indexed):
            return self._indexed(expression, at)
        if isinstance(expression, Sum):
            return self._sum(expression, at)
        if isinstance(expression, OverIndex):
            return self._over_index(expression, at)
        if isinstance(expression, KroneckerDelta):
            return self._delta(expression, at)
        if not expression.args:
            return expression
        parts = [self(part, at) for part in expression.args]
        if isinstance(expression, Max | Min):
            return expression.func(*parts, evaluate=False)  # SymPy would compare every two of them
        return expression.func(*parts)

    def _symbol(self, symbol: Symbol, at: Mapping[Symbol, Expr]) -> Expr:
        if symbol in at:
            return at[symbol]
        if symbol in self.wiring.numbers:
            number = self.wiring.numbers[symbol]
            return _exact(number[self.row] if isinstance(number, Tensor) else number)
        argument = self.arguments.get(symbol)
        if argument is not None and argument in self.wiring.places:
            return self._element(argument, int(self.wiring.places[argument][self.row]))
        if symbol == Y:
            return self.name("output", self.element)
        if symbol == N:
            arrays = [places for places in self.wiring.places.values() if places.dim() > 1]
            return Integer(arrays[0].shape[1])
        return symbol

    def _element(self, argument: str, place: int) -> Expr:
        return self.name(argument, place) if place >= 0 else _exact(self.wiring.fills.get(argument, 0))

    def _indexed(self, indexed: Any, at: Mapping[Symbol, Expr]) -> Expr:
        indices = tuple(int(self(index, at)) for index in indexed.indices)
        if indexed.base in self.wiring.numbers:
            number = self.wiring.numbers[indexed.base]
            assert isinstance(number, Tensor)  # noqa: S101  # a letter with brackets stands for several
            return _exact(number[(self.row, *indices)])
        argument = self.arguments[indexed.base]
        return self._element(argument, int(self.wiring.places[argument][(self.row, *indices)]))

    def _size(self, body: Expr, letter: Symbol) -> int:
        for indexed in body.atoms(Indexed):
            argument = self.arguments.get(indexed.base)
            for axis, index in enumerate(indexed.indices):
                if index == letter:
                    if argument is not None and argument in self.wiring.places:
                        return int(self.wiring.places[argument].shape[axis + 1])
                    number = self.wiring.numbers[indexed.base]
                    assert isinstance(number, Tensor)  # noqa: S101  # as above
                    return int(number.shape[axis + 1])
        return 1

    def _each(self, body: Expr, letter: Symbol, at: Mapping[Symbol, Expr]) -> list[Any]:
        return [self(body, {**at, letter: Integer(number)}) for number in range(self._size(body, letter))]

    def _sum(self, total: Any, at: Mapping[Symbol, Expr]) -> Expr:
        letters = [limit[0] for limit in total.limits]
        sizes = [self._size(total.function, letter) for letter in letters]
        return Add(
            *(
                self(total.function, {**at, **dict(zip(letters, map(Integer, numbers), strict=True))})
                for numbers in _positions(tuple(sizes))
            )
        )

    def _over_index(self, expression: OverIndex, at: Mapping[Symbol, Expr]) -> Expr:
        body, letter = expression.args[:2]
        if isinstance(expression, ProductOfOthers):
            place = int(self(expression.args[3], at))
            each = self._each(body, letter, at)
            return Mul(*(part for number, part in enumerate(each) if number != place))
        each = self._each(body, letter, at)
        if isinstance(expression, ProductOver):
            return Mul(*each)
        each = [part for part in each if not part.is_infinite] or each[:1]  # padding
        choose = Min if isinstance(expression, Smallest | SmallestShared) else Max
        return choose(*each, evaluate=False) if len(each) > 1 else each[0]

    def _delta(self, delta: Any, at: Mapping[Symbol, Expr]) -> Expr:
        first, second = delta.args
        if isinstance(first, ArgLargest):
            first, second = second, first
        if isinstance(second, ArgLargest):
            return self._is_the_one(int(self(first, at)), second, at)
        first, second = self(first, at), self(second, at)
        if first.is_Integer and second.is_Integer:
            return Integer(int(first == second))
        return Piecewise((Integer(1), Eq(first, second)), (Integer(0), True))

    def _is_the_one(self, place: int, best: ArgLargest, at: Mapping[Symbol, Expr]) -> Expr:
        """1 if the number at a place is the first of the largest (or smallest), else 0."""
        each = self._each(best.args[0], best.args[1], at)
        own = each[place]
        least = isinstance(best, ArgSmallest)
        before = [own < other if least else own > other for other in each[:place]]
        behind = [own <= other if least else own >= other for other in each[place + 1 :]]
        conditions = [*before, *behind]
        if not conditions:
            return Integer(1)
        return Piecewise((Integer(1), sympy.And(*conditions, evaluate=False)), (Integer(0), True), evaluate=False)


def _exact(number: Any) -> Expr:
    value = number.item() if isinstance(number, Tensor) else number
    if math.isinf(value):
        return sympy.oo if value > 0 else -sympy.oo
    return Integer(int(value)) if value == int(value) else Float(value, 17)
