"""The report of a run: what is in it, in which order, and that its numbers are those of the run."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chainrule.documents import Block, Callout, Chart, Document, Fold, Formula, Heading, Matrix, Prose, Table
from chainrule.reports.run_report import run_document
from chainrule.tasks import load_task, task_toml
from chainrule.training import Run, train

from .conftest import blocks_in

RunOf = Callable[[str], Run]
ReportOf = Callable[[str], Document]
NAMES = ["two-two-two", "two-hidden", "penalised", "diabetes"]


def refuse(token: str) -> float:
    raise ValueError(token)


def chart(document: Document, key: str) -> Chart:
    (found,) = [block for block in blocks_in(document.blocks) if isinstance(block, Chart) and block.key == key]
    return found


def proses(document: Document) -> list[str]:
    return [block.text for block in document.blocks if isinstance(block, Prose)]


def keys(blocks: tuple[Block, ...]) -> list[str]:
    return [block.key for block in blocks_in(blocks) if isinstance(block, Chart | Matrix)]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_saves_as_json(report_of: ReportOf, name: str) -> None:
    document = report_of(name)
    assert json.loads(document.to_json(), parse_constant=refuse) == json.loads(json.dumps(document.to_dict()))


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_has_a_key_of_its_own(report_of: ReportOf, name: str) -> None:
    found = keys(report_of(name).blocks)
    assert len(set(found)) == len(found)


def test_sections_stand_in_the_order_in_which_they_are_read(report_of: ReportOf) -> None:
    def headings(name: str) -> list[str]:
        blocks = report_of(name).blocks
        return [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]

    assert headings("two-two-two") == [
        "The network", "The first update, step by step", "Curves", "Predictions", "Layer by layer", "Every step",
        "Data", "Task",
    ]  # fmt: skip
    assert headings("penalised") == [
        "The network", "Curves", "Predictions", "Layer by layer", "Penalties on activations", "Data", "Task",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_curves_are_those_of_the_history(run_of: RunOf, report_of: ReportOf, name: str) -> None:
    run, document = run_of(name), report_of(name)
    (loss, *_) = chart(document, "loss").series
    assert loss.x == tuple(float(step) for step in run.history["loss"].steps)
    assert loss.y == run.history["loss"].values
    norms = {series.name: series.y for series in chart(document, "gradient-norm").series}
    assert norms == {path: run.history[f"gradient_norm/{path}"].values for path in norms}
    assert set(norms) == {path for path, parameter in run.model.named_parameters() if parameter.requires_grad}


def test_a_rate_that_stays_the_same_is_a_sentence_and_one_that_moves_a_chart(report_of: ReportOf) -> None:
    assert "The learning rate is 0.5 in every update." in proses(report_of("two-two-two"))
    assert "learning-rate" not in keys(report_of("two-two-two").blocks)
    moving = run_document(
        train(load_task("iris", {"stop.epochs": 4, "schedule": "CosineAnnealingLR", "schedule.T_max": 4}))
    )
    assert len(set(chart(moving, "learning-rate").series[0].y)) > 1
    assert not [text for text in proses(moving) if text.startswith("The learning rate")]


def test_statistics_that_are_0_throughout_are_a_sentence(report_of: ReportOf) -> None:
    document = report_of("two-two-two")
    assert "zeros" not in keys(document.blocks)
    assert "Activations: share of zeros: always 0 in hidden1_activation, output_activation." in proses(document)
    relu = chart(report_of("penalised"), "zeros")
    assert [series.name for series in relu.series] == ["hidden1_activation"]
    assert "Activations: share of zeros: always 0 in hidden2_activation." in proses(report_of("penalised"))


@pytest.mark.parametrize(("name", "metric"), [("penalised", "accuracy"), ("diabetes", "R²")])
def test_the_metric_bears_its_own_name(run_of: RunOf, report_of: ReportOf, name: str, metric: str) -> None:
    drawn = chart(report_of(name), "metric")
    assert (drawn.y_label, drawn.title.lower()) == (metric, metric.lower())
    table = next(block for block in report_of(name).blocks if isinstance(block, Table))
    assert [column.header for column in table.columns] == ["part", "samples", "loss", metric]
    for part, samples, loss, value in table.rows:
        evaluation = run_of(name).evaluations[str(part)]
        assert (samples, loss, value) == (len(evaluation.predictions), evaluation.loss, evaluation.metric)


def test_shares_and_pulls_of_penalties(run_of: RunOf, report_of: ReportOf) -> None:
    history, document = run_of("penalised").history, report_of("penalised")
    labels = ("L2 on type:ReLU", "L1 on hidden2_activation")
    shares = {series.name: series for series in chart(document, "penalty-share").series}
    assert tuple(shares) == labels
    data = history["data_loss"]
    for place, step in enumerate(data.steps):
        parts = [history[f"penalty/{label}"].values[place] for label in labels]
        total = data.values[place] + sum(parts)
        recorded = history["loss"].values[history["loss"].steps.index(step)]
        assert total == pytest.approx(recorded, rel=1e-6)
        for label, part in zip(labels, parts, strict=True):
            assert shares[label].y[place] == pytest.approx(part / total, rel=1e-12)
            assert 0 < shares[label].y[place] < 1
    pulls = {series.name: series.y for series in chart(document, "penalty-pull").series}
    assert set(pulls) == {"hidden1.weight", "hidden1.bias", "hidden2.weight", "hidden2.bias"}
    assert pulls == {path: history[f"penalty_gradient_ratio/{path}"].values for path in pulls}
    assert "The penalties do not pull on output.weight, output.bias." in proses(document)


def test_the_confusion_matrix_counts_the_test_part(run_of: RunOf, report_of: ReportOf) -> None:
    run = run_of("penalised")
    (matrix,) = [block for block in report_of("penalised").blocks if isinstance(block, Matrix)]
    assert run.data.test is not None
    assert [sum(row) for row in matrix.values] == [
        float((run.data.test.targets == number).sum()) for number in range(3)
    ]
    right = sum(matrix.values[number][number] for number in range(3))
    assert right / len(run.data.test) == pytest.approx(run.evaluations["test"].metric)
    assert matrix.row_names == matrix.column_names == run.data.class_names


def test_predictions_of_numbers_are_in_the_units_of_the_data(run_of: RunOf, report_of: ReportOf) -> None:
    run = run_of("diabetes")
    points, line = chart(report_of("diabetes"), "predicted").series
    assert (points.name, line.name) == ("progression", "predicted = true")
    assert run.data.test is not None
    assert len(points.x) == len(run.data.test)
    assert min(points.x) >= 25
    assert max(points.x) <= 346  # the range of the set, as its source states it
    mean = sum(points.x) / len(points.x)
    residual = sum((true - said) ** 2 for true, said in zip(points.x, points.y, strict=True))
    spread = sum((true - mean) ** 2 for true in points.x)
    assert 1 - residual / spread == pytest.approx(run.evaluations["test"].metric, rel=1e-5)


def test_the_task_is_there_letter_by_letter(run_of: RunOf, report_of: ReportOf) -> None:
    fold = report_of("penalised").blocks[-1]
    assert fold == Fold("The task as it was run (task.toml)", (Formula(task_toml(run_of("penalised").task)),))


def test_a_diverged_run_leads_with_what_went_wrong() -> None:
    changes: dict[str, Any] = {"loss": "HalfSumOfSquares", "optimizer": {"name": "SGD", "lr": 1000.0}}
    run = train(load_task("diabetes", changes))
    document = run_document(run)
    callout = document.blocks[2]
    assert isinstance(callout, Callout)
    assert callout.kind == "error"
    assert callout.text == str(run.findings[0])
    table = next(block for block in document.blocks if isinstance(block, Table))
    assert table.columns[3].number_format == ".4g"
