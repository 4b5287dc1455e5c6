from collections.abc import Callable
from typing import Any

import pytest

from chainrule.documents import Table
from chainrule.reports.run_lines import NEXT, closing_blocks, opening_rows, resume_hint
from chainrule.tasks import load_task
from chainrule.training import Run, train

FACTS = {
    "two-two-two": {
        "data": "given in the task: 1 training sample, 2 inputs, 2 targets",
        "model": "Linear(2, 2, no bias) → Sigmoid → Linear(2, 2, no bias) → Sigmoid, 8 parameters",
        "loss": "HalfSumOfSquares: E = ½ Σ (t − a)², the sum over samples and outputs",
        "optimizer": "SGD, learning rate 0.5",
        "batch": "all samples, 1 update an epoch",
    },
    "two-two-two-biased": {"model": "Linear(2, 2) → Sigmoid → Linear(2, 2) → Sigmoid, 8 parameters, 4 held fixed"},
    "penalised": {
        "data": "iris: 90 training, 30 validation, 30 test samples, 4 inputs, 3 classes",
        "batch": "16 samples, 6 updates an epoch",
        "penalty": "L1 on hidden2_activation: 0.001 · Σ |a| / batch (per sample, as Keras)",
    },
    "diabetes": {"data": "diabetes: 288 training, 66 validation, 88 test samples, 10 inputs, target progression"},
}


@pytest.mark.parametrize("name", FACTS)
def test_facts_of_a_run(run_of: Callable[[str], Run], name: str) -> None:
    facts = dict(opening_rows(run_of(name).state))
    assert FACTS[name] == {key: facts[key] for key in FACTS[name]}


def test_one_of_each_is_said_in_the_singular() -> None:
    task: dict[str, Any] = {
        "name": "one",
        "data": {"inputs": [[1.0]], "targets": [[2.0]]},
        "model": {"layers": [1], "bias": False},
        "loss": {"name": "MSELoss"},
        "optimizer": {"name": "SGD", "lr": 0.1},
        "stop": {"epochs": 1},
    }
    run = train(load_task(task))
    facts = dict(opening_rows(run.state))
    assert facts["data"].startswith("given in the task: 1 training sample, 1 input, target ")
    assert facts["model"] == "Linear(1, 1, no bias), 1 parameter"
    assert facts["batch"] == "all samples, 1 update an epoch"
    (first, *_) = closing_blocks(run, "")
    assert str(getattr(first, "text", "")).startswith("Stopped after 1 update: ")


def test_the_learning_rate_is_that_of_the_beginning() -> None:
    changes: dict[str, Any] = {"stop.epochs": 2, "schedule": {"name": "CosineAnnealingLR", "T_max": 2}}
    run = train(load_task("iris", changes))
    assert run.state.learning_rate < 1e-9
    assert dict(opening_rows(run.state))["optimizer"] == "Adam, learning rate 0.01 at first"


def test_the_end_says_result_check_and_where_the_report_is(run_of: Callable[[str], Run]) -> None:
    run = run_of("penalised")
    said, table, check, report = closing_blocks(run, "run/report.html")
    assert getattr(said, "text", "").startswith("Stopped after 36 updates: all 6 epochs are done. ")
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["train", "validation", "test"]
    assert getattr(check, "text", "") == f"Check: {run.check}."
    assert getattr(report, "text", "") == "Report: run/report.html"
    assert getattr(closing_blocks(run, "x", is_first_try=True)[-1], "text", "") == NEXT


def test_how_an_interrupted_run_goes_on(run_of: Callable[[str], Run]) -> None:
    hint = resume_hint(run_of("two-two-two").task, "runs/1")
    assert hint == "Interrupted. To go on with two-two-two: chainrule train --resume runs/1"
