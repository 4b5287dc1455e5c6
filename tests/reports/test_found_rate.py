import io
import math
from dataclasses import replace

import pytest
from found_rates import found, nothing_found
from rich.console import Console

from chainrule.documents import Callout, Chart, Prose, Table
from chainrule.probes.found_rate import RangePoint
from chainrule.render.charts import picture_svg
from chainrule.render.page import page_html
from chainrule.render.terminal import print_document
from chainrule.reports.found_rate import found_rate_document, rate_chart, tried


def texts(document, kind):
    return [block.text for block in document.blocks if isinstance(block, kind)]


def test_the_answer_stands_first_with_how_sure_it_is_and_where_the_present_rate_lies():
    document = found_rate_document(found())
    assert document.title == "Learning rate for iris, SGD, momentum 0.9"
    assert texts(document, Callout) == ["Suggested learning rate: 0.4. Good rates go from 0.2 to 0.8."]
    assert texts(document, Prose)[:2] == [
        "Fairly sure: both seeds agree.",
        "The optimizer's own rate, 0.01, is among the too slow ones.",
    ]
    (regions,) = [block for block in document.blocks if isinstance(block, Table)]
    assert regions.rows[1] == ("good", 0.2, 0.8, "runs end within 5 % of the best")


@pytest.mark.parametrize(
    ("present", "words"),
    [(0.5, "is among the good ones."), (3.0, "is among the unstable ones."), (0.2, "is among the too slow ones.")],
)
def test_the_present_rate_is_placed(present, words):
    document = found_rate_document(found(present=present))
    assert texts(document, Prose)[1] == f"The optimizer's own rate, {present:g}, {words}"


@pytest.mark.parametrize(("present", "words"), [(0.01, "is below the good ones."), (3.0, "is above the good ones.")])
def test_a_rate_outside_of_all_regions_is_placed_too(present, words):
    document = found_rate_document(found(regions=found().regions[1:2], present=present))
    assert texts(document, Prose)[1] == f"The optimizer's own rate, {present:g}, {words}"


def test_what_was_tried_and_seen_is_said_in_words():
    assert tried(found()) == [
        "The loss at the start is 2, ±0.12 from batch to batch.",
        "2 range tests, 6 updates each at rates that rise from 0.0001 to 10: the loss begins to fall at 0.01 and "
        "leaves at 1.5 (1 to 2).",
        "Stability limit: 0.9 = 2/λ with the largest curvature λ = 2.222222, from 8 Hessian-vector products (relative "
        "residual 0.004). For two batches.",
        "6 short runs of 2 updates at 0.1, 0.5, 1, over 2 seeds; runs of one seed have the same weights and batches; 2 "
        "of them did not end finite and below their start.",
        "Repeated over 2 seeds: the suggestions of single seeds differ by a factor of 1.05.",
        "Cost: 52 gradient evaluations (range test 12, short runs 40), 5.2% of the 1000 of the planned training; 100 "
        "were allowed. Everything is as it was before.",
        "A note.",
    ]


def test_an_exact_limit_is_called_exact():
    limit = found().limit
    assert tried(found(limit=replace(limit, is_exact=True)))[2].startswith("Stability limit: exactly 0.9 = 2/λ")


def test_without_a_suggestion_the_reason_stands_there():
    document = found_rate_document(nothing_found())
    assert texts(document, Callout) == [
        "No learning rate can be suggested.",
        "No rate trains this model.\n  where:    the model\n  evidence: rates = 9\nLook there.",
    ]
    assert rate_chart(nothing_found()) is None
    assert "No rate trains this model." in page_html(document)


def test_the_picture_has_tests_runs_limit_and_suggestion():
    chart = rate_chart(found())
    assert isinstance(chart, Chart)
    assert [series.name for series in chart.series] == [
        "range test, seed 0",
        "range test, seed 1",
        "short runs",
        "suggestion 0.4",
        "good from 0.2",
        "good to 0.8",
        "stability limit 0.9",
    ]
    assert chart.x_scale == "log"
    assert "<svg" in picture_svg(chart)
    # The unstable runs ended at 90, more than eight times the start: they would hide everything else.
    assert max(height for series in chart.series for height in series.y) <= 16


def test_numbers_that_are_not_finite_are_left_out_of_the_picture():
    curve = replace(found().curves[0], points=(RangePoint(0.1, 1.0, 1.0), RangePoint(1.0, math.inf, math.nan)))
    chart = rate_chart(found(curves=(curve,), twins=()))
    assert chart.series[0].x == (0.1,)
    assert rate_chart(found(curves=(replace(curve, points=curve.points[1:]),), twins=())) is None


def test_a_loss_below_zero_is_drawn():
    curve = replace(found().curves[0], points=(RangePoint(0.1, -1.0, -1.0), RangePoint(1.0, -50.0, -50.0)))
    chart = rate_chart(found(curves=(curve,), twins=(), start_loss=-1.0))
    assert chart.series[0].y == (-1.0, -50.0)
    assert chart.y_scale == "linear"


def test_it_is_shown_in_notebooks_and_json_has_no_number_that_is_not_finite():
    assert "Suggested learning rate: 0.4" in found()._repr_html_()
    data = nothing_found().to_dict()
    assert data["spread"] is None
    assert data["findings"][0]["code"] == "no-training"
    assert found().to_dict()["spent"] == 52
    assert repr(found()) == "FoundRate('iris', 0.4, good 0.2 to 0.8)"
    assert repr(nothing_found()) == "FoundRate('iris', no suggestion: no-training)"


def test_ends_of_runs_are_compared_only_where_they_are_of_one_length():
    alike = found(curves=())
    assert rate_chart(alike).caption == "Short runs: where each ended, after 2 updates; lower is better."
    longer = replace(alike.twins[0], losses=(2.0, 1.0, 0.5))
    mixed = replace(alike, twins=(*alike.twins[1:], longer))
    assert rate_chart(mixed).caption == (
        "Short runs: where each ended, after 2 to 3 updates; compare runs of equal length only."
    )


def test_upright_lines_are_not_summarised_under_the_plot():
    one = found(curves=found().curves[:1], twins=())
    screen = Console(file=io.StringIO(), width=100)
    print_document(found_rate_document(one), screen)
    shown = screen.file.getvalue()
    assert "range test: first" in shown
    assert "suggestion 0.4: first" not in shown
    assert "good to 0.8: first" not in shown
