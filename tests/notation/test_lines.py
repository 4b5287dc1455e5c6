"""Files of formulas."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import ChainruleError
from chainrule.formulas import Sigmoid
from chainrule.notation import Equation, UnreadLine, read_equations
from chainrule.programs import Layer, latex_name, layered_program, program_latex, program_text
from chainrule.programs.program import symbol_of

h1, w1, a_o1, t1, w5, s1 = map(symbol_of, ("h1", "w1", "a_o1", "t1", "w5", "s1"))

WORKED = """\
# My worked example
h1 = w1*i1 + w2*i2      // net input
a_h1 = σ(h1)

- out_o1 = sigmoid(net_o1)   # a bullet
2) E1 = 1/2*(t1 - out_o1)^2;
```
dE/dw5 = ∂E1/∂out_o1 · ∂out_o1/∂net_o1 · ∂net_o1/∂w5
       = (out_o1 - t1) * out_o1(1 - out_o1) * out_h1
```
so the gradient is small
"""


def test_a_file_with_comments_bullets_fences_and_prose() -> None:
    lines = read_equations(WORKED)
    assert [(line.line, line.left) for line in lines if isinstance(line, Equation)] == [
        (2, "h1"),
        (3, "a_h1"),
        (5, "a_o1"),
        (6, "E1"),
        (8, "∂E/∂w5"),
    ]
    gradient, prose = lines[-2:]
    assert isinstance(gradient, Equation)
    assert len(gradient.sides) == 2
    assert gradient.right == (a_o1 - t1) * a_o1 * (1 - a_o1) * symbol_of("a_h1")
    assert [name.quantity for name in gradient.names][:4] == ["∂E/∂w5", "∂E1/∂a_o1", "∂a_o1/∂o1", "∂o1/∂w5"]
    assert isinstance(prose, UnreadLine)
    assert (prose.line, prose.text) == (11, "so the gradient is small")
    assert prose.problem.what == "'so' is no name that is known."


LATEX = r"""
\documentclass{article}
\begin{document}
\begin{align*}   % the forward pass
  h_1 &= w_1 i_1 + w_2 i_2 \nonumber \\
  a_{h1} &= \sigma\left(h_1\right), \\[2pt]
  \frac{\partial E}{\partial w_5} &= \left(a_{o1} - t_1\right) a_{h1} \label{eq:w5} \\
         &= 0.0822
\end{align*}
$$ w_5^{+} = w_5 - \eta \frac{\partial E}{\partial w_5} $$
\[ a = \begin{cases} 1 & h_1 > 0 \\ 0 & \text{otherwise} \end{cases} \]
\end{document}
"""


def test_a_file_in_latex() -> None:
    lines = read_equations(LATEX)
    assert [(line.line, line.left) for line in lines if isinstance(line, Equation)] == [
        (5, "h1"),
        (6, "a_h1"),
        (7, "∂E/∂w5"),
        (10, "w5⁺"),
        (11, "a_h1"),
    ]
    assert not [line for line in lines if isinstance(line, UnreadLine)]
    gradient = lines[2]
    assert isinstance(gradient, Equation)
    assert gradient.right == (a_o1 - t1) * symbol_of("a_h1")
    assert float(gradient.sides[1]) == 0.0822


def test_names_of_the_writer_are_known_in_the_whole_file() -> None:
    first, second = read_equations("slope = a_o1 - t1\ndE/dw5 = slope * h1")
    assert isinstance(first, Equation)
    assert isinstance(second, Equation)
    assert (first.left, second.right) == ("slope", symbol_of("slope") * h1)
    assert [name.kind for name in second.names] == ["gradient", "own", "forward"]


def test_nothing_is_dropped() -> None:
    lines = read_equations("h1 = \n\n= w1\nh1 w1\n# w1 = 2\nw1 = 2 % 3\n")
    assert [(type(line).__name__, line.line) for line in lines] == [
        ("UnreadLine", 1),
        ("Equation", 3),
        ("UnreadLine", 4),
        ("Equation", 6),
    ]
    assert [line.problem.what for line in lines if isinstance(line, UnreadLine)] == [
        "The formula ends too early.",
        "This is no equation.",
    ]


def test_a_whole_program_in_text_and_in_latex() -> None:
    program = layered_program(2, [Layer(2), Layer(2)])
    text = "\n".join(f"{line.name} = {program_text(line.formula)}" for line in program.assignments)
    latex = " \\\\\n".join(f"{latex_name(line.name)} &= {program_latex(line.formula)}" for line in program.assignments)
    for written in (text, f"\\begin{{align}}\n{latex}\n\\end{{align}}"):
        equations = read_equations(written)
        assert [line.left for line in equations if isinstance(line, Equation)] == [
            line.name for line in program.assignments
        ]
        assert len(equations) == len(program.assignments)


def test_a_file_too_long_is_refused() -> None:
    with pytest.raises(ChainruleError) as caught:
        read_equations("w1 = 1\n" * 10_001)
    assert str(caught.value) == ("This file has too many lines.\n  found:    10001 lines\n  expected: at most 10000")


FORMULA_SIGNS = "wathoEe_^{}()[]|+-*/=<>,.0123 \\&%#$\n∂σ√Ση½²⁺⁽²⁾'!?ifelse"


@settings(max_examples=60, deadline=3000)
@given(st.text(alphabet=FORMULA_SIGNS, max_size=80) | st.text(max_size=60))
def test_any_text_is_read_or_reported(text: str) -> None:
    for line in read_equations(text):
        assert isinstance(line, Equation | UnreadLine)
        assert 1 <= line.line <= text.count("\n") + text.count("\r") + 1


_PIECES = (
    r"w1 a_h1 ( ) + - * / ^ 2 9 e exp( ln( √ ∂E/∂w5 ∂( )/∂w1 | , if else > max( σ( \frac{ }{ } ^{ _{ ½ ² dE/dw1 = 1/0 0"
)
PIECES = st.sampled_from([*_PIECES.split(), " if ", " else ", " "])


@settings(max_examples=100, deadline=3000)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_pieces_of_formulas_are_read_or_reported(text: str) -> None:
    for line in read_equations(text):
        assert isinstance(line, Equation | UnreadLine)


def test_a_sigmoid_written_in_words_is_the_same() -> None:
    (line,) = read_equations("a_h1 = Sigmoid(net_h1)")
    assert isinstance(line, Equation)
    assert line.right == Sigmoid(h1)
