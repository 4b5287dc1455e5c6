"""What a trace keeps of a tensor: the tensor itself, its statistics, or the reason why there is nothing."""

import math
from dataclasses import dataclass

from chainrule.shapes import Tensor


@dataclass(frozen=True, slots=True)
class Statistics:
    """A tensor in a few numbers, taken in one pass when the tensor itself is not kept.

    Mean, spread, minimum, maximum and norm are those of the finite elements.

    Attributes:
        count: how many elements there are.
        mean: their mean; NaN when none is finite.
        spread: their standard deviation, divided by n and not by n − 1.
        minimum: the smallest.
        maximum: the largest.
        zeros: the share that is exactly zero, of all elements.
        saturated: the share within 1 % of the range from an end of a bounded activation's range; None where the
            op that made the tensor is not bounded.
        not_finite: how many are NaN or infinite.
    """

    count: int
    mean: float
    spread: float
    minimum: float
    maximum: float
    zeros: float
    saturated: float | None = None
    not_finite: int = 0

    @property
    def norm(self) -> float:
        """The Euclidean norm of the finite elements."""
        finite = self.count - self.not_finite
        return math.sqrt(finite) * math.hypot(self.mean, self.spread) if finite > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is there, and why: as the rest of a sentence that begins with "It is missing because "."""

    reason: str


@dataclass(slots=True, eq=False)
class Held:
    """A tensor that is kept without copying it, and the version that it had: overwritten since, it is not it."""

    tensor: Tensor
    version: int

    def read(self) -> Tensor | Missing:
        """Return the tensor, unless something has written over it."""
        if self.tensor._version == self.version:
            return self.tensor
        return Missing("it was overwritten in place after the recording")


Number = Tensor | Statistics | Missing
Kept = Number | Held


def read(kept: Kept | None) -> Number | None:
    """Return what is kept now; None stays None (there never was such a number)."""
    return kept.read() if isinstance(kept, Held) else kept
