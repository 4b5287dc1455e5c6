"""The document of a sweep: its sentences, its charts, its tables, and the page in a browser."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from chainrule.documents import Block, Callout, Chart, Document, Fold, Prose, Table
from chainrule.render.curves import curves_of, remarks_on
from chainrule.render.page import page_html
from chainrule.render.terminal import print_document
from chainrule.reports.sweep import sweep_document
from chainrule.reports.sweep_charts import CURVES_AT_MOST, curve_charts, end_charts
from chainrule.sweeps import Sweep, sweep

from .test_in_browser import problems_of


@pytest.fixture(scope="module")
def uneven() -> Sweep:
    return sweep("two-two-two", {"lr": "log:1e-2:1e4:40"}, steps=200, engine="lanes")


@pytest.fixture(scope="module")
def lost() -> Sweep:
    task = {
        "name": "line",
        "data": {"inputs": [[1.0], [2.0], [3.0]], "targets": [[1.0], [2.0], [3.5]]},
        "model": {"layers": [1]},
        "loss": "MSELoss",
        "optimizer": {"name": "SGD", "lr": 0.01},
        "run": {"precision": "float64", "device": "cpu"},
    }
    return sweep(task, {"momentum": [0.0, 0.5], "lr": [1e-7, 1e-2, 1e-1, 1.0, 1e3]}, steps=300, engine="vmap")


def texts(blocks: tuple[Block, ...]) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Prose | Callout)]


def test_saturation_is_said_in_words_and_divergence_is_not(uneven: Sweep) -> None:
    said = texts(sweep_document(uneven).blocks)
    assert said[0] == "40 runs, 200 updates each: 28 converging, 12 saturated."
    assert said[1] == "Best: lr 70.17: the loss ends at 3.796e-06."
    assert said[2].startswith("Recommended: lr 49.24, a factor 3.")
    assert "Edge of divergence not reached: no lr up to 10000 diverges." in said
    assert any(
        text.startswith("Saturation begins: lr 15") and text.endswith("(8 more runs narrowed it down).")
        for text in said
    )
    assert "The loss never rises, at any lr up to 10000." in said


def test_every_combination_has_its_edge(lost: Sweep) -> None:
    document = sweep_document(lost)
    said = texts(document.blocks)
    for momentum in ("0", "0.5"):
        edges = [text for text in said if text.startswith(f"With momentum {momentum}: Edge of divergence: lr ")]
        assert len(edges) == 1
    assert [block.key for block in document.blocks if isinstance(block, Chart)] == ["losses-1", "losses-2", "ends"]
    phases = {verdict.phase for verdict in lost.verdicts if verdict is not None}
    assert phases == {"too slow", "converging", "diverging"}


def test_curves_that_grow_leave_the_picture_and_the_caption_says_so(lost: Sweep) -> None:
    chart = curve_charts(lost)[0]
    start = float(lost.curves[0, 0])
    assert max(value for series in chart.series for value in series.y) <= 100 * start * 1.001
    assert "A curve ends where its loss is above" in chart.caption
    assert [series.name for series in chart.series] == ["lr 1e-07", "lr 0.01", "lr 0.1", "lr 1", "lr 1000"]
    assert chart.colours is None


def test_forty_curves_are_coloured_by_value(uneven: Sweep) -> None:
    (chart,) = curve_charts(uneven)
    assert chart.colours is not None
    assert (chart.colours.label, chart.colours.scale) == ("lr", "log")
    assert list(chart.colours.values) == sorted(point["lr"] for point in uneven.points)
    assert chart.y_scale == "log"
    for series, values in zip(chart.series, uneven.curves, strict=True):
        assert list(series.y) == values.tolist()


def test_long_curves_are_thinned_and_keep_their_extremes() -> None:
    found = sweep("two-two-two", {"lr": [1, 2]}, steps=5000, engine="lanes", narrows=False)
    (chart,) = curve_charts(found)
    for series, values in zip(chart.series, found.curves, strict=True):
        assert len(series.y) < 1000
        assert (max(series.y), min(series.y)) == (values.max(), values.min())
        assert (series.x[0], series.x[-1]) == (0.0, 4999.0)
        assert [values[int(step)] for step in series.x] == list(series.y)


def test_of_many_runs_some_are_drawn_and_all_are_in_the_table() -> None:
    found = sweep("two-two-two", {"lr": "log:.1:10:100"}, steps=3, engine="lanes", narrows=False)
    (chart,) = curve_charts(found)
    assert len(chart.series) == CURVES_AT_MOST
    assert chart.caption == "60 of 100 runs, evenly apart."
    tables = [block for block in sweep_document(found).blocks if isinstance(block, Table)]
    assert len(tables[0].rows) == 100


def test_where_each_value_ends_is_marked_by_phase(uneven: Sweep) -> None:
    (chart,) = end_charts(uneven)
    assert [(series.name, len(series.x), series.style) for series in chart.series] == [
        ("converging", 28, "points"),
        ("saturated", 12, "points"),
    ]
    assert np.allclose(chart.series[1].y, 1e-4, rtol=0.02)


def test_ends_far_above_the_start_are_left_out_and_it_is_said_once_why(lost: Sweep) -> None:
    (chart,) = end_charts(lost)
    ends = [verdict.evidence.end if verdict.evidence.lost_at is None else np.inf
            for verdict in lost.verdicts if verdict is not None]  # fmt: skip
    ceiling = 100 * lost.curves[:, 0].max()
    drawn = sorted(y for series in chart.series for y in series.y)
    assert drawn == sorted(end for end in ends if end <= ceiling)
    left_out = len(ends) - len(drawn)
    assert left_out > 1
    assert chart.caption == (
        "Mean over the last tenth of the updates. "
        f"{left_out} runs are left out, as the loss ends above {ceiling:.3g} or is not finite."
    )
    assert remarks_on(curves_of(chart)) == ()
    assert {series.style for series in chart.series} == {"line"}


def test_nothing_is_said_to_be_left_out_where_nothing_is(uneven: Sweep) -> None:
    (chart,) = end_charts(uneven)
    assert chart.caption == "Mean over the last tenth of the updates."


def test_lines_with_a_run_left_out_between_two_others_are_drawn_as_points(lost: Sweep) -> None:
    verdicts = list(lost.verdicts)
    (chart,) = end_charts(lost)
    middle = chart.series[0].x[1]
    run = next(run for run, point in enumerate(lost.points) if point["lr"] == middle)
    verdict = verdicts[run]
    assert verdict is not None
    verdicts[run] = replace(verdict, evidence=replace(verdict.evidence, end=1e177))
    (chart,) = end_charts(replace(lost, verdicts=tuple(verdicts)))
    assert {series.style for series in chart.series} == {"points"}
    assert middle not in chart.series[0].x


def test_batches_that_differ_are_averaged_over_an_epoch() -> None:
    found = sweep("iris", {"lr": [0.001, 0.01]}, steps=160, engine="loop", narrows=False)
    (chart,) = curve_charts(found)
    assert "Means over 8 updates: the batches of one update differ." in chart.caption
    assert len(chart.series[0].x) == 20
    assert chart.series[0].x[:2] == (3.5, 11.5)
    assert chart.series[0].y[0] == pytest.approx(found.curves[0, :8].mean())
    assert not any(text.startswith("The smallest lr at which") for text in texts(sweep_document(found).blocks))
    file = io.StringIO()
    print_document(sweep_document(found), Console(file=file, width=80))
    assert "Columns " not in file.getvalue()


def test_the_terminal_says_it_within_its_width(uneven: Sweep) -> None:
    file = io.StringIO()
    print_document(sweep_document(uneven), Console(file=file, width=80))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "▸ Why each run is judged so" in lines
    assert any("1e+04   saturated" in line for line in lines)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("These tests need the system's Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_nothing_complains(browser: Browser, tmp_path: Path, uneven: Sweep, width: int) -> None:
    page, problems = problems_of(browser, page_html(sweep_document(uneven)), width, tmp_path)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".picture img").count() == 2
    assert page.locator(".picture img").evaluate_all("images => images.every(image => image.naturalWidth > 100)")
    assert page.locator("script").count() == 0
    page.context.close()


def test_reasons_and_phases_are_behind_folds(uneven: Sweep) -> None:
    document: Document = sweep_document(uneven)
    folds = {block.summary: block for block in document.blocks if isinstance(block, Fold)}
    assert list(folds) == ["Why each run is judged so", "What the phases mean"]
    (reasons,) = folds["Why each run is judged so"].blocks
    assert isinstance(reasons, Table)
    assert [row[1] for row in reasons.rows] == [verdict.phase for verdict in uneven.verdicts if verdict is not None]
