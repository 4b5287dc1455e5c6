"""Which of several is best, from paired runs: differences with intervals that hold for all of them at once.

Two candidates run with the same seeds; d_s is the difference of their final losses with seed s. With n seeds,

    interval   mean(d) ± t · sd(d)/√n,   t the 1 − α/(2m) quantile of Student's distribution with n − 1 degrees

for each of the m = k(k − 1)/2 pairs (Bonferroni). All pairs count and not k − 1, because which candidate is the best
was not known beforehand: the interval of any pair that the data pick out then still covers.

Student's intervals and not the paired bootstrap: with 5 to 10 seeds the bootstrap draws again from so few differences
that its percentile intervals are too narrow, by √((n − 1)/n) and by the normal instead of the t quantile, while t
covers what it says for normal differences and more for heavy tails. `tests/probes/test_ranking.py` measures both.
Tests that only look at signs (Wilcoxon, sign flips) cannot fall below 2/2ⁿ, which is above α/m for n up to 9.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.95
NEGLIGIBLE: Final = 1e-3
"""A difference below this share of what training takes off the loss is none, however sure it is."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The final loss of one candidate minus that of another, over the seeds that both ran with.

    Attributes:
        candidate: whose loss.
        reference: minus whose.
        mean: of the difference; above 0 where the candidate is worse.
        low: lower end of its interval.
        high: upper end of its interval.
        seeds: how many.
        is_shown: the interval leaves out 0, and the difference is not negligible.
    """

    candidate: str
    reference: str
    mean: float
    low: float
    high: float
    seeds: int
    is_shown: bool

    def reversed(self) -> "Difference":
        """Return the same difference seen from the other side."""
        return Difference(self.reference, self.candidate, -self.mean, -self.high, -self.low, self.seeds, self.is_shown)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates from the lowest mean loss on.

    Attributes:
        order: names, the best first.
        differences: of each from the best, in that order, the best itself left out.
        level: that all intervals hold with at once.
        comparisons: pairs that the intervals are corrected for.
        chosen: the name that is recommended.
        reason: why, as a sentence.
    """

    order: tuple[str, ...]
    differences: tuple[Difference, ...]
    level: float
    comparisons: int
    chosen: str
    reason: str

    @property
    def tied(self) -> tuple[str, ...]:
        """The candidates that nothing shows to be worse than the best."""
        return tuple(each.candidate for each in self.differences if not each.is_shown)


@dataclass(frozen=True, slots=True)
class Preference:
    """How ties are resolved.

    Attributes:
        names: the preferred first.
        margin: candidates tie where nothing shows a difference, and their mean losses differ by at most this share
            of what training takes off the loss.
        avoided: names that are chosen only where every other is shown to be worse, with the reason as half a sentence.
    """

    names: tuple[str, ...]
    margin: float
    avoided: Mapping[str, str]


def paired_differences(
    losses: Mapping[str, NDArray[np.float64]], fall: float, level: float = LEVEL
) -> dict[tuple[str, str], Difference]:
    """Return the difference of every pair, both ways round, with intervals that hold for all pairs at once.

    Args:
        losses: name → final losses (seeds,), in the same order of seeds, all finite.
        fall: what training takes off the loss; the scale that a negligible difference is measured on.
        level: with which all intervals cover at once.
    """
    pairs = list(combinations(losses, 2))
    found: dict[tuple[str, str], Difference] = {}
    for one, other in pairs:
        values = losses[one] - losses[other]
        count = len(values)
        mean = float(values.mean())
        reach = student_quantile(1 - (1 - level) / (2 * len(pairs)), count - 1) * float(values.std(ddof=1))
        low, high = mean - reach / math.sqrt(count), mean + reach / math.sqrt(count)
        is_shown = (low > 0 or high < 0) and abs(mean) > NEGLIGIBLE * abs(fall)
        found[one, other] = Difference(one, other, mean, low, high, count, is_shown)
        found[other, one] = found[one, other].reversed()
    return found


def rank(
    losses: Mapping[str, NDArray[np.float64]], fall: float, preference: Preference, level: float = LEVEL
) -> Ranking:
    """Rank candidates by mean loss, and choose one: the best, or one that ties with it and is preferred.

    Args:
        losses: name → final losses (seeds,), in the same order of seeds, all finite.
        fall: what training takes off the loss with the best candidate.
        preference: how ties are resolved.
        level: with which all intervals cover at once.
    """
    differences = paired_differences(losses, fall, level)
    order = sorted(losses, key=lambda name: float(losses[name].mean()))
    best, reason = order[0], ""
    if best in preference.avoided and len(order) > 1:
        rest = [name for name in order[1:] if name not in preference.avoided]
        if rest and not all(differences[name, best].is_shown for name in rest):
            reason = (
                f"{best} has the lowest mean loss, but {preference.avoided[best]}, and it is not shown that all others "
                f"are worse. "
            )
            best = rest[0]
    chosen, why = _tie(best, order, differences, fall, preference)
    return Ranking(
        order=tuple(order),
        differences=tuple(differences[name, order[0]] for name in order[1:]),
        level=level,
        comparisons=len(losses) * (len(losses) - 1) // 2,
        chosen=chosen,
        reason=reason + why,
    )


def _tie(
    best: str,
    order: Sequence[str],
    differences: Mapping[tuple[str, str], Difference],
    fall: float,
    preference: Preference,
) -> tuple[str, str]:
    worse = [differences[name, best] for name in order if name != best]
    if worse and all(each.is_shown and each.mean > 0 for each in worse):
        return best, f"{best} ends lowest, and all others are shown to be worse."
    near = [
        each.candidate
        for each in worse
        if not each.is_shown and each.mean <= preference.margin * abs(fall) and each.candidate not in preference.avoided
    ]
    ranks = {name: number for number, name in enumerate(preference.names)}
    chosen = min([best, *near], key=lambda name: ranks.get(name, len(ranks)))
    if chosen != best:
        return chosen, (
            f"{chosen} ties with {best}, whose mean loss is the lowest: no evidence of a difference, and their means "
            f"differ by at most {preference.margin:.2%} of what training takes off the loss. It is the simplest of "
            "those that tie."
        )
    unclear = sum(not each.is_shown for each in worse)
    if not unclear:
        return best, f"{best} ends lowest."
    others = "one other" if unclear == 1 else f"{unclear} others"
    return best, f"{best} ends lowest on average; for {others} there is no evidence of a difference from it."


def mean_interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the mean of some numbers and the two ends of its Student interval."""
    mean = float(values.mean())
    reach = student_quantile(1 - (1 - level) / 2, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


@functools.cache
def student_quantile(share: float, degrees: int) -> float:
    """Return the place below which a share of Student's distribution lies, for a share from one half on.

    By bisection on the closed form of the distribution for whole degrees of freedom: Abramowitz and Stegun, Handbook
    of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    low, high = 0.0, 1.0
    while _student_share(high, degrees) < share:
        high *= 2
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _student_share(middle, degrees) < share else (low, middle)
    return 0.5 * (low + high)


def _student_share(place: float, degrees: int) -> float:
    angle = math.atan(place / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    term, total = (cosine, 0.0) if degrees % 2 else (1.0, 0.0)
    if degrees > 1:
        total = term
        for number in range(3 if degrees % 2 else 2, degrees - 1, 2):
            term *= (number - 1) / number * cosine * cosine
            total += term
    within = 2 / math.pi * (angle + sine * total) if degrees % 2 else sine * total
    return 0.5 + 0.5 * within
