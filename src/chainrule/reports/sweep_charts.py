"""The curves of a sweep, and where each value ends."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from chainrule.data.wording import count_of
from chainrule.documents import Chart, ColourScale, Series
from chainrule.sweeps import Axis, Sweep, Verdict
from chainrule.sweeps.outcome import Numbers
from chainrule.sweeps.phases import PHASES, averaged

CHARTS_AT_MOST: Final = 6
CURVES_AT_MOST: Final = 60
NAMED_AT_MOST: Final = 6
"""So many curves have a colour and a name each; more are coloured by value."""
_POINTS: Final = 800
_ABOVE: Final = 100.0  # times the largest loss of a start: where a curve leaves the picture
_WIDE: Final = 20.0  # values that span more are shown on a logarithmic scale


def named(point: Mapping[str, Any]) -> str:
    """Return the values of a point as people read them: "lr 0.1, momentum 0.9"."""
    return ", ".join(f"{key} {text_of(value)}" for key, value in point.items())


def text_of(value: Any) -> str:
    """Return a value as people read it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def values_of(axis: Axis) -> list[float]:
    """Return the values of a numeric axis."""
    return [float(value) for value in axis.values]


def curve_charts(sweep: Sweep) -> list[Chart]:
    """Return the loss curves: one chart for every combination of the other axes' values, coloured by the main one."""
    charts = []
    lines = _lines(sweep)
    for number, (others, runs) in enumerate(lines[:CHARTS_AT_MOST]):
        key = "losses" if len(lines) == 1 else f"losses-{number + 1}"
        title = f"Loss of {count_of(len(runs), 'run')}" + (f", {named(others)}" if others else "")
        charts.append(_curve_chart(sweep, key, title, runs))
    if len(lines) > CHARTS_AT_MOST:
        left = f"{len(lines) - CHARTS_AT_MOST} more combinations are in the table."
        charts[-1] = _with_caption(charts[-1], left)
    return charts


def _lines(sweep: Sweep) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the runs of each combination of the other axes' values; all runs in one without a main axis."""
    lines: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for run, point in enumerate(sweep.points):
        if sweep.verdicts[run] is not None:
            others = () if sweep.axis is None else tuple(item for item in point.items() if item[0] != sweep.axis.key)
            lines.setdefault(others, []).append(run)
    return [(dict(others), runs) for others, runs in lines.items()]


def _curve_chart(sweep: Sweep, key: str, title: str, runs: Sequence[int]) -> Chart:
    axis = sweep.axis
    if axis is not None:
        runs = sorted(runs, key=lambda run: float(sweep.points[run][axis.key]))
    captions = []
    if len(runs) > CURVES_AT_MOST:
        captions.append(f"{CURVES_AT_MOST} of {len(runs)} runs, evenly apart.")
        runs = [runs[round(place)] for place in np.linspace(0, len(runs) - 1, CURVES_AT_MOST)]
    widths = {verdict.evidence.width for run in runs if (verdict := sweep.verdicts[run]) is not None}
    if max(widths, default=1) > 1:
        captions.append(f"Means over {max(widths)} updates: the batches of one update differ.")
    curves = [_averaged(sweep, run) for run in runs]
    starts = np.array([y[0] for _, y in curves if y.size and np.isfinite(y[0])])
    every = np.concatenate([y for _, y in curves])
    ceiling = _ABOVE * float(np.abs(starts).max()) if starts.size else np.inf
    is_log = bool((every[np.isfinite(every)] >= 0).all()) and bool((starts > 0).all())
    floor = 2.0**-52 * float(starts.max(initial=0.0)) if is_log else -np.inf
    series = []
    for run, (x, y) in zip(runs, curves, strict=True):
        name = text_of(sweep.points[run][axis.key]) if axis is not None else named(sweep.points[run])
        if axis is not None and len(runs) <= NAMED_AT_MOST:
            name = f"{axis.key} {name}"
        series.append(_series(name, x, y, floor, ceiling))
    with np.errstate(invalid="ignore"):
        if bool((every > ceiling).any()) or not bool(np.isfinite(every).all()):
            captions.append(f"A curve ends where its loss is above {ceiling:.3g} or not finite.")
        if is_log and bool((every <= floor).any()):
            captions.append("A curve ends where its loss is zero, to rounding.")
    colours = None
    if axis is not None and len(runs) > NAMED_AT_MOST:
        values = tuple(float(sweep.points[run][axis.key]) for run in runs)
        colours = ColourScale(axis.key, values, _scale(_is_wide(values)))
    caption = " ".join(captions)
    return Chart(key, title, "updates done", "loss", tuple(series), "linear", _scale(is_log), caption, colours)


def _scale(is_log: bool) -> Literal["linear", "log"]:
    return "log" if is_log else "linear"


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= _WIDE


def _averaged(sweep: Sweep, run: int) -> tuple[Numbers, Numbers]:
    """Return the updates and the losses of a run as they are judged: means over an epoch where batches differ."""
    losses, verdict = sweep.curves[run], sweep.verdicts[run]
    width = 1 if verdict is None else verdict.evidence.width
    points = averaged(losses, width)
    return losses.size % width + (width - 1) / 2 + width * np.arange(points.size, dtype=np.float64), points


def _series(name: str, x: Numbers, y: Numbers, floor: float, ceiling: float) -> Series:
    """Return a curve up to where it leaves the picture; of a long one, the least and the largest of each stretch."""
    with np.errstate(invalid="ignore"):
        leaves = ~np.isfinite(y) | (y > ceiling) | (y <= floor)
    count = int(np.argmax(leaves)) if leaves.any() else y.size
    kept = np.arange(count)
    if count > _POINTS:
        edges = np.linspace(0, count, _POINTS // 2 + 1).astype(int)
        stretches = list(itertools.pairwise(edges.tolist()))
        lowest = [low + int(y[low:high].argmin()) for low, high in stretches]
        highest = [low + int(y[low:high].argmax()) for low, high in stretches]
        kept = np.unique([0, *lowest, *highest, count - 1])
    return Series(name, tuple(x[kept].tolist()), tuple(y[kept].tolist()))


def end_charts(sweep: Sweep) -> list[Chart]:
    """Return the loss at the end against the value: by phase for one line, a curve each for several."""
    axis = sweep.axis
    if axis is None or len(sweep) < 3:
        return []
    lines = _lines(sweep)
    series: list[Series] = []
    if len(lines) == 1:
        for phase in PHASES:
            found = [(value, end) for value, end, seen in _ends(sweep, lines[0][1]) if seen.phase == phase]
            if found:
                series.append(Series(phase, *_columns(found), style="points"))
    else:
        for others, runs in lines[: 2 * CHARTS_AT_MOST]:
            series.append(Series(named(others), *_columns([(value, end) for value, end, _ in _ends(sweep, runs)])))
    ends = [end for one in series for end in one.y if np.isfinite(end)]
    starts = sweep.curves[:, 0][np.isfinite(sweep.curves[:, 0])]
    ceiling = _ABOVE * float(np.abs(starts).max()) if starts.size else np.inf
    left_out = sum(not end <= ceiling for one in series for end in one.y)
    series = _up_to(series, ceiling)
    x_scale, y_scale = _scale(_is_wide(values_of(axis))), _scale(bool(ends) and min(ends) >= 0)
    caption = "Mean over the last tenth of the updates."
    if left_out:
        which = "1 run is" if left_out == 1 else f"{left_out} runs are"
        caption += f" {which} left out, as the loss ends above {ceiling:.3g} or is not finite."
    title = f"Loss at the end against {axis.key}"
    return [Chart("ends", title, axis.key, "loss at the end", tuple(series), x_scale, y_scale, caption)]


def _up_to(series: Sequence[Series], ceiling: float) -> list[Series]:
    """Leave out what lies above; lines from which something between two points is left out become points."""
    places = [[place for place, end in enumerate(one.y) if end <= ceiling] for one in series]
    has_gaps = any(kept and kept[-1] - kept[0] >= len(kept) for kept in places)
    return [
        Series(
            one.name,
            tuple(one.x[place] for place in kept),
            tuple(one.y[place] for place in kept),
            "points" if has_gaps else one.style,
        )
        for one, kept in zip(series, places, strict=True)
        if kept
    ]


def _with_caption(chart: Chart, text: str) -> Chart:
    caption = f"{chart.caption} {text}".strip()
    return replace(chart, caption=caption)


def _ends(sweep: Sweep, runs: Sequence[int]) -> list[tuple[float, float, Verdict]]:
    key = "" if sweep.axis is None else sweep.axis.key
    found = [
        (float(sweep.points[run][key]), verdict.evidence.end if verdict.evidence.lost_at is None else np.nan, verdict)
        for run in runs
        if (verdict := sweep.verdicts[run]) is not None
    ]
    return sorted(found, key=lambda one: one[0])


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(x for x, _ in pairs), tuple(y for _, y in pairs)
