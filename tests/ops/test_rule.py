"""How rules are shown."""

import pytest
import torch
from sympy import Symbol

from chainrule.errors import UnknownNameError
from chainrule.ops import OpRule, rule_for, scalar_derivatives, scalar_formula


def found(name: str) -> OpRule:
    rule = rule_for(name)
    assert rule is not None
    return rule


TEXTS = [
    ("linear", "weight", "y = Σₖ x[k]·w[k] + b", "∂y/∂w[k] = x[k]"),
    ("matmul", "input", "y = Σₖ x[k]·w[k]", "∂y/∂x[k] = w[k]"),
    ("sigmoid", "input", "y = σ(x)", "∂y/∂x = σ(x)·(1 − σ(x))"),
    ("tanh", "input", "y = tanh(x)", "∂y/∂x = 1 − tanh(x)²"),
    ("relu", "input", "y = max(0, x)", "∂y/∂x = 1 if x > 0, else 0"),
    ("leaky_relu", "input", "y = max(0, x) + α·min(0, x)", "∂y/∂x = 1 if x > 0, else α"),
    ("relu6", "input", "y = max(0, min(6, x))", "∂y/∂x = 0 if x ≤ 0 or x ≥ 6, else 1"),
    ("mul", "input", "y = x·z", "∂y/∂x = z"),
    ("div", "other", "y = x/z", "∂y/∂z = −x/z²"),
    ("pow", "input", "y = x^z", "∂y/∂x = x^(z − 1)·z"),
    ("clamp", "input", "y = a if x < a, b if x > b, else x", "∂y/∂x = 0 if x < a or x > b, else 1"),
    ("maximum", "input", "y = max(x, z)", "∂y/∂x = 1 if x > z, 1/2 if x = z, else 0"),
    ("mean", "input", "y = Σₖ x[k]/n", "∂y/∂x[k] = 1/n"),
    ("amax", "input", "y = maxₖ x[k]", "∂y/∂x[m] = δ[x[m],maxₖ x[k]]/Σₖ δ[x[k],maxₖ x[k]]"),
    ("prod", "input", "y = Πₖ x[k]", "∂y/∂x[k] = Π(j≠k) x[j]"),
    ("var", "input", "y = Σₖ (x[k] − Σⱼ x[j]/n)²/(n − c)", "∂y/∂x[k] = 2·(x[k] − Σⱼ x[j]/n)/(n − c)"),
    ("norm", "input", "y = √Σₖ x[k]²", "∂y/∂x[m] = x[m]/√Σₖ x[k]²"),
    ("logsumexp", "input", "y = log(Σₖ e^x[k])", "∂y/∂x[m] = e^x[m]/Σₖ e^x[k]"),
    (
        "softmax",
        "input",
        "y[i] = e^x[i]/Σₖ e^x[k]",
        "∂y[i]/∂x[m] = e^x[i]·δ[i,m]/Σₖ e^x[k] − e^x[i]·e^x[m]/(Σₖ e^x[k])²",
    ),
    ("log_softmax", "input", "y[i] = x[i] − log(Σₖ e^x[k])", "∂y[i]/∂x[m] = δ[i,m] − e^x[m]/Σₖ e^x[k]"),
    ("permute", "input", "y = x", "∂y/∂x = 1"),
    ("detach", "input", "y = x", "∂y/∂x = 0"),
]


@pytest.mark.parametrize(("name", "argument", "formula", "derivative"), TEXTS, ids=[row[0] for row in TEXTS])
def test_formula_and_derivative_as_text(name: str, argument: str, formula: str, derivative: str) -> None:
    assert found(name).text() == formula
    assert found(name).derivative_text(argument) == derivative


SCHOOL = [
    ("sigmoid", "∂y/∂x = y·(1 − y)"),
    ("tanh", "∂y/∂x = 1 − y²"),
    ("exp", "∂y/∂x = y"),
    ("sqrt", "∂y/∂x = 1/(2·y)"),
    ("softmax", "∂y[i]/∂x[m] = y[i]·(δ[i,m] − y[m])"),
    ("log_softmax", "∂y[i]/∂x[m] = δ[i,m] − e^y[m]"),
    ("norm", "∂y/∂x[m] = x[m]/y"),
    ("relu", ""),
]


@pytest.mark.parametrize(("name", "text"), SCHOOL, ids=[row[0] for row in SCHOOL])
def test_school_form(name: str, text: str) -> None:
    assert found(name).school_text("input") == text


LATEX = [
    ("linear", "weight", r"y = \sum_{k=1}^{n} {w}_{k} {x}_{k} + b", r"\frac{\partial y}{\partial {w}_{k}} = {x}_{k}"),
    (
        "sigmoid",
        "input",
        r"y = \sigma\left(x\right)",
        r"\frac{\partial y}{\partial x} = \left(1 - \sigma\left(x\right)\right) \sigma\left(x\right)",
    ),
    ("amax", "input", r"y = \max_{k} {x}_{k}", None),
    ("div", "other", r"y = \frac{x}{z}", r"\frac{\partial y}{\partial z} = - \frac{x}{z^{2}}"),
]


@pytest.mark.parametrize(("name", "argument", "formula", "derivative"), LATEX, ids=[row[0] for row in LATEX])
def test_formula_and_derivative_as_latex(name: str, argument: str, formula: str, derivative: str | None) -> None:
    assert found(name).latex() == formula
    if derivative is not None:
        assert found(name).derivative_latex(argument) == derivative


def test_an_argument_without_derivative_is_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        found("linear").derivative("wieght")
    assert str(caught.value) == (
        "The formula of linear has no derivative by 'wieght'.\n"
        "  where:    linear\n"
        "  found:    wieght\n"
        "  expected: one of input, weight, bias\n"
        "Did you mean 'weight'?"
    )


def test_an_op_without_formula_says_so() -> None:
    rule = found("argmax")
    assert rule.text() == ""
    assert rule.cuts == "argmax gives places and not values, so it has no derivative."


ASKED = """
linear addmm matmul mm bmm mv dot einsum outer add sub rsub mul div neg pow square exp log log2 log10 log1p
expm1 sqrt rsqrt reciprocal abs sign sin cos tanh sigmoid erf maximum minimum max min clamp where masked_fill
lerp addcmul addcdiv sum mean var std amax amin prod logsumexp norm vector_norm cumsum relu relu_ leaky_relu
prelu rrelu relu6 threshold elu celu selu gelu silu mish hardswish hardsigmoid logsigmoid hardtanh tanhshrink
softsign softplus softshrink hardshrink glu softmax log_softmax softmin view reshape flatten unflatten permute
transpose t T mT squeeze unsqueeze expand expand_as repeat repeat_interleave chunk split unbind narrow select
getitem index_select gather take_along_dim cat stack hstack vstack roll flip pad unfold tril triu diagonal
contiguous clone detach to float double type setitem copy_ scatter_ index_add_ round floor ceil argmax iadd
isub imul itruediv add_ mul_ radd rmul rtruediv rpow truediv
"""


def test_every_name_that_was_asked_for_has_a_rule() -> None:
    assert [name for name in ASKED.split() if rule_for(name) is None] == []


def test_a_name_that_is_no_op_has_no_rule() -> None:
    assert rule_for("lineer") is None


def test_one_element_of_a_large_convolution_builds_little() -> None:
    arguments = {"input": torch.ones(8, 64, 56, 56), "weight": torch.ones(64, 64, 3, 3), "padding": 1}
    output = torch.zeros(8, 64, 56, 56)  # its wiring would be 7 GB
    places, slopes = found("conv2d").local("weight", arguments, output, outputs=torch.tensor([0, 60]))
    assert places.shape == slopes.shape == (2, 64 * 9)
    assert slopes.sum(1).tolist() == [64 * 4, 64 * 9]  # a corner sees the padding


def test_one_scalar_of_chosen_outputs() -> None:
    rule, arguments = found("linear"), {"input": torch.ones(4, 2), "weight": torch.ones(3, 2), "bias": None}
    wiring = rule.wiring(arguments, torch.zeros(4, 3), outputs=torch.tensor([7]))

    def name(argument: str, place: int) -> Symbol:
        return Symbol(f"{argument}{place}")

    assert str(scalar_formula(rule, wiring, 7, name)) == "input4*weight2 + input5*weight3"
    assert scalar_derivatives(rule, wiring, 7, name, "input") == {4: Symbol("weight2"), 5: Symbol("weight3")}
