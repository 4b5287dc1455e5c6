import base64
from dataclasses import replace

import numpy as np
import pytest

from chainrule.documents import Callout, Document, Prose, Raster, Table
from chainrule.reports.map_colours import FAILED, HIGHEST, LOWEST, MISSING, colour_map, ranks
from chainrule.reports.map_report import axis_label, map_document, raster_of
from chainrule.sweeps import Map, MapPlan, parse_axis
from chainrule.tasks import load_task

SIDE = 80


def a_map(measure: np.ndarray, name: str = "convergence", **changes: object) -> Map:
    """Return a map with these numbers; its convergence is the measure where that has a sign."""
    rows, columns = measure.shape
    plan = MapPlan(parse_axis("lr.0", f"log:1e-2:1e2:{columns}"), parse_axis("lr.1", f"log:1e-2:1e2:{rows}"), {}, name)
    known = ~np.isnan(measure)
    signed = name in ("convergence", "final_loss", "test_accuracy")
    convergence = measure if name == "convergence" else np.where(measure < 1, -1.0, 1.0) if signed else None
    found = Map(
        task=load_task("xor"),
        plan=plan,
        steps=30,
        measure=measure,
        convergence=convergence,
        final_loss=np.abs(measure),
        diverged=np.zeros(measure.shape, bool),
        steps_run=np.full(measure.shape, 30),
        is_done=known,
        metric_name="accuracy" if name == "test_accuracy" else "",
        engine="lanes",
        why="It was asked for.",
        notes=("A note.",),
        seconds=1.25,
    )
    return replace(found, **changes)  # type: ignore[arg-type]  # of several kinds


def half_converged() -> np.ndarray:
    """Runs converge where the product of both rates is below 1: the faster, the larger the rates."""
    logs = np.linspace(-2, 2, SIDE)
    products = logs[:, None] + logs[None, :]
    return np.where(products < 0, -20 + products, 30 - products)


def texts(document: Document) -> list[str]:
    return [block.text for block in document.blocks if isinstance(block, Prose | Callout)]


# Colours


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_the_published_stretching(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=50) ** 3
    # cdf_img of the source, for numbers of one sign, moved from [0.25, 1] to [0, 1]
    stretched = (np.interp(values, np.sort(values), np.linspace(0.25, 1, 50)) - 0.25) / 0.75
    np.testing.assert_allclose(ranks(values), stretched, atol=1e-12)


def test_equal_numbers_share_a_rank() -> None:
    np.testing.assert_array_equal(ranks(np.array([3.0, 1.0, 3.0, 9.0, 3.0])), [0.5, 0.0, 0.5, 1.0, 0.5])
    np.testing.assert_array_equal(ranks(np.array([2.0])), [0.0])


def test_each_sign_has_its_half_of_the_bar_and_slow_runs_its_outer_end() -> None:
    measure = np.array([[-30.0, -20.0, -1.0], [0.5, 10.0, np.nan]])
    shades = colour_map(a_map(measure)).shades
    assert shades.tolist() == [[2, 65, 128], [129, 255, MISSING]]


def test_any_growing_change_of_the_measure_leaves_the_colours() -> None:
    measure = half_converged()
    squared = np.sign(measure) * measure**2
    np.testing.assert_array_equal(colour_map(a_map(measure)).shades, colour_map(a_map(squared)).shades)


def test_losses_are_coloured_by_their_logarithm_and_failures_apart() -> None:
    measure = np.array([[1e-4, 1e-2, 0.9], [5.0, np.nan, 1e-3]])
    colouring = colour_map(a_map(measure, "final_loss"))
    assert colouring.shades[0, 0] == LOWEST
    assert colouring.shades[0, 2] == HIGHEST
    share = (np.log10(1e-2) + 4) / (np.log10(0.9) + 4)
    assert colouring.shades[0, 1] == LOWEST + round(share * (HIGHEST - LOWEST))
    assert (colouring.shades[1, 0], colouring.shades[1, 1]) == (FAILED, MISSING)
    assert (colouring.bar.failed, colouring.bar.missing) == ("diverged", "not run")
    assert [text for _, text in colouring.bar.ticks] == ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]


def test_a_loss_of_zero_has_the_lowest_colour() -> None:
    shades = colour_map(a_map(np.array([[0.0, 1e-3], [0.5, 0.1]]), "final_loss")).shades
    assert shades[0, 0] == LOWEST
    assert shades[1, 0] == HIGHEST


def test_a_map_of_one_colour_has_one() -> None:
    for name in ("final_loss", "lowest_loss", "steps_to:0.1", "test_accuracy"):
        colouring = colour_map(a_map(np.full((2, 2), 0.5), name))
        assert set(colouring.shades.ravel().tolist()) == {LOWEST}
        assert len(colouring.bar.ticks) == 1


def test_targets_that_are_not_reached_have_a_colour_of_their_own() -> None:
    colouring = colour_map(a_map(np.array([[3.0, 30.0], [10.0, 30.0]]), "steps_to:0.1"))
    assert (colouring.shades == FAILED).tolist() == [[False, True], [False, True]]
    assert colouring.bar.failed == "target not reached"


# The document


def test_a_map_in_sentences() -> None:
    document = map_document(a_map(half_converged()))
    said = texts(document)
    assert document.title == "Map of xor over lr.0 and lr.1"
    count = int((half_converged() < 0).sum())
    assert said[0] == f"80 by 80 runs of 30 updates each. {count:,} runs converged ({count / 6400:.1%})."
    (best,) = [text for text in said if text.startswith("Best: ")]
    assert best.startswith("Best: lr.0 ")
    assert "measure -40" not in best
    (chosen,) = [text for text in said if text.startswith("Recommended: ")]
    assert chosen.endswith("No run within a factor 3 of it fails; other data or another seed move the border.")
    assert any(text.startswith("Along lr.0 79 lines of pixels cross the border, once on average") for text in said)
    (table,) = [block for block in document.blocks if isinstance(block, Table)]
    assert [row[0] for row in table.rows] == ["this border", "a straight line", "the border of a quadratic", "noise"]
    assert "At 80 pixels a side the estimator cannot tell a rough border from a smooth one" in " ".join(said)
    assert said[-2:] == ["Engine: lanes, 1.2 s. It was asked for.", "A note."]


def test_distances_are_those_of_the_next_failing_run() -> None:
    found = a_map(half_converged())
    best = found.landscape().best
    assert best is not None
    assert best.beyond[0] is not None
    text = " ".join(texts(map_document(found)))
    assert f"Along lr.0 the first run that fails is a factor {best.beyond[0]:.3g} above it." in text


def test_a_map_where_nothing_succeeds_or_nothing_fails() -> None:
    nothing = texts(map_document(a_map(np.ones((4, 4)))))
    assert "No run of this map succeeds. Try another window." in nothing
    everything = texts(map_document(a_map(-np.arange(1.0, 17.0).reshape(4, 4))))
    assert "It is also what is recommended: no run within a factor 3 of it fails." in everything
    assert "Along lr.0 no run fails, from 0.01 to 100. Along lr.1 no run fails, from 0.01 to 100." in everything
    assert "No line along lr.0 crosses a border." in everything


def test_a_map_that_was_interrupted_says_so() -> None:
    measure = half_converged()
    measure[40:] = np.nan
    said = texts(map_document(a_map(measure)))
    assert said[0].startswith("3,200 of 80 by 80 runs of 30 updates each. ")
    assert said[1] == "The map was interrupted: what follows is about the runs that were done."
    assert "No line along lr.0 crosses a border in what was run." not in said
    assert "A box-counting dimension of the border needs every run of the map." in said
    none = texts(map_document(a_map(np.full((4, 4), np.nan))))
    assert none[0] == "No run of 4 by 4 was done."


def test_two_rows_of_a_map_say_nothing_of_the_others() -> None:
    measure = np.full((SIDE, SIDE), np.nan)
    measure[:2] = -np.arange(2.0 * SIDE).reshape(2, SIDE) - 1
    said = texts(map_document(a_map(measure)))
    second = parse_axis("lr.1", f"log:1e-2:1e2:{SIDE}").values[1]
    assert (
        "Along lr.0 no run fails, from 0.01 to 100. "
        f"Along lr.1 no run fails, from 0.01 to {second:.4g}: only these were made of 0.01 to 100."
    ) in said
    assert (
        "What is recommended is not known yet: of no run that succeeds and keeps its distance to those that fail were "
        "all runs within a factor 3 made."
    ) in said
    assert not any("also what is recommended" in text or text.startswith("Recommended") for text in said)
    assert "No line along lr.1 crosses a border in what was run." in said
    measure[1] = np.nan
    assert "Along lr.1 no run beside it was made." in " ".join(texts(map_document(a_map(measure))))
    assert "No run that was made succeeds." in texts(map_document(a_map(np.abs(measure))))


def test_the_picture_carries_the_numbers_of_each_run() -> None:
    found = a_map(half_converged())
    raster = raster_of(found, found.landscape(), "chainrule map xor --zoom {x} {y} {factor}")
    assert [fact.label for fact in raster.facts] == ["state", "convergence measure", "final loss"]
    numbers = np.frombuffer(base64.b64decode(raster.facts[1].packed), "<f4").reshape(SIDE, SIDE)
    np.testing.assert_allclose(numbers, found.measure, rtol=1e-6)
    states = np.frombuffer(base64.b64decode(raster.facts[0].packed), np.uint8).reshape(SIDE, SIDE)
    np.testing.assert_array_equal(states == 1, found.measure < 0)
    best, chosen = found.landscape().best, found.landscape().recommended
    assert best is not None
    assert chosen is not None
    assert {(mark.label, mark.row, mark.column) for mark in raster.marks} == {
        ("best", best.row, best.column),
        ("recommended", chosen.row, chosen.column),
    }
    assert (raster.x.scale, raster.x.label) == ("log", "lr.0: learning rate of weight layer 0")


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("lr", "lr: learning rate"),
        ("lr.2", "lr.2: learning rate of weight layer 2"),
        ("init.scale", "init.scale: factor of the initial weights"),
        ("init.offset.1", "init.offset.1: offset of the initial weights of layer 1"),
        ("momentum", "momentum"),
        ("buffer.step_offset", "buffer.step_offset: a buffer of the model"),
    ],
)
def test_labels_of_axes(key: str, label: str) -> None:
    assert axis_label(key) == label


def test_a_map_shows_itself() -> None:
    found = a_map(half_converged())
    assert any(isinstance(block, Raster) for block in found.to_document().blocks)
    assert "<script" not in found._repr_html_()
