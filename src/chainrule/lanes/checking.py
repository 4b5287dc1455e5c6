"""A kernel is trusted when a few of its steps agree with the plain PyTorch loop."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.lanes.description import StepDescription
from chainrule.lanes.plain_loop import PlainRun, look_at_all, train_plainly
from chainrule.lanes.running import Outcome, Runs
from chainrule.lanes.unsupported import Unsupported

STEPS = 4
RUNS = 2
LOSS_TOLERANCE = {"float64": 1e-9, "float32": 2e-3}  # of the largest loss; steps may double an error a few times
STATE_TOLERANCE = 1e-6  # more: Adam makes steps of a gradient that is nothing but rounding, as of a bias before a norm


def runs_to_check(description: StepDescription, states: dict[str, torch.Tensor]) -> Runs:
    """Return the runs that are compared: one as the network is, one with other weights and hyperparameters."""
    factors = np.array([1.0, 0.9])
    settings = {item.name: item.nominal * np.array([1.0, 0.9]) for item in description.varying}
    names = [name for name, _ in description.network.named_parameters() if name in states]
    order = None
    if description.batch_size is not None:
        shape = (RUNS, STEPS, description.batch_size) if description.order == "own" else (STEPS, description.batch_size)
        order = np.random.default_rng(0).integers(0, description.sample_count, shape)
    moves = np.stack([np.linspace(0.9, 0.6, STEPS), np.full(STEPS, 1e-3)], axis=-1)
    return Runs(
        RUNS,
        settings=settings,
        schedules=dict.fromkeys(description.schedules, moves),
        scale=dict.fromkeys(names, factors),
        order=order,
        seeds=np.arange(RUNS),
        keeps_states=True,
    )


def check_outcome(description: StepDescription, runs: Runs, outcome: Outcome) -> None:
    """Refuse a kernel whose runs differ from those of the plain loop.

    Raises:
        Unsupported: it differs, with the numbers of both.
    """
    for run in range(RUNS):
        plain = _plain(description, runs, run)
        losses = outcome.losses[run] if outcome.losses is not None else []
        _compare("the loss", losses, plain.losses, LOSS_TOLERANCE[description.precision])
        if description.precision == "float32":
            continue  # rounding alone can move a weight that the loss does not depend on
        for name, values in (outcome.states or {}).items():
            if name in plain.states:
                _compare(f"'{name}' after {STEPS} steps", values[run], plain.states[name], STATE_TOLERANCE)


def check_samples(description: StepDescription) -> None:
    """Let plain PyTorch look at every sample once: classes and words that do not exist raise its own error here."""
    kinds = [*description.samples.values(), *description.constants.values()]
    if all(value.is_floating_point() for value in kinds):
        return
    look_at_all(description)


def _plain(description: StepDescription, runs: Runs, run: int) -> PlainRun:
    states = dict(description.network.named_parameters())
    initial = {name: states[name].detach().double() * float(factor[run]) for name, factor in runs.scale.items()}
    order = runs.order[run] if runs.order is not None and runs.order.ndim == 3 else runs.order
    settings = {name: float(values[run]) for name, values in runs.settings.items()}
    seed = int(runs.seeds[run]) if runs.seeds is not None else 0
    return train_plainly(description, settings, initial, STEPS, order, seed, runs.schedules)


def _compare(what: str, found: Any, expected: NDArray[Any], tolerance: float) -> None:
    ours, plain = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    finite = np.isfinite(plain)
    same_kind = np.array_equal(np.isfinite(ours), finite)
    scale = max(float(np.max(np.abs(plain), where=finite, initial=0.0)), 1e-6)
    difference = float(np.max(np.abs(ours - plain), where=finite & np.isfinite(ours), initial=0.0))
    if same_kind and difference <= tolerance * scale:
        return
    place = (
        int(np.argmax(np.where(finite, np.abs(ours - plain), np.inf)))
        if same_kind
        else int(np.argmax(np.isfinite(ours) != finite))
    )
    raise Unsupported(
        what="The lanes engine computes this training step otherwise than PyTorch, so it is not used.",
        where=what,
        found=f"{ours.ravel()[place]:.17g}",
        expected=f"{plain.ravel()[place]:.17g}, as the plain loop has it",
        next_step="Run it with plain PyTorch.",
    )
