import math
import re

import pytest
import sympy
from sympy import (
    Abs,
    Eq,
    Expr,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Or,
    Piecewise,
    Rational,
    Symbol,
    atan2,
    exp,
    log,
    pi,
    sqrt,
    tanh,
)

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.formulas import NormalDensity, NormalDistribution, Sigmoid, Softplus, to_spreadsheet

x, y = Symbol("x", real=True), Symbol("y", real=True)
w = IndexedBase("w", real=True)
CELLS = {x: "A1", y: "B1", w[0]: "C1", w[1]: "D1"}

ROWS = [
    (x**2, "((A1)^(2))"),
    (-(x**2), "(-(((A1)^(2))))"),
    ((-x) ** 3, "(-(((A1)^(3))))"),
    (sympy.Pow(-2, x, evaluate=False), "(((-2))^(A1))"),
    (x - y, "A1-B1"),
    (-x - y, "(-(A1))-B1"),
    (1 / x, "(1/A1)"),
    (x / (y * w[0]), "A1/(B1*C1)"),
    (x * y / 2, "A1*B1/2"),
    (-3 * x, "(-(3*A1))"),
    (x * (y - 1), "A1*(B1-1)"),
    (sqrt(x), "SQRT(A1)"),
    (1 / sqrt(x), "(1/SQRT(A1))"),
    (x ** Rational(3, 2), "((A1)^((3/2)))"),
    (exp(-x), "EXP((-(A1)))"),
    (log(x) + w[1], "D1+LN(A1)"),
    (Sigmoid(x), "(1/(1+EXP(-(A1))))"),
    (Softplus(x), "(MAX(A1,0)+LN(1+EXP(-ABS(A1))))"),
    (NormalDistribution(x), "NORMSDIST(A1)"),
    (NormalDensity(x), "(EXP(-(((A1)^(2))/2))/SQRT(2*PI()))"),
    (tanh(x), "TANH(A1)"),
    (Abs(x), "ABS(A1)"),
    (sympy.erf(x), "ERF(A1)"),
    (atan2(y, x), "ATAN2(A1,B1)"),
    (Max(0, x), "MAX(0,A1)"),
    (Min(x, y), "MIN(A1,B1)"),
    (Piecewise((x, x > 0), (0, True)), "IF(A1>0,A1,0)"),
    (Piecewise((x, x > 0), (y, x < -1), (0, True)), "IF(A1>0,A1,IF(A1<(-1),B1,0))"),
    (Piecewise((1, Or(x < 0, x > 2)), (0, True)), "IF(OR(A1>2,A1<0),1,0)"),
    (Piecewise((1, Eq(x, y)), (0, True)), "IF(A1=B1,1,0)"),
    (KroneckerDelta(x, y), "IF(A1=B1,1,0)"),
    (pi * sympy.Float("0.1") * x, "0.1*PI()*A1"),
    (sympy.Float(-2.5), "(-2.5)"),
    (sympy.Float("1e-7"), "1E-07"),
]


@pytest.mark.parametrize(("expression", "formula"), ROWS, ids=[formula for _, formula in ROWS])
def test_formula_for_a_cell(expression: Expr, formula: str) -> None:
    assert to_spreadsheet(expression, CELLS) == formula


@pytest.mark.parametrize("expression", [expression for expression, _ in ROWS], ids=str)
def test_no_sign_stands_before_a_power(expression: Expr) -> None:
    # Python's −2² is −4, a spreadsheet's is 4: a formula that both read alike has its powers in parentheses.
    formula = to_spreadsheet(expression, CELLS)
    assert not re.search(r"[\w)]\^", formula.replace(")^", ""))
    depths, depth = [], 0
    for sign in formula:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "^":
            depths.append(depth)
    assert all(depth > 0 for depth in depths)


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(UnknownNameError) as caught:
        to_spreadsheet(Symbol("z") + x, {x: "A1"})
    assert str(caught.value) == "There is no cell for 'z'.\n  found:    z\n  expected: one of x"


def test_a_function_that_spreadsheets_lack_is_refused() -> None:
    with pytest.raises(ChainruleError) as caught:
        to_spreadsheet(sympy.zeta(x), {x: "A1"})
    assert caught.value.what == "A spreadsheet has no function for zeta."
    assert caught.value.found == "zeta(x)"


def test_numbers_keep_all_their_digits() -> None:
    assert float(to_spreadsheet(sympy.Float(math.pi, 17), {})) == math.pi
