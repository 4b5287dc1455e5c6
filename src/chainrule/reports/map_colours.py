"""Which place on the colour bar each run of a map has: by rank where a measure has two sides, else by its logarithm."""

import base64
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chainrule.documents import ColourBar
from chainrule.sweeps import Map

MISSING: Final = 0
FAILED: Final = 1
LOWEST: Final = 2
HIGHEST: Final = 255
_LAST_BELOW: Final = 128  # of a two-sided bar: the upper half begins one further
_ROUNDING: Final = 2.0**-52
_TICKS_AT_MOST: Final = 6

Numbers = NDArray[np.float64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Colouring:
    """A byte for each run, and what the bytes stand for; see `chainrule.documents.Raster`."""

    shades: Bytes
    bar: ColourBar


def colour_map(found: Map) -> Colouring:
    """Return the colours of a map by its measure."""
    if found.plan.measure == "convergence":
        return _by_rank(found)
    if found.plan.measure == "test_accuracy":
        return _linear(found)
    return _logarithmic(found)


def packed(values: NDArray[np.generic]) -> str:
    """Return numbers as base64 of their little-endian bytes, row by row."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def ranks(values: Numbers) -> Numbers:
    """Return the rank of each number among all, from 0 for the least to 1 for the largest; equal numbers share one.

    This is how the published map stretches each sign over its half of the colours (`cdf_img` there, where the halves
    are [−1, −0.25] and [0.25, 1]), so that every colour is used as often as any other.
    """
    ordered = np.sort(values)
    middle = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") - 1) / 2
    return np.asarray(middle / max(values.size - 1, 1))


def _by_rank(found: Map) -> Colouring:
    """Colour each sign of the published measure by rank: its ends meet where runs are fast, as in the source."""
    shades = np.zeros(found.measure.shape, np.uint8)
    is_known = found.is_done & ~np.isnan(found.measure)
    below, above = is_known & (found.measure < 0), is_known & (found.measure >= 0)
    shades[below] = LOWEST + np.rint(ranks(found.measure[below]) * (_LAST_BELOW - LOWEST)).astype(np.uint8)
    shades[above] = (
        _LAST_BELOW + 1 + np.rint(ranks(found.measure[above]) * (HIGHEST - _LAST_BELOW - 1)).astype(np.uint8)
    )
    ticks = ((0.0, "slowly"), (0.48, "fast"), (0.52, "fast"), (1.0, "slowly"))
    bar = ColourBar("", "two-sided", ticks, ("converges", "diverges"), missing=_missing(shades))
    return Colouring(shades, bar)


def _logarithmic(found: Map) -> Colouring:
    """Colour what succeeds by the logarithm of the measure; the rest has a colour of its own."""
    succeeds = found.succeeds & np.isfinite(found.measure)
    values = found.measure[succeeds]
    is_steps = found.plan.measure.startswith("steps_to")
    floor = 1.0 if is_steps else _floor(values)
    logs = np.log10(np.maximum(values, floor))
    shades = np.where(found.is_done, FAILED, MISSING).astype(np.uint8)
    low, high = (float(logs.min()), float(logs.max())) if logs.size else (0.0, 0.0)
    shades[succeeds] = _spread((logs - low) / (high - low) if high > low else np.zeros_like(logs))
    failed = "target not reached" if is_steps else "diverged"
    bar = ColourBar(
        label_of(found),
        "sequential",
        _ticks_of_decades(low, high) if logs.size else (),
        failed=failed if bool((shades == FAILED).any()) else "",
        missing=_missing(shades),
    )
    return Colouring(shades, bar)


def _linear(found: Map) -> Colouring:
    is_known = found.is_done & np.isfinite(found.measure)
    values = found.measure[is_known]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    shades = np.where(found.is_done, FAILED, MISSING).astype(np.uint8)
    shades[is_known] = _spread((values - low) / (high - low) if high > low else np.zeros_like(values))
    ticks = tuple((float(place), f"{low + place * (high - low):.3g}") for place in np.linspace(0, 1, 5))
    if high == low:
        ticks = ticks[:1] if values.size else ()
    failed = "diverged" if bool((shades == FAILED).any()) else ""
    return Colouring(shades, ColourBar(label_of(found), "sequential", ticks, failed=failed, missing=_missing(shades)))


def label_of(found: Map) -> str:
    """Return what the measure of a map is called on axes and in sentences."""
    kind, _, target = found.plan.measure.partition(":")
    if kind == "steps_to":
        return f"updates until the loss is at most {target}"
    if kind == "test_accuracy":
        return f"{found.metric_name or 'accuracy'} on the test part"
    return {"convergence": "convergence measure", "final_loss": "final loss", "lowest_loss": "lowest loss"}[kind]


def _floor(values: Numbers) -> float:
    """Return the least loss that is told from zero: the largest one, times the rounding of float64."""
    positive = values[values > 0]
    if not positive.size:
        return 1.0
    return max(float(positive.min()), float(positive.max()) * _ROUNDING)


def _spread(places: Numbers) -> Bytes:
    return (LOWEST + np.rint(places * (HIGHEST - LOWEST))).astype(np.uint8)


def _missing(shades: Bytes) -> str:
    return "not run" if bool((shades == MISSING).any()) else ""


def _ticks_of_decades(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return powers of ten between two of them, and plain numbers where fewer than two lie between."""
    if high == low:
        return ((0.0, f"{10.0**low:.3g}"),)
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    if last - first < 1:
        places = np.linspace(0, 1, 4)
        return tuple((float(place), f"{10.0 ** (low + place * (high - low)):.3g}") for place in places)
    step = -(-(last - first + 1) // _TICKS_AT_MOST)
    powers = range(first, last + 1, step)
    are_plain = first >= -3 and last <= 4
    return tuple(((power - low) / (high - low), f"{10.0**power:g}" if are_plain else _power(power)) for power in powers)


def _power(exponent: int) -> str:
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
