"""Formulas as SymPy expressions, so that they can be compared with what they should be and not only their numbers.

Numbers become exact fractions (0.1 is 1/10). IF becomes Piecewise; a comparison within arithmetic is 1 or 0; sums,
products and the largest of a range are written out.
"""

import math
from collections.abc import Callable, Sequence
from itertools import islice, product
from typing import Any, final

import sympy
from sympy import Expr, Rational, S
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean as Condition

from chainrule.formulas import NormalDistribution
from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.nodes import (
    Array,
    Binary,
    Boolean,
    Call,
    DefinedName,
    ErrorLiteral,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
    Unread,
)
from chainrule.spreadsheets.tokens import FormulaError
from chainrule.spreadsheets.writing import formula_text

LARGEST_RANGE = 1000  # cells that are written out
_LARGEST_POWER = 10_000  # bits of a number that a power of numbers may become
_MOST_IN_EXTREME = 24
_MOST_COMPARISONS = 6  # in a condition that holds an IF

ValueOf = Callable[[str | None, Address], Expr]
Part = Any  # an Expr or a Condition; SymPy has no types
Rows = list[list[Part]]


def to_expression(node: Node, value_of: ValueOf, element: tuple[int, int] = (0, 0)) -> Expr:
    """Turn a formula into an expression.

    Ranges are taken to be full of numbers: AVERAGE divides by all their cells, empty ones too.

    Args:
        node: the formula's tree.
        value_of: what stands for a cell, given the sheet that the formula names (or nothing) and the address; 0 for
            an empty one.
        element: of a formula that gives an array, which row and column, from 0.

    Returns:
        The expression; for a comparison 1 or 0.

    Raises:
        FormulaError: the formula has no expression: it joins texts, rounds, calls an unknown function, divides by a
            zero that is written in it, or reads more than 1000 cells.
    """
    rows = _Reader(value_of).rows(node)
    row, column = element
    if row >= len(rows) or column >= len(rows[0]):
        raise _without(f"has no row {row + 1} and column {column + 1} in its result", node)
    return _number(rows[row][column])


def _without(problem: str, node: Node) -> FormulaError:
    text = formula_text(node)
    return FormulaError(
        what=f"A formula cannot be written as an expression: it {problem}.",
        found=text if len(text) <= 120 else text[:120] + "…",
    )


@final
class _Reader:
    def __init__(self, value_of: ValueOf) -> None:
        self.value_of = value_of

    def rows(self, node: Node) -> Rows:
        """Return a node's value as rows of parts; a single value is one row of one."""
        match node:
            case RangeReference():
                return self.range(node)
            case Array(constants):
                return [[self.single(constant) for constant in row] for row in constants]
            case Call():
                return self.call(node)
            case Unary(sign, operand):
                values = self.rows(operand)
                return [[self.unary(sign, value, node) for value in row] for row in values]
            case Binary(sign, left, right):
                return self.lifted(
                    lambda one, other: self.binary(sign, one, other, node), [self.rows(left), self.rows(right)], node
                )
            case _:
                return [[self.single(node)]]

    def single(self, node: Node) -> Part:
        match node:
            case Number(value):
                return Rational(repr(value))
            case Boolean(value):
                return S.true if value else S.false
            case Reference(sheet):
                return self.value_of(sheet, node.address)
            case Missing():
                return S.Zero
            case ErrorLiteral(value):
                raise _without(f"holds the error {value}", node)
            case DefinedName(name):
                raise _without(f"uses the name {name[:40]}, which stands for no cells that could be found", node)
            case Unread(_, reason):
                raise _without(f"could not be read ({reason.rstrip('.')})", node)
            case Text():
                raise _without("works with text", node)
            case _:
                rows = self.rows(node)
                if len(rows) != 1 or len(rows[0]) != 1:
                    raise _without("uses several cells where one belongs", node)
                return rows[0][0]

    def range(self, node: RangeReference) -> Rows:
        if node.size > LARGEST_RANGE:
            raise _without(f"reads a range of {node.size} cells, more than {LARGEST_RANGE}", node)
        upper, lower = node.corners
        return [
            [self.value_of(node.sheet, Address(row, column)) for column in range(upper.column, lower.column + 1)]
            for row in range(upper.row, lower.row + 1)
        ]

    def unary(self, sign: str, value: Part, node: Node) -> Part:
        number = _number(value)
        return _checked({"-": -number, "+": number, "%": number / 100}[sign], node)

    def binary(self, sign: str, left: Part, right: Part, node: Node) -> Part:
        if sign == "&":
            raise _without("joins texts", node)
        one, other = _number(left), _number(right)
        if sign in _RELATIONS:
            return _RELATIONS[sign](one, other)
        match sign:
            case "+":
                return _checked(one + other, node)
            case "-":
                return _checked(one - other, node)
            case "*":
                return _checked(one * other, node)
            case "/":
                if other.is_zero:
                    raise _without("divides by zero", node)
                return _checked(one / other, node)
            case _:
                return _power(one, other, node)

    def lifted(self, function: Callable[..., Part], arguments: Sequence[Rows], node: Node) -> Rows:
        """Call a function of single values, element by element where an argument is an array."""
        rows = max(len(argument) for argument in arguments)
        columns = max(len(argument[0]) for argument in arguments)
        if rows * columns > LARGEST_RANGE:
            raise _without(f"computes an array of {rows * columns} elements, more than {LARGEST_RANGE}", node)
        if any(len(argument) not in (1, rows) or len(argument[0]) not in (1, columns) for argument in arguments):
            raise _without("combines ranges of different sizes", node)
        made: Rows = [[S.Zero] * columns for _ in range(rows)]
        for row, column in product(range(rows), range(columns)):
            made[row][column] = function(
                *(
                    argument[0 if len(argument) == 1 else row][0 if len(argument[0]) == 1 else column]
                    for argument in arguments
                )
            )
        return made

    def call(self, node: Call) -> Rows:
        name, arguments = node.name, node.arguments
        if name == "SINGLE" and len(arguments) == 1:
            return [[self.single(arguments[0])]]
        if name == "INDEX":
            return self.index(node)
        parts = [self.rows(argument) for argument in arguments]
        if name in _OVER_ALL:
            values = [value for rows in parts for row in rows for value in row]
            if not values:
                raise _without(f"calls {name} without arguments", node)
            return [[_checked(_OVER_ALL[name](values), node)]]
        if name in _OF_ARRAYS:
            return _OF_ARRAYS[name](parts, node)
        if name not in _OF_VALUES:
            raise _without(f"calls {name[:40]}, which has no expression here", node)
        least, most, function = _OF_VALUES[name]
        if not least <= len(arguments) <= most:
            raise _without(f"calls {name} with {len(arguments)} arguments", node)
        return self.lifted(lambda *values: _checked(function(values, node), node), parts or [[[S.Zero]]], node)

    def index(self, node: Call) -> Rows:
        if not 2 <= len(node.arguments) <= 3:
            raise _without(f"calls INDEX with {len(node.arguments)} arguments", node)
        rows = self.rows(node.arguments[0])
        places = []
        for argument in node.arguments[1:]:
            place = self.single(argument)
            if not getattr(place, "is_Integer", False):
                raise _without("calls INDEX with a place that is not written as a number", node)
            places.append(int(place))
        if len(places) == 1:
            places = [1, places[0]] if len(rows) == 1 else [places[0], 1 if len(rows[0]) == 1 else 0]
        row, column = places
        if not (0 <= row <= len(rows) and 0 <= column <= len(rows[0])):
            raise _without("calls INDEX with a place beyond the range", node)
        chosen = [rows[row - 1]] if row else rows
        return [[line[column - 1]] for line in chosen] if column else chosen


_RELATIONS: dict[str, Callable[[Expr, Expr], Condition]] = {
    "=": sympy.Eq,
    "<>": sympy.Ne,
    "<": sympy.Lt,
    ">": sympy.Gt,
    "<=": sympy.Le,
    ">=": sympy.Ge,
}


def _number(part: Part) -> Expr:
    """Return a part as arithmetic takes it: a condition is 1 or 0."""
    if isinstance(part, Condition) and not isinstance(part, sympy.Symbol):
        return _chosen(part, S.One, S.Zero)
    return part


def _chosen(condition: Condition, then: Expr, otherwise: Expr) -> Expr:
    # SymPy multiplies out the cases inside a condition: the time doubles with each.
    comparisons = (part for part in sympy.preorder_traversal(condition) if isinstance(part, Relational))
    if (
        condition.has(sympy.Piecewise)
        and sum(1 for _ in islice(comparisons, _MOST_COMPARISONS + 1)) > _MOST_COMPARISONS
    ):
        raise FormulaError(
            what="A formula cannot be written as an expression: its conditions depend on too many other conditions.",
            expected=f"at most {_MOST_COMPARISONS} comparisons in the condition of an IF",
        )
    return sympy.Piecewise((then, condition), (otherwise, True))


def _condition(part: Part) -> Condition:
    """Return a part as IF takes it: a number is true unless it is 0."""
    if isinstance(part, Condition) and not isinstance(part, sympy.Symbol):
        return part
    return sympy.Ne(part, 0)


def _checked(part: Part, node: Node) -> Part:
    """Return a part; one that is a number must be real and of a size that a spreadsheet has.

    So no tower of powers and exponentials can grow: each floor is looked at before the next is built.
    """
    if isinstance(part, Condition) or not part.is_number:
        return part
    try:
        value = complex(part)
    except (OverflowError, TypeError, ValueError):
        raise _without("computes a number that is too large, or none", node) from None
    if value.imag != 0.0 or not math.isfinite(value.real):
        raise _without("computes a number that is too large, or none", node)
    return part


def _power(base: Expr, exponent: Expr, node: Node) -> Expr:
    if base.is_Rational and exponent.is_Rational:
        if base.is_zero and not exponent.is_positive:
            raise _without("divides by zero" if exponent.is_negative else "raises 0 to the power of 0", node)
        bits = max(abs(base.p).bit_length(), base.q.bit_length()) * abs(exponent)
        if bits > _LARGEST_POWER:
            raise _without("computes a power that is too large", node)
    return _checked(base**exponent, node)


def _if(values: Sequence[Part], node: Node) -> Part:
    condition = _condition(values[0])
    otherwise = _number(values[2]) if len(values) == 3 else S.Zero
    return _chosen(condition, _number(values[1]), otherwise)


def _log_gamma(values: Sequence[Part], node: Node) -> Part:
    argument = _number(values[0])
    if argument.is_number:  # SymPy would compute (n − 1)! of a whole number n
        if not argument.is_positive:
            raise _without("computes a number that is too large, or none", node)
        return sympy.Float(math.lgamma(float(argument)))
    return sympy.loggamma(argument)


def _logarithm(values: Sequence[Part], node: Node) -> Part:
    base = _number(values[1]) if len(values) == 2 else sympy.Integer(10)
    if base == 1 or base.is_zero:
        raise _without("divides by zero", node)
    return _log([values[0]], node) / sympy.log(base)


def _log(values: Sequence[Part], node: Node) -> Part:
    argument = _number(values[0])
    if argument.is_zero:
        raise _without("takes the logarithm of zero", node)
    return sympy.log(argument)


def _arc_tangent(values: Sequence[Part], node: Node) -> Part:
    return sympy.atan2(_number(values[1]), _number(values[0]))  # spreadsheets take x first


_Function = Callable[[Sequence[Part], Node], Part]


def _of_one(function: Callable[[Expr], Expr]) -> tuple[int, int, _Function]:
    return 1, 1, lambda values, node: function(_number(values[0]))


_OF_VALUES: dict[str, tuple[int, int, _Function]] = {
    "ABS": _of_one(sympy.Abs),
    "ACOS": _of_one(sympy.acos),
    "ACOSH": _of_one(sympy.acosh),
    "ASIN": _of_one(sympy.asin),
    "ASINH": _of_one(sympy.asinh),
    "ATAN": _of_one(sympy.atan),
    "ATAN2": (2, 2, _arc_tangent),
    "ATANH": _of_one(sympy.atanh),
    "COS": _of_one(sympy.cos),
    "COSH": _of_one(sympy.cosh),
    "ERF": _of_one(sympy.erf),
    "ERF.PRECISE": _of_one(sympy.erf),
    "ERFC": _of_one(sympy.erfc),
    "ERFC.PRECISE": _of_one(sympy.erfc),
    "EXP": _of_one(sympy.exp),
    "FALSE": (0, 0, lambda values, node: S.false),
    "GAMMALN": (1, 1, _log_gamma),
    "GAMMALN.PRECISE": (1, 1, _log_gamma),
    "IF": (2, 3, _if),
    "IFERROR": (2, 2, lambda values, node: values[0]),  # where it has a value, it is that value
    "IFNA": (2, 2, lambda values, node: values[0]),
    "LN": (1, 1, _log),
    "LOG": (1, 2, _logarithm),
    "LOG10": (1, 1, _logarithm),
    "N": _of_one(lambda value: value),
    "NORMSDIST": _of_one(NormalDistribution),
    "NOT": (1, 1, lambda values, node: sympy.Not(_condition(values[0]))),
    "PI": (0, 0, lambda values, node: S.Pi),
    "POWER": (2, 2, lambda values, node: _power(_number(values[0]), _number(values[1]), node)),
    "SIGN": _of_one(sympy.sign),
    "SIN": _of_one(sympy.sin),
    "SINH": _of_one(sympy.sinh),
    "SQRT": _of_one(sympy.sqrt),
    "TAN": _of_one(sympy.tan),
    "TANH": _of_one(sympy.tanh),
    "TRUE": (0, 0, lambda values, node: S.true),
}


def _numbers(values: Sequence[Part]) -> list[Expr]:
    return [_number(value) for value in values]


def _extreme(kind: Any, values: Sequence[Expr]) -> Expr:
    # SymPy compares each with each, in milliseconds, and merges what is nested.
    count = sum(len(value.args) if isinstance(value, kind) else 1 for value in values)
    if count > _MOST_IN_EXTREME:
        raise FormulaError(
            what="A formula cannot be written as an expression: it takes the largest or smallest of too many values.",
            found=f"{count} values",
            expected=f"at most {_MOST_IN_EXTREME}",
        )
    return kind(*values)


_OVER_ALL: dict[str, Callable[[Sequence[Part]], Part]] = {
    "AND": lambda values: sympy.And(*map(_condition, values)),
    "AVERAGE": lambda values: sympy.Add(*_numbers(values)) / len(values),
    "MAX": lambda values: _extreme(sympy.Max, _numbers(values)),
    "MIN": lambda values: _extreme(sympy.Min, _numbers(values)),
    "OR": lambda values: sympy.Or(*map(_condition, values)),
    "PRODUCT": lambda values: sympy.Mul(*_numbers(values)),
    "SUM": lambda values: sympy.Add(*_numbers(values)),
    "SUMSQ": lambda values: sympy.Add(*(value**2 for value in _numbers(values))),
}


def _pairs(parts: Sequence[Rows], node: Node) -> list[tuple[Expr, Expr]]:
    if len(parts) != 2:
        raise _without("calls a function of two ranges with another number of them", node)
    flat = [[_number(value) for row in rows for value in row] for rows in parts]
    if len(flat[0]) != len(flat[1]):
        raise _without("combines ranges of different sizes", node)
    return list(zip(*flat, strict=True))


def _over_pairs(function: Callable[[Expr, Expr], Expr]) -> Callable[[Sequence[Rows], Node], Rows]:
    return lambda parts, node: [[_checked(sympy.Add(*(function(*pair) for pair in _pairs(parts, node))), node)]]


def _sum_of_products(parts: Sequence[Rows], node: Node) -> Rows:
    if not parts or len({(len(rows), len(rows[0])) for rows in parts}) != 1:
        raise _without("combines ranges of different sizes", node)
    terms = []
    for row, column in product(range(len(parts[0])), range(len(parts[0][0]))):
        terms.append(sympy.Mul(*(_number(rows[row][column]) for rows in parts)))
    return [[_checked(sympy.Add(*terms), node)]]


def _matrix_product(parts: Sequence[Rows], node: Node) -> Rows:
    if len(parts) != 2 or len(parts[0][0]) != len(parts[1]):
        raise _without("multiplies matrices that do not fit", node)
    left, right = parts
    if len(left) * len(right) * len(right[0]) > LARGEST_RANGE:
        raise _without(f"multiplies matrices with more than {LARGEST_RANGE} products", node)
    columns = list(zip(*right, strict=True))
    return [
        [
            sympy.Add(*(_number(one) * _number(other) for one, other in zip(row, column, strict=True)))
            for column in columns
        ]
        for row in left
    ]


def _transposed(parts: Sequence[Rows], node: Node) -> Rows:
    if len(parts) != 1:
        raise _without(f"calls TRANSPOSE with {len(parts)} arguments", node)
    return [list(column) for column in zip(*parts[0], strict=True)]


_OF_ARRAYS: dict[str, Callable[[Sequence[Rows], Node], Rows]] = {
    "MMULT": _matrix_product,
    "SUMPRODUCT": _sum_of_products,
    "SUMX2MY2": _over_pairs(lambda one, other: one**2 - other**2),
    "SUMX2PY2": _over_pairs(lambda one, other: one**2 + other**2),
    "SUMXMY2": _over_pairs(lambda one, other: (one - other) ** 2),
    "TRANSPOSE": _transposed,
}
