"""Numbers for formulas in index notation: every output element of a call at once.

Axis 0 of every intermediate result runs over the output elements, and each index letter (k, j, m, ...) has an axis of
its own behind it, of length 1 where the result does not depend on it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from sympy import Add, Expr, IndexedBase, KroneckerDelta, Mul, Pow, Sum, Symbol
from sympy.core.relational import Relational

from chainrule.formulas import NormalDensity, NormalDistribution, Sigmoid, Softplus
from chainrule.ops.differentiation import (
    ArgLargest,
    ArgSmallest,
    OverIndex,
    ProductOfOthers,
    ProductOver,
    Smallest,
    SmallestShared,
)
from chainrule.shapes import Tensor

_FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    sympy.exp: torch.exp,
    sympy.log: torch.log,
    sympy.sin: torch.sin,
    sympy.cos: torch.cos,
    sympy.tan: torch.tan,
    sympy.tanh: torch.tanh,
    sympy.sinh: torch.sinh,
    sympy.cosh: torch.cosh,
    sympy.asin: torch.asin,
    sympy.acos: torch.acos,
    sympy.atan: torch.atan,
    sympy.atan2: torch.atan2,
    sympy.asinh: torch.asinh,
    sympy.acosh: torch.acosh,
    sympy.atanh: torch.atanh,
    sympy.erfinv: torch.erfinv,
    sympy.erf: torch.erf,
    sympy.erfc: torch.erfc,
    sympy.Abs: torch.abs,
    sympy.sign: torch.sign,
    sympy.floor: torch.floor,
    sympy.ceiling: torch.ceil,
    sympy.gamma: lambda x: torch.exp(torch.lgamma(x)),
    sympy.loggamma: torch.lgamma,
    sympy.polygamma: lambda order, x: torch.polygamma(int(order.flatten()[0]), x),
    Sigmoid: torch.sigmoid,
    Softplus: lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    NormalDistribution: lambda x: 0.5 * torch.erfc(-x / math.sqrt(2.0)),
    NormalDensity: lambda x: torch.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi),
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """What stands in the slots of a formula, for every output element.

    Attributes:
        scalars: a number or a tensor of shape (outputs,) for each plain letter; integers (outputs,) for own indices.
        arrays: a tensor of shape (outputs, ...) for each letter with brackets, one axis for each index.
        count: the number of output elements.
    """

    scalars: Mapping[Symbol, Tensor | int | float]
    arrays: Mapping[IndexedBase, Tensor]
    count: int


def evaluate(expression: Expr, numbers: Numbers, free: Mapping[Symbol, int] | None = None) -> Tensor:
    """Return the expression for every output element, in float64.

    Args:
        expression: the formula.
        numbers: what stands in its slots.
        free: index letters that are not summed over, in the order of the result's axes, with how many they run over.

    Returns:
        Shape (outputs, size of each free letter).
    """
    free = free or {}
    evaluator = _Evaluator(expression, numbers, free)
    result = evaluator(expression)
    shape = (numbers.count, *(evaluator.sizes.get(letter, 1) for letter in evaluator.letters))
    result = result.expand(shape)
    for axis in range(result.dim() - 1, len(free), -1):
        result = result.select(axis, 0)
    return result.to(torch.float64)


class _Evaluator:
    def __init__(self, expression: Expr, numbers: Numbers, free: Mapping[Symbol, int]) -> None:
        self.numbers = numbers
        bound = _bound_letters(expression)
        self.letters = [*free, *sorted(bound - set(free), key=str)]
        self.sizes = dict.fromkeys(self.letters, 1) | dict(free)
        for indexed in expression.atoms(sympy.Indexed):
            for axis, index in enumerate(indexed.indices):
                if index in self.sizes and indexed.base in numbers.arrays:
                    self.sizes[index] = numbers.arrays[indexed.base].shape[axis + 1]

    def __call__(self, expression: Any) -> Tensor:
        if expression.is_Number or expression.is_NumberSymbol:
            return self._constant(float(expression))
        if isinstance(expression, Symbol):
            return self._symbol(expression)
        if isinstance(expression, sympy.Indexed):
            return self._indexed(expression)
        if isinstance(expression, Add):
            return _fold(torch.add, [self(part) for part in expression.args])
        if isinstance(expression, Mul):
            return _fold(torch.mul, [self(part) for part in expression.args])
        if isinstance(expression, Pow):
            return self._power(expression)
        if isinstance(expression, sympy.Max | sympy.Min):
            choose = torch.maximum if isinstance(expression, sympy.Max) else torch.minimum
            return _fold(choose, [self(part) for part in expression.args])
        if isinstance(expression, sympy.Piecewise):
            return self._cases(expression)
        if isinstance(expression, KroneckerDelta):
            first, second = (self(part) for part in expression.args)
            return (first == second).to(torch.float64)
        if isinstance(expression, Sum):
            return self._sum(expression)
        if isinstance(expression, OverIndex):
            return self._over_index(expression)
        compute = _FUNCTIONS.get(expression.func) or expression.func.compute
        result: Tensor = compute(*(self(part).to(torch.float64) for part in expression.args))
        return result

    def _constant(self, number: float) -> Tensor:
        return torch.full((1,) * (len(self.letters) + 1), number, dtype=torch.float64)

    def _symbol(self, symbol: Symbol) -> Tensor:
        if symbol in self.numbers.scalars:
            number = self.numbers.scalars[symbol]
            if not isinstance(number, Tensor):
                return self._constant(float(number))
            return number.reshape(-1, *(1,) * len(self.letters))
        axis = self.letters.index(symbol) + 1
        shape = [1] * (len(self.letters) + 1)
        shape[axis] = self.sizes[symbol]
        return torch.arange(self.sizes[symbol]).reshape(shape)

    def _indexed(self, indexed: Any) -> Tensor:
        array = self.numbers.arrays[indexed.base]
        rows = torch.arange(array.shape[0]).reshape(-1, *(1,) * len(self.letters))
        places = [self(index).to(torch.int64) for index in indexed.indices]
        return array[(rows, *places)]

    def _power(self, power: Any) -> Tensor:
        if power.base == sympy.E:
            return torch.exp(self(power.exp))
        base = self(power.base)
        if power.exp == sympy.Rational(1, 2):
            return torch.sqrt(base)
        if power.exp == -1:
            return 1 / base
        return torch.pow(base.to(torch.float64), self(power.exp))

    def _cases(self, cases: Any) -> Tensor:
        *others, (last, condition) = cases.args
        result = self(last)
        if condition != True:  # noqa: E712  # SymPy's own true
            result = torch.where(self.condition(condition), result, math.nan)
        for value, condition in reversed(others):
            result = torch.where(self.condition(condition), self(value).to(torch.float64), result)
        return result

    def condition(self, condition: Any) -> Tensor:
        if condition in (sympy.true, sympy.false):
            return self._constant(float(bool(condition))) != 0
        if isinstance(condition, sympy.And):
            return _fold(torch.logical_and, [self.condition(part) for part in condition.args])
        if isinstance(condition, sympy.Or):
            return _fold(torch.logical_or, [self.condition(part) for part in condition.args])
        if isinstance(condition, sympy.Not):
            return ~self.condition(condition.args[0])
        assert isinstance(condition, Relational)  # noqa: S101  # conditions are built of these alone
        left, right = self(condition.lhs), self(condition.rhs)
        return _RELATIONS[condition.rel_op](left, right)

    def _along(self, body: Tensor, letter: Symbol) -> tuple[Tensor, int]:
        axis = self.letters.index(letter) + 1
        if body.shape[axis] != self.sizes[letter]:
            body = body.expand(*(self.sizes[letter] if place == axis else -1 for place in range(body.dim())))
        return body, axis

    def _sum(self, total: Any) -> Tensor:
        result = self(total.function)
        for letter, *_ in total.limits:
            result, axis = self._along(result, letter)
            result = result.sum(axis, keepdim=True)
        return result

    def _over_index(self, expression: OverIndex) -> Tensor:
        body, axis = self._along(self(expression.args[0]), expression.args[1])
        if isinstance(expression, ProductOfOthers):
            own = self(expression.args[3]) == self(expression.args[1])
            return torch.where(own, 1.0, body).prod(axis, keepdim=True)
        if isinstance(expression, ProductOver):
            return body.prod(axis, keepdim=True)
        if isinstance(expression, ArgSmallest | Smallest | SmallestShared):
            best = body.amin(axis, keepdim=True)
        else:
            best = body.amax(axis, keepdim=True)
        # argmax of 0 and 1 gives the first.
        return (body == best).to(torch.int8).argmax(axis, keepdim=True) if isinstance(expression, ArgLargest) else best


_RELATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "<": torch.lt,
    "<=": torch.le,
    ">": torch.gt,
    ">=": torch.ge,
    "==": torch.eq,
    "!=": torch.ne,
}


def _fold(combine: Callable[[Tensor, Tensor], Tensor], parts: list[Tensor]) -> Tensor:
    first, *rest = parts
    for part in rest:
        first = combine(first, part)
    return first


def _bound_letters(expression: Expr) -> set[Symbol]:
    sums = {limit[0] for total in expression.atoms(Sum) for limit in total.limits}
    return sums | {part.args[1] for part in expression.atoms(OverIndex)}
