"""Why no learning rate can be suggested, or what stands against the one that is: findings, in words."""

import math
from collections.abc import Sequence
from typing import Final

from chainrule.findings import Finding
from chainrule.probes.budget import Budget
from chainrule.probes.found_rate import TwinRun

_SPENT_ON_OTHERS: Final = 4.0  # times the updates of a long run: what a probe spends with it in all
LONG_ENOUGH: Final = 50
"""Updates of the longest run from which a plateau or noise may be named.

In so many at three times Adam's usual rate of 10^-2.5, a weight can move by 0.5: as far as PyTorch's initial weights
reach from 0 in a layer of four inputs, and farther than in wider ones. A loss that stays through that stands still.
"""


def too_few_updates(start: float, lowest: float, longest: int, budget: Budget) -> Finding:
    """Say that the runs were too short for the loss to fall far enough; `longest` is in updates."""
    factor = max(2.0, LONG_ENOUGH * _SPENT_ON_OTHERS / budget.allowed)
    share = math.ceil(100 * budget.share * factor) / 100
    wider = f"allow a larger share (share={share:g}; --share {share:g}), or " if share <= 1 else ""
    return Finding(
        code="too-few-updates",
        severity="warning",
        claim=f"The longest short run had {longest} updates, too few to bring the loss down by a fifth.",
        where="the short runs",
        evidence={
            "largest fall": _fall(start, lowest),
            "loss at the start": round(start, 6),
            "gradient evaluations allowed": round(budget.allowed, 1),
        },
        remedy=f"This says nothing about the model: {wider}plan a longer training, of "
        f"{math.ceil(budget.updates * factor)} updates instead of {budget.updates}.",
    )


def _fall(start: float, lowest: float) -> str:
    return f"{1 - min(lowest, start) / start if start > 0 else 0.0:.2%}"


def too_short(budget: Budget, fewest: int) -> Finding:
    """Say that a training of so few updates allows for no run; `fewest` evaluations do."""
    return Finding(
        code="training-too-short",
        severity="warning",
        claim="The planned training is too short for a probe that costs a share of it.",
        where="the planned training",
        evidence={"updates": budget.updates, "gradient evaluations allowed": round(budget.allowed, 1)},
        remedy=f"A probe needs at least {fewest} gradient evaluations: plan {math.ceil(fewest / budget.share)} "
        "updates, allow a larger share, or train at several rates and compare them (chainrule sweep).",
    )


def not_finite(start: float) -> Finding:
    """Say that the loss at the start is no number."""
    return Finding(
        code="loss-not-finite",
        severity="error",
        claim="The loss is not finite before the first update, so no rate can help.",
        where="the model at its initial weights",
        evidence={"loss": str(start)},
        remedy="Look for NaN or infinity in the data, a logarithm of 0 or a division by 0.",
    )


def nothing_trains(start: float, lowest: float, twins: Sequence[TwinRun], share: float, level: float) -> Finding:
    """Say that no rate lowered the loss; `lowest` is the lowest seen, within that share of the training."""
    tried = [run.rate for run in twins]
    return Finding(
        code="nothing-trains",
        severity="warning",
        claim=f"At no rate did the loss come down to {level:.4g} within {share:.0%} of the training, "
        "so no rate can be told from another.",
        where="the short runs",
        evidence={
            "largest fall": _fall(start, lowest),
            "loss at the start": round(start, 6),
            "rates": f"{min(tried):.2g} to {max(tried):.2g}" if tried else "none",
        },
        remedy="Either the model stands on a plateau (deep sigmoid or tanh layers, bad initial weights: see chainrule "
        "explain), or the targets do not follow from the inputs (shuffled, constant or noise), or the loss does not "
        "depend on the weights that the optimizer trains.",
    )


def off_scale(start: float, lowest: float) -> Finding:
    """Say that the loss at the start is far above that of the best constant prediction."""
    return Finding(
        code="loss-off-scale",
        severity="warning",
        claim="The loss at the start is far above that of the best constant prediction, so the first updates do no "
        "more than bring the outputs to the scale of the targets.",
        where="the model at its initial weights",
        evidence={"loss at the start": round(start, 6), "lowest seen": round(lowest, 6)},
        remedy="Standardise the inputs, and the targets of a regression; then ask again.",
    )
