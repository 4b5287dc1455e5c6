"""Derivatives of formulas in index notation, and the largest of several numbers.

SymPy differentiates Σₖ x[k]·w[k] by w[m] to Σₖ δ[k,m]·x[k]; `differentiate` takes the δ out of the sum: x[m].

At a kink PyTorch takes one of the slopes, and the derivative here is the one that it takes:

- Max and Min of two inputs: half of it to each at a tie;
- Max(c, u) of a constant c and an input: 0 at u = c; Min(0, u): the slope of u at 0, as leaky ReLU has it;
- |u| and sign: 0 at 0;
- `Largest`: all of it to one place of those that tie, or an equal share to each (`Shared`).
"""

from collections.abc import Collection
from typing import Any, ClassVar, cast

import sympy
from sympy import (
    Add,
    Dummy,
    Eq,
    Expr,
    Heaviside,
    Indexed,
    KroneckerDelta,
    Max,
    Min,
    Or,
    Piecewise,
    Rational,
    S,
    Sum,
    Symbol,
    powsimp,
)
from sympy.printing.printer import Printer

from chainrule.formulas import simplest

_FIRST = Symbol("k", integer=True)


class OverIndex(Expr):  # type: ignore[misc]  # SymPy has no types
    """A function of the numbers f(k) over an index k = 1, ..., n; the index is bound, as in a sum.

    The arguments are f(k), the index and its upper end.
    """

    is_commutative = True
    text_name = ""
    latex_name = ""

    def __new__(cls, body: Expr, index: Symbol, count: Expr) -> "OverIndex":
        """Return the expression, unevaluated."""
        return cast("OverIndex", Expr.__new__(cls, body, index, count))

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols of the body without the index."""
        body, index, count = self.args[:3]
        return (body.free_symbols - {index}) | count.free_symbols  # type: ignore[no-any-return]

    def _eval_subs(self, old: Any, new: Any) -> Any:
        return self if old == self.args[1] else None

    def _eval_is_extended_real(self) -> bool:
        return True

    def _chainrule_text(self, printer: Printer) -> str:
        body, index, _ = self.args
        subscript = {"i": "ᵢ", "j": "ⱼ", "k": "ₖ"}.get(index.name, f"_{index.name}")
        return f"{self.text_name}{subscript} {printer._print(body)}"

    def _latex(self, printer: Printer) -> str:
        body, index, _ = self.args
        return rf"{self.latex_name}_{{{index.name}}} {printer._print(body)}"


class ArgLargest(OverIndex):
    """The place of the largest: the first of those that tie."""

    text_name = "argmax"
    latex_name = r"\operatorname{argmax}"

    def _eval_is_integer(self) -> bool:
        return True

    def _eval_derivative(self, symbol: Any) -> Expr:
        return S.Zero


class Largest(OverIndex):
    """The largest of the numbers; the derivative goes to the first of those that tie."""

    text_name = "max"
    latex_name = r"\max"
    place: ClassVar[type[ArgLargest]] = ArgLargest

    def _eval_derivative(self, symbol: Any) -> Expr:
        body, index, count = self.args
        return Sum(KroneckerDelta(index, self.place(body, index, count)) * body.diff(symbol), (index, 1, count))


class LargestShared(Largest):
    """The largest of the numbers; the derivative is shared equally by those that tie."""

    def _eval_derivative(self, symbol: Any) -> Expr:
        body, index, count = self.args
        tied = Sum(KroneckerDelta(body, self), (index, 1, count))
        return Sum(KroneckerDelta(body, self) * body.diff(symbol), (index, 1, count)) / tied


class ArgSmallest(ArgLargest):
    """The place of the smallest: the first of those that tie."""

    text_name = "argmin"
    latex_name = r"\operatorname{argmin}"


class Smallest(Largest):
    """The smallest of the numbers; the derivative goes to the first of those that tie."""

    text_name = "min"
    latex_name = r"\min"
    place = ArgSmallest


class SmallestShared(LargestShared):
    """The smallest of the numbers; the derivative is shared equally by those that tie."""

    text_name = "min"
    latex_name = r"\min"


class ProductOver(OverIndex):
    """The product of the numbers; its derivative multiplies all the others, so that zeros do no harm."""

    text_name = "Π"
    latex_name = r"\prod"

    def _eval_derivative(self, symbol: Any) -> Expr:
        body, index, count = self.args
        other = Symbol("j" if index.name != "j" else "k", integer=True)
        others = ProductOfOthers(body.subs(index, other), other, count, index)
        return Sum(body.diff(symbol) * others, (index, 1, count))


class ProductOfOthers(OverIndex):
    """The product of all numbers but the one at a place, which is the fourth argument."""

    def __new__(cls, body: Expr, index: Symbol, count: Expr, place: Expr) -> "ProductOfOthers":
        """Return the expression, unevaluated."""
        return cast("ProductOfOthers", Expr.__new__(cls, body, index, count, place))

    @property
    def free_symbols(self) -> set[Any]:
        """The symbols of the body without the index, and those of the place."""
        return OverIndex.free_symbols.fget(self) | self.args[3].free_symbols  # type: ignore[attr-defined,no-any-return]

    def _chainrule_text(self, printer: Printer) -> str:
        body, index, _, place = self.args
        return f"Π({printer._print(index)}≠{printer._print(place)}) {printer._print(body)}"

    def _latex(self, printer: Printer) -> str:
        body, index, _, place = self.args
        return rf"\prod_{{{index.name} \neq {printer._print(place)}}} {printer._print(body)}"


def differentiate(formula: Expr, slot: Expr, slots: Collection[Expr]) -> Expr:
    """Return the derivative of a formula by one of its slots, with PyTorch's choice at kinks.

    Args:
        formula: the formula.
        slot: a symbol, or an indexed symbol whose indices do not occur in the formula.
        slots: everything in the formula that stands for an element of a tensor.
    """
    symbols = {part for part in slots if part.is_Symbol}
    by_cases = _folded(_by_cases(formula, symbols))
    if isinstance(by_cases, Piecewise):
        branches = [(_collected(_tidy(value.diff(slot))), condition) for value, condition in by_cases.args]
        return _joined([(_without_delta_sums(value), condition) for value, condition in branches])
    return _collected(_tidy(_without_delta_sums(by_cases.diff(slot))))


def _by_cases(formula: Expr, symbols: Collection[Expr]) -> Expr:
    # Max(c, u) and Min(c, u) of a constant and an expression in a slot, as cases.
    def is_constant(argument: Expr) -> bool:
        return not argument.has(Indexed) and argument.free_symbols.isdisjoint(symbols)

    def cases(extreme: Expr) -> Expr:
        constants = [argument for argument in extreme.args if is_constant(argument)]
        if len(constants) != 1 or len(extreme.args) != 2:
            return extreme
        bound = constants[0]
        other = next(argument for argument in extreme.args if argument is not bound)
        if isinstance(extreme, Min):
            # Min(0, u) has the slope of u at 0, as leaky ReLU has it; any other is flat at its bound.
            branch = (bound, other > bound) if bound == 0 else (bound, other >= bound)
            return Piecewise(branch, (other, True), evaluate=False)
        if isinstance(other, Piecewise) and len(other.args) == 2:  # Max(0, Min(6, u))
            inner = other.args[1][0]
            return Piecewise((bound, inner <= bound), *other.args, evaluate=False)
        return Piecewise((other, other > bound), (bound, True), evaluate=False)

    return cast("Expr", formula.replace(lambda part: isinstance(part, Max | Min), cases))


def _folded(formula: Expr) -> Expr:
    """Return a formula whose cases stand outside: x·(0 if x ≤ 0, else 1) is 0 if x ≤ 0, else x."""
    parts = sorted(formula.atoms(Piecewise), key=lambda part: int(part.count_ops()))
    if not parts or formula.has(Indexed) or isinstance(formula, Piecewise):
        return formula
    conditions = [[condition for _, condition in part.args] for part in parts]
    if any(other != conditions[0] for other in conditions):
        return formula
    cases = [
        (formula.xreplace({part: part.args[number][0] for part in parts}), condition)
        for number, condition in enumerate(conditions[0])
    ]
    return Piecewise(*cases, evaluate=False)


def _joined(branches: list[tuple[Expr, Any]]) -> Expr:
    """Return a derivative by cases, with neighbouring cases of one value made one."""
    merged: list[tuple[Expr, Any]] = []
    for value, condition in branches:
        if merged and merged[-1][0] == value:
            merged[-1] = (value, True if condition == True else Or(merged[-1][1], condition, evaluate=False))  # noqa: E712
        else:
            merged.append((value, condition))
    return merged[0][0] if len(merged) == 1 else Piecewise(*merged, evaluate=False)


def _without_delta_sums(expression: Expr) -> Expr:
    # Σₖ δ[k,m]·f(k) is f(m).
    if not expression.has(Sum):
        return expression
    if not isinstance(expression, Sum):
        return expression.func(
            *(_without_delta_sums(part) if isinstance(part, Expr) else part for part in _parts(expression))
        )
    body = _without_delta_sums(expression.function)
    for limit in expression.limits:
        body = _sum_over(body, limit)
    return body


def _parts(expression: Expr) -> tuple[Any, ...]:
    if isinstance(expression, Piecewise):
        return tuple((_without_delta_sums(value), condition) for value, condition in expression.args)
    return tuple(expression.args)


def _sum_over(body: Expr, limit: Any) -> Expr:
    letter = limit[0]
    deltas = [delta for delta in body.atoms(KroneckerDelta) if letter in delta.args]
    if not deltas:
        return Sum(body, limit) if body != 0 else S.Zero
    delta = min(deltas, key=lambda candidate: not all(argument.is_Symbol for argument in candidate.args))
    other = next(argument for argument in delta.args if argument != letter)
    stand_in = Dummy(real=True)
    marked = body.xreplace({delta: stand_in})
    picked = marked.diff(stand_in).subs(letter, other)
    rest = marked.subs(stand_in, 0)
    return picked + _sum_over(rest, limit)


def _tidy(expression: Expr) -> Expr:
    expression = expression.replace(Heaviside, _shared_at_ties)
    if expression.has(Indexed):
        return expression
    return expression if expression.has(Piecewise) else cast("Expr", simplest(powsimp(expression)))


def _collected(expression: Expr) -> Expr:
    """Take sums apart that are shorter so: Σₖ (x[k] − Σⱼ x[j]/n) is 0, but Σₖ (x[k] − Σⱼ x[j]/n)² stays."""
    if not any(total.function.has(Sum) for total in expression.atoms(Sum)):
        return expression
    apart = expression.replace(lambda part: isinstance(part, Sum), _apart)
    return min((expression, sympy.factor_terms(apart)), key=lambda form: int(form.count_ops()))


def _apart(total: Expr) -> Expr:
    if len(total.limits) != 1:
        return total
    letter, first, last = total.limits[0]
    result: Expr = S.Zero
    for term in Add.make_args(total.function.expand()):
        outside, inside = term.as_independent(letter, as_Add=False)
        outside = outside.replace(lambda part: isinstance(part, Sum), _first_letter)
        result += outside * (last - first + 1 if inside == 1 else _first_letter(Sum(inside, (letter, first, last))))
    return result if 2 * result.count_ops() <= total.count_ops() else total


def _first_letter(total: Expr) -> Expr:
    # Σⱼ x[j] and Σₖ x[k] are one.
    letter, first, last = total.limits[0]
    if total.function.has(Sum, OverIndex) or total.function.has(_FIRST):
        return total
    return Sum(total.function.subs(letter, _FIRST), (_FIRST, first, last))


def _shared_at_ties(difference: Expr, at_zero: Expr = S.Half) -> Expr:
    negative = [term for term in Add.make_args(difference) if term.could_extract_minus_sign()]
    right = -Add(*negative)
    left = difference + right
    return Piecewise((S.One, left > right), (Rational(1, 2), Eq(left, right)), (S.Zero, True), evaluate=False)
