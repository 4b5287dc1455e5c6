"""Formulas of a program as people write them: terms and factors in the order of the names, in text and in LaTeX."""

import re
from typing import Any

from sympy import Expr, Pow, Symbol

from chainrule.formulas import FormulaLatexPrinter, TextPrinter
from chainrule.programs.naming import latex_name, plain_digits


def program_text(expression: Any) -> str:
    """Return an expression over a program's quantities as text: "w1·i1 + w2·i2", "(t1 − a_o1)²/2"."""
    return str(_Text().doprint(expression))


def program_latex(expression: Any) -> str:
    """Return an expression over a program's quantities as LaTeX, without dollar signs."""
    return str(_Latex().doprint(expression))


def _natural(name: str) -> str:
    return re.sub(r"\d+", lambda number: number[0].zfill(6), plain_digits(name))


class _Order:
    """A sum's terms and a product's factors, ordered by the names in them: w9·i1 before w10·i2."""

    def ordered_terms(self, expr: Any) -> list[Expr]:
        """Return the terms, negative ones behind the first positive one."""
        terms = sorted(expr.args, key=_key)
        return sorted(terms, key=lambda term: bool(term.could_extract_minus_sign()))

    def ordered_factors(self, expr: Any) -> list[Expr]:
        """Return the factors: numbers, derivatives, weights, everything else."""
        return sorted(expr.args, key=lambda factor: (_rank(factor), _key(factor)))


def _rank(factor: Expr) -> int:
    """Numbers, settings, derivatives, weights, other letters, functions, and sums last: η·∂E/∂w5, a_o1·(1 − a_o1)."""
    base = factor.base if isinstance(factor, Pow) else factor
    if base.is_number:
        return 0
    if not isinstance(base, Symbol):
        return 6 if base.is_Add else 5
    name = base.name
    if name[0] in "ημβλτα":
        return 1
    return 2 if name[0] == "∂" else 3 if name[0] in "wb" else 4


def _key(expression: Expr) -> tuple[list[str], str]:
    return sorted(_natural(symbol.name) for symbol in expression.free_symbols), _natural(str(expression))


class _Text(_Order, TextPrinter):
    def _print_Symbol(self, expr: Any) -> str:  # noqa: N802  # SymPy finds it by this name
        return str(expr.name)


class _Latex(_Order, FormulaLatexPrinter):
    def _print_Symbol(self, expr: Any, style: str = "") -> str:  # noqa: N802  # SymPy finds it by this name
        return latex_name(expr.name)
