r"""Formulas of a program as people write them, in text, in LaTeX and for spreadsheets.

One walk over an expression decides the order and the brackets, so text and LaTeX cannot differ in either:
w1·i1 + w2·i2 and w_1 i_1 + w_2 i_2; a_o1(1 − a_o1) and a_{o1} (1 - a_{o1}). Numbers can stand in the places of the
names: 0.606478(1 − 0.606478).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sympy import Abs, Add, Expr, Max, Min, Mul, Piecewise, Pow, Rational, S, Symbol, exp, log
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, Or

from chainrule.formulas import NamedFunction, SpreadsheetPrinter
from chainrule.programs.ordering import ordered_factors, ordered_terms
from chainrule.programs.program import symbol_of
from chainrule.programs.spelling import ATOM, CASES, LATEX, PRODUCT, SUM, TEXT, Piece, Spelling, unbracketed

NumberOf = Callable[[str], float]

_HALF = Rational(1, 2)


def program_text(expression: Any, numbers: NumberOf | None = None, digits: int = 6) -> str:
    """Return an expression over a program's quantities as text: "w1·i1 + w2·i2", "½·(t1 − a_o1)²".

    Args:
        expression: over the symbols of quantities.
        numbers: from names to numbers; where it is given, they stand in the places of the names.
        digits: significant digits of these numbers.
    """
    return unbracketed(_Walk(TEXT, numbers, digits).piece(expression).text)


def program_latex(expression: Any, numbers: NumberOf | None = None, digits: int = 6) -> str:
    """Return an expression over a program's quantities as LaTeX, without dollar signs; the order is that of the text.

    Args:
        expression: over the symbols of quantities.
        numbers: from names to numbers; where it is given, they stand in the places of the names.
        digits: significant digits of these numbers.
    """
    return unbracketed(_Walk(LATEX, numbers, digits).piece(expression).text)


def program_spreadsheet(expression: Any, cells: Mapping[str, str]) -> str:
    """Return an expression over a program's quantities as a spreadsheet's formula, without the equals sign.

    Args:
        expression: over the symbols of quantities.
        cells: the cell of each quantity by its name: {"w5": "B7"}.

    Raises:
        UnknownNameError: a quantity in the expression has no cell.
        ChainruleError: a spreadsheet has no such function.
    """
    used = {symbol.name for symbol in expression.free_symbols}
    named = used if used <= set(cells) else cells  # all of them for the error, which lists what there is
    printer = _Cells({symbol_of(name): cells[name] for name in named})
    return printer.formula(expression)


def factors_text(factors: tuple[Any, ...], numbers: NumberOf | None = None, digits: int = 6) -> str:
    """Return factors side by side, each in brackets where it is a sum: "(a_o1 − t1) · a_o1(1 − a_o1) · a_h1"."""
    walk = _Walk(TEXT, numbers, digits)
    return unbracketed(" · ".join(walk.enclosed(factor, PRODUCT) for factor in factors))


def factors_latex(factors: tuple[Any, ...], numbers: NumberOf | None = None, digits: int = 6) -> str:
    r"""Return factors side by side in LaTeX, with \cdot between them."""
    walk = _Walk(LATEX, numbers, digits)
    return unbracketed(r" \cdot ".join(walk.enclosed(factor, PRODUCT) for factor in factors))


def number_text(value: float, digits: int = 6) -> str:
    """Return a number that stands alone as text: "−4.38568·10⁻⁵"."""
    return unbracketed(TEXT.number(value, digits).text)


def number_latex(value: float, digits: int = 6) -> str:
    r"""Return a number that stands alone as LaTeX: "-4.38568 \cdot 10^{-5}"."""
    return unbracketed(LATEX.number(value, digits).text)


class _Cells(SpreadsheetPrinter):
    """Formulas for cells, with terms and factors in the order of the text."""

    def ordered_terms(self, expression: Expr) -> list[Expr]:
        return ordered_terms(expression)

    def ordered_factors(self, expression: Expr) -> list[Expr]:
        return ordered_factors(expression.args)


class _Walk:
    """Prints expressions in one spelling."""

    def __init__(self, spelling: Spelling, numbers: NumberOf | None, digits: int) -> None:
        self.spelling, self.numbers, self.digits = spelling, numbers, digits

    def enclosed(self, expression: Expr, level: int) -> str:
        """Return an expression, in brackets where it binds less tightly than `level`."""
        return self._enclosed(self.piece(expression), level)

    def _enclosed(self, piece: Piece, level: int) -> str:
        return piece.text if piece.level >= level else self.spelling.bracketed(piece.text)

    def piece(self, expression: Any) -> Piece:
        """Return an expression printed, and how tightly it binds."""
        if isinstance(expression, Symbol):
            if self.numbers is None:
                return self.spelling.name(expression.name)
            return self.spelling.number(self.numbers(expression.name), self.digits)
        if expression.is_Float:
            return self.spelling.number(float(expression), self.digits)
        for kind, printed in _PRINTED:
            if isinstance(expression, kind):
                return printed(self, expression)
        if getattr(expression, "is_Integer", False):
            return Piece(str(expression).replace("-", self.spelling.minus), SUM if expression < 0 else ATOM)
        if getattr(expression, "is_Function", False):
            return self._function(expression)
        if expression.is_Rational:
            return self._product(expression)
        return Piece(self.spelling.other(expression), SUM if expression.args else ATOM)

    def _sum(self, expression: Any) -> Piece:
        content, inner = expression.primitive()
        if content != 1 and all(abs(term.as_coeff_Mul()[0]) == 1 for term in inner.args):
            return self._scaled(content, (inner,))  # (p1 − t1)/2 and not p1/2 − t1/2
        text = ""
        for term in ordered_terms(expression):
            is_negative = term.as_coeff_Mul()[0].is_negative
            shown = self.enclosed(-term if is_negative else term, PRODUCT if is_negative or text else SUM)
            sign = self.spelling.minus if is_negative else "+"
            text = f"{text} {sign} {shown}" if text else f"{sign if is_negative else ''}{shown}"
        return Piece(text, SUM)

    def _product(self, expression: Expr) -> Piece:
        coefficient, rest = expression.as_coeff_Mul()
        return self._scaled(coefficient, Mul.make_args(rest) if rest != 1 else ())

    def _scaled(self, coefficient: Expr, factors: tuple[Expr, ...]) -> Piece:
        """Print a rational number times factors."""
        if coefficient.is_negative:
            return Piece(self.spelling.minus + self._enclosed(self._scaled(-coefficient, factors), PRODUCT), SUM)
        if coefficient == 1 and len(factors) == 1 and not isinstance(factors[0], Pow):
            return self.piece(factors[0])
        above: list[Expr] = []
        below: list[Expr] = []
        prefix = ""
        if coefficient == _HALF and any(isinstance(factor, Pow) and factor.exp == 2 for factor in factors):
            prefix = self.spelling.half  # half of a square
        else:
            above += [S(coefficient.p)] if coefficient.p != 1 else []
            below += [S(coefficient.q)] if coefficient.q != 1 else []
        for factor in ordered_factors(factors):
            base, exponent = (factor.base, factor.exp) if isinstance(factor, Pow) else (factor, S.One)
            if exponent.is_Rational and exponent.is_negative:
                below.append(base if exponent == -1 else Pow(base, -exponent, evaluate=False))
            else:
                above.append(factor)
        return self._fraction(above, below, prefix)

    def _fraction(self, above: list[Expr], below: list[Expr], prefix: str = "") -> Piece:
        is_numeric = self.numbers is not None
        top = self.spelling.product([self._factor(factor) for factor in above], is_numeric)
        if below:
            bottom = self.spelling.product([self._factor(factor) for factor in below], is_numeric)
            tops = self.piece(above[0]) if len(above) == 1 else Piece(top, PRODUCT)
            bottoms = self.piece(below[0]) if len(below) == 1 else Piece(bottom, PRODUCT)
            return Piece(prefix + self.spelling.fraction(tops, bottoms), PRODUCT)
        return Piece(prefix + top, PRODUCT if prefix or len(above) > 1 else ATOM)

    def _factor(self, factor: Expr) -> Piece:
        piece = self.piece(factor)
        if piece.level < PRODUCT:
            return Piece(self.spelling.bracketed(piece.text), ATOM, is_bracketed=True)
        return Piece(piece.text, piece.level, is_name=isinstance(factor, Symbol) and "∂" not in factor.name)

    def _power(self, expression: Any) -> Piece:
        base, exponent = expression.base, expression.exp
        if exponent.is_Rational and exponent.is_negative:
            return self._fraction([], [base if exponent == -1 else Pow(base, -exponent, evaluate=False)])
        if exponent == _HALF:
            return self.spelling.root(self.piece(base))
        return self.spelling.power(self.piece(base), self.piece(exponent), bool(exponent.is_Integer))

    def _exponential(self, expression: Any) -> Piece:
        return self.spelling.power(Piece("e", ATOM), self.piece(expression.args[0]), False)

    def _logarithm(self, expression: Any) -> Piece:
        return self._called(self.spelling.logarithm, expression.args)

    def _named(self, expression: Any) -> Piece:
        return self._called(self.spelling.function_name(type(expression)), expression.args)

    def _largest(self, expression: Any) -> Piece:
        return self._called(self.spelling.operator("max"), sorted(expression.args, key=_numbers_first))

    def _smallest(self, expression: Any) -> Piece:
        return self._called(self.spelling.operator("min"), sorted(expression.args, key=_numbers_first))

    def _magnitude(self, expression: Any) -> Piece:
        return Piece(self.spelling.magnitude(self.piece(expression.args[0]).text), ATOM)

    def _function(self, expression: Expr) -> Piece:
        return self._called(self.spelling.operator(expression.func.__name__), expression.args)

    def _called(self, name: str, arguments: Any) -> Piece:
        inner = ", ".join(unbracketed(self.enclosed(argument, SUM)) for argument in arguments)
        return Piece(name + self.spelling.argument(inner), ATOM)

    def _cases(self, expression: Any) -> Piece:
        cases = [
            (self.enclosed(value, SUM), "" if condition == True else self.piece(condition).text)  # noqa: E712
            for value, condition in expression.args
        ]
        return self.spelling.cases(cases)

    def _relation(self, expression: Any) -> Piece:
        left, right = (unbracketed(self.enclosed(side, SUM)) for side in (expression.lhs, expression.rhs))
        return Piece(f"{left} {self.spelling.relations[expression.rel_op]} {right}", CASES)

    def _junction(self, expression: Any) -> Piece:
        word = self.spelling.word("and" if isinstance(expression, And) else "or")
        return Piece(word.join(sorted(self.piece(part).text for part in expression.args)), CASES)


def _numbers_first(expression: Expr) -> tuple[bool, str]:
    return not expression.is_number, str(expression)


_PRINTED: tuple[tuple[Any, Callable[[_Walk, Any], Piece]], ...] = (
    (Add, _Walk._sum),
    (Mul, _Walk._product),
    (exp, _Walk._exponential),
    (Pow, _Walk._power),
    (log, _Walk._logarithm),
    (NamedFunction, _Walk._named),
    (Max, _Walk._largest),
    (Min, _Walk._smallest),
    (Abs, _Walk._magnitude),
    (Piecewise, _Walk._cases),
    (Relational, _Walk._relation),
    ((And, Or), _Walk._junction),
)
