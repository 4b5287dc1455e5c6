"""Formulas as people write them: order, brackets, numbers in the places of names; text and LaTeX alike."""

import math
import re

import numpy as np
import pytest
import sympy
from sympy import Expr, Max, Piecewise, Rational, exp, log, sqrt, tanh

from chainrule.errors import UnknownNameError
from chainrule.formulas import Sigmoid
from chainrule.programs import (
    Evaluator,
    Layer,
    Program,
    layered_program,
    program_latex,
    program_spreadsheet,
    program_text,
)
from chainrule.programs.printing import factors_latex, factors_text
from chainrule.programs.program import symbol_of

NAMES = ("w1", "w10", "w9", "i1", "a_o1", "t1", "η", "b1", "∂E/∂w5", "h1⁽²⁾", "m_w5", "β1", "t", "λ", "ε", "vhat_w5")
W1, W10, W9, I1, A, T, RATE, B, G, H2, M, BETA, TIME, DECAY, EPS, V = map(symbol_of, NAMES)

CASES: list[tuple[Expr, str, str]] = [
    (W10 * I1 + W9 * I1 + B, "w9·i1 + w10·i1 + b1", "w_9 i_1 + w_{10} i_1 + b_1"),
    (Rational(1, 2) * (T - A) ** 2, "½·(t1 − a_o1)²", r"\frac{1}{2} (t_1 - a_{o1})^2"),
    ((A - T) / 2, "(a_o1 − t1)/2", r"\frac{a_{o1} - t_1}{2}"),
    (2 * A - 2 * T, "2·(a_o1 − t1)", "2 (a_{o1} - t_1)"),
    (A * (1 - A), "a_o1(1 − a_o1)", "a_{o1} (1 - a_{o1})"),
    (G * (1 - A), "∂E/∂w5·(1 − a_o1)", r"\frac{\partial E}{\partial w_5} (1 - a_{o1})"),
    (W1 - RATE * G, "w1 − η·∂E/∂w5", r"w_1 - \eta \frac{\partial E}{\partial w_5}"),
    (G**2, "(∂E/∂w5)²", r"\left(\frac{\partial E}{\partial w_5}\right)^2"),
    (H2**2, "(h1⁽²⁾)²", "(h_1^{(2)})^2"),
    (
        BETA * M + (1 - BETA) * G,
        "β1·m_w5 + (1 − β1)·∂E/∂w5",
        r"\beta_1 m_{w5} + (1 - \beta_1) \frac{\partial E}{\partial w_5}",
    ),
    (G + DECAY * W1, "∂E/∂w5 + λ·w1", r"\frac{\partial E}{\partial w_5} + \lambda w_1"),
    (
        G / (sqrt(V) + EPS),
        "(∂E/∂w5)/(√vhat_w5 + ε)",
        r"\frac{\frac{\partial E}{\partial w_5}}{\sqrt{\hat{v}_{w5}} + \epsilon}",
    ),
    (M / (1 - BETA**TIME), "m_w5/(1 − β1^t)", r"\frac{m_{w5}}{1 - \beta_1^t}"),
    (TIME + 1, "t + 1", "t + 1"),
    (1 + exp(-I1), "1 + e^(−i1)", "1 + e^{-i_1}"),
    (-T * log(A), "−t1·ln(a_o1)", r"-t_1 \ln(a_{o1})"),
    (-T / (2 * A), "−t1/(2·a_o1)", r"-\frac{t_1}{2 a_{o1}}"),
    (A - (T - W1), "a_o1 + w1 − t1", "a_{o1} + w_1 - t_1"),
    (1 - tanh(I1) ** 2, "1 − tanh(i1)²", r"1 - \tanh(i_1)^2"),
    (Sigmoid(I1), "σ(i1)", r"\sigma(i_1)"),
    (Max(I1, 0), "max(0, i1)", r"\max(0, i_1)"),
    (
        G * Piecewise((1, I1 > 0), (0, True)),
        "∂E/∂w5·(1 if i1 > 0, else 0)",
        r"\frac{\partial E}{\partial w_5} "
        r"\left(\begin{cases} 1 & \text{if } i_1 > 0 \\ 0 & \text{else} \end{cases}\right)",
    ),
    (sympy.Integer(-3), "−3", "-3"),
    (Rational(-1, 3), "−1/3", r"-\frac{1}{3}"),
    (-A - T, "−a_o1 − t1", "-a_{o1} - t_1"),
    (1 / A, "1/a_o1", r"\frac{1}{a_{o1}}"),
    (A**-2, "1/a_o1²", r"\frac{1}{a_{o1}^2}"),
    (W1 * (A - T) * (A + 1), "w1(a_o1 + 1)·(a_o1 − t1)", "w_1 (a_{o1} + 1) (a_{o1} - t_1)"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "text", "latex"), CASES, ids=[text for _, text, _ in CASES])
def test_formulas_as_people_write_them(expression: Expr, text: str, latex: str) -> None:
    assert (program_text(expression), program_latex(expression)) == (text, latex)


NUMBERS = {"a_o1": 0.606477732206728, "t1": -0.01, "w1": 4.38568e-12, "η": 0.5}


@pytest.mark.parametrize(
    ("expression", "text", "latex"),
    [
        (A - T, "0.606478 − (−0.01)", "0.606478 - (-0.01)"),
        (A * (1 - A), "0.606478(1 − 0.606478)", "0.606478 (1 - 0.606478)"),
        (T**2, "(−0.01)²", "(-0.01)^2"),
        (T - A, "−0.01 − 0.606478", "-0.01 - 0.606478"),
        (T * (A + 1), "−0.01(0.606478 + 1)", "-0.01 (0.606478 + 1)"),
        (W1 * A, "4.38568·10⁻¹²·0.606478", r"4.38568 \cdot 10^{-12} \cdot 0.606478"),
        (W1**2, "(4.38568·10⁻¹²)²", r"(4.38568 \cdot 10^{-12})^2"),
        (RATE * T, "0.5·(−0.01)", r"0.5 \cdot (-0.01)"),
        (A / T, "0.606478/(−0.01)", r"\frac{0.606478}{-0.01}"),
        (Sigmoid(T), "σ(−0.01)", r"\sigma(-0.01)"),
        ((T - A) / 3, "(−0.01 − 0.606478)/3", r"\frac{-0.01 - 0.606478}{3}"),
        (A * (T - A), "0.606478(−0.01 − 0.606478)", r"0.606478 \cdot (-0.01 - 0.606478)"),
        (exp(T), "e^(−0.01)", "e^{-0.01}"),
        (2 * (A - T) ** 3, "2·(0.606478 − (−0.01))³", r"2 \cdot (0.606478 - (-0.01))^3"),
    ],
)
def test_numbers_stand_in_the_places_of_the_names(expression: Expr, text: str, latex: str) -> None:
    assert (program_text(expression, NUMBERS.__getitem__), program_latex(expression, NUMBERS.__getitem__)) == (
        text,
        latex,
    )


@pytest.mark.parametrize(
    ("value", "text", "latex"),
    [
        (math.inf, "∞", r"\infty"),
        (-math.inf, "−∞", r"-\infty"),
        (math.nan, "nan", r"\mathrm{NaN}"),
        (-0.0, "0", "0"),
        (1e20, "1·10²⁰", r"1 \cdot 10^{20}"),
        (1 / 3, "0.333", "0.333"),
    ],
)
def test_single_numbers(value: float, text: str, latex: str) -> None:
    number = {"w1": value}.__getitem__
    assert (program_text(W1, number, 3), program_latex(W1, number, 3)) == (text, latex)


NETWORKS = [
    layered_program(2, [Layer(2), Layer(2)]),
    layered_program(3, [Layer(4, "relu", "separate"), Layer(3, "softmax", "shared")], "cross-entropy", samples=2),
    layered_program(
        2, [Layer(2, "tanh"), Layer(2, "softplus"), Layer(1, "identity", "fixed")], "mean",
        optimizer="Adam", settings={"η": 0.1, "β1": 0.9, "β2": 0.999, "ε": 1e-8},
    ),
    layered_program(1, [Layer(1, "leaky_relu")], optimizer="SGD", settings={"η": 0.1, "μ": 0.9, "τ": 0.1, "λ": 0.01}),
]  # fmt: skip


@pytest.mark.parametrize("program", NETWORKS, ids=["2-2-2", "softmax", "Adam", "momentum"])
def test_every_formula_typed_into_python_gives_its_number(program: Program) -> None:
    """The text, with its signs replaced by Python's, is computed; the brackets must be right for that."""
    generator = np.random.default_rng(5)
    given = {quantity.name: float(generator.uniform(0.1, 0.9)) for quantity in program.quantities.values()}
    evaluator = Evaluator(program)
    values = {name: float(value) for name, value in evaluator(given).items()}
    formulas = [form for line in program.assignments for form in (line.formula, *line.stages, *line.partials.values())]
    formulas = [formula for formula in formulas if not formula.has(Piecewise)]  # what Python writes in another order
    assert len(formulas) > 10
    for formula in formulas:
        expected = float(evaluator.one(formula, {name: np.asarray(value) for name, value in values.items()}))
        assert typed(program_text(formula), values) == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert typed(program_text(formula, values.__getitem__, 17), {}) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def typed(text: str, values: dict[str, float]) -> float:
    """Compute a formula as it is printed."""
    for name in sorted(values, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9_∂]){re.escape(name)}(?![A-Za-z0-9_⁺⁽])", f"§{list(values).index(name)}§", text)
    text = re.sub(r"([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda found: f"**{found[1].translate(LOWERED)}", text)
    text = re.sub(r"√(§\d+§|[\d.]+)", r"sqrt(\1)", text).replace("√", "sqrt")
    text = re.sub(r"(?<=[§\d])\(", "*(", text.replace("½", "0.5"))
    text = text.replace("·", "*").replace("−", "-").replace("^", "**").replace("e**", "E**").replace("≤", "<=")
    text = re.sub(r"§(\d+)§", lambda found: f"({list(values.values())[int(found[1])]!r})", text)
    scope = {"σ": lambda x: 1 / (1 + math.exp(-x)), "ln": math.log, "E": math.e, "sqrt": math.sqrt, "max": max}
    scope |= {"tanh": math.tanh, "softplus": lambda x: math.log1p(math.exp(x))}
    return float(eval(text, {"__builtins__": {}}, scope))  # noqa: S307  # our own formula


LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def test_a_spreadsheet_formula_over_cells() -> None:
    assert program_spreadsheet(A * (1 - A), {"a_o1": "B7", "t1": "B3"}) == "B7*(1-B7)"
    with pytest.raises(UnknownNameError) as raised:
        program_spreadsheet(A - T, {"a_o1": "B7"})
    assert str(raised.value) == "There is no cell for 't1'.\n  found:    t1\n  expected: one of a_o1"


def test_the_brackets_of_a_sum_at_the_beginning_stay() -> None:
    assert factors_text((-A - T, W1)) == "(−a_o1 − t1) · w1"
    assert factors_latex((-A - T, W1)) == r"(-a_{o1} - t_1) \cdot w_1"
