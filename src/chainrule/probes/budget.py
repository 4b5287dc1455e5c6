"""What a probe may cost, counted in gradient evaluations.

One gradient evaluation is a forward and a backward pass over one batch, what one update of the training costs. A
backward pass costs about two forward passes, so a forward pass alone counts a third. A Hessian-vector product goes
backward through a forward and a backward pass whose graph is kept: two gradient evaluations, beside the one that made
the graph. Looking at the optimizer's update costs nothing here.
"""

import math
from typing import Final, final

from chainrule.errors import ChainruleError

FORWARD: Final = 1 / 3
"""Of a forward pass alone, such as the loss on a validation batch."""
GRADIENT: Final = 1.0
"""Of a forward and a backward pass."""
HESSIAN_PRODUCT: Final = 2.0
"""Of one product with the Hessian, when the gradient's graph is there."""
SHARE: Final = 0.1
"""Of the training's budget that a probe may spend."""
_ROUNDING: Final = 1e-9


class BudgetError(ChainruleError):
    """A probe wanted to spend more than its share."""


@final
class Budget:
    """Counts gradient evaluations, and refuses to go beyond its share of the training that is planned.

    Args:
        updates: of the training that is planned.
        share: the part of it that may be spent on probing.
        evaluations: gradient evaluations of one update; more than 1 where an update gathers several batches.

    Raises:
        BudgetError: there is nothing to spend.
    """

    def __init__(self, updates: int, share: float = SHARE, evaluations: float = 1.0) -> None:
        if isinstance(share, bool) or not (updates >= 1 and 0 < share <= 1 and evaluations > 0):
            raise BudgetError(
                what="A probe needs to know what it may cost.",
                found=f"updates = {updates}, share = {share if isinstance(share, bool) else format(share, 'g')}",
                expected="at least one update, and a share above 0 and at most 1",
            )
        self.updates = updates
        self.share = share
        self.planned = updates * evaluations
        """Gradient evaluations of the planned training."""
        self.allowed = self.planned * share
        """Gradient evaluations that may be spent."""
        self._spent: dict[str, float] = {}

    @property
    def spent(self) -> float:
        """Gradient evaluations that were spent."""
        return math.fsum(self._spent.values())

    @property
    def left(self) -> float:
        """Gradient evaluations that may still be spent."""
        return max(0.0, self.allowed - self.spent)

    @property
    def by_purpose(self) -> dict[str, float]:
        """Gradient evaluations that were spent, by what they were spent on."""
        return dict(self._spent)

    def allows(self, evaluations: float) -> bool:
        """Whether so many gradient evaluations can still be spent."""
        return self.spent + evaluations <= self.allowed + _ROUNDING * self.planned

    def spend(self, evaluations: float, purpose: str) -> None:
        """Count gradient evaluations that are about to be made.

        Args:
            evaluations: how many; `FORWARD`, `GRADIENT` and `HESSIAN_PRODUCT` say what a pass counts.
            purpose: what for, in a word or two: "range test".

        Raises:
            BudgetError: they go beyond the share; nothing is counted.
        """
        if not self.allows(evaluations):
            raise BudgetError(
                what="The probe has spent its share of the training.",
                where=purpose,
                found=f"{self.spent:g} gradient evaluations spent, {evaluations:g} more wanted",
                expected=f"at most {self.allowed:g}, {self.share:.0%} of the {self.planned:g} of the planned training",
                next_step="Plan a longer training, or allow a larger share.",
            )
        self._spent[purpose] = self._spent.get(purpose, 0.0) + evaluations
