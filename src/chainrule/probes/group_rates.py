"""The rates of an optimizer's groups: which of them a suggestion is for, and how the others stand to it."""

import torch

from chainrule.errors import TaskError


def leading_rate(optimizer: torch.optim.Optimizer) -> float:
    """Return the learning rate of the first group that is not held still by a rate of 0.

    Raises:
        TaskError: all groups stand at 0.
    """
    return next(rate for rate in _rates(optimizer) if rate)


def rate_ratios(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the rate of each group over the leading one; a group at 0 stays at 0 at every rate that is tried.

    Raises:
        TaskError: all groups stand at 0.
    """
    leading = leading_rate(optimizer)
    return [rate / leading for rate in _rates(optimizer)]


def _rates(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the groups' rates, or those that a scheduler has kept of them where a warm-up begins at 0."""
    groups = optimizer.param_groups
    for name in ("lr", "initial_lr"):
        rates = [float(group.get(name, 0.0)) for group in groups]
        if any(rates):
            return rates
    raise TaskError(
        what="Every learning rate of the optimizer is 0, so it is not known how the rates of its groups stand to one "
        "another.",
        found=", ".join(f"lr = {float(group['lr']):g}" for group in groups),
        expected="at least one group with a rate above 0; any number serves, for only the ratios count",
    )
