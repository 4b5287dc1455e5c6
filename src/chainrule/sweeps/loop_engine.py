"""The plain loop: one run after the other, by the six steps of training. What the other engines must agree with."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from chainrule.components import generators_kept, seed_generators
from chainrule.shapes import Tensor
from chainrule.sweeps.outcome import EngineName, Numbers, Want
from chainrule.sweeps.problem import Problem
from chainrule.sweeps.results import Rows, Tell, Trained, finite_steps, measured, needs_states
from chainrule.training.sharing import recorded_loss
from chainrule.training.six_steps import forward, gradients, loss, update
from chainrule.training.state import State
from chainrule.training.stopping import close_epoch
from chainrule.training.threads import computing_threads

_TOLD = 50  # times in a run


@dataclass(frozen=True, slots=True, eq=False)
class LoopEngine:
    """Runs one by one."""

    problem: Problem

    @property
    def name(self) -> EngineName:
        """Which engine it is."""
        return "loop"

    def on(self, problem: Problem) -> "LoopEngine":
        """Return the engine for other values or another number of steps of the same group."""
        return LoopEngine(problem)

    def train(self, rows: Rows, want: Want, tell: Tell) -> Trained:
        """Train some runs of the group; see `Engine`."""
        problem = self.problem
        losses = np.full((len(rows), problem.steps), np.nan)
        states: dict[str, list[Tensor]] = {}
        for number, row in enumerate(rows.tolist()):

            def told(share: float, number: int = number) -> None:
                tell((number + share) / len(rows))

            found, state = train_one(problem, row, problem.steps, goes_on=want.measure is not None, tell=told)
            losses[number, : len(found)] = found
            if needs_states(want):
                for name, value in (*state.model.named_parameters(), *state.model.named_buffers()):
                    states.setdefault(name, []).append(value.detach().cpu().clone())
        return Trained(
            losses=losses if want.losses else None,
            final_loss=losses[:, -1].copy(),
            measure=measured(want.measure, losses) if want.measure else None,
            steps_run=finite_steps(losses),
            states={name: torch.stack(values) for name, values in states.items()} if needs_states(want) else None,
        )


def train_one(problem: Problem, run: int, steps: int, *, goes_on: bool, tell: Tell) -> tuple[Numbers, State]:
    """Train one run of a group, and return its losses and what it has in hand afterwards.

    Args:
        problem: the group.
        run: which of its runs.
        steps: updates, at most those of the problem.
        goes_on: take steps after a loss that is not finite, as engines do that compute many runs at once; without it
            the run ends there, as in `chainrule train`.
        tell: is told which share of the run is done.
    """
    seed = int(problem.seeds[run])
    with generators_kept(problem.place.device), computing_threads(problem.task, problem.data(seed)) as threads:
        seed_generators(seed)
        state = problem.state(run)
        state.place = replace(problem.place, threads=threads)
        if state.schedule is None or not isinstance(state.schedule.scheduler, ReduceLROnPlateau):
            state.validation = None  # nothing in a sweep depends on it then
        seed_generators(seed)
        try:
            return np.array(list(_losses(state, steps, goes_on, tell))), state
        finally:
            if state.penalties is not None:
                state.penalties.remove()


def _losses(state: State, steps: int, goes_on: bool, tell: Tell) -> Iterator[float]:
    progress = state.progress
    while progress.step < steps:
        for batch in state.batches.epoch(progress.epoch, progress.batch, state.place):
            value = loss(state, forward(state, batch), batch)
            number = recorded_loss(state, value)
            yield number
            if not (math.isfinite(number) or goes_on):
                return
            gradients(state, value)
            update(state, batch, value)
            progress.count(number, state.batches)
            if progress.batch == state.batches.per_epoch:
                close_epoch(state)
            if progress.step % max(1, steps // _TOLD) == 0:
                tell(progress.step / steps)
            if progress.step >= steps:
                return
