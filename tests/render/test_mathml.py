"""Formulas as browsers set them: every formula that the printers write is read; nothing else gets through."""

from xml.etree import ElementTree

import pytest

from chainrule.programs import Layer, layered_program, program_latex
from chainrule.programs.naming import latex_name
from chainrule.render.mathml import UnknownLatex, mathml

OPEN, CLOSE = (f'<mo stretchy="false">{sign}</mo>' for sign in "()")
MINUS = '<mo form="prefix">−</mo>'
GAP = '<mspace width="0.17em"></mspace>'


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        ("w_5", "<msub><mi>w</mi><mn>5</mn></msub>"),
        ("a_{h1}", "<msub><mi>a</mi><mrow><mi>h</mi><mn>1</mn></mrow></msub>"),
        ("x^12", "<msup><mi>x</mi><mrow><mn>1</mn></mrow></msup>" + GAP + "<mn>2</mn>"),
        ("h_1^{(2)}", None),
        ("w_1 i_1", "<msub><mi>w</mi><mn>1</mn></msub>" + GAP + "<msub><mi>i</mi><mn>1</mn></msub>"),
        (r"\frac{\partial E}{\partial w_5}", None),
        (r"0.5 \cdot (-1)", f"<mn>0.5</mn><mo>·</mo>{OPEN}{MINUS}<mn>1</mn>{CLOSE}"),
        (r"\ln(p_1)", None),
        (r"\sqrt{x}", "<msqrt><mrow><mi>x</mi></mrow></msqrt>"),
        ("a - b = -b", f"<mi>a</mi><mo>−</mo><mi>b</mi><mo>=</mo>{MINUS}<mi>b</mi>"),
        (r"a < b", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
        (r"\text{if } x", "<mtext>if&#160;</mtext><mi>x</mi>"),
    ],
)  # fmt: skip
def test_formulas_are_read(latex: str, shown: str | None) -> None:
    inside = mathml(latex)
    ElementTree.fromstring(f"<math>{inside}</math>")  # noqa: S314  # our own
    if shown is not None:
        assert inside == shown


PROGRAMS = [
    layered_program(2, [Layer(2), Layer(2, bias="separate")]),
    layered_program(
        2, [Layer(2, "relu"), Layer(2, "softplus"), Layer(3, "softmax")], "cross-entropy",
        samples=2, optimizer="Adam", settings={"η": 0.1, "β1": 0.9, "β2": 0.9, "ε": 1e-8},
    ),
    layered_program(1, [Layer(1, "leaky_relu"), Layer(1, "tanh")], "mean", settings={"η": 1.0, "μ": 0.9, "τ": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_every_formula_of_a_program_is_read(number: int) -> None:
    for line in PROGRAMS[number].assignments:
        for latex in (
            latex_name(line.name),
            *map(program_latex, (line.formula, *line.stages, *line.partials.values())),
        ):
            ElementTree.fromstring(f"<math>{mathml(latex)}</math>")  # noqa: S314


@pytest.mark.parametrize(
    "latex",
    [
        r"\input{x}", r"\begin{tabular}", "{", "}", r"\left(", r"\frac{1}", "x & y", "x \\\\ y", r"\mathrm{a\b{}}",
        r"\left<x\right>", "€",
    ],
)  # fmt: skip
def test_anything_else_is_refused(latex: str) -> None:
    with pytest.raises(UnknownLatex):
        mathml(latex)


@pytest.mark.parametrize("latex", [r"\mathtt{<script>}", r"\text{<b>&}", r"\operatorname{<i>}", "x < y"])
def test_nothing_becomes_markup(latex: str) -> None:
    inside = mathml(latex)
    assert "<script>" not in inside
    assert "<b>" not in inside
    assert "<i>" not in inside
    ElementTree.fromstring(f"<math>{inside}</math>")  # noqa: S314
