"""The range test: one short run whose rate rises at every update, from where nothing happens to where the loss leaves.

It is cheap and rough. A loss answers an update one update later, momentum much later, and a rate that a run survives
for one update it need not survive for a thousand. So it is used for the scale alone: where twins should begin, and
which rates are out of the question.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from chainrule.probes.batch_stream import BatchStream
from chainrule.probes.budget import GRADIENT, Budget
from chainrule.probes.found_rate import RangeCurve, RangePoint
from chainrule.probes.restoring import Snapshot
from chainrule.probes.subject import Subject

PURPOSE: Final = "range test"
LOWEST: Final = 1e-7
HIGHEST: Final = 100.0
_LEFT: Final = 3.0  # times the lowest loss plus the noise: left for good
_FALLEN: Final = 0.9  # of the start: the loss has begun to fall
_QUIET: Final = 0.25  # of the points, from the start: their rates are too small to do anything


@dataclass(frozen=True, slots=True)
class Ascent:
    """A range test, and what it says.

    Attributes:
        curve: what is shown of it.
        start: the mean loss of the first points, whose rates do nothing.
        noise: the standard deviation of these losses.
        lowest: the lowest smoothed loss.
    """

    curve: RangeCurve
    start: float
    noise: float
    lowest: float


def range_test(
    subject: Subject,
    snapshot: Snapshot,
    budget: Budget,
    *,
    seed: int,
    updates: int,
    low: float = LOWEST,
    high: float = HIGHEST,
) -> Ascent:
    """Run one range test, with rates in equal steps of their logarithm.

    Args:
        subject: what is probed; it is put back before the run, not after it.
        snapshot: of the subject as it was.
        budget: pays for the updates.
        seed: of the batches.
        updates: at most; it ends where the loss leaves.
        low: the first rate.
        high: the last rate.
    """
    snapshot.put_back()
    stream = BatchStream(subject.batches, seed)
    points: list[RangePoint] = []
    quiet = max(2, round(updates * _QUIET)) if low == LOWEST else 1
    noise, ended = 0.0, f"all {updates} updates were made"
    for number in range(updates):
        rate = low * (high / low) ** (number / max(updates - 1, 1))
        budget.spend(GRADIENT, PURPOSE)
        subject.set_rate(rate)
        loss = subject.update(next(stream))
        recent = [point.loss for point in points[-2:]] + [loss]
        points.append(RangePoint(rate, loss, median(recent) if math.isfinite(loss) else math.inf))
        if len(points) == quiet:
            noise = _deviation([point.loss for point in points])
        if not math.isfinite(loss):
            ended = "the loss was not finite"
            break
        if len(points) > quiet and _has_left(points, noise):
            ended = "the loss had left for good"
            break
    start = math.fsum(point.loss for point in points[:quiet]) / min(quiet, len(points))
    edge, descent = _edge(points, start, noise), _descent(points, start)
    finite = [point.smoothed for point in points if math.isfinite(point.smoothed)]
    return Ascent(RangeCurve(seed, tuple(points), edge, descent, ended), start, noise, min(finite, default=start))


def _has_left(points: Sequence[RangePoint], noise: float) -> bool:
    """Whether the last two losses are far above the start and everything before."""
    lowest = min(point.smoothed for point in points)
    highest = max(_LEFT * lowest, points[0].loss) + 3 * noise
    return all(point.loss > highest for point in points[-2:])


def _edge(points: Sequence[RangePoint], start: float, noise: float) -> float | None:
    """Return the rate from which the loss left: after its lowest point, and not to come back.

    The loss of an update shows what the updates before did, so the rate is that of one update before.
    """
    lowest = min(range(len(points)), key=lambda number: points[number].smoothed)
    level = max(1.5 * points[lowest].smoothed, min(start, 3 * points[lowest].smoothed)) + noise
    for number in range(lowest + 1, len(points)):
        if all(not point.smoothed <= level for point in points[number:]):
            return points[number - 1].rate
    return None


def _descent(points: Sequence[RangePoint], start: float) -> float | None:
    """Return the rate from which the smoothed loss had begun to fall."""
    lowest = min(range(len(points)), key=lambda number: points[number].smoothed)
    for number, point in enumerate(points[: lowest + 1]):
        if point.smoothed < _FALLEN * start:
            return points[max(number - 1, 0)].rate
    return None


def _deviation(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return 0.0
    mean = math.fsum(finite) / len(finite)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (len(finite) - 1))


def median_edge(ascents: Sequence[Ascent]) -> float | None:
    """Return the median over range tests of where the loss left, in the logarithm of the rate; None if in none."""
    edges = [math.log(one.curve.edge) for one in ascents if one.curve.edge is not None]
    return math.exp(median(edges)) if edges else None
