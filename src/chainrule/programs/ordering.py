"""The order in which the terms of a sum and the factors of a product are written."""

import re
from collections.abc import Iterable
from functools import lru_cache

from sympy import Expr, Pow, Symbol

from chainrule.programs.naming import plain_digits

_SETTINGS = re.compile(r"([ημτλαε]|β\d*)(_\d+)?|t")  # η_2: of the second group
_STATE = re.compile(r"[umv]_.*|[mv]hat_.*")
_BIAS = re.compile(r"b\d*(_\d+)?")


def ordered_terms(expression: Expr) -> list[Expr]:
    """Return the terms of a sum: w1·i1 before w10·i2, a bias last, negative ones behind the first positive one."""
    is_polynomial = bool(expression.is_polynomial())
    return sorted(expression.args, key=lambda term: (_is_negative(term), _term_rank(term, is_polynomial), _key(term)))


def ordered_factors(factors: Iterable[Expr]) -> list[Expr]:
    """Return factors in the order of a product: numbers, settings, derivatives, weights, letters, the rest.

    So η·∂E/∂w5, w5·a_h1, (1 − β1)·∂E/∂w5 and a_o1(1 − a_o1).
    """
    return sorted(factors, key=lambda factor: (_factor_rank(factor), _key(factor)))


def _is_negative(term: Expr) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)


def _term_rank(term: Expr, is_polynomial: bool) -> int:
    """States, what else there is, weight decay, a bias, what keeps a denominator from 0, numbers: t + 1, 1 + e^x."""
    if term.is_number:
        return 5 if is_polynomial else -1
    names = {symbol.name for symbol in term.free_symbols}
    if isinstance(term, Symbol):
        return 4 if term.name == "ε" else 3 if _BIAS.fullmatch(plain_digits(term.name)) else 1
    if any(_STATE.fullmatch(name) for name in names):
        return 0
    return 2 if "λ" in names else 1


def _factor_rank(factor: Expr) -> int:
    base = factor.base if isinstance(factor, Pow) else factor
    if base.is_number:
        return 0
    if all(_SETTINGS.fullmatch(symbol.name) for symbol in base.free_symbols):
        return 1 if isinstance(base, Symbol) else 2
    if not isinstance(base, Symbol):
        return 7 if base.is_Add else 6
    return 3 if base.name.startswith("∂") else 4 if base.name[0] in "wb" else 5


@lru_cache(maxsize=8192)
def _key(expression: Expr) -> tuple[list[str], str]:
    return sorted(_natural(symbol.name) for symbol in expression.free_symbols), _natural(str(expression))


def _natural(name: str) -> str:
    return re.sub(r"\d+", lambda number: number[0].zfill(6), plain_digits(name))
