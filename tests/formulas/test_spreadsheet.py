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
from chainrule.formulas import NamedFunction, NormalDensity, NormalDistribution, Sigmoid, Softplus, to_spreadsheet

x, y = Symbol("x", real=True), Symbol("y", real=True)
w = IndexedBase("w", real=True)
CELLS = {x: "A1", y: "B1", w[0]: "C1", w[1]: "D1"}

ROWS = [
    (x**2, "A1^2"),
    (-(x**2), "-(A1^2)"),
    ((-x) ** 3, "-(A1^3)"),
    (sympy.Pow(-2, x, evaluate=False), "(-2)^A1"),
    (x - y, "A1-B1"),
    (-x - y, "-A1-B1"),
    (1 / x, "1/A1"),
    (x / (y * w[0]), "A1/(B1*C1)"),
    (x * y / 2, "A1*B1/2"),
    (-3 * x, "-3*A1"),
    (x * (y - 1), "A1*(B1-1)"),
    (sqrt(x), "SQRT(A1)"),
    (1 / sqrt(x), "1/SQRT(A1)"),
    (x ** Rational(3, 2), "A1^(3/2)"),
    (exp(-x), "EXP(-A1)"),
    (log(x) + w[1], "D1+LN(A1)"),
    (Sigmoid(x), "1/(1+EXP(-A1))"),
    (Softplus(x), "MAX(A1,0)+LN(1+EXP(-ABS(A1)))"),
    (NormalDistribution(x), "NORMSDIST(A1)"),
    (NormalDensity(x), "EXP(-(A1^2/2))/SQRT(2*PI())"),
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
    (sympy.Float("1e-7") ** x, "1E-07^A1"),
    (-(x**2) * y, "-(B1*A1^2)"),
    (y - x**2, "B1-A1^2"),
    (-x * log(y), "-A1*LN(B1)"),
    (x / Sigmoid(y), "A1/(1/(1+EXP(-B1)))"),
    (x * Sigmoid(y), "A1*1/(1+EXP(-B1))"),
    (x * Softplus(y), "A1*(MAX(B1,0)+LN(1+EXP(-ABS(B1))))"),
    ((x + y) ** 2 / 2, "(A1+B1)^2/2"),
    (sympy.Pow(x**y, w[0], evaluate=False), "(A1^B1)^C1"),
    (x ** (y - 1), "A1^(B1-1)"),
    (1 - x**y, "1-A1^B1"),
    (Sigmoid(-x), "1/(1+EXP(A1))"),
    (Sigmoid(x - y), "1/(1+EXP(-(A1-B1)))"),
    (x / (y * sqrt(w[0])), "A1/(B1*SQRT(C1))"),
    (1 / (x + y), "1/(A1+B1)"),
]


@pytest.mark.parametrize(("expression", "formula"), ROWS, ids=[formula for _, formula in ROWS])
def test_formula_for_a_cell(expression: Expr, formula: str) -> None:
    assert to_spreadsheet(expression, CELLS) == formula


@pytest.mark.parametrize("expression", [expression for expression, _ in ROWS], ids=str)
def test_no_minus_sign_stands_before_a_power(expression: Expr) -> None:
    # Python's −2² is −4, a spreadsheet's is 4: a formula that both read alike has brackets between - and ^.
    formula = to_spreadsheet(expression, CELLS)
    assert not re.search(r"(^|[(,*/<>=])-[^()]*\^", formula), formula


POINT = {"A1": 3.0, "B1": 2.5, "C1": 1.25, "D1": 0.7}
FUNCTIONS = {
    "EXP": math.exp,
    "LN": math.log,
    "SQRT": math.sqrt,
    "ABS": abs,
    "MAX": max,
    "MIN": min,
    "TANH": math.tanh,
    "ERF": math.erf,
    "PI": lambda: math.pi,
    "NORMSDIST": lambda z: math.erfc(-z / math.sqrt(2)) / 2,
    "ATAN2": lambda across, up: math.atan2(up, across),
    "IF": lambda condition, yes, no: yes if condition else no,
    "OR": lambda *conditions: any(conditions),
}


@pytest.mark.parametrize("expression", [expression for expression, _ in ROWS], ids=str)
def test_the_formula_computes_the_expression(expression: Expr) -> None:
    formula = re.sub(r"(?<![<>])=", "==", to_spreadsheet(expression, CELLS)).replace("^", "**")
    found = eval(formula, FUNCTIONS | POINT)  # noqa: S307  # our own formula
    written_out = expression.replace(
        lambda part: isinstance(part, NamedFunction), lambda part: type(part).definition(part.args[0])
    )
    numbers = {symbol: POINT[cell] for symbol, cell in CELLS.items()}
    assert found == pytest.approx(float(written_out.subs(numbers).evalf()), rel=1e-14)


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(UnknownNameError) as caught:
        to_spreadsheet(Symbol("z") + x, {x: "A1"})
    assert str(caught.value) == "There is no cell for 'z'.\n  found:    z\n  expected: one of x"


def test_a_function_that_spreadsheets_lack_is_refused() -> None:
    with pytest.raises(ChainruleError) as caught:
        to_spreadsheet(sympy.zeta(x), {x: "A1"})
    assert caught.value.what == "A spreadsheet has no function for zeta."
    assert caught.value.found == "zeta(x)"


def test_too_many_arguments_are_refused() -> None:
    cells = {Symbol(f"o{number}", real=True): f"A{number}" for number in range(256)}
    with pytest.raises(ChainruleError) as caught:
        to_spreadsheet(Max(*cells, evaluate=False), cells)  # SymPy would compare every two of them
    assert str(caught.value) == (
        "MAX takes at most 255 numbers in a spreadsheet.\n  found: 256\nChoose a smaller network or fewer samples."
    )


def test_numbers_keep_all_their_digits() -> None:
    assert float(to_spreadsheet(sympy.Float(math.pi, 17), {})) == math.pi
