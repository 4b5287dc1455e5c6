"""The formula of each single scalar, checked as a spreadsheet would compute it."""

import math
from typing import Any

import pytest
import torch
from sympy import Expr, Symbol

from chainrule.formulas import to_spreadsheet
from chainrule.ops import OpRule, rule_for, scalar_derivatives, scalar_formula
from chainrule.ops.places import argument_value, flat

from .cases import CASES, Case, at

_SPREADSHEET = {
    "EXP": math.exp,
    "LN": math.log,
    "SQRT": math.sqrt,
    "ABS": abs,
    "SIGN": lambda x: (x > 0) - (x < 0),
    "SIN": math.sin,
    "COS": math.cos,
    "TAN": math.tan,
    "ASIN": math.asin,
    "ACOS": math.acos,
    "ATAN": math.atan,
    "ATAN2": lambda x, y: math.atan2(y, x),
    "SINH": math.sinh,
    "COSH": math.cosh,
    "TANH": math.tanh,
    "ASINH": math.asinh,
    "ACOSH": math.acosh,
    "ATANH": math.atanh,
    "ERF": math.erf,
    "ERFC": math.erfc,
    "GAMMALN": math.lgamma,
    "NORMSDIST": lambda x: math.erfc(-x / math.sqrt(2)) / 2,
    "PI": lambda: math.pi,
    "INT": math.floor,
    "TRUNC": math.trunc,
    "ROUND": lambda x, digits: math.copysign(math.floor(abs(x) + 0.5), x),
    "MAX": lambda *values: max(values),
    "MIN": lambda *values: min(values),
    "AND": lambda *values: all(values),
    "OR": lambda *values: any(values),
}


class Cells:
    """Symbols for elements, with the values that stand in their cells."""

    def __init__(self, case: Case) -> None:
        self.case, self.output = case, case.output()
        self.values: dict[str, float] = {}

    def __call__(self, argument: str, place: int) -> Expr:
        source = self.output if argument == "output" else argument_value(self.case.arguments, argument)
        name = f"c_{argument.replace('[', '_').replace(']', '')}_{place}"
        self.values[name] = float(flat(source)[place])
        return Symbol(name, real=True)

    def compute(self, expression: Expr) -> float:
        """Compute as a spreadsheet does."""
        names = {symbol: symbol.name for symbol in expression.free_symbols}
        python = to_spreadsheet(expression, names).replace("^", "**").replace("<>", "!=")
        python = python.replace("<=", "≤").replace(">=", "≥").replace("!=", "≠").replace("=", "==")
        python = python.replace("≤", "<=").replace("≥", ">=").replace("≠", "!=").replace("IF(", "IF(lambda: ")
        known: dict[str, Any] = {**_SPREADSHEET, **self.values}
        return float(eval(_lazy(python), {"__builtins__": {}}, known))  # noqa: S307  # our own printer's text


def _lazy(python: str) -> str:
    """IF(condition, a, b) with a Python conditional in its place: only the branch that holds is computed."""
    start = python.find("IF(lambda: ")
    if start < 0:
        return python
    depth, parts, begin = 0, [], start + len("IF(lambda: ")
    for place in range(begin, len(python)):
        sign = python[place]
        if depth == 0 and sign in ",)":
            parts.append(python[begin:place])
            begin = place + 1
            if sign == ")":
                break
        depth += {"(": 1, ")": -1}.get(sign, 0)
    condition, chosen, other = (_lazy(part) for part in parts)
    return _lazy(f"{python[:start]}(({chosen}) if ({condition}) else ({other})){python[begin:]}")


def chosen(case: Case) -> OpRule:
    rule = rule_for(case.name)
    assert rule is not None
    return rule.chosen(case.arguments).of_output(case.number)


# Spreadsheets have neither the digamma function, the derivative of lgamma, nor the inverse of erf.
WITHOUT_CELL = ("digamma", "erfinv")
WRITTEN = [case for case in CASES if chosen(case).formula is not None and case.name not in WITHOUT_CELL]
MOST_TERMS = 6  # of a row; a longer one takes SymPy long and shows no more


def terms(case: Case) -> int:
    """How many elements of an argument one output takes, at most."""
    places = chosen(case).wiring(case.arguments, case.output(), case.number).places
    return max((math.prod(numbers.shape[1:]) for numbers in places.values()), default=0)


DIFFERENTIATED = [case for case in WRITTEN if case.name != "lgamma" and terms(case) <= MOST_TERMS]


@pytest.mark.parametrize("case", WRITTEN, ids=str)
def test_the_formula_of_one_scalar_gives_its_value(case: Case) -> None:
    rule, cells = chosen(case), Cells(case)
    wiring = rule.wiring(case.arguments, cells.output, case.number)
    for element in {0, cells.output.numel() - 1}:
        value = cells.compute(scalar_formula(rule, wiring, element, cells))
        assert value == pytest.approx(
            float(cells.output.reshape(-1)[element]), rel=max(1e-11, case.tolerance), abs=1e-13
        )


@pytest.mark.parametrize("case", DIFFERENTIATED, ids=str)
def test_the_derivatives_of_one_scalar_are_a_row_of_the_jacobian(case: Case) -> None:
    rule, cells = chosen(case), Cells(case)
    wiring = rule.wiring(case.arguments, cells.output, case.number)
    for argument in rule.slots:
        if argument not in wiring.places:
            continue
        row = rule.jacobian(argument, case.arguments, cells.output, case.number)[-1]
        found = scalar_derivatives(rule, wiring, cells.output.numel() - 1, cells, argument)
        ours = torch.zeros_like(row)
        for place, derivative in found.items():
            ours[place] = cells.compute(derivative)
        torch.testing.assert_close(ours, row, rtol=1e-9, atol=1e-12)


def test_one_scalar_of_linear() -> None:
    arguments = {"input": at(1.0, 2.0), "weight": at(1.0, 2.0, 3.0, 4.0).reshape(2, 2), "bias": at(5.0, 6.0)}
    rule = rule_for("linear")
    assert rule is not None
    wiring = rule.wiring(arguments, torch.zeros(2))
    x0, x1, w2, w3, b1 = (Symbol(name) for name in ("input0", "input1", "weight2", "weight3", "bias1"))
    formula = scalar_formula(rule, wiring, 1, lambda argument, place: Symbol(f"{argument}{place}"))
    assert formula == x0 * w2 + x1 * w3 + b1
    derivatives = scalar_derivatives(rule, wiring, 1, lambda argument, place: Symbol(f"{argument}{place}"), "weight")
    assert derivatives == {2: x0, 3: x1}


def test_the_derivative_of_a_sigmoid_in_terms_of_its_output() -> None:
    arguments = {"input": at(0.5)}
    rule = rule_for("sigmoid")
    assert rule is not None
    wiring = rule.wiring(arguments, torch.zeros(1))
    y = Symbol("output0")
    found = scalar_derivatives(rule, wiring, 0, lambda argument, place: Symbol(f"{argument}{place}"), "input", True)
    assert found == {0: y * (1 - y)}
