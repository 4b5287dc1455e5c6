import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.documents import Block, Callout, Document, Fold, Formula, Heading, Prose, Table
from chainrule.queries.explained import SampleShare
from chainrule.queries.explaining import explain
from chainrule.recorder import record
from chainrule.render.page import page_html
from chainrule.reports.explanation import explanation_dict, explanation_document
from chainrule.trace import Trace


class Net(nn.Module):
    """One weight is used twice; the network is deep enough to nest."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        return self.second(torch.tanh(self.second(hidden)))


def trace_of(samples: int = 10, dtype: torch.dtype = torch.float64) -> Trace:
    torch.manual_seed(0)
    inputs, targets = torch.randn(samples, 2, dtype=dtype), torch.arange(samples) % 3
    return record(Net().to(dtype), functional.cross_entropy, inputs, targets)


def texts(blocks: tuple[Block, ...], kind: type[Prose | Heading | Formula | Callout]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, kind)]


def tables(document: Document) -> list[Table]:
    return [block for block in document.blocks if isinstance(block, Table)]


def test_the_products_of_a_use_stand_in_a_table_that_adds_up() -> None:
    explanation = explain(trace_of(), "first.weight", (1, 0), top=3)
    document = explanation_document(explanation)
    assert document.title == f"∂L/∂first.weight[1, 0] = {explanation.gradient:.8g}"
    table = tables(document)[0]
    assert [column.header for column in table.columns] == ["output y", "∂L/∂y", "local derivative", "product"]
    *shown, rest, total = table.rows
    assert len(shown) == 3
    for _, adjoint, derivative, product in shown:
        assert isinstance(adjoint, float)
        assert isinstance(derivative, float)
        assert product == adjoint * derivative
    assert rest[0] == "7 other products, added up"
    assert total[0] == "sum"
    assert total[3] == pytest.approx(explanation.gradient, rel=1e-13)
    assert texts(document.blocks, Formula)[:2] == ["y = Σₖ x[k]·w[k] + b", "∂y/∂w[k] = x[k]"]


def test_one_product_needs_no_sum() -> None:
    (table,) = tables(explanation_document(explain(trace_of(1), "first.weight", (1, 0))))
    assert len(table.rows) == 1


def test_several_uses_are_added_up_in_a_table() -> None:
    explanation = explain(trace_of(), "second.weight", (0, 0))
    document = explanation_document(explanation)
    headings = texts(document.blocks, Heading)
    assert [heading.startswith("Through linear in second") for heading in headings[:2]] == [True, True]
    assert headings[2:] == ["The sum over its uses", "By sample", "By path"]
    rows = tables(document)[2].rows
    assert [row[0] for row in rows] == [f"linear in second (op {use.op})" for use in explanation.uses] + ["sum"]
    assert rows[-1][1] == explanation.total


def test_the_check_of_the_sum_says_exactly_or_how_much_it_differs() -> None:
    explanation = explain(trace_of(dtype=torch.float32), "second.weight")
    said = next(text for text in texts(explanation_document(explanation).blocks, Prose) if "add up" in text)
    if explanation.difference:
        assert said == (
            f"The products add up to {explanation.total:.8g}; the recorded gradient is {explanation.gradient:.8g}. "
            f"They differ by {explanation.difference:.2g}. That is the rounding of float32."
        )
    exact = explain(trace_of(1), "first.bias", 0)
    assert exact.difference == 0
    assert f"The products add up to the recorded gradient, {exact.gradient:.8g}, exactly." in texts(
        explanation_document(exact).blocks, Prose
    )


def test_samples_are_sorted_and_the_small_ones_added_up() -> None:
    explanation = explain(trace_of(), "first.weight", (1, 0))
    table = next(table for table in tables(explanation_document(explanation)) if table.columns[0].header == "sample")
    *shown, rest = table.rows
    assert len(shown) == 8
    assert rest[0] == "2 other samples, added up"
    sizes = [abs(row[1]) for row in shown if isinstance(row[1], float)]
    assert sizes == sorted(sizes, reverse=True)
    assert math.fsum(row[1] for row in table.rows if isinstance(row[1], float)) == pytest.approx(explanation.gradient)


def test_samples_that_add_exactly_zero_are_counted_and_left_out() -> None:
    shares = tuple(SampleShare(number, value) for number, value in enumerate((0.0, 2.0, 0.0, -3.0)))
    explanation = replace(explain(trace_of(), "first.weight", (1, 0)), by_sample=shares)
    document = explanation_document(explanation)
    (table,) = (table for table in tables(document) if table.columns[0].header == "sample")
    assert table.rows == (("3", -3.0), ("1", 2.0))
    assert any(
        isinstance(block, Prose) and block.text.endswith("2 samples add exactly 0 and are left out.")
        for block in document.blocks
    )


def test_one_path_is_an_equation_and_several_have_a_sum() -> None:
    trace = trace_of(1)
    several = explain(trace, "first.weight", (1, 0), top=30)
    document = explanation_document(several)
    assert texts(document.blocks, Formula)[2:] == [str(path) for path in several.paths]
    assert texts(document.blocks, Prose)[-1] == f"Together: ∂L/∂first.weight[1, 0] = {several.gradient:.8g}."
    few = explain(trace, "first.weight", (1, 0), top=1)
    assert texts(explanation_document(few).blocks, Prose)[-1] == (
        f"All other paths together: {few.other_paths.total:.8g}. "
        f"With them, ∂L/∂first.weight[1, 0] = {few.gradient:.8g}."
    )
    single = record(nn.Linear(1, 1), functional.mse_loss, torch.ones(1, 1), torch.zeros(1, 1))
    formulas = texts(explanation_document(explain(single, "weight")).blocks, Formula)
    assert formulas[-1].startswith("∂L/∂weight[0, 0] = ∂L/∂linear[0, 0] (")


def test_deeper_levels_are_folds_within_folds() -> None:
    def depth(blocks: tuple[Block, ...]) -> int:
        return max((1 + depth(block.blocks) for block in blocks if isinstance(block, Fold)), default=0)

    trace = trace_of(2)
    for levels in (1, 2, 4):
        explanation = explain(trace, "first.weight", (0, 0), depth=levels, top=2)
        assert depth(explanation_document(explanation).blocks) == levels - 1
    document = explanation_document(explain(trace, "first.weight", (0, 0), depth=2, top=2))
    fold = next(block for block in document.blocks if isinstance(block, Fold))
    term = explain(trace, "first.weight", (0, 0), top=2).uses[0].terms[0]
    assert fold.summary == f"∂L/∂{term.output}[{term.index[0]}, {term.index[1]}] = {term.adjoint:.8g}"


def test_what_was_chosen_computed_or_not_reached_is_said() -> None:
    trace = trace_of()
    chosen = explain(trace, "first.weight")
    assert texts(explanation_document(chosen).blocks, Prose)[0] == (
        f"Of all elements of first.weight, {chosen.element} has the largest gradient."
    )
    computed = texts(explanation_document(explain(trace, "input", (0, 1))).blocks, Prose)
    assert (
        computed[1]
        == "It requires no gradient, so autograd did not follow it: its gradient was computed for this answer."
    )
    loss = explanation_document(explain(trace, trace.loss))
    assert texts(loss.blocks, Callout) == ["It is the loss itself: ∂L/∂L = 1."]


@pytest.mark.parametrize("gradient", ["grows", "falls"])
def test_the_first_sentence_says_what_a_gradient_means(gradient: str) -> None:
    sign = 1.0 if gradient == "grows" else -1.0
    trace = record(nn.Linear(1, 1, bias=False), torch.sum, torch.full((1, 1), 2 * sign))
    explanation = explain(trace, "weight")
    assert texts(explanation_document(explanation).blocks, Prose)[0] == (
        f"weight[0, 0] is {explanation.number:.8g}. When it grows by a small ε, the loss L {gradient} by about 2·ε."
    )


def test_half_precision_says_how_many_digits_there_are() -> None:
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trace = record(nn.Linear(3, 2), functional.mse_loss, torch.randn(5, 3), torch.zeros(5, 2))
    explanation = explain(trace, "weight")
    assert explanation.difference != 0
    assert any(
        text.endswith("It was computed in bfloat16, which keeps 2 to 3 digits.")
        for text in texts(explanation_document(explanation).blocks, Prose)
    )


def test_the_data_are_the_explanation_with_what_follows_from_it() -> None:
    explanation = explain(trace_of(), "first.weight", (1, 0), depth=2)
    data = json.loads(json.dumps(explanation_dict(explanation)))
    assert data["element"] == "first.weight[1, 0]"
    assert data["gradient"] == explanation.gradient
    assert data["difference"] == explanation.difference
    assert data["uses"][0]["terms"][0]["further"]["value"] == "first.linear"


def test_an_explanation_is_shown_as_a_page_and_in_a_notebook() -> None:
    explanation = explain(trace_of(), "first.weight", (1, 0), depth=2)
    assert explanation.to_document() == explanation_document(explanation)
    assert "∂L/∂first.weight[1, 0]" in page_html(explanation.to_document())
    assert "first.linear" in explanation._repr_html_()
