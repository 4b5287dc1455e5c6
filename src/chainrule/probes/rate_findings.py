"""Why no learning rate can be suggested, or what stands against the one that is: findings, in words."""

import math
from collections.abc import Sequence

from chainrule.findings import Finding
from chainrule.probes.budget import Budget
from chainrule.probes.found_rate import TwinRun


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


def nothing_trains(start: float, lowest: float, twins: Sequence[TwinRun], share: float) -> Finding:
    """Say that no rate lowered the loss; `lowest` is the lowest seen, within that share of the training."""
    fallen = 1 - min(lowest, start) / start if start > 0 else 0.0
    tried = [run.rate for run in twins]
    return Finding(
        code="nothing-trains",
        severity="warning",
        claim=f"At no rate did the loss fall by a fifth within {share:.0%} of the training, "
        "so no rate can be told from another.",
        where="the short runs",
        evidence={
            "largest fall": f"{fallen:.2%}",
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
