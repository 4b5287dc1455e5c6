"""Rows of the table of every step, recomputed."""

from collections.abc import Callable

import pytest
import torch

from chainrule.documents import Document, Fold, Heading, Prose, Table
from chainrule.reports.run_report import run_document
from chainrule.tasks import load_task
from chainrule.training import Run, train

ReportOf = Callable[[str], Document]


def table_of(document: Document) -> Table:
    place = document.blocks.index(Heading("Every step"))
    fold = document.blocks[place + 2]
    assert isinstance(fold, Fold)
    (table,) = fold.blocks
    assert isinstance(table, Table)
    return table


def columns_of(table: Table) -> dict[str, list[float]]:
    return {
        column.header: [float(row[place]) if row[place] is not None else float("nan") for row in table.rows]
        for place, column in enumerate(table.columns)
    }


def test_columns_of_the_worked_example_stand_in_the_order_of_the_steps(report_of: ReportOf) -> None:
    table = table_of(report_of("two-two-two"))
    weights = [f"w{number}" for number in range(1, 9)]
    units = ["h1", "h2", "a_h1", "a_h2", "o1", "o2", "a_o1", "a_o2"]
    gradients = [f"∂E/∂{name}" for name in weights]
    changes = [f"Δ{name}" for name in weights]
    assert [column.header for column in table.columns] == ["step", "loss", *weights, *units, *gradients, *changes]
    assert [row[0] for row in table.rows] == list(range(100))


@pytest.mark.parametrize("name", ["two-two-two", "two-two-two-even"])
def test_every_row_can_be_recomputed(report_of: ReportOf, run_of: Callable[[str], Run], name: str) -> None:
    columns = columns_of(table_of(report_of(name)))
    run = run_of(name)
    (inputs,), (targets,) = run.state.batches.inputs.tolist(), run.state.batches.targets.tolist()
    rate = run.state.learning_rate
    for row in range(len(columns["step"])):
        weights = torch.tensor([columns[f"w{n}"][row] for n in range(1, 9)], dtype=torch.float64, requires_grad=True)
        hidden = torch.sigmoid(weights[:4].reshape(2, 2) @ torch.tensor(inputs, dtype=torch.float64))
        output = torch.sigmoid(weights[4:].reshape(2, 2) @ hidden)
        error = 0.5 * (torch.tensor(targets, dtype=torch.float64) - output).square().sum()
        (slopes,) = torch.autograd.grad(error, weights)
        assert columns["loss"][row] == pytest.approx(error.item(), rel=1e-13)
        assert [columns["a_h1"][row], columns["a_h2"][row]] == pytest.approx(hidden.tolist(), rel=1e-14)
        assert [columns["a_o1"][row], columns["a_o2"][row]] == pytest.approx(output.tolist(), rel=1e-14)
        for number in range(8):
            name_of = f"w{number + 1}"
            assert columns[f"∂E/∂{name_of}"][row] == pytest.approx(slopes[number].item(), rel=1e-11, abs=1e-16)
            assert columns[f"Δ{name_of}"][row] == pytest.approx(-rate * slopes[number].item(), rel=1e-9, abs=1e-15)
            if row + 1 < len(columns["step"]):
                moved = columns[name_of][row] + columns[f"Δ{name_of}"][row]
                assert columns[name_of][row + 1] == pytest.approx(moved, rel=1e-15, abs=1e-16)


def test_a_long_run_lists_some_steps_and_says_so() -> None:
    run = train(load_task("two-two-two", {"stop.epochs": 1300}))
    document = run_document(run)
    table = table_of(document)
    steps = [row[0] for row in table.rows]
    note = document.blocks[document.blocks.index(Heading("Every step")) + 1]
    assert len(steps) <= 200
    assert steps[0] == 0
    assert isinstance(note, Prose)
    assert note.text.endswith(f"{len(steps)} of 1300 updates are listed.")
    assert len(set(steps)) == len(steps)


def test_a_network_of_many_weights_has_no_such_table(report_of: ReportOf) -> None:
    assert Heading("Every step") not in report_of("penalised").blocks


def test_the_table_leaves_the_model_as_it_was(run_of: Callable[[str], Run]) -> None:
    run = run_of("two-two-two-biased")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run_document(run)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
