"""The plain PyTorch loop: the network itself, `backward` and torch.optim. What a kernel computes must agree with it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chainrule.lanes.description import Group, Scheduled, Setting, StepDescription, Varying, followed_and_recorded
from chainrule.lanes.drawn_numbers import DrawnNumbers
from chainrule.lanes.tracing import rule_of, settings_of

Numbers = NDArray[Any]


@dataclass(frozen=True, slots=True)
class PlainRun:
    """One run of the plain loop: the loss of each step, and parameters and buffers at the end."""

    losses: Numbers
    states: dict[str, Numbers]


def train_plainly(
    description: StepDescription,
    settings: Mapping[str, float],
    initial: Mapping[str, Tensor],
    steps: int,
    order: Numbers | None = None,
    seed: int = 0,
    schedules: Mapping[str, Numbers] | None = None,
) -> PlainRun:
    """Train one run in float64.

    Args:
        description: what is trained.
        settings: the hyperparameters that vary.
        initial: parameters and buffers that begin otherwise than the network's own.
        steps: how many.
        order: [step, sample]: which samples a step takes.
        seed: of the random numbers, which are those of the kernel.
        schedules: schedule → [step, 2], its factor and its offset.
    """
    network = copy.deepcopy(description.network).to(torch.float64)
    states = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for name, value in initial.items():
            states[name].copy_(value)
    moves = schedules or {}
    groups = [
        {"params": [states[name] for name in group.parameters], **_settings(description, group, settings, moves, 0)}
        for group in description.groups
    ]
    optimizer = getattr(torch.optim, description.optimizer)(groups, lr=0.0)
    samples = {name: _as_double(value) for name, value in description.samples.items()}
    constants = {name: _as_double(value) for name, value in description.constants.items()}
    read = {v.name: torch.tensor(settings[v.name], dtype=torch.float64) for v in description.objective_settings}
    losses = []
    for step in range(steps):
        data = samples if order is None else {n: v[torch.from_numpy(order[step])] for n, v in samples.items()}
        for own, group in zip(optimizer.param_groups, description.groups, strict=True):
            own.update(_settings(description, group, settings, moves, step))
        optimizer.zero_grad()
        with DrawnNumbers(seed, step, description.precision):
            found = description.objective(network, {**data, **constants}, read)
        followed, recorded = followed_and_recorded(found)
        torch.autograd.backward(followed)
        optimizer.step()
        losses.append(recorded.item())
    return PlainRun(np.array(losses), {name: value.detach().numpy() for name, value in states.items()})


def look_at_all(description: StepDescription) -> None:
    """Compute the loss of every sample once, a step's share at a time, so that PyTorch refuses what it cannot take."""
    network = copy.deepcopy(description.network).to(torch.float64)
    constants = {name: _as_double(value) for name, value in description.constants.items()}
    read = {v.name: torch.tensor(v.nominal, dtype=torch.float64) for v in description.objective_settings}
    count, size = max(description.sample_count, 1), max(description.step_size, 1)
    for first in range(0, count, size):
        rows = torch.arange(first, first + size) % count
        data = {name: _as_double(value[rows]) for name, value in description.samples.items()}
        with torch.no_grad():
            description.objective(network, {**data, **constants}, read)


def _settings(
    description: StepDescription, group: Group, settings: Mapping[str, float], moves: Mapping[str, Numbers], step: int
) -> dict[str, Any]:
    """Return the settings of a group in a step, as torch.optim takes them."""
    own: dict[str, Any] = {
        name: _number(value, settings, moves, step) for name, value in settings_of(description, group).items()
    }
    for pair, parts in rule_of(description).pairs.items():
        own[pair] = tuple(own.pop(part) for part in parts)
    return own


def _number(
    setting: Setting, settings: Mapping[str, float], moves: Mapping[str, Numbers], step: int
) -> float | int | bool:
    if isinstance(setting, Scheduled):
        factor, offset = (float(number) for number in moves[setting.name][step])
        return factor * _number(setting.base, settings, moves, step) + offset
    return settings[setting.name] if isinstance(setting, Varying) else setting


def _as_double(value: Tensor) -> Tensor:
    return value.to(torch.float64) if value.is_floating_point() else value
