"""Formulas read back: whatever chainrule prints, and what people write."""

import re
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest
from sympy import Expr, Rational, exp

from chainrule.formulas import Sigmoid
from chainrule.notation import Equation, NotationError, read_equation, read_expression
from chainrule.programs import (
    Evaluator,
    Layer,
    Program,
    derivative_name,
    latex_name,
    layered_program,
    program_latex,
    program_text,
)
from chainrule.programs.program import symbol_of

ADAM = {"η": 0.1, "β1": 0.9, "β2": 0.99, "ε": 1e-8, "λ": 0.1}
PROGRAMS = {
    "2-2-2": layered_program(2, [Layer(2), Layer(2)]),
    "with biases": layered_program(2, [Layer(2, bias="shared"), Layer(1, bias="separate")], "sum"),
    "three samples": layered_program(2, [Layer(2), Layer(2)], "mean", samples=3),
    "3-4-3": layered_program(
        3,
        [Layer(4, "relu", "separate"), Layer(3, "softmax")],
        "cross-entropy",
        samples=2,
        optimizer="Adam",
        settings=ADAM,
    ),
    "two hidden layers": layered_program(
        1,
        [Layer(2, "leaky_relu"), Layer(2, "tanh"), Layer(1, "softplus")],
        "half mean",
        optimizer="AdamW",
        settings=ADAM,
    ),
    "momentum": layered_program(2, [Layer(2, "tanh"), Layer(1)], settings={"η": 0.1, "μ": 0.9, "τ": 0.1, "λ": 0.01}),
    "RMSprop": layered_program(2, [Layer(6)], optimizer="RMSprop", settings={"η": 0.1, "α": 0.9, "ε": 0.1, "μ": 0.1}),
}
each_program = pytest.mark.parametrize("key", PROGRAMS)


def different(texts: Iterable[str]) -> set[str]:
    """The first and the last text of each kind: those of one kind differ in their digits only."""
    by_kind: dict[str, list[str]] = {}
    for text in texts:
        by_kind.setdefault(re.sub(r"[\d⁰¹²³⁴⁵⁶⁷⁸⁹]+", "#", text), []).append(text)
    return {text for group in by_kind.values() for text in (group[0], group[-1])}


@cache
def forms(key: str) -> dict[str, Expr]:
    """Every formula of a program by how it prints, but of those that differ in numbers only the first and the last."""
    by_text = {
        program_text(form): form
        for line in PROGRAMS[key].assignments
        for form in (
            line.formula,
            line.computed,
            *line.stages,
            *line.partials.values(),
            *(t.partial for t in line.terms),
        )
    }
    return {text: by_text[text] for text in different(by_text)}


def points(program: Program) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {name: generator.uniform(0.05, 0.95, 3) for name in program.quantities}


def names_to_give(program: Program) -> tuple[str, ...]:
    """α is the learning rate in most formulas, and RMSprop's only where the program says so."""
    return ("α",) if "α" in program.quantities else ()


@each_program
@pytest.mark.parametrize("printed", [program_text, program_latex])
def test_every_formula_that_is_printed_is_read_back(key: str, printed) -> None:
    program = PROGRAMS[key]
    evaluator, numbers = Evaluator(program), points(program)
    assert len(forms(key)) > 15
    for form in forms(key).values():
        again = read_expression(printed(form), names_to_give(program))
        assert again.free_symbols <= form.free_symbols, (printed(form), again)
        difference = evaluator.one(again, numbers) - evaluator.one(form, numbers)
        assert np.max(np.abs(difference)) < 1e-12, (printed(form), again)


@each_program
def test_given_names_change_nothing_that_was_clear_before(key: str) -> None:
    program = PROGRAMS[key]
    for form in list(forms(key).values())[:8]:
        text, latex = program_text(form), program_latex(form)
        assert read_expression(text, program.quantities) == read_expression(text, names_to_give(program))
        assert read_expression(latex, program.quantities) == read_expression(latex, names_to_give(program))


@each_program
def test_every_equation_that_is_printed_is_read_back(key: str) -> None:
    program = PROGRAMS[key]
    lines = {f"{line.name} = {program_text(line.formula)}": line for line in program.assignments}
    for text in different(lines):
        line = lines[text]
        latex = f"{latex_name(line.name)} &= {program_latex(line.formula)} \\\\"
        for written in (text, latex):
            equation = read_equation(written, names_to_give(program))
            assert equation.left == line.name, written
            assert equation.right.free_symbols == line.formula.free_symbols, written


def test_text_and_latex_read_back_are_the_same_expression() -> None:
    for line in PROGRAMS["2-2-2"].assignments:
        assert read_expression(program_text(line.formula)) == read_expression(program_latex(line.formula)), line.name


i1, t1, w1, w5 = map(symbol_of, ("i1", "t1", "w1", "w5"))
h1, a_h1, o1, a_o1, E1, rate = map(symbol_of, ("h1", "a_h1", "o1", "a_o1", "E1", "η"))


def slope(above: str, below: str) -> Expr:
    return symbol_of(derivative_name(above, below))


WRITTEN = {
    # products without a sign, and which of them are calls
    "2x1": 2 * i1,
    "2 x1 w1": 2 * i1 * w1,
    "w1i1": w1 * i1,
    "a_o1(1 - a_o1)": a_o1 * (1 - a_o1),
    "out_o1(1-out_o1)": a_o1 * (1 - a_o1),
    "σ(o1)(1-σ(o1))": Sigmoid(o1) * (1 - Sigmoid(o1)),
    "(a_o1 - t1)a_h1": (a_o1 - t1) * a_h1,
    "h1(1-h1)": h1 * (1 - h1),
    # powers
    "(t1-a_o1)^2": (t1 - a_o1) ** 2,
    "(t1-a_o1)**2": (t1 - a_o1) ** 2,
    "(t1−a_o1)²": (t1 - a_o1) ** 2,
    "-a_o1^2": -(a_o1**2),
    "a_o1^-1": 1 / a_o1,
    "a_o1⁻²": a_o1**-2,
    "2^3^2": Rational(512),
    "a_h1⁽²⁾²": symbol_of("a_h1⁽²⁾") ** 2,
    # numbers
    "½(t1 - a_o1)²": (t1 - a_o1) ** 2 / 2,
    "1/2(t1 - a_o1)^2": (t1 - a_o1) ** 2 / 2,
    "0,5*(t1 - a_o1)^2": (t1 - a_o1) ** 2 / 2,
    ".5*t1 + 1e-3": t1 / 2 + Rational(1, 1000),
    "1½t1": 3 * t1 / 2,
    r"\tfrac12 t_1": t1 / 2,
    r"\frac{1}{2}\,t_{1}": t1 / 2,
    r"0{,}5\,t_1": t1 / 2,
    # functions
    "1/(1+exp(-h1))": 1 / (1 + exp(-h1)),
    "1 / (1 + e^-h1)": 1 / (1 + exp(-h1)),
    "1/(1+e**(-h1))": 1 / (1 + exp(-h1)),
    "1/(1 + np.exp(-h1))": 1 / (1 + exp(-h1)),
    "exp^(-h1)": exp(-h1),
    "sigmoid(h1)": Sigmoid(h1),
    "Sigmoid( net_h1 )": Sigmoid(h1),
    "sig(h1)": Sigmoid(h1),
    r"\sigma\left(h_1\right)": Sigmoid(h1),
    r"\sigma(h_{1})": Sigmoid(h1),
    "σ'(h1)": Sigmoid(h1) * (1 - Sigmoid(h1)),
    "sigmoid_derivative(h1)": Sigmoid(h1) * (1 - Sigmoid(h1)),
    "√(4)·t1": 2 * t1,
    # other spellings of names
    "(a_01 - t1)": a_o1 - t1,
    "w1 − lr·∂E/∂w1": w1 - rate * slope("E", "w1"),
    "w1 - learning rate * grad w1": w1 - rate * slope("E", "w1"),
    "w_{1} - \\eta \\frac{\\partial E_{total}}{\\partial w_{1}}": w1 - rate * slope("E", "w1"),
    "W1-ETA*dE_dw1": w1 - rate * slope("E", "w1"),
    "ｗ１ ＋ ｔ１": w1 + t1,
    # derivatives
    "∂E1/∂a_o1 * ∂a_o1/∂o1 * ∂o1/∂w5": slope("E1", "a_o1") * slope("a_o1", "o1") * slope("o1", "w5"),
    "dE1/da_o1 * da_o1/do1 * do1/dw5": slope("E1", "a_o1") * slope("a_o1", "o1") * slope("o1", "w5"),
    "(δE1/δa_o1)(δa_o1/δo1)(δo1/δw5)": slope("E1", "a_o1") * slope("a_o1", "o1") * slope("o1", "w5"),
    r"\frac{\partial E_1}{\partial a_{o1}} \cdot \frac{\partial a_{o1}}{\partial o_1}": slope("E1", "a_o1")
    * slope("a_o1", "o1"),
    r"\frac{dE}{dw_5}": slope("E", "w5"),
    r"\partial E / \partial w_5": slope("E", "w5"),
    "d E / d w5": slope("E", "w5"),
    "E∂w5": slope("E", "w5"),
    "δ(E_total)/δa_h1 * i1": slope("E", "a_h1") * i1,
    "∂E/∂w5²": slope("E", "w5") ** 2,
    "∂(½ * (t1 - a_o1)²)/∂a_o1": a_o1 - t1,
    "∂(w5*a_h1 + w6*a_h2)/∂w5": a_h1,
    "∂(E1 + E2)/∂w5": slope("E1", "w5") + slope("E2", "w5"),
    "∂σ(o1)/∂o1": Sigmoid(o1) * (1 - Sigmoid(o1)),
    "δ_o1·a_h1": slope("E", "o1") * a_h1,
}


@pytest.mark.parametrize(("written", "meant"), WRITTEN.items(), ids=list(WRITTEN))
def test_what_people_write(written: str, meant: Expr) -> None:
    assert (read_expression(written) - meant).expand() == 0


CASES = [
    "1 if h1 > 0, else 0",
    "1 if h1 > 0 else 0",
    "IF(h1>0, 1, 0)",
    "WENN(h1>0;1;0)",
    "(h1 > 0)*1",
    r"\begin{cases} 1 & \text{for}\: h_{1} > 0 \\0 & \text{otherwise} \end{cases}",
    r"\left\{\begin{array}{ll} 1 & \text{if } h_1 > 0, \\ 0 & \text{otherwise} \end{array}\right.",
    r"\begin{cases} 0, & h_1 \le 0 \\ 1, & \text{sonst} \end{cases}",
    "relu'(h1)",
    "0 if h1 <= 0, 1 if 0 < h1 <= 1000, else 1",
    "1 if h1 > 0 and h1 > -1, else 0",
]


@pytest.mark.parametrize("written", CASES)
def test_cases(written: str) -> None:
    read = read_expression(written)
    assert [read.subs(h1, value) for value in (-2, 0, Rational(1, 3), 5)] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "written", ["max(0, h1)", "max(h1; 0)", "ReLU(h1)", r"\max\left(0, h_1\right)", "h1 if h1>0 else 0"]
)
def test_rectifiers(written: str) -> None:
    assert [read_expression(written).subs(h1, value) for value in (-2, 0, 5)] == [0, 0, 5]


def test_a_decimal_comma_is_none_between_arguments() -> None:
    assert read_expression("max(0,5)") == 5
    assert read_expression("max(0, (0,5))") == Rational(1, 2)


def test_every_side_of_an_equation_is_kept() -> None:
    equation = read_equation("a_h1 = σ(h1) = 1/(1 + exp(-h1)) = 0.593")
    assert equation.left == "a_h1"
    assert equation.sides == (Sigmoid(h1), 1 / (1 + exp(-h1)), Rational(593, 1000))
    assert equation.right == 1 / (1 + exp(-h1))
    assert [name.quantity for name in equation.names] == ["a_h1", "h1"]
    assert equation.uncertain == ()


def test_an_equation_without_a_name_on_its_left() -> None:
    assert read_equation("= (a_o1 - t1) * w5") == Equation(
        None, (a_o1 - t1) * w5, "= (a_o1 - t1) * w5", ((a_o1 - t1) * w5,), read_equation("0 = (a_o1 - t1) * w5").names
    )
    assert read_equation("w1*i1 = h1").sides == (w1 * i1, h1)


def test_names_that_can_be_read_otherwise_are_said() -> None:
    equation = read_equation("y_hat1 = a1*w1")
    assert [(name.text, name.readings) for name in equation.uncertain] == [
        ("y_hat1", ("a_o1", "o1", "p1")),
        ("a1", ("a_h1", "a_o1")),
    ]


def test_given_names_come_first() -> None:
    names = ("α", "fc1.weight[0,1]", "t", "hours")
    assert read_expression("α·t + fc1.weight[0,1]*2hours", names).free_symbols == set(map(symbol_of, names))
    assert read_expression(latex_name("fc1.weight[0,1]") + "^{2}", names) == symbol_of("fc1.weight[0,1]") ** 2
    assert read_expression("α").name == "η"
    with pytest.raises(NotationError):
        read_expression("hours")


def test_the_place_of_an_error_is_shown() -> None:
    with pytest.raises(NotationError) as caught:
        read_equation("dE/dw5 = (a_o1 - t1) * * a_h1")
    assert (
        str(caught.value)
        == """\
'*' cannot stand here.
  where:    character 24
  found:    dE/dw5 = (a_o1 - t1) * * a_h1
                                   ^
  expected: a number, a name or an opening bracket"""
    )
    assert (caught.value.text, caught.value.place) == ("dE/dw5 = (a_o1 - t1) * * a_h1", 23)


REFUSED = {
    "": "The formula ends too early.",
    "a_o1 +": "The formula ends too early.",
    "(a_o1 - t1": "This bracket is not closed.",
    "(a_o1 - t1]": "']' cannot stand here.",
    "a_o1 - t1)": "')' cannot stand here.",
    "foo + 1": "'foo' is no name that is known.",
    "f(h1)": "'f' is no function and no quantity that is known.",
    "Σ(t1 - a_o1)²": "A sum over an index cannot be read.",
    r"\sum_i t_1": "A sum over an index cannot be read.",
    "2E1": "This may be a number with an exponent, or a product with E.",
    "w1 = 2": "This is an equation.",
    "1/0": "This is a division by 0.",
    "t1/(1-1)": "This is a division by 0.",
    "ln(0)": "This has no value.",
    "√(-1)": "This is no real number.",
    "9^9^9^9": "This power is too large to be computed.",
    "e^e^e^9": "This number is too large or too nested to be computed.",
    "(2/3)^64*" * 200 + "1": "This number is too large to be computed.",
    "(1+1)^(9^9)": "This power is too large to be computed.",
    "d" * 5000: "'" + "d" * 40 + "…' is no name that is known.",
    "exp(1e300)": "This number is too large or too nested to be computed.",
    "1 if h1 > 0": "These cases leave out what holds otherwise.",
    "max(h1)": "'max' has another number of arguments.",
    "sigmoid(h1, 2)": "'sigmoid' has another number of arguments.",
    "epoch + 1": "'epoch' is no name that is known.",
    "t1 ° 2": "'°' is no sign of a formula.",
    "t1 \u0007": "'U+0007' is no sign of a formula.",
    r"\foo{t_1}": r"'\foo' is no command that is known here.",
    r"\frac{t_1}": "A command without its argument.",
    r"\frac{t_1": "This bracket is not closed.",
    "(" * 200 + "t1" + ")" * 200: "Too many brackets within brackets.",
    r"\frac{" * 200 + "1" + "}" * 200: "A command without its argument.",
    "1+" * 20_000 + "1": "This formula is too long to be read.",
    "E_": "A subscript is missing here.",
    "|h1": "This bar is not closed.",
    "1" * 50: "This number is too long.",
    "1e-999": "This number is too long.",
    "∂E/w5": "'w5' cannot stand here.",
    "∂(max(h1,0))/∂h1": "This derivative is not computed here.",
}


@pytest.mark.parametrize(("written", "what"), REFUSED.items(), ids=[text[:20] for text in REFUSED])
def test_refusals(written: str, what: str) -> None:
    with pytest.raises(NotationError) as caught:
        read_expression(written)
    assert caught.value.what == what
    assert caught.value.expected


def test_a_long_formula_shows_what_is_around_the_place() -> None:
    text = " + ".join(f"w{number}*i1" for number in range(1, 60)) + " + ? + w60"
    with pytest.raises(NotationError) as caught:
        read_expression(text)
    shown, caret = caught.value.found.split("\n")
    assert shown[caret.index("^") - 12] == "?"
    assert shown.startswith("…")
    assert shown.endswith("w60")
    assert len(shown) < 130


def test_hundreds_of_terms_are_read() -> None:
    numbers = range(1, 601, 2)
    text = " + ".join(f"w{number}*i1" for number in numbers)
    assert read_expression(text).free_symbols == {i1, *(symbol_of(f"w{number}") for number in numbers)}
