"""Formulas printed for spreadsheets: what Excel and LibreOffice Calc both read and compute alike.

A unary minus binds tighter than ^ there (=-2^2 is 4), so no minus sign stands before a power without brackets between
them. Functions that only one of the two programs knows, or that need a prefix in files, are not used.
"""
# SymPy finds a printer's methods by the names of its classes.
# ruff: noqa: N802

import re
from collections.abc import Mapping
from typing import Any, Final

from sympy import Expr, Pow, Rational, S
from sympy.printing.printer import Printer

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.formulas.printing import raised

_FUNCTIONS = {
    "exp": "EXP",
    "log": "LN",
    "Abs": "ABS",
    "sign": "SIGN",
    "sin": "SIN",
    "cos": "COS",
    "tan": "TAN",
    "asin": "ASIN",
    "acos": "ACOS",
    "atan": "ATAN",
    "sinh": "SINH",
    "cosh": "COSH",
    "tanh": "TANH",
    "asinh": "ASINH",
    "acosh": "ACOSH",
    "atanh": "ATANH",
    "erf": "ERF",
    "erfc": "ERFC",
    "loggamma": "GAMMALN",
    "floor": "INT",
    "NormalDistribution": "NORMSDIST",
}
_RELATIONS = {"==": "=", "!=": "<>"}
_MOST_ARGUMENTS: Final = 255  # of one function, in Excel
_NO_OPERATORS = re.compile(r"'[^']*'|\d[Ee][+-]\d")  # names of sheets, 1E-07


def to_spreadsheet(expression: Any, names: Mapping[Any, str]) -> str:
    """Return an expression as a formula for spreadsheets, without the equals sign.

    Sigmoid is written as 1/(1+EXP(-x)), softplus without overflow, Piecewise as IF, Max and Min as MAX and MIN.

    Args:
        expression: the expression; sums over an index must have been written out.
        names: the cell of every symbol and every indexed symbol: {x: "B2", w[0]: "Weights!C3"}.

    Raises:
        UnknownNameError: a symbol has no cell.
        ChainruleError: there is no such function in a spreadsheet, or one has more arguments than it takes there.
    """
    return SpreadsheetPrinter(names).formula(expression)


class SpreadsheetPrinter(Printer):  # type: ignore[misc]  # SymPy has no types
    """Prints formulas for cells; subclasses choose the order of terms and factors.

    Args:
        names: the cell of every symbol and every indexed symbol.
    """

    printmethod = "_chainrule_spreadsheet"

    def __init__(self, names: Mapping[Any, str]) -> None:
        super().__init__()
        self.names = names

    def formula(self, expression: Any) -> str:
        """Return the formula, without the equals sign."""
        return str(self.doprint(expression))

    def ordered_terms(self, expression: Expr) -> list[Expr]:
        """Return the terms of a sum in the order in which they are printed."""
        return sorted(expression.args, key=_is_negative)  # stable: a-b and not -b+a

    def ordered_factors(self, expression: Expr) -> list[Expr]:
        """Return the factors of a product in the order in which they are printed."""
        return list(expression.args)

    def emptyPrinter(self, expr: Any) -> str:
        """Refuse what no other method prints (SymPy calls this)."""
        raise ChainruleError(
            what=f"A spreadsheet has no function for {type(expr).__name__}.",
            found=str(expr),
            expected="sums, products, powers and " + ", ".join(sorted(set(_FUNCTIONS.values()))),
        )

    def _cell(self, symbol: Any) -> str:
        if symbol not in self.names:
            raise UnknownNameError.unknown_name("cell for", str(symbol), [str(name) for name in self.names])
        return self.names[symbol]

    def _print_Symbol(self, expr: Any) -> str:
        return self._cell(expr)

    def _print_Dummy(self, expr: Any) -> str:
        return self._cell(expr)

    def _print_Indexed(self, expr: Any) -> str:
        return self._cell(expr)

    def _print_Integer(self, expr: Any) -> str:
        return str(expr.p) if expr.p >= 0 else f"({expr.p})"

    def _print_Rational(self, expr: Any) -> str:
        return f"({expr.p}/{expr.q})"

    def _print_Float(self, expr: Any) -> str:
        text = repr(float(expr)).upper().removesuffix(".0")
        return f"({text})" if text.startswith("-") else text

    def _print_Pi(self, expr: Any) -> str:
        return "PI()"

    def _print_Exp1(self, expr: Any) -> str:
        return "EXP(1)"

    def _print_BooleanTrue(self, expr: Any) -> str:
        return "TRUE"

    def _print_BooleanFalse(self, expr: Any) -> str:
        return "FALSE"

    def _print_Add(self, expr: Any) -> str:
        first, *rest = self.ordered_terms(expr)
        text = self._print(first)
        for term in rest:
            negative = _is_negative(term)
            text += ("-" if negative else "+") + self._within(-term if negative else term, "+-")
        return str(text)

    def _within(self, expression: Expr, weaker: str) -> str:
        """Return the text of an expression, in brackets if one of the weaker operators stands in it outside of any."""
        text = str(self._print(expression))
        return f"({text})" if _outer_operators(text) & set(weaker) else text

    def _print_Mul(self, expr: Any) -> str:
        if _is_negative(expr):
            return self._negated(-expr)
        above: list[str] = []
        below: list[str] = []
        for factor in self.ordered_factors(expr):
            exponent = factor.exp if isinstance(factor, Pow) else S.One
            if factor.is_Rational and not factor.is_Integer:
                above += [str(factor.p)] if factor.p != 1 else []
                below.append(str(factor.q))
            elif exponent.is_Rational and exponent.is_negative:
                below.append(self._within(raised(factor.base, -exponent), "+-*/"))
            else:
                above.append(self._within(factor, "+-"))
        numerator = "*".join(above) or "1"
        if not below:
            return numerator
        return f"{numerator}/{below[0]}" if len(below) == 1 else f"{numerator}/({'*'.join(below)})"

    def _negated(self, expression: Expr) -> str:
        return "-" + self._within(expression, "+-^")

    def _print_Pow(self, expr: Any) -> str:
        base, exponent = expr.base, expr.exp
        if exponent == Rational(1, 2):
            return f"SQRT({self._print(base)})"
        if exponent.is_Rational and exponent.is_negative:
            return f"1/{self._within(raised(base, -exponent), '+-*/')}"
        return f"{self._within(base, '+-*/^')}^{self._within(exponent, '+-*/^')}"

    def _print_Function(self, expr: Any) -> str:
        name = _FUNCTIONS.get(expr.func.__name__)
        if name is None:
            return self.emptyPrinter(expr)
        return f"{name}({self._print(expr.args[0])})"

    def _print_Abs(self, expr: Any) -> str:
        return f"ABS({self._print(expr.args[0])})"

    def _print_exp(self, expr: Any) -> str:
        return f"EXP({self._print(expr.args[0])})"

    def _print_log(self, expr: Any) -> str:
        return f"LN({self._print(expr.args[0])})"

    def _print_atan2(self, expr: Any) -> str:
        return f"ATAN2({self._print(expr.args[1])},{self._print(expr.args[0])})"  # spreadsheets take x first

    def _print_Sigmoid(self, expr: Any) -> str:
        argument = expr.args[0]
        return f"1/(1+EXP({self._print(-argument) if _is_negative(argument) else self._negated(argument)}))"

    def _print_Softplus(self, expr: Any) -> str:
        argument = self._print(expr.args[0])
        return f"MAX({argument},0)+LN(1+EXP(-ABS({argument})))"

    def _print_NormalDensity(self, expr: Any) -> str:
        return f"EXP(-({self._within(expr.args[0], '+-*/^')}^2/2))/SQRT(2*PI())"

    def _several(self, name: str, expr: Any) -> str:
        if len(expr.args) > _MOST_ARGUMENTS:
            raise ChainruleError(
                what=f"{name} takes at most {_MOST_ARGUMENTS} numbers in a spreadsheet.",
                found=str(len(expr.args)),
                next_step="Choose a smaller network or fewer samples.",
            )
        return f"{name}({','.join(self._print(argument) for argument in expr.args)})"

    def _print_Max(self, expr: Any) -> str:
        return self._several("MAX", expr)

    def _print_Min(self, expr: Any) -> str:
        return self._several("MIN", expr)

    def _print_And(self, expr: Any) -> str:
        return self._several("AND", expr)

    def _print_Or(self, expr: Any) -> str:
        return self._several("OR", expr)

    def _print_Not(self, expr: Any) -> str:
        return self._several("NOT", expr)

    def _print_Relational(self, expr: Any) -> str:
        return f"{self._print(expr.lhs)}{_RELATIONS.get(expr.rel_op, expr.rel_op)}{self._print(expr.rhs)}"

    def _print_KroneckerDelta(self, expr: Any) -> str:
        first, second = (self._print(argument) for argument in expr.args)
        return f"IF({first}={second},1,0)"

    def _print_Piecewise(self, expr: Any) -> str:
        *cases, (value, condition) = expr.args
        text = str(self._print(value))
        if condition != True:  # noqa: E712  # SymPy's own true
            text = f"IF({self._print(condition)},{text},NA())"
        for value, condition in reversed(cases):
            text = f"IF({self._print(condition)},{self._print(value)},{text})"
        return text


def _is_negative(term: Expr) -> bool:
    coefficient, _ = term.as_coeff_Mul()
    return bool(coefficient.is_negative)


def _outer_operators(text: str) -> set[str]:
    """Return the operators of a formula that stand in no brackets."""
    depth, found = 0, set()
    for sign in _NO_OPERATORS.sub("0", text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0 and sign in "+-*/^":
            found.add(sign)
    return found
