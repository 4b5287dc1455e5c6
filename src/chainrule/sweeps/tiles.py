"""A sweep in tiles: so many runs at once that memory stays bounded, progress is seen and little is lost.

The sizes of tiles follow from the problem and the engine alone, so that a sweep that goes on later, or on another
machine, computes the same tiles.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chainrule.sweeps.ends import gradient_norms, tested
from chainrule.sweeps.groups import Group
from chainrule.sweeps.outcome import EngineName, Numbers, Want
from chainrule.sweeps.problem import Problem
from chainrule.sweeps.results import Engine, Rows, Tell, Trained, cut_at_divergence
from chainrule.sweeps.vmap_engine import bytes_of_a_run, one_thread, usual_chunk

_SECONDS = 10.0  # of a tile, as roughly reckoned; measured ones take a fifth to all of it
_BYTES = 2**28  # of what a tile holds beside what the engine works in
_BLOCK = 64  # runs of lanes: no tile ends in the middle of a vector, whatever the processor
_OPERATIONS = {"lanes": 8e9, "vmap": 3e9, "loop": 1e10}  # a second
_OVERHEAD = {"lanes": 0.0, "vmap": 0.0, "loop": 5e-4}  # seconds a step of a run


@dataclass(frozen=True, slots=True)
class Tile:
    """Runs of a group that are computed in one go.

    Attributes:
        group: the number of the group.
        first: the first of its runs.
        count: how many.
        engine: that computes them.
        siblings: how many tiles the group has.
    """

    group: int
    first: int
    count: int
    engine: EngineName
    siblings: int = 1

    @property
    def rows(self) -> Rows:
        """Which runs of the group they are."""
        return np.arange(self.first, self.first + self.count)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The numbers of one tile.

    Attributes:
        arrays: by name, with a row for each run: "final_loss", "steps_run", "losses", "measure", "gradient_norms",
            "test_loss", "test_metric", and "parameters.NAME".
        engine: that computed them.
        metric_name: of "test_metric".
    """

    arrays: Mapping[str, NDArray[Any]]
    engine: EngineName
    metric_name: str = field(default="")


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What tiles are cut from.

    Attributes:
        groups: of the sweep.
        problems: the groups made ready in this process.
        steps: updates of each run, as they were asked for; None for as many as the task has.
        want: what is to be known of the runs.
    """

    groups: Sequence[Group]
    problems: Sequence[Problem]
    steps: int | None
    want: Want


@runtime_checkable
class Computer(Protocol):
    """Computes tiles in other processes."""

    @property
    def about(self) -> str:
        """What it is, as a sentence."""

    def compute(self, tiles: Iterator[Tile], work: Work) -> Generator[tuple[Tile, Part], None, None]:
        """Yield each tile with its numbers, in any order; take further tiles no sooner than there is room for them."""


def tile_size(problem: Problem, engine: EngineName, want: Want) -> int:
    """Return how many runs of a group make a tile."""
    batches = problem.base.batches
    numbers = sum(value.numel() for value in problem.trained.values())
    size = min(batches.size, batches.samples)
    worked_in = bytes_of_a_run(problem)
    operations = 6 * numbers * size + 30 * worked_in // 8
    seconds = problem.steps * (operations / _OPERATIONS[engine] + _OVERHEAD[engine])
    held = 8 * (8 * numbers + (2 * problem.steps if want.losses or engine != "lanes" else 0))
    if "seed" in problem.columns and batches.per_epoch > 1 and engine == "lanes":
        held += 16 * problem.steps * size
    if "seed" in problem.columns and problem.has_parts:
        held += 3 * batches.inputs.numel() * batches.inputs.element_size()
    runs = int(max(1, min(_SECONDS / seconds, _BYTES // held)))
    whole = {"lanes": _BLOCK, "vmap": usual_chunk(problem), "loop": 1}[engine]
    return runs if runs < whole and engine != "vmap" else max(whole, runs - runs % whole)


def tiles_of(number: int, problem: Problem, engine: EngineName, want: Want) -> list[Tile]:
    """Return the tiles of a group, in the order of its runs."""
    size = tile_size(problem, engine, want)
    starts = range(0, problem.runs, size)
    return [Tile(number, first, min(size, problem.runs - first), engine, len(starts)) for first in starts]


def compute_tile(problem: Problem, engine: Engine, rows: Rows, want: Want, tell: Tell) -> Part:
    """Train the runs of a tile and read from them what is wanted.

    A run whose loss was not finite has NaN after it, in its losses and in everything that is read from its weights.
    """
    trained = engine.train(rows, want, tell)
    diverged = trained.steps_run < problem.steps
    steps = problem.steps
    final = np.where(trained.steps_run >= steps - 1, trained.final_loss, np.nan)
    arrays: dict[str, NDArray[Any]] = {"final_loss": final, "steps_run": trained.steps_run}
    if want.losses and trained.losses is not None:
        arrays["losses"] = cut_at_divergence(trained.losses, trained.steps_run)
    if trained.measure is not None:
        arrays["measure"] = trained.measure
    name = ""
    if trained.states is not None:
        looked_at, name = _ends(problem, rows, trained, want)
        if "gradient_norms" in looked_at:
            arrays["gradient_norms"] = looked_at.pop("gradient_norms")
            arrays["gradient_norms"][diverged, 1] = np.nan  # the first is of the initial weights
        for key, values in looked_at.items():
            values[diverged] = np.nan
            arrays[key] = values
    return Part(arrays, engine.name, name)


def _ends(problem: Problem, rows: Rows, trained: Trained, want: Want) -> tuple[dict[str, NDArray[Any]], str]:
    states = trained.states or {}
    found: dict[str, NDArray[Any]] = {}
    name = ""
    chunk = usual_chunk(problem)
    norms: list[Numbers] = []
    tests: list[tuple[Numbers, Numbers]] = []
    with one_thread():
        for first in range(0, len(rows), chunk) if want.gradients or want.test else ():
            part = slice(first, first + chunk)
            own = {key: value[part] for key, value in states.items()}
            if want.gradients:
                norms.append(gradient_norms(problem, rows[part], own))
            if want.test:
                losses, metrics, name = tested(problem, rows[part], own)
                tests.append((losses, metrics))
    if norms:
        found["gradient_norms"] = np.concatenate(norms)
    if tests:
        found["test_loss"] = np.concatenate([losses for losses, _ in tests])
        found["test_metric"] = np.concatenate([metrics for _, metrics in tests])
    if want.parameters:
        parameters = dict(problem.base.model.named_parameters())
        found |= {f"parameters.{key}": states[key].detach().numpy().copy() for key in parameters}
    return found, name
