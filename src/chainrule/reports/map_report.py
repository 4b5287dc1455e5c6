"""A map as a document: the picture, what became of the runs, the best of them, and what the border is like."""

import math
from typing import Any, Final

import numpy as np

from chainrule.data.wording import count_of, join_names
from chainrule.documents import (
    Block,
    Callout,
    Column,
    Document,
    Fold,
    Heading,
    Prose,
    Raster,
    RasterAxis,
    RasterFact,
    RasterMark,
    Table,
)
from chainrule.reports.map_colours import colour_map, label_of, packed
from chainrule.reports.sweep_charts import text_of
from chainrule.sweeps import Axis, Map
from chainrule.sweeps.keys import INITIAL, LAYER_RATE
from chainrule.sweeps.landscape import LINEAR_MARGIN, MARGIN, NEAR, SIDE_AT_LEAST, Landscape, Roughness, Spot, reach
from chainrule.sweeps.map_result import STATES

IN_PYTHON: Final = "zoom=({x}, {y}, {factor})"
_CELLS_WITH_FACTS: Final = 2**21
_GOOD_SIDE: Final = 256  # pixels, below which box counting tells little
_UNITS: Final = {"convergence": "converge", "final_loss": "converge", "test_accuracy": "converge"}


def map_document(found: Map, command: str = IN_PYTHON) -> Document:
    """Return what a map shows.

    Args:
        found: the map.
        command: which one draws a part of it closer; {x}, {y} and {factor} stand for the middle and how much closer.
    """
    seen = found.landscape()
    blocks: list[Block] = [
        Prose(_what(found, seen)),
        *_interruption(found),
        raster_of(found, seen, command),
        *_best_blocks(found, seen),
        Heading("The border", 3),
        *(Prose(_rough_sentence(axis, rough, found.was_interrupted)) for axis, rough in _crossed(found, seen)),
        *_dimension_blocks(found, seen),
        Heading("How it was computed", 3),
        Prose(f"Engine: {found.engine}, {found.seconds:.1f} s. {found.why}".strip()),
        *(Prose(note) for note in found.notes),
        Fold("How to read the map", tuple(Prose(text) for text in _reading(found)), folds_on_terminal=True),
    ]
    return Document(title_of(found), tuple(blocks))


def title_of(found: Map) -> str:
    """Return the title of a map."""
    where = f"{found.plan.x.key} and {found.plan.y.key}"
    if found.plan.measure == "convergence":
        return f"Map of {found.task.name} over {where}"
    return f"Map of {found.task.name}: {label_of(found)}, over {where}"


def raster_of(found: Map, seen: Landscape, command: str = IN_PYTHON) -> Raster:
    """Return the picture of a map, with what a page tells of each run."""
    colouring = colour_map(found)
    facts = [RasterFact("state", packed(found.states), _state_names(found))]
    caption = ""
    if len(found) <= _CELLS_WITH_FACTS:
        facts.append(_fact(label_of(found), found.measure))
        if found.plan.measure != "final_loss":
            facts.append(_fact("final loss", found.final_loss))
        if bool((found.steps_run < found.steps).any()):
            facts.append(_fact("updates with a finite loss", np.where(found.is_done, found.steps_run, np.nan)))
    else:
        caption = "The numbers of each run are in the .npz and .parquet files; there are too many for a page."
    marks = []
    if seen.recommended is not None:
        is_best = seen.best is not None and _are_same(seen.best, seen.recommended)
        label = "best and recommended" if is_best else "recommended"
        marks.append(RasterMark(label, seen.recommended.row, seen.recommended.column, "star"))
    if seen.best is not None and not _are_same(seen.best, seen.recommended):
        marks.append(RasterMark("best", seen.best.row, seen.best.column, "ring"))
    return Raster(
        "map",
        title_of(found),
        _side(found.plan.x),
        _side(found.plan.y),
        packed(colouring.shades),
        colouring.bar,
        tuple(facts),
        tuple(marks),
        command if "list" not in (found.plan.x.scale, found.plan.y.scale) else "",
        caption,
    )


def _fact(label: str, values: np.ndarray) -> RasterFact:
    with np.errstate(over="ignore"):  # a loss above 3.4e38 is infinite in float32, which is what is shown
        return RasterFact(label, packed(values.astype(np.float32)))


def _side(axis: Axis) -> RasterAxis:
    if axis.scale == "list":
        places = tuple(float(place) for place in range(len(axis)))
        return RasterAxis(axis.key, axis_label(axis.key), places, "names", tuple(map(text_of, axis.values)))
    return RasterAxis(axis.key, axis_label(axis.key), tuple(float(value) for value in axis.values), axis.scale)


def axis_label(key: str) -> str:
    """Return what stands along an axis: the key, and for short ones what it is."""
    if layer := LAYER_RATE.fullmatch(key):
        return f"{key}: learning rate of weight layer {layer[1]}"
    if change := INITIAL.fullmatch(key):
        what = {"scale": "factor of", "offset": "offset of"}[change[1]]
        return f"{key}: {what} the initial weights" + (f" of layer {change[2]}" if change[2] else "")
    if key.startswith("buffer."):
        return f"{key}: a buffer of the model"
    return {"lr": "lr: learning rate", "optimizer.lr": "lr: learning rate"}.get(key, key)


def _state_names(found: Map) -> tuple[str, ...]:
    if found.convergence is not None:
        return STATES
    if found.plan.measure.startswith("steps_to"):
        return ("not run", "reached the target", "did not reach the target")
    return ("not run", "stayed finite", "diverged")


# Sentences


def _what(found: Map, seen: Landscape) -> str:
    rows, columns = found.measure.shape
    total = f"{columns} by {rows} runs" if seen.done == len(found) else f"{seen.done:,} of {columns} by {rows} runs"
    fixed = f", with {join_names([f'{key} {text_of(value)}' for key, value in found.plan.fixed.items()])}"
    succeed = round(seen.share * seen.done) if seen.done else 0
    return (
        f"{total} of {count_of(found.steps, 'update')} each{fixed if found.plan.fixed else ''}. "
        f"{_success(found, succeed)} ({seen.share:.1%})."
        if seen.done
        else f"No run of {columns} by {rows} was done."
    )


def _success(found: Map, count: int) -> str:
    word = "runs" if count != 1 else "run"
    if found.convergence is not None:
        return f"{count:,} {word} converged"
    if found.plan.measure.startswith("steps_to"):
        return f"{count:,} {word} reached a loss of {found.plan.measure.partition(':')[2]}"
    return f"{count:,} {word} kept a finite loss"


def _interruption(found: Map) -> list[Block]:
    if not found.was_interrupted:
        return []
    return [Callout("warning", "The map was interrupted: what follows is about the runs that were done.")]


def _best_blocks(found: Map, seen: Landscape) -> list[Block]:
    if seen.best is None:
        if not found.was_interrupted:
            return [Callout("error", "No run of this map succeeds. Try another window.")]
        return [Callout("warning", "No run that was made succeeds.")] if seen.done else []
    blocks: list[Block] = [Callout("good", f"Best: {_spot_text(found, seen.best)}.")]
    blocks.append(Prose(_distance_text(found, seen.best)))
    margin = _margin_text(found)
    if seen.recommended is None and seen.may_recommend:
        blocks.append(
            Callout(
                "note",
                "What is recommended is not known yet: of no run that succeeds and keeps its distance to those that "
                f"fail were all runs within {margin} made.",
            )
        )
    elif seen.recommended is None:
        blocks.append(
            Callout("warning", f"No run keeps {margin} to every run that fails: this window is too near the border.")
        )
    elif _are_same(seen.best, seen.recommended):
        blocks.append(Prose(f"It is also what is recommended: no run within {margin} of it fails."))
    else:
        blocks.append(
            Callout(
                "note",
                f"Recommended: {_spot_text(found, seen.recommended)}. No run within {margin} of it fails; "
                "other data or another seed move the border.",
            )
        )
        blocks.append(Prose(_distance_text(found, seen.recommended)))
    return blocks


def _are_same(one: Spot, other: Spot | None) -> bool:
    return other is not None and (one.row, one.column) == (other.row, other.column)


def _spot_text(found: Map, spot: Spot) -> str:
    value = found.measure[spot.row, spot.column]
    final = found.final_loss[spot.row, spot.column]
    where = f"{found.plan.x.key} {text_of(spot.x)}, {found.plan.y.key} {text_of(spot.y)}"
    if found.plan.measure == "convergence":
        return f"{where}: measure {value:.4g}, final loss {final:.4g}"
    also = "" if found.plan.measure == "final_loss" else f", final loss {final:.4g}"
    return f"{where}: {label_of(found)} {value:.4g}{also}"


def _margin_text(found: Map) -> str:
    scales = {axis.scale for axis in (found.plan.x, found.plan.y) if reach(axis)}
    parts = [f"a factor {MARGIN:g}"] if "log" in scales else []
    parts += [f"{LINEAR_MARGIN:.0%} of the axis"] if "linear" in scales else []
    return " or ".join(parts) or "one pixel"


def _distance_text(found: Map, spot: Spot) -> str:
    return " ".join(
        _distance_along(axis, spot.beyond[place], spot.below[place], spot.known[place])
        for place, axis in enumerate((found.plan.x, found.plan.y))
        if axis.scale != "list"
    )


def _distance_along(axis: Axis, beyond: float | None, below: float | None, known: tuple[Any, Any]) -> str:
    def far(distance: float) -> str:
        return f"a factor {distance:.3g}" if axis.scale == "log" else f"{distance:.3g}"

    whole = (axis.values[0], axis.values[-1])
    if beyond is None and below is None:
        if known == whole:
            return f"Along {axis.key} no run fails, from {text_of(whole[0])} to {text_of(whole[1])}."
        if known[0] == known[1]:
            return f"Along {axis.key} no run beside it was made."
        return (
            f"Along {axis.key} no run fails, from {text_of(known[0])} to {text_of(known[1])}: only these were made "
            f"of {text_of(whole[0])} to {text_of(whole[1])}."
        )
    parts = [] if beyond is None else [f"{far(beyond)} above it"]
    parts += [] if below is None else [f"{far(below)} below it"]
    return f"Along {axis.key} the first run that fails is {' and '.join(parts)}."


def _crossed(found: Map, seen: Landscape) -> list[tuple[Axis, Roughness]]:
    return list(zip((found.plan.x, found.plan.y), seen.roughness, strict=True))


def _rough_sentence(axis: Axis, rough: Roughness, was_interrupted: bool) -> str:
    if rough.lines == 0:
        where = " in what was run" if was_interrupted else ""
        return f"No line along {axis.key} crosses a border{where}."
    text = (
        f"Along {axis.key} {count_of(rough.lines, 'line')} of pixels {'cross' if rough.lines > 1 else 'crosses'} the "
        f"border, {_times(rough.crossings)} on average (once is a clean border)"
    )
    if rough.per_decade is None:
        return text + "."
    return f"{text}; within {NEAR:g} decades of the first crossing there are {rough.per_decade:.2f} crossings a decade."


def _times(count: float) -> str:
    return "once" if count == 1 else f"{count:.3g} times"


def _dimension_blocks(found: Map, seen: Landscape) -> list[Block]:
    side = min(found.measure.shape)
    if seen.dimension is None or seen.calibration is None:
        if not 0 < seen.share < 1:
            return []
        if found.was_interrupted:
            return [Prose("A box-counting dimension of the border needs every run of the map.")]
        needed = f"{SIDE_AT_LEAST} pixels a side, and {_GOOD_SIDE} to rely on"
        return [Prose(f"A box-counting dimension of the border needs {needed}.")]
    known = seen.calibration
    rows = (
        ("this border", seen.dimension.value, seen.dimension.fit, None),
        ("a straight line", known.line.value, known.line.fit, 1),
        ("the border of a quadratic", known.quadratic.value, known.quadratic.fit, 1),
        ("noise", known.noise.value, known.noise.fit, 2),
    )
    has_fit = not all(math.isnan(fit) for _, _, fit, _ in rows)
    columns = [Column("edge of"), Column("true", "d"), Column("dimension", ".2f")]
    columns += [Column("line fit", ".2f")] if has_fit else []
    cells = [(name, true, _cell(value), *([_cell(fit)] if has_fit else [])) for name, value, fit, true in rows]
    fit = "; line fit: a straight line through boxes of 2, 4, 8, ... pixels" if has_fit else ""
    estimator = f"the published estimator, the median of local slopes{fit}"
    caption = f"Box-counting dimension at {side} pixels a side. dimension: {estimator}."
    table = Table(tuple(columns), tuple(cells), caption)
    return [table, Prose(_dimension_sentence(side, seen.dimension.value, known.quadratic.value))]


def _cell(value: float) -> float | None:
    return None if math.isnan(value) else value


def _dimension_sentence(side: int, value: float, smooth: float) -> str:
    if math.isnan(value):
        return "The border has too few pixels for a dimension."
    if side < _GOOD_SIDE:
        can = f"At {side} pixels a side the estimator cannot tell a rough border from a smooth one with any certainty"
    elif value <= smooth + 0.1:
        can = "It is no rougher than that of a smooth border counted in the same way"
    else:
        can = f"It is {value - smooth:.2f} above that of a smooth border counted in the same way"
    return f"{can}. The dimension belongs to this window: elsewhere on the same border it can be another."


def _reading(found: Map) -> list[str]:
    texts = {
        "convergence": (
            "A pixel is one complete training. With v the losses over the first loss, cut off at a million, a run "
            "converges when the mean of its last 20 v is below 1; its measure is then −Σ v. Else it diverges, and its "
            "measure is Σ 1/v. So the sign says which side a run is on, and the size how slow it is. Each side's "
            "colours are spread evenly over its runs, by rank: slow runs, near the border, have the strongest colours."
        ),
        "final_loss": "A pixel is one complete training, and its colour the last loss, on a logarithmic scale.",
        "lowest_loss": "A pixel is one complete training, and its colour the lowest loss of all its steps, on a "
        "logarithmic scale.",
        "steps_to": "A pixel is one complete training, and its colour how many updates it takes until the loss is at "
        "most the target, on a logarithmic scale.",
        "test_accuracy": "A pixel is one complete training, and its colour the accuracy on the test part at the end.",
    }
    kind = found.plan.measure.partition(":")[0]
    more = []
    if found.convergence is not None and kind != "convergence":
        more = ["A run counts as converged when the mean of its last 20 losses is below its first loss."]
    return [
        texts[kind],
        *more,
        "The first and the last value of a range are pixels; a pixel is drawn around its value.",
    ]
