import math

import pytest

from chainrule.activations import activation_names, describe
from chainrule.documents import Callout, Chart, Document, Fold, Formula, Prose, Table
from chainrule.errors import UnknownNameError
from chainrule.reports.activations import activation_document, catalogue_document


def tables(document: Document) -> list[Table]:
    return [block for block in document.blocks if isinstance(block, Table)]


def formulas(document: Document) -> list[str]:
    return [block.text for block in document.blocks if isinstance(block, Formula)]


def test_the_catalogue_lists_every_activation_in_both_tables() -> None:
    document = catalogue_document()
    for table in tables(document):
        assert [row[0] for row in table.rows if row[0] != "GELU (tanh)"] == list(activation_names())
        assert all(len(row) == len(table.columns) for row in table.rows)
    by_name = {row[0]: row for row in tables(document)[1].rows}
    assert by_name["ReLU"] == ("ReLU", "[0, ∞)", "no", "rising", "below", "x < 0", describe("ReLU").gain_forward)
    by_formula = {row[0]: row for row in tables(document)[0].rows}
    assert by_formula["SiLU"] == ("SiLU", "x·σ(x)", "σ(x) + x·σ(x)·(1 − σ(x))")
    assert by_formula["GLU"][2] == "∂y[i]/∂a[j] = δ[i,j]·σ(b[i]), ∂y[i]/∂b[j] = a[i]·δ[i,j]·σ(b[i])·(1 − σ(b[i]))"


def test_the_catalogue_defines_every_function_that_it_names() -> None:
    assert formulas(catalogue_document()) == [
        "Φ(x) = (1 + erf(x/√2))/2",
        "φ(x) = e^(−x²/2)/√(2·π)",
        "σ(x) = 1/(1 + e^(−x))",
        "softplus(x) = log(1 + e^x)",
    ]


@pytest.mark.parametrize("name", activation_names())
def test_each_activation_has_formula_facts_and_chart(name: str) -> None:
    document = activation_document(name.lower())
    facts = describe(name)
    assert document.title == facts.title
    assert formulas(document)[0].endswith(f"= {facts.formula.text}")
    (chart,) = [block for block in document.blocks if isinstance(block, Chart)]
    assert chart.key == f"activation-{name}"
    assert [len(series.x) == len(series.y) for series in chart.series] == [True, True]
    (fold,) = [block for block in document.blocks if isinstance(block, Fold)]
    shown = [block.text for block in fold.blocks if isinstance(block, Prose)]
    assert shown == [block.latex for block in document.blocks if isinstance(block, Formula)]
    notes = [block.text for block in document.blocks if isinstance(block, Callout)]
    assert notes == list(facts.notes)
    assert all(row[1] is not None for row in tables(document)[0].rows)


def test_one_activation_with_an_argument() -> None:
    document = activation_document("leaky_relu", negative_slope=0.25)
    assert document.blocks[0] == Prose("torch.nn.LeakyReLU(negative_slope=0.25), α = 0.25")
    facts, breaks = tables(document)
    rows = {row[0]: row[1] for row in facts.rows}
    assert rows["gain, forward"] == pytest.approx(rows["gain in PyTorch"], rel=1e-14)
    assert rows["outputs never negative"] == "no, down to −∞"
    assert breaks.rows == ((0.0, "kink", 0.0, 0.25, 1.0, 0.25),)
    (chart,) = [block for block in document.blocks if isinstance(block, Chart)]
    assert chart.series[0].y[0] == pytest.approx(-6 * 0.25)
    assert [x for x, y in zip(chart.series[1].x, chart.series[1].y, strict=True) if math.isnan(y)] == [0.0]


def test_elu_says_that_it_does_not_keep_an_output_positive() -> None:
    document = activation_document("ELU", alpha=0.5)
    rows = {row[0]: row[1] for row in tables(document)[0].rows}
    assert rows["outputs never negative"] == "no, down to −0.5"
    assert rows["derivative below 0.01"] == "x < −3.912"
    assert [block.text for block in document.blocks if isinstance(block, Callout)] == [
        "It falls towards −α, and so does not keep an output positive; Softplus does."
    ]


def test_a_jacobian_is_named_in_latex_too() -> None:
    (_, jacobian) = [block for block in activation_document("Softmax").blocks if isinstance(block, Formula)]
    assert jacobian.text == "∂y[i]/∂x[j] = y[i]·(δ[i,j] − y[j])"
    assert jacobian.latex.startswith(r"\frac{\partial y_i}{\partial x_j} = ")


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        activation_document("ELU", alfa=1.0)
    assert (
        str(caught.value)
        == """The formula of ELU has no argument 'alfa'.
  where:    ELU
  found:    alfa
  expected: one of alpha
Did you mean 'alpha'?"""
    )
