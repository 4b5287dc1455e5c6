"""Formulas printed for people: text with Unicode signs, and LaTeX.

SymPy's own printing is talked to here only. Both printers put the terms of a sum in the same order: polynomials as
SymPy does (x + 3), anything else the simple and positive terms first (1 + e^(−x), 1 − σ(x), e^x − 1).
"""
# SymPy finds a printer's methods by the names of its classes.
# ruff: noqa: N802

from typing import Any

from sympy import Expr, Indexed, Integer, Mul, Piecewise, Pow, Rational, S, Sum
from sympy.core.relational import Relational
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE, precedence
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.printer import Printer

from chainrule.formulas.functions import NamedFunction

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = {"i": "ᵢ", "j": "ⱼ", "k": "ₖ", "m": "ₘ", "n": "ₙ"}
_RELATIONS = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "==": "=", "!=": "≠"}
_LATEX_RELATIONS = {"<": "<", "<=": r"\leq", ">": ">", ">=": r"\geq", "==": "=", "!=": r"\neq"}


def to_text(expression: Any) -> str:
    """Return a SymPy expression as text with Unicode signs, such as "max(0, x)", "1/(1 + e^(−x))" or "x·σ(x)"."""
    return str(TextPrinter().doprint(expression))


def to_latex(expression: Any) -> str:
    """Return a SymPy expression as LaTeX for mathematics mode, without dollar signs."""
    return str(FormulaLatexPrinter().doprint(expression))


def number_text(value: float, digits: int = 6) -> str:
    """Return a number with at most `digits` significant digits, a true minus sign and ∞."""
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    return f"{value + 0.0:.{digits}g}".replace("-", "−")  # + 0.0 turns −0.0 into 0.0


class ExpressionOrder:
    """The order of terms and factors, the same for every printer."""

    def ordered_terms(self, expression: Expr) -> list[Expr]:
        """Return the terms of a sum in the order in which they are printed."""
        terms = list(expression.as_ordered_terms())
        if expression.is_polynomial():
            # Stable: SymPy's order, but x − λ instead of −λ + x, and a variable (x) before a parameter (lambda).
            return sorted(terms, key=lambda term: (term.could_extract_minus_sign(), _is_parameter(term)))
        return sorted(terms, key=lambda term: (term.could_extract_minus_sign(), _is_bias(term), term.count_ops()))

    def ordered_factors(self, expression: Expr) -> list[Expr]:
        """Return the factors of a product in the order in which they are printed: numbers, letters, the rest."""
        return sorted(expression.as_ordered_factors(), key=_factor_rank)


def _is_parameter(term: Expr) -> bool:
    return bool(term.is_Symbol) and len(term.name) > 1


def _is_bias(term: Expr) -> bool:
    return bool(term.is_Symbol) and term.name == "b"


def _factor_rank(factor: Expr) -> int:
    base = factor.as_base_exp()[0] if isinstance(factor, Pow) else factor
    if base.is_number:
        return 0
    if isinstance(base, Indexed):
        return 1 if str(base.base.label) == "x" else 2  # x[k]·w[k]: the input before its weight
    if base.is_Symbol:
        return 1
    return 4 if base.is_Add else 3


def bounds_of(condition: Any) -> tuple[Relational, Relational] | None:
    """Return the relations (lower < x, x < upper) of a condition that holds on an interval, or None for others."""
    below = [relation.reversed for relation in condition.args if relation.rel_op in (">", ">=")]
    above = [relation for relation in condition.args if relation.rel_op in ("<", "<=")]
    if len(below) == 1 and len(above) == 1 and below[0].rhs == above[0].lhs:
        return below[0], above[0]
    return None


def _merged_roots(above: list[Expr], below: list[Expr]) -> tuple[list[Expr], list[Expr]]:
    """Turn √2·x/√π, which SymPy makes of √(2/π)·x, back."""
    over = [factor for factor in above if _is_root_of_number(factor)]
    under = [factor for factor in below if _is_root_of_number(factor)]
    if not over or not under:
        return above, below
    ratio = Mul(*(root.base for root in over)) / Mul(*(root.base for root in under))
    rest = [factor for factor in above if factor not in over]
    return [raised(ratio, Rational(1, 2)), *rest], [factor for factor in below if factor not in under]


def raised(base: Expr, exponent: Expr) -> Expr:
    """Return a power that SymPy leaves as it is written."""
    # Unevaluated, or SymPy makes √2·√π of √(2·π); but x¹ would print as a power.
    return base if exponent == 1 else Pow(base, exponent, evaluate=False)


def _is_root_of_number(factor: Expr) -> bool:
    return isinstance(factor, Pow) and factor.exp == Rational(1, 2) and bool(factor.base.is_number)


class TextPrinter(ExpressionOrder, Printer):  # type: ignore[misc]  # SymPy has no types
    """Prints an expression on one line, with Unicode signs."""

    printmethod = "_chainrule_text"

    def _enclosed(self, expression: Expr, level: int, strict: bool = False) -> str:
        text = str(self._print(expression))
        own = PRECEDENCE["Lambda"] if isinstance(expression, Piecewise) else precedence(expression)
        weaker = own < level or (not strict and own == level)
        return f"({text})" if weaker else text

    def _arguments(self, expression: Expr) -> str:
        return ", ".join(self._print(argument) for argument in expression.args)

    def emptyPrinter(self, expr: Any) -> str:
        """Return what no other method prints, in Python's own way (SymPy calls this)."""
        return str(expr)

    def _print_Symbol(self, expr: Any) -> str:
        return str(pretty_symbol(expr.name))

    def _print_Integer(self, expr: Any) -> str:
        return str(expr).replace("-", "−")

    def _print_Float(self, expr: Any) -> str:
        return number_text(float(expr))

    def _print_Rational(self, expr: Any) -> str:
        return f"{expr.p}/{expr.q}".replace("-", "−")

    def _print_Infinity(self, expr: Any) -> str:
        return "∞"

    def _print_NegativeInfinity(self, expr: Any) -> str:
        return "−∞"

    def _print_Pi(self, expr: Any) -> str:
        return "π"

    def _print_Exp1(self, expr: Any) -> str:
        return "e"

    def _print_Add(self, expr: Any) -> str:
        first, *rest = self.ordered_terms(expr)
        text = self._enclosed(first, PRECEDENCE["Add"], strict=True)
        for term in rest:
            negative = term.could_extract_minus_sign()
            shown = self._enclosed(-term if negative else term, PRECEDENCE["Add"], strict=not negative)
            text += (" − " if negative else " + ") + shown
        return text

    def _print_Mul(self, expr: Any) -> str:
        if expr.could_extract_minus_sign():
            return "−" + self._enclosed(-expr, PRECEDENCE["Mul"], strict=True)
        above: list[Expr] = []
        below: list[Expr] = []
        for factor in self.ordered_factors(expr):
            base, exponent = factor.as_base_exp() if isinstance(factor, Pow) else (factor, S.One)
            if factor.is_Rational and not factor.is_Integer:
                above += [Integer(factor.p)] if factor.p != 1 else []
                below.append(Integer(factor.q))
            elif exponent.is_Rational and exponent.is_negative:
                below.append(raised(base, -exponent))
            else:
                above.append(factor)
        return self._fraction(above, below)

    def _fraction(self, above: list[Expr], below: list[Expr]) -> str:
        above, below = _merged_roots(above, below)
        numerator = "·".join(self._enclosed(factor, PRECEDENCE["Mul"], strict=True) for factor in above) or "1"
        if not below:
            return numerator
        denominator = "·".join(self._enclosed(factor, PRECEDENCE["Mul"]) for factor in below)
        return f"{numerator}/({denominator})" if len(below) > 1 else f"{numerator}/{denominator}"

    def _print_Pow(self, expr: Any) -> str:
        base, exponent = expr.base, expr.exp
        if exponent.is_Rational and exponent.is_negative:
            return self._fraction([], [raised(base, -exponent)])
        if exponent == Rational(1, 2):
            return "√" + self._enclosed(base, PRECEDENCE["Atom"], strict=True)
        shown = self._enclosed(base, PRECEDENCE["Pow"])
        if isinstance(base, Sum):
            shown = f"({shown})"
        if exponent.is_Integer:
            return shown + str(exponent).translate(_SUPERSCRIPTS)
        return f"{shown}^{self._enclosed(exponent, PRECEDENCE['Atom'], strict=True)}"

    def _print_exp(self, expr: Any) -> str:
        return "e^" + self._enclosed(expr.args[0], PRECEDENCE["Atom"], strict=True)

    def _print_Function(self, expr: Any) -> str:
        name = expr.text_name if isinstance(expr, NamedFunction) else expr.func.__name__
        return f"{name}({self._arguments(expr)})"

    def _print_Abs(self, expr: Any) -> str:
        return f"|{self._arguments(expr)}|"

    def _print_loggamma(self, expr: Any) -> str:
        return f"log(Γ({self._arguments(expr)}))"

    def _print_polygamma(self, expr: Any) -> str:
        order, argument = expr.args
        primes = "" if order == 0 else f"⁽{self._print(order)}⁾".translate(_SUPERSCRIPTS)
        return f"ψ{primes}({self._print(argument)})"

    def _extreme(self, name: str, expr: Expr) -> str:
        arguments = sorted(expr.args, key=lambda argument: (argument.count_ops(), _factor_rank(argument)))
        # Only cases need brackets here: their comma would read as that between two arguments.
        return f"{name}({', '.join(self._enclosed(argument, PRECEDENCE['Relational']) for argument in arguments)})"

    def _print_Max(self, expr: Any) -> str:
        return self._extreme("max", expr)

    def _print_Min(self, expr: Any) -> str:
        return self._extreme("min", expr)

    def _print_Piecewise(self, expr: Any) -> str:
        cases = []
        for value, condition in expr.args:
            shown = self._enclosed(value, PRECEDENCE["Relational"])
            cases.append(f"else {shown}" if condition == True else f"{shown} if {self._print(condition)}")  # noqa: E712
        return ", ".join(cases)

    def _print_Relational(self, expr: Any) -> str:
        shown = _simple_side_last(expr)
        return f"{self._print(shown.lhs)} {_RELATIONS[shown.rel_op]} {self._print(shown.rhs)}"

    def _print_And(self, expr: Any) -> str:
        bounds = bounds_of(expr)
        if bounds is None:
            return " and ".join(sorted(self._print(condition) for condition in expr.args))
        lower, upper = bounds
        return f"{self._print(lower)} {_RELATIONS[upper.rel_op]} {self._print(upper.rhs)}"

    def _print_Or(self, expr: Any) -> str:
        return " or ".join(sorted(self._print(condition) for condition in expr.args))

    def _print_IndexedBase(self, expr: Any) -> str:
        return str(expr.label)

    def _print_Indexed(self, expr: Any) -> str:
        return f"{self._print(expr.base)}[{','.join(self._print(index) for index in expr.indices)}]"

    def _print_KroneckerDelta(self, expr: Any) -> str:
        return f"δ[{','.join(self._print(index) for index in expr.args)}]"

    def _print_Sum(self, expr: Any) -> str:
        signs = "".join("Σ" + _SUBSCRIPTS.get(limit[0].name, f"_{limit[0].name}") for limit in expr.limits)
        return f"{signs} {self._enclosed(expr.function, PRECEDENCE['Add'])}"


def _simple_side_last(relation: Any) -> Any:
    # |x| ≤ δ, which SymPy keeps as δ ≥ |x|; but an equation m̂ = ... stays as it is.
    is_equation = relation.rel_op in ("==", "!=")
    is_plain = relation.rhs.is_Atom or isinstance(relation.rhs, Indexed)
    is_turned = relation.lhs.is_Atom and not is_plain and not is_equation
    return relation.reversed if is_turned else relation


class FormulaLatexPrinter(ExpressionOrder, LatexPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's LaTeX, with our order of terms, named functions, short numbers and chained conditions."""

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[Expr]:
        return self.ordered_terms(expr)

    def _print_Float(self, expr: Any) -> str:
        return f"{float(expr):.6g}"

    def _needs_add_brackets(self, expr: Any) -> bool:
        return isinstance(expr, Piecewise) or bool(super()._needs_add_brackets(expr))

    def _print_Sum(self, expr: Any) -> str:
        shown = str(super()._print_Sum(expr))
        if not isinstance(expr.function, Piecewise):
            return shown
        cases = str(self._print(expr.function))
        return shown.removesuffix(cases) + rf"\left({cases}\right)"

    def _print_loggamma(self, expr: Any, exp: str | None = None) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return rf"\log{power} \Gamma\left({self._print(expr.args[0])}\right)"

    def _print_polygamma(self, expr: Any, exp: str | None = None) -> str:
        order, argument = expr.args
        primes = "" if order == 0 else rf"^{{({self._print(order)})}}"
        shown = rf"\psi{primes}\left({self._print(argument)}\right)"
        return rf"\left({shown}\right)^{{{exp}}}" if exp else shown

    def _print_Relational(self, expr: Any) -> str:
        return str(super()._print_Relational(_simple_side_last(expr)))

    def _print_Function(self, expr: Any, exp: str | None = None) -> str:
        if not isinstance(expr, NamedFunction):
            return str(super()._print_Function(expr, exp))
        power = f"^{{{exp}}}" if exp else ""
        return rf"{expr.latex_name}{power}\left({self._print(expr.args[0])}\right)"

    def _print_And(self, expr: Any) -> str:
        bounds = bounds_of(expr)
        if bounds is None:
            return str(super()._print_And(expr))
        lower, upper = bounds
        return f"{self._print(lower)} {_LATEX_RELATIONS[upper.rel_op]} {self._print(upper.rhs)}"
