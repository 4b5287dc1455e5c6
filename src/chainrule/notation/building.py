"""Trees as SymPy expressions over `symbol_of(name)`, bounded: no formula makes SymPy compute for long."""

from itertools import pairwise

import sympy
from sympy import Add, And, Basic, Expr, Integer, Mul, Or, Piecewise, Pow, Rational, S, Symbol, Unequality
from sympy.core.relational import GreaterThan, LessThan, StrictGreaterThan, StrictLessThan

from chainrule.notation.functions import FUNCTIONS
from chainrule.notation.problem import NotationError
from chainrule.notation.tree import (
    Call,
    Cases,
    Comparison,
    Constant,
    Derivative,
    Junction,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Total,
)
from chainrule.notation.written import Name
from chainrule.programs import derivative_name
from chainrule.programs.program import symbol_of

_LARGEST = 10**9  # of a number that a function is applied to
_MOST_BITS = 4096  # of an exact number
_RELATIONS = {"<": StrictLessThan, ">": StrictGreaterThan, "≤": LessThan, "≥": GreaterThan, "≠": Unequality}
_LEAVES = ("input", "target", "parameter", "setting", "state")  # depend on nothing else
_MOST_OPERATIONS = 2_000  # of what is differentiated

_CUT_OFF = (S.NaN, S.ComplexInfinity, S.Infinity, S.NegativeInfinity)


def build(node: Node, text: str) -> Expr:
    """Return the expression of a tree.

    Args:
        node: the tree.
        text: that it was read from, for errors.

    Raises:
        NotationError: no real number: a division by 0, a root or a logarithm of a negative number; or numbers too
            large to be computed.
    """
    return _Builder(text).expression(node)


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.symbols: dict[Symbol, Name] = {}

    def trouble(self, place: int, what: str, expected: str) -> NotationError:
        return NotationError.at(self.text, place, what, expected)

    def expression(self, node: Node) -> Expr:
        made = self.made(node)
        number = made.args[0] if isinstance(made, Mul | Add) else made  # SymPy puts it first
        if number.is_Rational and max(number.p.bit_length(), number.q.bit_length()) > _MOST_BITS:
            raise self.trouble(node.place, "This number is too large to be computed.", "smaller numbers")
        if made in _CUT_OFF:
            raise self.trouble(node.place, "This has no value.", "no division by 0 and no logarithm of 0")
        if made.is_number and made.has(sympy.I):
            raise self.trouble(node.place, "This is no real number.", "no root or logarithm of a negative number")
        return made

    def made(self, node: Node) -> Expr:
        match node:
            case Number():
                return Rational(node.value.numerator, node.value.denominator)
            case Constant():
                return sympy.E if node.name == "e" else sympy.pi
            case Quantity():
                return self.symbol(node.name, node.place)
            case Total():
                return Add(*(-term if minus else term for minus, term in self.each(node.terms)))
            case Product():
                return self.product(node)
            case Power():
                return self.power(node)
            case Call():
                return self.call(node)
            case Derivative():
                return self.derivative(node)
            case Cases():
                return self.cases(node)
            case Comparison() | Junction():
                return Piecewise((Integer(1), self.condition(node)), (Integer(0), True))

    def each(self, parts: tuple[tuple[bool, Node], ...]) -> list[tuple[bool, Expr]]:
        return [(flag, self.expression(part)) for flag, part in parts]

    def symbol(self, name: Name, place: int) -> Expr:
        if name.quantity is None:
            raise self.trouble(place, f"'{name.text}' is no quantity.", "a name such as a_h1")
        symbol = symbol_of(name.quantity)
        self.symbols[symbol] = name
        return symbol

    def product(self, node: Product) -> Expr:
        factors = []
        for (is_divided, part), (_, written) in zip(self.each(node.factors), node.factors, strict=True):
            if is_divided and part == 0:
                raise self.trouble(written.place, "This is a division by 0.", "another divisor")
            factors.append(1 / part if is_divided else part)
        return Mul(*factors)

    def power(self, node: Power) -> Expr:
        exponent = self.expression(node.exponent)
        if isinstance(node.base, Constant) and node.base.name == "e":
            return sympy.exp(self.bounded(exponent, node.exponent))
        base = self.expression(node.base)
        self.bounded(exponent, node.exponent)
        if base.is_number and exponent.is_number:
            bits = sum(
                abs(int(number)).bit_length() for atom in base.atoms(Rational) for number in atom.as_numer_denom()
            )
            if abs(exponent) > 64 or max(bits, 1) * abs(exponent) > _MOST_BITS:
                raise self.trouble(node.place, "This power is too large to be computed.", "smaller numbers")
            if base == 0 and exponent < 0:
                raise self.trouble(node.place, "This is a division by 0.", "another base")
            self.bounded(base, node.base)
        return Pow(base, exponent)

    def bounded(self, expression: Expr, node: Node) -> Expr:
        """Return an argument of a function, unless it is a number that may take long: e^(e^(e^9))."""
        if not expression.is_number:
            return expression
        is_plain = all(abs(number) <= _LARGEST for number in expression.atoms(Rational))
        has_small_powers = all(power.exp.is_Rational for power in expression.atoms(Pow))
        is_nested = bool(expression.atoms(sympy.Function)) or expression.has(sympy.E)
        if is_plain and has_small_powers and not is_nested:
            return expression
        raise self.trouble(node.place, "This number is too large or too nested to be computed.", "its value")

    def call(self, node: Call) -> Expr:
        arguments = [self.bounded(self.expression(argument), argument) for argument in node.arguments]
        function = FUNCTIONS[node.name.removesuffix("'")]
        if not node.name.endswith("'"):
            return function.value(*arguments)
        if function.slope is None:
            raise self.trouble(node.place, "The derivative of this function is not known.", "its formula")
        return function.slope(arguments[0])

    def condition(self, node: Node) -> Basic:
        if isinstance(node, Junction):
            join = And if node.word == "and" else Or
            return join(*(self.condition(condition) for condition in node.conditions))
        if not isinstance(node, Comparison):
            raise self.trouble(node.place, "This is no condition.", "a comparison such as h1 > 0")
        sides = [self.bounded(self.expression(side), side) for side in node.sides]
        relations = [
            _RELATIONS[relation](left, right, evaluate=bool((left - right).is_number))
            for (left, right), relation in zip(pairwise(sides), node.relations, strict=True)
        ]
        return And(*relations) if len(relations) > 1 else relations[0]

    def cases(self, node: Cases) -> Expr:
        if node.cases[-1][1] is not None:
            raise self.trouble(node.place, "These cases leave out what holds otherwise.", "', else ...' at the end")
        cases = [
            (self.expression(value), S.true if condition is None else self.condition(condition))
            for value, condition in node.cases
        ]
        return Piecewise(*cases)

    def derivative(self, node: Derivative) -> Expr:
        """Differentiate what stands in the brackets of ∂(...)/∂x.

        Where x stands in it, that is the partial derivative; everything else in it is constant. Where it does not,
        what depends on x is in what stands there: ∂(E1 + E2)/∂w5 = ∂E1/∂w5 + ∂E2/∂w5.
        """
        above = self.expression(node.above)
        below = self.symbol(node.below, node.place)
        if above.count_ops() > _MOST_OPERATIONS or above.has(sympy.Max, sympy.Min, sympy.Abs, sympy.sign):
            raise self.trouble(node.place, "This derivative is not computed here.", "its formula")
        if below in above.free_symbols:
            return above.diff(below)
        parts = [
            above.diff(symbol) * self.local(name, node.below)
            for symbol, name in self.symbols.items()
            if symbol in above.free_symbols and name.kind not in _LEAVES
        ]
        return Add(*parts)

    def local(self, above: Name, below: Name) -> Symbol:
        over = "E" if above.quantity == "E_total" else above.quantity
        return symbol_of(derivative_name(over or "", below.quantity or ""))
