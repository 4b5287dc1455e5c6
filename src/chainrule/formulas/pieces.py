"""A formula with Max, Min, Abs, sign or Piecewise, split into the smooth pieces it is made of.

The places where pieces meet are the roots of the differences that decide which branch holds; these are affine in
the variable. They stay symbolic (−λ, λ), and the values of the parameters say in which order they lie.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

import sympy
from sympy import Abs, And, Basic, Expr, Max, Min, Piecewise, S, Symbol, sign
from sympy.core.relational import Relational

Values = Mapping[Symbol, Expr]

_SMOOTH_TOLERANCE = 1e-12  # of value and slope, above their rounding errors


@dataclass(frozen=True, slots=True)
class Piece:
    """A smooth formula on an open interval; the ends may be −∞ and ∞, and may hold symbols of parameters."""

    lower: Expr
    upper: Expr
    expression: Expr


def split(expression: Expr, variable: Symbol, values: Values) -> tuple[Piece, ...]:
    """Return the smooth pieces of a formula from left to right.

    Args:
        expression: the formula; its branches are decided by differences that are affine in `variable`.
        variable: the variable that runs over the real line; every other symbol is a parameter.
        values: the value of each parameter.
    """
    ends = [S.NegativeInfinity, *_break_points(expression, variable, values), S.Infinity]
    pieces: list[Piece] = []
    for lower, upper in pairwise(ends):
        inside = _point_between(lower.xreplace(dict(values)), upper.xreplace(dict(values)))
        piece = Piece(lower, upper, smooth_branch(expression, {**values, variable: inside}))
        pieces.append(piece)
    return tuple(pieces)


def smooth_branch(expression: Expr, at: Values) -> Expr:
    """Return the formula with each Max, Min, Abs, sign and Piecewise replaced by the branch that holds at `at`."""
    if not expression.has(Max, Min, Abs, sign, Piecewise):
        return expression
    if isinstance(expression, Piecewise):
        branch = next(value for value, condition in expression.args if condition.subs(at) == True)  # noqa: E712
        return smooth_branch(branch, at)
    arguments = [smooth_branch(argument, at) for argument in expression.args]
    if isinstance(expression, Max | Min):
        choose = max if isinstance(expression, Max) else min
        return choose(arguments, key=lambda argument: argument.subs(at))
    if isinstance(expression, Abs):
        return -arguments[0] if arguments[0].subs(at) < 0 else arguments[0]
    if isinstance(expression, sign):
        return sign(arguments[0].subs(at))
    return expression.func(*arguments)


def derivative(expression: Expr, variable: Symbol, values: Values) -> Expr:
    """Return the derivative of a formula, by pieces where it has them.

    Where two pieces meet with one slope, that point belongs to the right-hand piece (≥); where they meet in a kink
    or a jump, it belongs to neither (< and >), for the formula has no derivative there.
    """
    if not expression.has(Max, Min, Piecewise):
        return simplest(expression.diff(variable).subs(variable * sign(variable), Abs(variable)))
    pieces = split(expression, variable, values)
    if len(pieces) == 1:
        return simplest(pieces[0].expression.diff(variable))
    joined = [False, *(_join_smoothly(before, after, variable, values) for before, after in pairwise(pieces))]
    cases = [
        (simplest(piece.expression.diff(variable)), _condition(piece, variable, is_joined))
        for piece, is_joined in zip(pieces, joined, strict=True)
    ]
    return Piecewise(*cases, evaluate=False)


def _condition(piece: Piece, variable: Symbol, includes_lower: bool) -> Basic:
    from_lower = variable >= piece.lower if includes_lower else variable > piece.lower
    if piece.upper == S.Infinity:
        return from_lower
    to_upper = variable < piece.upper
    return to_upper if piece.lower == S.NegativeInfinity else And(from_lower, to_upper, evaluate=False)


def _join_smoothly(before: Piece, after: Piece, variable: Symbol, values: Values) -> bool:
    known = dict(values)
    place = after.lower.xreplace(known)
    gap = before.expression - after.expression
    steps = (gap.xreplace(known).subs(variable, place), gap.diff(variable).xreplace(known).subs(variable, place))
    return all(abs(float(step)) <= _SMOOTH_TOLERANCE for step in steps)


def simplest(expression: Expr) -> Expr:
    """Return an equal form of an expression that is shorter by a third or more, or else the expression itself.

    A slightly shorter form is no gain for the reader: e^x/(1 + e^x)² hides where e^(−x)/(1 + e^(−x))² came from.
    """
    shortest = min((sympy.factor(expression), sympy.cancel(expression)), key=lambda form: form.count_ops())
    return shortest if 3 * shortest.count_ops() <= 2 * expression.count_ops() else expression


def _break_points(expression: Expr, variable: Symbol, values: Values) -> list[Expr]:
    known = dict(values)
    roots = {root for gap in _deciding_differences(expression) if (root := _affine_root(gap, variable)) is not None}
    by_place: dict[Expr, Expr] = {}
    for root in sorted(roots, key=lambda root: root.count_ops()):
        by_place.setdefault(sympy.Float(root.xreplace(known)), root)
    places = sorted(by_place)
    kept = []
    for index, place in enumerate(places):
        before = places[index - 1] if index else S.NegativeInfinity
        after = places[index + 1] if index + 1 < len(places) else S.Infinity
        sides = [
            smooth_branch(expression, {**values, variable: _point_between(low, high)})
            for low, high in ((before, place), (place, after))
        ]
        if sides[0] != sides[1]:
            kept.append(by_place[place])
    return kept


def _deciding_differences(expression: Expr) -> Iterator[Expr]:
    for relation in expression.atoms(Relational):
        yield relation.lhs - relation.rhs
    for function in expression.atoms(Abs, sign):
        yield function.args[0]
    for extreme in expression.atoms(Max, Min):
        for first, second in combinations(_leaves(extreme), 2):
            yield first - second


def _leaves(expression: Expr) -> list[Expr]:
    if isinstance(expression, Max | Min):
        return [leaf for argument in expression.args for leaf in _leaves(argument)]
    return [expression]


def _affine_root(expression: Expr, variable: Symbol) -> Expr | None:
    slope = expression.diff(variable)
    if slope == 0:
        return None
    return sympy.cancel(-expression.subs(variable, 0) / slope)


def _point_between(lower: Expr, upper: Expr) -> Expr:
    if lower == S.NegativeInfinity and upper == S.Infinity:
        return S.Zero
    if lower == S.NegativeInfinity:
        return upper - 1
    if upper == S.Infinity:
        return lower + 1
    return (lower + upper) / 2
