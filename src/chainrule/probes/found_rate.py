"""What `find_lr` found: a rate, the regions round it, and the runs that show it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from chainrule.documents import Shown
from chainrule.findings import Finding

RegionName = Literal["too slow", "good", "unstable"]
Certainty = Literal["sure", "fairly sure", "unsure"]


@dataclass(frozen=True, slots=True)
class RangePoint:
    """One update of a range test.

    Attributes:
        rate: of the update.
        loss: on its batch, before the update.
        smoothed: as the test judged it.
    """

    rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True, slots=True)
class RangeCurve:
    """A range test: one short run whose rate rises at every update.

    Attributes:
        seed: of its batches and of what else is drawn.
        points: in rising order of the rate.
        edge: the rate above which the loss left; None where it never did.
        descent: the rate from which the loss fell; None where it never did.
        ended: why it ended, in words.
    """

    seed: int
    points: tuple[RangePoint, ...]
    edge: float | None
    descent: float | None
    ended: str


@dataclass(frozen=True, slots=True)
class StabilityLimit:
    """The rate above which updates leave a minimum of the loss's quadratic model.

    Attributes:
        limit: of the rate.
        curvature: the largest eigenvalue λ of the Hessian, preconditioned as the optimizer does it.
        formula: from λ to the limit, as people write it: "2/λ", "2(1+β)/λ" with their numbers in words.
        is_exact: the loss is quadratic in the weights and its gradient is of all data, so the limit is that of the
            whole training and not of its first step.
        residual: ‖Hv − λv‖ / |λ|; the eigenvalue is known to this, relatively.
        products: Hessian-vector products that it took.
        batches: over how many batches the loss was taken.
        words: what it is a limit of, and what it is not.
    """

    limit: float
    curvature: float
    formula: str
    is_exact: bool
    residual: float
    products: int
    batches: int
    words: str


@dataclass(frozen=True, slots=True)
class TwinRun:
    """One short run at one rate; runs of one seed are twins: same weights, same batches, only the rate differs.

    Attributes:
        rate: of the optimizer's first group.
        seed: of its batches and of what else is drawn.
        losses: of its updates, each before the update.
        score: how it ended, lower is better: the loss that the runs are compared by.
        is_stable: it ended finite, and not above its start.
    """

    rate: float
    seed: int
    losses: tuple[float, ...]
    score: float
    is_stable: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of rates, and what happens there.

    Attributes:
        name: "too slow", "good" or "unstable".
        low: where it begins; None where it goes on below everything that was tried.
        high: where it ends; None where it goes on above everything that was tried.
        shown_by: what shows it, as a sentence with numbers.
    """

    name: RegionName
    low: float | None
    high: float | None
    shown_by: str


@dataclass(frozen=True, slots=True)
class FoundRate(Shown):
    """The learning rate that was found, with its evidence; without a suggestion, why there is none.

    Attributes:
        name: of what was probed.
        optimizer: its name, with what else matters: "SGD, momentum 0.9".
        suggestion: the rate for the optimizer's first group; None where it cannot be known.
        low: the lowest rate of the good region; None without a suggestion.
        high: the highest rate of the good region; None without a suggestion.
        regions: in rising order of the rate; empty where nothing can be said.
        curves: the range tests.
        limit: the stability limit; None where it was not computed, and `notes` says why.
        twins: the short runs round the candidate.
        seeds: that range tests and twins were repeated with.
        spread: the largest over the smallest suggestion of single seeds; 1.0 where all agree, NaN with one seed.
        certainty: in a word.
        why_so_sure: the reason, as a sentence.
        cost: gradient evaluations that were made, by purpose.
        allowed: gradient evaluations that could have been made.
        planned: gradient evaluations of the training that is planned.
        present: the rate that the optimizer had.
        start_loss: before the first update.
        noise: the standard deviation of the loss over batches at the start; 0.0 for a full batch.
        findings: why there is no suggestion, or what to beware of; each says what to look at.
        notes: other sentences on what was done, and what was left out and why.
        seconds: that it took.
    """

    name: str
    optimizer: str
    suggestion: float | None
    low: float | None
    high: float | None
    regions: tuple[Region, ...]
    curves: tuple[RangeCurve, ...]
    limit: StabilityLimit | None
    twins: tuple[TwinRun, ...]
    seeds: tuple[int, ...]
    spread: float
    certainty: Certainty
    why_so_sure: str
    cost: dict[str, float]
    allowed: float
    planned: float
    present: float
    start_loss: float
    noise: float
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def is_refusal(self) -> bool:
        """Whether there is no suggestion."""
        return self.suggestion is None

    @property
    def spent(self) -> float:
        """Gradient evaluations that were made."""
        return math.fsum(self.cost.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-able data; a number that is not finite is None."""
        found: dict[str, Any] = _plain(dataclasses.asdict(self))
        return {**found, "spent": self.spent}

    def __repr__(self) -> str:
        if self.suggestion is None:
            reason = self.findings[0].code if self.findings else "nothing found"
            return f"FoundRate({self.name!r}, no suggestion: {reason})"
        return f"FoundRate({self.name!r}, {self.suggestion:.3g}, good {self.low:.3g} to {self.high:.3g})"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
