"""The exhaustive table: the final validation loss of every rate of a fine grid, over seeds, on each problem.

All runs of a problem are trained at once by `chainrule.lanes`, in float32. A seed draws the initial weights and the
order of samples.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning_rates_problems import Batches, Problem
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call, vmap

from chainrule.lanes import Group, Runs, Scheduled, StepDescription, Varying, compile_runs, supervised

MARKS = 20  # parts of a run over which the training loss is averaged
GRID = tuple(round(-6 + number / 4, 3) for number in range(33))  # log10 of the rates: quarter decades, 1e-6 to 1e2
_VERSION = 3


@dataclass(frozen=True, slots=True)
class Table:
    """What became of every rate on one problem.

    Attributes:
        exponents: log10 of the rates, rising.
        finals: final validation loss [rate, seed]; +∞ where not finite.
        training: mean training loss [rate, seed, part of the run].
        start: validation loss before training, or of the best constant prediction, whichever is lower.
    """

    exponents: NDArray[np.float64]
    finals: NDArray[np.float64]
    training: NDArray[np.float64]
    start: float

    @property
    def medians(self) -> NDArray[np.float64]:
        """Median over seeds of the final validation loss of each rate."""
        return np.median(self.finals, axis=1)

    def regrets(self) -> NDArray[np.float64]:
        """Return the regret of each rate: 0 for the best one, 1 for no better than no training."""
        return regret(self.medians, self.start, float(self.medians.min()))


def regret(losses: NDArray[np.float64], start: float, best: float) -> NDArray[np.float64]:
    """Return R = (min(L, L0) − L*) / (L0 − L*)."""
    return (np.minimum(losses, start) - best) / (start - best)


def train_at(problem: Problem, exponents: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train fully at rates 10^exponent; return final validation losses [rate, seed], training [rate, seed, part]."""
    inputs, targets, kept, kept_targets = problem.data()
    seeds = problem.seeds
    networks = [problem.seeded_network(seed) for seed in range(seeds)]
    names = [name for name, _ in networks[0].named_parameters()]
    settings: dict[str, Any] = dict(problem.settings) | {"lr": Scheduled("schedule", Varying("lr", 1e-3))}
    factors = np.array([[problem.factor(step), 0.0] for step in range(problem.steps)])
    description = StepDescription(
        network=networks[0].train(),
        objective=supervised(problem.loss),
        optimizer=problem.optimizer,
        groups=(Group(tuple(names), settings),),
        samples={"inputs": inputs, "targets": targets},
        batch_size=problem.batch_size,
        order="own",
        precision="float32",
    )
    kernel = compile_runs(description)
    count = len(exponents)
    initial = {}
    for name in kernel.inputs.states:
        values = [dict(network.state_dict()).get(name) for network in networks]
        if values[0] is not None:
            initial[name] = np.stack([value.numpy() for value in values if value is not None] * count)
    orders = [Batches(inputs, targets, problem.batch_size, seed).steps(problem.steps).numpy() for seed in range(seeds)]
    order = np.broadcast_to(np.stack(orders)[None], (count, seeds, *orders[0].shape)).reshape(-1, *orders[0].shape)
    runs = Runs(
        count * seeds,
        initial=initial,
        settings={"lr": 10.0 ** np.repeat(exponents, seeds)},
        order=order,
        keeps_states=True,
        schedules={"schedule": factors},
    )
    outcome = kernel.run(runs, problem.steps)
    assert outcome.states is not None
    assert outcome.losses is not None
    states = {name: torch.from_numpy(value) for name, value in outcome.states.items() if name in initial}
    finals = np.where(outcome.diverged, np.inf, _losses(problem, states, kept, kept_targets))
    parts = np.array_split(outcome.losses.astype(np.float64), MARKS, axis=1)
    training = np.stack([part.mean(axis=1) for part in parts], axis=1)
    return (
        np.where(np.isfinite(finals), finals, np.inf).reshape(count, seeds),
        np.where(np.isfinite(training), training, np.inf).reshape(count, seeds, MARKS),
    )


def _losses(problem: Problem, states: dict[str, Tensor], x: Tensor, y: Tensor) -> NDArray[np.float64]:
    network = problem.seeded_network(0).eval()

    def loss(state: dict[str, Tensor]) -> Tensor:
        return problem.loss(functional_call(network, state, (x,)), y)

    with torch.no_grad():
        return vmap(loss, chunk_size=16)(states).double().numpy()


def loss_before(problem: Problem) -> float:
    """Return the validation loss at initialisation or of the best constant prediction, whichever is lower."""
    _, targets, kept, kept_targets = problem.data()
    losses = []
    for seed in range(problem.seeds):
        network = problem.seeded_network(seed).eval()
        with torch.no_grad():
            losses.append(float(problem.loss(network(kept), kept_targets)))
    if targets.dtype.is_floating_point:
        constant = targets.mean(0).expand_as(kept_targets)
    else:
        constant = torch.log(torch.bincount(targets) / len(targets)).expand(len(kept_targets), -1)
    return min(float(np.median(losses)), float(problem.loss(constant, kept_targets)))


def make_table(problem: Problem) -> Table:
    """Return the table on quarter decades, with eighths round the minimum."""
    exponents = np.array(GRID)
    finals, training = train_at(problem, exponents)
    best = int(np.argmin(np.median(finals, axis=1)))
    more = np.array([exponents[best] + offset for offset in (-0.375, -0.125, 0.125, 0.375)])
    more_finals, more_training = train_at(problem, more)
    exponents = np.concatenate([exponents, more])
    order = np.argsort(exponents)
    return Table(
        exponents[order],
        np.concatenate([finals, more_finals])[order],
        np.concatenate([training, more_training])[order],
        loss_before(problem),
    )


def key_of(problem: Problem) -> str:
    """Return a name that changes when something of a problem does."""
    what: list[Any] = [problem.name, problem.optimizer, problem.batch_size, problem.schedule, problem.steps]
    what += [problem.settings, repr(problem.network()), problem.seeds, GRID, _VERSION]
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return f"{problem.name.replace(' ', '_').replace(',', '')}-{key}"


def table_of(problem: Problem, folder: Path) -> Table:
    """Return the table of a problem, from the folder if it was made before."""
    path = folder / f"{key_of(problem)}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        table = make_table(problem)
        np.savez(
            path, exponents=table.exponents, finals=table.finals, training=table.training, start=np.array(table.start)
        )
    with np.load(path) as held:
        return Table(held["exponents"], held["finals"], held["training"], float(held["start"]))
