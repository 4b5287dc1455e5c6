import re

import pytest
import sympy
from sympy import (
    Abs,
    And,
    Expr,
    Float,
    IndexedBase,
    KroneckerDelta,
    Max,
    Min,
    Or,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    erf,
    exp,
    log,
    loggamma,
    pi,
    polygamma,
    sign,
    sqrt,
    tanh,
)

from chainrule.formulas import (
    NormalDensity,
    NormalDistribution,
    Sigmoid,
    Softplus,
    number_text,
    to_latex,
    to_text,
)

x, a, b, alpha, lam = sympy.symbols("x a b alpha lambda", real=True)
i, j, k, n = sympy.symbols("i j k n", integer=True)
v = IndexedBase("v")

CASES = Piecewise((v[k], v[k] > 0), (0, True), evaluate=False)
ONE_CASE = Piecewise((x, x > 0), (0, True), evaluate=False)

TEXTS = [
    (Max(0, x), "max(0, x)"),
    (Sum(CASES, (k, 1, n)) / n, "Σₖ (v[k] if v[k] > 0, else 0)/n"),
    (Sum(CASES, (k, 1, n)) ** 2, "(Σₖ (v[k] if v[k] > 0, else 0))²"),
    (a * ONE_CASE, "a·(x if x > 0, else 0)"),
    (a + ONE_CASE, "a + (x if x > 0, else 0)"),
    (ONE_CASE / a, "(x if x > 0, else 0)/a"),
    (-ONE_CASE, "−(x if x > 0, else 0)"),
    (log(ONE_CASE), "log(x if x > 0, else 0)"),
    (Max(a, ONE_CASE), "max(a, (x if x > 0, else 0))"),
    (Piecewise((ONE_CASE, a > 0), (b, True), evaluate=False), "(x if x > 0, else 0) if a > 0, else b"),
    (Piecewise((x, Abs(x) <= a), (0, True)), "x if |x| ≤ a, else 0"),
    (loggamma(x), "log(Γ(x))"),
    (polygamma(0, x) + polygamma(1, x), "ψ(x) + ψ⁽¹⁾(x)"),
    (Max(a, Min(b, x)), "max(a, min(b, x))"),
    (1 / (1 + exp(-x)), "1/(1 + e^(−x))"),
    (x * Sigmoid(x), "x·σ(x)"),
    (Sigmoid(x) * (1 - Sigmoid(x)), "σ(x)·(1 − σ(x))"),
    (alpha * (exp(x / alpha) - 1), "α·(e^(x/α) − 1)"),
    (x / (1 + Abs(x)), "x/(1 + |x|)"),
    (x - tanh(x), "x − tanh(x)"),
    (-(tanh(x) ** 2), "−tanh(x)²"),
    (x**12 - 2 * x, "x¹² − 2·x"),
    (-(x**2), "−x²"),
    (x - lam, "x − λ"),
    (lam + x, "x + λ"),
    ((x + 3) / 6, "x/6 + 1/2"),
    (x * Max(0, x + 3) / 6, "x·max(0, x + 3)/6"),
    (Rational(-2, 3), "−2/3"),
    (Rational(2, 3) * x, "2·x/3"),
    (Float("0.044715") * x, "0.044715·x"),
    (sqrt(2 / pi) * x, "√(2/π)·x"),
    (sqrt(x + 1), "√(x + 1)"),
    (sqrt(x), "√x"),
    (1 / sqrt(x), "1/√x"),
    (1 / (a * b), "1/(a·b)"),
    (x ** (a + 1), "x^(a + 1)"),
    (x**a, "x^a"),
    (log(Softplus(x)), "log(softplus(x))"),
    (sign(x) * erf(x), "erf(x)·sign(x)"),
    (NormalDistribution(x) + x * NormalDensity(x), "Φ(x) + x·φ(x)"),
    (sympy.E + sympy.oo, "∞"),
    (-sympy.oo, "−∞"),
    (sympy.E, "e"),
    (x < 2, "x < 2"),
    (sympy.Ne(x, 2), "x ≠ 2"),
    (And(x > -1, x <= 1, evaluate=False), "−1 < x ≤ 1"),
    (And(x > a, b > 0, evaluate=False), "b > 0 and x > a"),
    (Or(x < 0, x >= 2, evaluate=False), "x < 0 or x ≥ 2"),
    (Piecewise((x, x > 0), (alpha * x, True)), "x if x > 0, else α·x"),
    (Piecewise((0, x < 0), (1, x > 0)), "0 if x < 0, 1 if x > 0"),
    (exp(v[i]) / Sum(exp(v[k]), (k, 1, n)), "e^v[i]/Σₖ e^v[k]"),
    (Sum(v[k] + 1, (k, 1, n)), "Σₖ (v[k] + 1)"),
    (Sum(v[i] * v[j], (i, 1, n), (Symbol("q"), 1, n)), "ΣᵢΣ_q v[i]·v[j]"),
    (v[i] * (KroneckerDelta(i, j) - v[j]), "v[i]·(δ[i,j] − v[j])"),
    (sympy.S.true, "True"),
]


@pytest.mark.parametrize(("expression", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_text(expression: Expr, text: str) -> None:
    assert to_text(expression) == text


READABLE = [
    x - (a - b),
    -(x + a) * (x - b) / (alpha * (1 + x)),
    x / (a / b),
    (x / 2 * (1 + tanh(sqrt(2 / pi) * (x + Float("0.044715") * x**3)))).diff(x),
    (x * tanh(Softplus(x))).diff(x),
    (x * NormalDistribution(x)).diff(x, 2),
    (1 / (1 + exp(-x))).diff(x, 2),
    (x / (1 + Abs(x))),
    NormalDensity.definition(x),
    NormalDistribution.definition(x),
    exp(-((x - a) ** 2) / (2 * b**2)) / sqrt(2 * pi * b**2),
    -Rational(2, 3) * x ** Rational(3, 2) - sqrt(x) / 3,
    (a + b) * Min(0, x) / 2,
    2 ** (-x) - (-x) ** 2,
    sympy.Mul(-1, x + a, evaluate=False) + 1,
]


@pytest.mark.parametrize("expression", READABLE, ids=str)
def test_text_read_back_is_the_same_formula(expression: Expr) -> None:
    values = {x: Rational(7, 10), a: Rational(3, 10), b: Rational(13, 10), alpha: Rational(-1, 2)}
    written_out = _without_names(_read(to_text(expression)))
    assert float((written_out - _without_names(expression)).subs(values).evalf()) == pytest.approx(0.0, abs=1e-12)


def _read(text: str) -> Expr:
    """Read the printed text by ordinary rules of precedence, as a person would."""
    text = re.sub("[⁰¹²³⁴-⁹]+", lambda m: "**" + m[0].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")), text)
    text = text.replace("−", "-").replace("·", "*").replace("e^", "E**").replace("^", "**").replace("π", "pi")
    text = re.sub(r"√(\w+)", r"sqrt(\1)", text).replace("√(", "sqrt(")
    text = re.sub(r"\|([^|]*)\|", r"Abs(\1)", text).replace("min(", "Min(")
    names = {"x": x, "a": a, "b": b, "α": alpha, "σ": Sigmoid, "softplus": Softplus}
    return sympy.sympify(text, locals=names | {"Φ": NormalDistribution, "φ": NormalDensity})


def _without_names(expression: Expr) -> Expr:
    for kind in (Softplus, Sigmoid, NormalDistribution, NormalDensity):
        expression = expression.replace(kind, kind.definition)
    return expression


LATEX = [
    (Max(0, x), r"\max\left(0, x\right)"),
    (1 / (1 + exp(-x)), r"\frac{1}{1 + e^{- x}}"),
    (x * Sigmoid(x), r"x \sigma\left(x\right)"),
    (Sigmoid(x) ** 2, r"\sigma^{2}\left(x\right)"),
    (tanh(x) ** 2, r"\tanh^{2}{\left(x \right)}"),
    (Float("0.044715") * x, r"0.044715 x"),
    (
        Piecewise((0, And(x > -1, x <= lam, evaluate=False)), (x - lam, True), evaluate=False),
        r"\begin{cases} 0 & \text{for}\: -1 < x \leq \lambda \\x - \lambda & \text{otherwise} \end{cases}",
    ),
    (And(x > a, b > 0, evaluate=False), r"b > 0 \wedge x > a"),
    (
        Sum(CASES, (k, 1, n)) / n,
        r"\frac{\sum_{k=1}^{n} \left(\begin{cases} {v}_{k} & \text{for}\: {v}_{k} > 0 \\0 & \text{otherwise} "
        r"\end{cases}\right)}{n}",
    ),
    (
        a + ONE_CASE,
        r"a + \left(\begin{cases} x & \text{for}\: x > 0 \\0 & \text{otherwise} \end{cases}\right)",
    ),
    (Abs(x) <= a, r"\left|{x}\right| \leq a"),
    (loggamma(x) ** 2, r"\log^{2} \Gamma\left(x\right)"),
    (polygamma(0, x) + polygamma(1, x) ** 2, r"\psi\left(x\right) + \left(\psi^{(1)}\left(x\right)\right)^{2}"),
]


@pytest.mark.parametrize(("expression", "latex"), LATEX, ids=[latex for _, latex in LATEX])
def test_latex(expression: Expr, latex: str) -> None:
    assert to_latex(expression) == latex


def test_numbers_have_a_true_minus_sign_and_no_negative_zero() -> None:
    shown = [number_text(value) for value in (-0.2784645427610738, 1e-10, -0.0, float("inf"), -float("inf"))]
    assert shown == ["−0.278465", "1e−10", "0", "∞", "−∞"]
