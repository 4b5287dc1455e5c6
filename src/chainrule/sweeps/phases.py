"""The phase of a run, judged from its losses: too slow, converging, oscillating, saturated or diverging.

`measure_curve` turns losses into numbers that do not depend on the units of the loss, `judge` turns these into a
phase and a sentence that quotes the numbers it rests on. The thresholds and the reasons for them are in docs/sweep.md.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ShapeError

Phase = Literal["too slow", "converging", "oscillating", "saturated", "diverging"]
PHASES: Final[tuple[Phase, ...]] = ("too slow", "converging", "oscillating", "saturated", "diverging")

STILL: Final = 1e-3
"""The loss no longer moves: over the last tenth, it stays within this share of itself. A loss that falls as 1/updates,
which is slow, still moves by a tenth."""
VANISHED: Final = 1e-2
"""Gradients vanish: the last gradient is shorter than this share of the first."""
CLOSED: Final = 0.05
"""No sample pulls any more: the gradients of single samples have shrunk to this share of what the loss has shrunk to.
Where samples are almost solved, their gradients shrink with the loss, or with its square root."""
SLOW: Final = 0.1
"""Too slow: the loss fell by less than this share of what it fell by in the best run, or of itself without one."""
RISING: Final = 0.1
"""Oscillating: the loss rises on at least this share of the steps of the second half ..."""
UNDOING: Final = 0.5
"""... these rises undo at least this share of what it falls by there ..."""
SWINGING: Final = 0.1
"""... and over the last tenth it swings by at least this share of itself."""
EVEN: Final = 0.05
"""At its first pace: at least this share of the whole fall was made over the last tenth of the steps."""
NOISY: Final = 3.0
"""Where the batches of less than an epoch were averaged, a run must swing this much further to count as oscillating."""
WORSE: Final = 0.1
"""Another value of the same problem ends lower by more than this share of what its loss fell by."""
ABOVE: Final = 1.5
"""One that is stuck is no minimum if it ends this many times above another value of the same problem."""
LEAP: Final = 2.0
"""Where batches differ, a run starts at the mean of its first epoch, or, when that is more than so many times the loss
of the first batch, at that of the first batch."""
FEWEST: Final = 10
"""Points that a run is judged from at least, where it has so many steps."""
_ROUNDING: Final = 1e-9  # relative; a smaller rise is no rise
_TAIL, _HALF = 0.1, 0.5

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the losses of one run show, in numbers.

    Attributes:
        start: the loss of the initial weights; where batches differ, the mean of the first epoch.
        end: the mean loss over the last tenth of the steps.
        last: the loss of the last step.
        lowest: the lowest loss of a step.
        steps: how many steps there are.
        width: how many losses were averaged for one point; 1 where every step takes all samples.
        lost_at: updates before the first loss that was not finite; None when all were finite.
        solved_at: updates after which the loss was at zero, to rounding, or at the target; None when it is not there
            at the end.
        first_rise: updates before the first loss that rose; None when it never rose.
        rises: share of the steps after which the loss was higher.
        rises_late: the same, of the second half.
        undone: in the second half, what the rises add over what the falls take off; 0 without rises.
        movement: highest minus lowest loss of the last tenth, as a share of their mean.
        pace: share of the whole fall that was made over the last tenth; 0.1 is the pace of a straight line.
        noise: what the mean of the last tenth may differ by because the batches differ; 0 where whole epochs were
            averaged or every step takes all samples.
        gradient_first: the norm of the gradient at the start; None when it is not known.
        gradient_last: the norm of the last gradient.
        pull: the gradients of single samples and outputs at the end over those at the start, for the weight tensor
            where this is least; None when it was not computed.
    """

    start: float
    end: float
    last: float
    lowest: float
    steps: int
    width: int
    lost_at: int | None
    solved_at: int | None
    first_rise: int | None
    rises: float
    rises_late: float
    undone: float
    movement: float
    pace: float = 0.0
    noise: float = 0.0
    gradient_first: float | None = None
    gradient_last: float | None = None
    pull: float | None = None

    @property
    def is_solved(self) -> bool:
        """Whether the loss is at zero, to rounding, or at the task's target."""
        return self.solved_at is not None

    @property
    def is_still(self) -> bool:
        """Whether the loss no longer moves."""
        return self.lost_at is None and self.movement < STILL

    def gradient_ratio(self, reference: float = 0.0) -> float | None:
        """Return the last gradient over the first, or over `reference` where that is longer."""
        if self.gradient_first is None or self.gradient_last is None:
            return None
        longest = max(self.gradient_first, reference)
        return self.gradient_last / longest if longest > 0 else 0.0

    def is_stuck(self, reference: float = 0.0) -> bool:
        """Whether the loss no longer moves and gradients vanish, though it is not solved."""
        ratio = self.gradient_ratio(reference)
        return self.is_still and not self.is_solved and ratio is not None and ratio < VANISHED


@dataclass(frozen=True, slots=True)
class Company:
    """What the other runs of a sweep say about one of them.

    Attributes:
        lowest: the lowest loss that one of them ends with; None when nothing is known.
        gradient: the usual norm of the first gradient: their median.
        is_same_problem: whether all have the same loss of the same network on the same data, so that what one reaches
            another could reach.
    """

    lowest: float | None = None
    gradient: float = 0.0
    is_same_problem: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The phase of a run, why in one sentence, and the numbers."""

    phase: Phase
    reason: str
    evidence: Evidence

    @property
    def trains(self) -> bool:
        """Whether the run neither diverges nor is stuck."""
        return self.phase not in ("saturated", "diverging")


def measure_curve(
    losses: Numbers, *, window: int = 1, target: float | None = None, rounding: float = 2.0**-52
) -> Evidence:
    """Measure the losses of a run.

    Args:
        losses: (steps,), before each update. What follows a loss that is not finite is not looked at.
        window: updates of an epoch: losses of batches are averaged over it, so that the differences between batches
            are not taken for rises; over less where a run would have fewer than 10 of them.
        target: the loss at which the task counts as solved; None for zero alone.
        rounding: the machine epsilon of the run's precision. A loss below this share of the first is zero.

    Raises:
        ShapeError: there is no loss, or more than one axis.
    """
    if losses.ndim != 1 or not losses.size:
        raise ShapeError(
            what="The phase of a run is judged from the losses of its steps.",
            found=f"an array of shape {losses.shape}",
            expected="shape (steps,), with one step at least",
        )
    finite = np.isfinite(losses)
    lost_at = None if finite.all() else int(np.argmin(finite))
    kept = losses if lost_at is None else losses[:lost_at]
    if not kept.size:
        nan = float("nan")
        return Evidence(nan, nan, nan, nan, losses.size, 1, 0, None, None, 0.0, 0.0, 0.0, float("inf"))
    width = max(1, min(window, kept.size // FEWEST))
    points = averaged(kept, width)
    start = float(points[0])
    if 0 <= LEAP * kept[0] < start:  # it leapt up within the first epoch, whose mean is not where it began
        start = float(kept[0])
    floor = rounding * abs(start)
    tail = points[-max(2, round(_TAIL * points.size)) :]
    end = float(tail.mean())
    level = floor if target is None else max(floor, target)
    risen = np.diff(points) > _ROUNDING * np.abs(points[:-1]) + floor
    late = points[int(_HALF * points.size) :]
    changes = np.diff(late)
    late_risen = risen[risen.size - changes.size :]
    up, down = float(changes[late_risen].sum()), float(-changes[changes < 0].sum())
    scale = abs(end) if points.min() > 0 else float(points.max() - points.min())
    return Evidence(
        start=start,
        end=end,
        last=float(kept[-1]),
        lowest=float(kept.min()),
        steps=losses.size,
        width=width,
        lost_at=lost_at,
        solved_at=None if lost_at is not None else _solved_at(points, width, level),
        first_rise=int(np.argmax(risen)) * width if risen.any() else None,
        rises=float(risen.mean()) if risen.size else 0.0,
        rises_late=float(late_risen.mean()) if late_risen.size else 0.0,
        undone=up / down if down > 0 else float("inf") if up > 0 else 0.0,
        movement=float(tail.max() - tail.min()) / scale if scale > 0 else 0.0,
        pace=float(tail[0] - tail[-1]) / (start - float(points[-1])) if start > points[-1] else 0.0,
        noise=_noise(points, tail.size) if width < window else 0.0,
    )


def averaged(losses: Numbers, width: int) -> Numbers:
    """Return means over so many losses each; those at the start that are too few for one are dropped."""
    rest = losses.size % width
    means: Numbers = losses[rest:].reshape(-1, width).mean(axis=1)
    return means


def _noise(points: Numbers, tail: int) -> float:
    """Return two standard errors of the difference between the first point and the mean of the last ones."""
    if points.size < 3:
        return float("inf")
    return float(2**0.5 * np.diff(points).std() * math.sqrt(1 + 1 / tail))


def _solved_at(points: Numbers, width: int, level: float) -> int | None:
    if points[-1] > level:
        return None
    above = np.flatnonzero(points > level)
    return (int(above[-1]) + 1) * width if above.size else 0


def judge(evidence: Evidence, company: Company | None = None) -> Verdict:
    """Return the phase that the evidence shows, in the company of the other runs of the sweep.

    The first that holds: a loss that is not finite diverges; a solved one converges; one that no longer moves while
    gradients vanish is saturated, or at a minimum; one that ends above its start diverges; one whose rises undo its
    falls oscillates; one that fell by too little is too slow; the rest converges.
    """
    company = company or Company()
    phase, reason = _judgement(evidence, company)
    return Verdict(phase, reason, evidence)


def _judgement(evidence: Evidence, company: Company) -> tuple[Phase, str]:
    start, end = evidence.start, evidence.end
    if evidence.lost_at is not None:
        return "diverging", f"the loss is not finite after {evidence.lost_at} updates"
    if evidence.is_solved:
        return "converging", f"solved after {evidence.solved_at} updates"
    if evidence.is_stuck(company.gradient):
        return _stuck(evidence, company)
    if end > start + _ROUNDING * abs(start) + evidence.noise:
        return "diverging", f"the loss ends at {end:.4g}, above {start:.4g} at the start"
    swing = SWINGING * (NOISY if evidence.noise else 1.0)
    if evidence.rises_late >= RISING and evidence.undone >= UNDOING and evidence.movement >= swing:
        return "oscillating", (
            f"the loss rises on {evidence.rises_late:.0%} of the later steps, which undoes {evidence.undone:.0%} of "
            "what it falls by"
        )
    return _fallen(evidence, company)


def _fallen(evidence: Evidence, company: Company) -> tuple[Phase, str]:
    """Judge a run that ends below its start and is neither stuck nor swinging."""
    start, end = evidence.start, evidence.end
    own = (start - end) / abs(start) if start else 0.0
    if company.lowest is not None and start - end < SLOW * (start - company.lowest):
        return "too slow", (
            f"the loss fell by {_percent(own)}; with another value it falls by "
            f"{_percent((start - company.lowest) / abs(start) if start else 0.0)}"
        )
    if own < STILL:
        return "too slow", f"the loss fell by {_percent(own)}, and gradients have not vanished"
    if own < SLOW and evidence.pace >= EVEN:
        return "too slow", f"the loss fell by {_percent(own)}, and at the end as fast as at the start"
    if not evidence.is_still:
        return "converging", f"the loss is {_share(end, start)} of its first value, and still moves"
    if _is_behind(evidence, company):
        return "too slow", (
            f"the loss moves by {_percent(evidence.movement)} over the last tenth, though gradients have not vanished; "
            f"another value ends at {company.lowest:.4g}"
        )
    return "converging", f"the loss has settled at {end:.4g}"


def _stuck(evidence: Evidence, company: Company) -> tuple[Phase, str]:
    ratio = evidence.gradient_ratio(company.gradient)
    where = f"the loss stands still at {evidence.end:.4g}, the gradient is {ratio:.1g} of the first"
    solved_share = min(1.0, abs(evidence.end / evidence.start)) if evidence.start else 1.0
    if evidence.pull is not None and evidence.pull < CLOSED * solved_share:
        return "saturated", f"{where}, and no sample pulls on some layer any more"
    if company.is_same_problem and (_is_behind(evidence, company) or _is_above(evidence, company)):
        return "saturated", f"{where}, and another value ends at {company.lowest:.4g}"
    if evidence.pull is None and not evidence.end < evidence.start:
        return "saturated", f"{where}, not below the start"
    return "converging", f"{where}: a minimum, at which the gradients of the samples cancel"


def _is_behind(evidence: Evidence, company: Company) -> bool:
    if company.lowest is None:
        return False
    gap = evidence.end - company.lowest
    return gap > WORSE * (evidence.start - company.lowest) and gap > STILL * abs(evidence.start)


def _is_above(evidence: Evidence, company: Company) -> bool:
    return company.lowest is not None and 0 <= company.lowest < evidence.end / ABOVE


def _share(part: float, whole: float) -> str:
    return _percent(part / whole) if whole > 0 and part >= 0 else f"{part:.4g} against {whole:.4g}:"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
