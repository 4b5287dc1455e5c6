import math
from pathlib import Path

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chainrule.formulas import Sigmoid
from chainrule.spreadsheets import Address, Book, Cell, FormulaError, Sheet, parse_formula, recalculated, to_expression
from chainrule.spreadsheets.patterns import Patterns

NUMBERS = {"A1": 0.3, "A2": -0.7, "A3": 1.25, "B1": 0.4, "B2": 2.0, "B3": 0.05}


def _symbol(sheet: str | None, address: Address) -> sympy.Symbol:
    return sympy.Symbol(f"{sheet}!{address}" if sheet else str(address), real=True)


def _expression(formula: str) -> sympy.Expr:
    return to_expression(parse_formula(formula), _symbol)


a1, a2, a3, b1 = (_symbol(None, Address(row, column)) for row, column in ((1, 1), (2, 1), (3, 1), (1, 2)))


@pytest.mark.parametrize(
    ("formula", "expression"),
    [
        ("A1+A2*2", a1 + 2 * a2),
        ("-A1^2", a1**2),
        ("0.1+0.2", sympy.Rational(3, 10)),
        ("1E-3*A1", a1 / 1000),
        ("A1%", a1 / 100),
        ("Sheet2!A1", sympy.Symbol("Sheet2!A1", real=True)),
        ("SUM(A1:A3,2)", a1 + a2 + a3 + 2),
        ("SUMPRODUCT(A1:A2,B1:B2)", a1 * b1 + a2 * _symbol(None, Address(2, 2))),
        ("SUMPRODUCT((A1:A2-1)^2)/2", ((a1 - 1) ** 2 + (a2 - 1) ** 2) / 2),
        ("SUMXMY2(A1:A2,{1;2})", (a1 - 1) ** 2 + (a2 - 2) ** 2),
        ("SUMSQ(A1,A2)", a1**2 + a2**2),
        ("PRODUCT(A1:A3)", a1 * a2 * a3),
        ("AVERAGE(A1,A2)", (a1 + a2) / 2),
        ("MAX(0,A1)", sympy.Max(0, a1)),
        ("MIN(A1:A3)", sympy.Min(a1, a2, a3)),
        ("IF(A1>0,A1,0)", sympy.Piecewise((a1, a1 > 0), (0, True))),
        ("IF(A1,1,2)", sympy.Piecewise((1, sympy.Ne(a1, 0)), (2, True))),
        ("IF(1>2,A1,A2)", a2),
        ("(A1>0)*A2", sympy.Piecewise((1, a1 > 0), (0, True)) * a2),
        ("AND(A1>0,A2<=0)", sympy.Piecewise((1, (a1 > 0) & (a2 <= 0)), (0, True))),
        ("IFERROR(A1,0)", a1),
        ("INDEX(A1:B3,2,1)", a2),
        ("INDEX(A1:A3,3)", a3),
        ("SUM(MMULT(A1:B1,{1;2}))", a1 + 2 * b1),
        ("SUM(TRANSPOSE(A1:A3)*{1,0,2})", a1 + 2 * a3),
        ("LOG(A1)", sympy.log(a1) / sympy.log(10)),
        ("POWER(A1,2)+PI()", a1**2 + sympy.pi),
        ("ATAN2(A1,A2)", sympy.atan2(a2, a1)),
        ("TRUE+1", sympy.Integer(2)),
    ],
)
def test_a_formula_becomes_its_expression(formula: str, expression: sympy.Expr) -> None:
    assert _expression(formula) == expression


def test_the_sigmoid_written_out_is_the_sigmoid() -> None:
    written = _expression("1/(1+EXP(-A1))")
    for value in (-20.0, -0.5, 0.0, 0.3, 8.0):
        exact = Sigmoid.definition(sympy.Float(value)).evalf()
        assert math.isclose(written.subs(a1, value), exact, rel_tol=1e-14)


def test_elements_of_arrays() -> None:
    tree = parse_formula("MMULT(A1:B2,{1,2;3,4})")
    b2 = _symbol(None, Address(2, 2))
    assert to_expression(tree, _symbol, (1, 0)) == a2 + 3 * b2
    with pytest.raises(FormulaError) as caught:
        to_expression(tree, _symbol, (2, 0))
    assert str(caught.value) == (
        "A formula cannot be written as an expression: it has no row 3 and column 1 in its result.\n"
        "  found: MMULT(A1:B2,{1,2;3,4})"
    )


@pytest.mark.parametrize(
    ("formula", "problem", "found"),
    [
        ("1+ROUND(A1,2)", "calls ROUND, which has no expression here", "ROUND(A1,2)"),
        ('A1&"x"', "works with text", '"x"'),
        ("A1&A2", "joins texts", "A1&A2"),
        ("A1/0", "divides by zero", "A1/0"),
        ("A1/(1-1)", "divides by zero", "A1/(1-1)"),
        ("0^-1", "divides by zero", "0^-1"),
        ("0^0", "raises 0 to the power of 0", "0^0"),
        ("LN(0)", "takes the logarithm of zero", "LN(0)"),
        ("LOG(A1,1)", "divides by zero", "LOG(A1,1)"),
        ("SQRT(-1)", "computes a number that is too large, or none", "SQRT(-1)"),
        ("9^9^9^9", "computes a number that is too large, or none", "9^9^9^9"),
        ("2^1E9", "computes a power that is too large", "2^1000000000"),
        ("EXP(EXP(EXP(9)))", "computes a number that is too large, or none", "EXP(EXP(9))"),
        ("GAMMALN(-1)", "computes a number that is too large, or none", "GAMMALN(-1)"),
        ("SUM(A:A)", "reads a range of 1048576 cells, more than 1000", "A:A"),
        ("A1:A2+{1,2,3;4,5,6;7,8,9}", "combines ranges of different sizes", "A1:A2+{1,2,3;4,5,6;7,8,9}"),
        ("SUMPRODUCT(A1:A2,B1:B3)", "combines ranges of different sizes", "SUMPRODUCT(A1:A2,B1:B3)"),
        ("EXP()", "calls EXP with 0 arguments", "EXP()"),
        ("rate*2", "uses the name rate, which stands for no cells that could be found", "rate"),
        ("#REF!*2", "holds the error #REF!", "#REF!"),
        ("INDEX(A1:A3,B1)", "calls INDEX with a place that is not written as a number", "INDEX(A1:A3,B1)"),
        ("INDEX(A1:A3,4)", "calls INDEX with a place beyond the range", "INDEX(A1:A3,4)"),
    ],
)
def test_what_has_no_expression_is_refused(formula: str, problem: str, found: str) -> None:
    with pytest.raises(FormulaError) as caught:
        _expression(formula)
    assert str(caught.value) == f"A formula cannot be written as an expression: it {problem}.\n  found: {found}"


def test_cases_within_conditions_and_long_maxima_are_bounded() -> None:
    nested = "A1"
    for number in range(12):
        nested = f"IF({nested}>{number},B1,A2)"
    with pytest.raises(FormulaError) as caught:
        _expression(nested)
    assert str(caught.value) == (
        "A formula cannot be written as an expression: its conditions depend on too many other conditions.\n"
        "  expected: at most 6 comparisons in the condition of an IF"
    )
    with pytest.raises(FormulaError) as caught:
        _expression("MAX(MAX(A1:A20),A21:A30)")
    assert str(caught.value) == (
        "A formula cannot be written as an expression: it takes the largest or smallest of too many values.\n"
        "  found:    30 values\n  expected: at most 24"
    )


FORMULAS = st.recursive(
    st.sampled_from([*NUMBERS, "0.5", "2", "1E-3", "SUM(A1:B3)", "SUMPRODUCT(A1:A3,B1:B3)", "MAX(A1:A3)", "PI()"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"{text}^2"),
        inner.map(lambda text: f"{text}%"),
        st.tuples(st.sampled_from(["EXP", "TANH", "ABS", "SQRT", "LN", "SIGN", "COSH", "ERF", "N"]), inner).map(
            lambda parts: f"{parts[0]}({parts[1]})"
        ),
        st.tuples(inner, inner, inner).map(lambda parts: f"IF({parts[0]}>{parts[1]},{parts[2]},{parts[0]})"),
        st.tuples(inner, inner).map(lambda parts: f"MAX({parts[0]},{parts[1]})"),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(FORMULAS)
def test_expression_and_recalculation_agree(formula: str) -> None:
    at = Address(9, 9)
    cells = {
        address: Cell(address, value, None, value)
        for address, value in (
            (Address(int(name[1]), "AB".index(name[0]) + 1), value) for name, value in NUMBERS.items()
        )
    }
    book = Book(Path("b.xlsx"), "xlsx", (Sheet("S", {**cells, at: Cell(at, None, Patterns({}).formula(formula, at))}),))
    computed = recalculated(book).sheets[0].cells[at].value
    assume(isinstance(computed, float))  # and no error value
    try:
        expression = to_expression(parse_formula(formula), lambda _, address: sympy.Float(cells[address].value, 40))
    except FormulaError:
        assume(False)  # a number below zero under a root that IF leaves aside
    number = complex(expression.evalf(30))
    assume(abs(number) < 1e15)
    assert number.imag == 0.0
    assert math.isclose(number.real, computed, rel_tol=1e-9, abs_tol=1e-9)
