"""The learning rate of one candidate: whole decades first, then between the best and its neighbours."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from chainrule.probes.activation_runs import Ends, Numbers, Point
from chainrule.probes.candidates import Candidate
from chainrule.probes.choice import TriedRate

Train: TypeAlias = Callable[[Candidate, Sequence[Point], str], Ends]
"""Trains a candidate once for each point; the text names the part of the work."""

FINE: Final = (-0.5, -0.25, 0.25, 0.5)
"""What is tried round the best decade, in decades."""
_QUARTER: Final = 0.25
BELOW, ABOVE = 2, 1
"""Decades that are tried below and above the one nearest to the rate that was given, before any at the edges."""
LOWEST, HIGHEST = -7.0, 3.0
"""Exponents of 10 beyond which no rate is tried."""


@dataclass(frozen=True, slots=True)
class Decades:
    """Where to look for a rate, as exponents of 10.

    Attributes:
        first: tried at once, in rising order.
        lowest: how far down it goes where the lowest is the best.
        highest: how far up.
    """

    first: tuple[float, ...]
    lowest: float = LOWEST
    highest: float = HIGHEST

    @property
    def usual_count(self) -> int:
        """How many rates are tried, when the best is not at an edge."""
        return len(self.first) + len(FINE)


class Interrupted(Exception):  # noqa: N818  # not an error: someone pressed Ctrl-C
    """Some runs were left out."""


def decades_round(rate: float) -> Decades:
    """Return the decades round a rate: from two below the nearest to one above it."""
    middle = min(max(round(math.log10(rate)), LOWEST + BELOW), HIGHEST - ABOVE) if rate > 0 else -2
    return Decades(tuple(float(middle + step) for step in range(-BELOW, ABOVE + 1)))


def tune(
    train: Train, candidate: Candidate, seeds: Sequence[int], decades: Decades, cap: float
) -> tuple[TriedRate, ...]:
    """Return the rates that were tried for a candidate, in rising order, with the mean loss over the tuning seeds.

    Args:
        train: trains it once for each point.
        candidate: which.
        seeds: other ones than those that candidates are compared with, so that choosing the rate lends no candidate
            an advantage there.
        decades: where to look.
        cap: the loss before training; a run that ends above it, or diverges, counts as this.

    Raises:
        Interrupted: runs were left out.
    """
    losses: dict[float, Numbers] = {}

    def attempt(exponents: Sequence[float], part: str) -> None:
        new = [each for each in exponents if each not in losses and decades.lowest <= each <= decades.highest]
        if not new:
            return
        points = [(10**exponent, seed) for exponent in new for seed in seeds]
        values = capped(train(candidate, points, part).judged, cap).reshape(len(new), len(seeds))
        losses.update(zip(new, values, strict=True))

    attempt(decades.first, "decades")
    while (step := _beyond(losses, decades)) is not None:
        attempt([step], f"decade-{step:g}")
    best = mildest_decade(losses)
    attempt([best + step for step in FINE], "refined")
    return tuple(
        TriedRate(10**exponent, float(losses[exponent].mean()), _smoothed(losses, exponent))
        for exponent in sorted(losses)
    )


def best_rate(tried: Sequence[TriedRate]) -> float:
    """Return the rate whose smoothed loss is the lowest; the smallest of equals."""
    return min(tried, key=lambda each: (each.smoothed, each.rate)).rate


def mildest_decade(losses: Mapping[float, Numbers]) -> float:
    """Return the smallest exponent whose mean loss is at most one standard error above the lowest.

    The error is that of the differences between the two, seed by seed. Of rates that do about as well the larger ones
    are nearer to where training fails, and a few seeds do not show that.

    Args:
        losses: exponent → losses (seeds,).
    """
    best = min(losses, key=lambda exponent: (float(losses[exponent].mean()), exponent))
    for exponent in sorted(losses):
        apart = losses[exponent] - losses[best]
        error = float(apart.std(ddof=1)) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
        if float(apart.mean()) <= error:
            return exponent
    return best


def _smoothed(losses: Mapping[float, Numbers], exponent: float) -> float:
    """Return the mean loss of a rate and of those tried a quarter of a decade off, its own counted twice."""
    near = [exponent, exponent, exponent - _QUARTER, exponent + _QUARTER]
    known = [float(losses[each].mean()) for each in near if each in losses]
    return math.fsum(known) / len(known)


def capped(losses: Numbers, cap: float) -> Numbers:
    """Return losses with the cap in place of what is above it or not finite."""
    with np.errstate(invalid="ignore"):
        found: Numbers = np.where(losses < cap, losses, cap)
    return found


def _beyond(losses: Mapping[float, Numbers], decades: Decades) -> float | None:
    """Return the decade beyond the edge that the best one lies at; None where it lies inside."""
    best, low, high = mildest_decade(losses), min(losses), max(losses)
    if best == low and low - 1 >= decades.lowest:
        return low - 1
    if best == high and high + 1 <= decades.highest:
        return high + 1
    return None
