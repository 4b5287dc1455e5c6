"""The plain PyTorch loop that a kernel must agree with."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.lanes import StepDescription, Varying


def plain_losses(
    description: StepDescription,
    settings: Mapping[str, float],
    steps: int,
    *,
    initial: Mapping[str, NDArray[Any]] | None = None,
    order: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Train one run with the network itself and torch.optim, in float64, and return its losses."""
    network = copy.deepcopy(description.network).double()
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in (initial or {}).items():
            parameters[name].copy_(torch.as_tensor(value))
    groups = []
    for group in description.groups:
        own = {n: settings[v.name] if isinstance(v, Varying) else v for n, v in group.settings.items()}
        if "beta1" in own or "beta2" in own:
            own["betas"] = (own.pop("beta1", 0.9), own.pop("beta2", 0.999))
        groups.append({"params": [parameters[name] for name in group.parameters], **own})
    optimizer = getattr(torch.optim, description.optimizer)(groups, lr=1e-3)
    samples = {n: v.double() if v.is_floating_point() else v for n, v in description.samples.items()}
    constants = {n: v.double() if v.is_floating_point() else v for n, v in description.constants.items()}
    extra = {v.name: torch.tensor(settings[v.name], dtype=torch.float64) for v in description.objective_settings}
    losses = []
    for step in range(steps):
        data = samples if order is None else {n: v[torch.from_numpy(order[step])] for n, v in samples.items()}
        optimizer.zero_grad()
        loss = description.objective(network, {**data, **constants}, extra)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def relative_difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the greatest difference over the greatest size of a loss."""
    return float(np.max(np.abs(one - other)) / np.max(np.abs(other)))
