"""Many runs as one: torch.func.vmap over stacked parameters, in chunks that stay in the processor's cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.func import vmap

from chainrule.components import generators_kept
from chainrule.shapes import Tensor
from chainrule.sweeps.batched_step import make_step, settings_of_step
from chainrule.sweeps.batches_of_runs import batches_of, whole_of
from chainrule.sweeps.outcome import EngineName, Want
from chainrule.sweeps.problem import Problem, stacked_tensors
from chainrule.sweeps.results import Refusal, Rows, Tell, Trained, finite_steps, measured, needs_states
from chainrule.sweeps.settings import scheduled, settings_problem

_CHUNK_BYTES = {"cpu": 16 * 2**20, "cuda": 2**30, "mps": 2**28}
_LEAST, _MOST = 32, 65_536
_LOSS_BYTES = 2**26  # of the losses of a chunk
_TOLD = 50  # times in a chunk


@dataclass(frozen=True, slots=True, eq=False)
class VmapEngine:
    """Runs in chunks.

    Attributes:
        problem: the group.
        chunk: how many runs are computed at once; it follows from the problem alone, so that results do too.
    """

    problem: Problem
    chunk: int

    @property
    def name(self) -> EngineName:
        """Which engine it is."""
        return "vmap"

    def on(self, problem: Problem) -> "VmapEngine":
        """Return the engine for other values or another number of steps of the same group."""
        return VmapEngine(problem, self.chunk)

    def train(self, rows: Rows, want: Want, tell: Tell) -> Trained:
        """Train some runs of the group; see `Engine`.

        Raises:
            RuntimeError: torch.func cannot compute this model; its own words.
        """
        parts = []
        with one_thread():
            for first in range(0, len(rows), self.chunk):

                def told(share: float, first: int = first) -> None:
                    tell((first + share * min(self.chunk, len(rows) - first)) / len(rows))

                parts.append(_train(self.problem, rows[first : first + self.chunk], want, told))
        return joined(parts)


def prepare_vmap(problem: Problem, chunk: int | None = None) -> VmapEngine | Refusal:
    """Return the engine for a group, or why it cannot compute it.

    Args:
        problem: the group.
        chunk: how many runs to compute at once; as many as stay in the cache when not given.
    """
    if problem.place.autocast:
        return Refusal("vmap", "bfloat16 autocast runs one by one.")
    if reason := settings_problem(problem):
        return Refusal("vmap", reason)
    return VmapEngine(problem, chunk or usual_chunk(problem))


def _train(problem: Problem, rows: Rows, want: Want, tell: Tell) -> Trained:
    device = problem.place.device
    moved = scheduled(problem, rows)
    step = make_step(problem, moved)
    states = {name: value.to(device) for name, value in stacked_tensors(problem, rows).items()}
    slots = {name: torch.zeros_like(states[name.rpartition(".")[0]]) for name in step.slots}
    buffers = [name for name, _ in problem.base.model.named_buffers()]
    whole = whole_of(problem, rows) if problem.records_training else None
    losses = []
    for number, batch in enumerate(batches_of(problem, rows)):
        if number == 0 or any(moved):
            settings = settings_of_step(step, rows, moved, number)
        over = None if batch.is_shared else 0
        now = torch.tensor(float(number + 1), dtype=torch.float64, device=device)
        mapped = vmap(step, in_dims=(0, 0, 0, None, over, over), randomness="error")
        before = states
        states, slots, value = mapped(states, slots, settings, now, batch.inputs, batch.targets)
        if whole is not None:
            looked_at = {**before, **{name: states[name] for name in buffers}}
            over = None if whole.is_shared else 0
            value = vmap(step.loss_of_part, in_dims=(0, over, over))(looked_at, whole.inputs, whole.targets)
        losses.append(value)
        if number % max(1, problem.steps // _TOLD) == 0:
            tell(number / problem.steps)
    found = torch.stack(losses, dim=1).to("cpu", torch.float64).numpy()
    return Trained(
        losses=found if want.losses else None,
        final_loss=found[:, -1].copy(),
        measure=measured(want.measure, found) if want.measure else None,
        steps_run=finite_steps(found),
        states={name: value.cpu() for name, value in states.items()} if needs_states(want) else None,
    )


def joined(parts: list[Trained]) -> Trained:
    """Return what several parts of the runs came to, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    losses = [part.losses for part in parts if part.losses is not None]
    measures = [part.measure for part in parts if part.measure is not None]
    states = [part.states for part in parts if part.states is not None]
    return Trained(
        losses=np.concatenate(losses) if losses else None,
        final_loss=np.concatenate([part.final_loss for part in parts]),
        measure=np.concatenate(measures) if measures else None,
        steps_run=np.concatenate([part.steps_run for part in parts]),
        states={name: torch.cat([each[name] for each in states]) for name in states[0]} if states else None,
    )


def usual_chunk(problem: Problem) -> int:
    """Return how many runs keep weights, what the optimizer remembers and what backward needs in the cache."""
    target = _CHUNK_BYTES.get(problem.place.device.type, _CHUNK_BYTES["cpu"])
    most = max(1, min(_MOST, _LOSS_BYTES // (8 * problem.steps)))
    return min(most, max(_LEAST, target // max(bytes_of_a_run(problem), 1)))


def bytes_of_a_run(problem: Problem) -> int:
    """Return the memory that a step of one run works in: weights, twice as much again, and what backward needs."""
    kept = 0

    def count(value: Tensor) -> Tensor:
        nonlocal kept
        kept += value.numel() * value.element_size()
        return value

    batches = problem.base.batches
    size = min(batches.size, batches.samples)
    weights = sum(value.numel() * value.element_size() for value in problem.trained.values())
    modes = problem.base.model.training
    buffers = {name: value.clone() for name, value in problem.base.model.named_buffers()}
    with generators_kept(problem.place.device), torch.autograd.graph.saved_tensors_hooks(count, lambda kept: kept):
        problem.base.objective(problem.base.model(batches.inputs[:size]), batches.targets[:size])
    for name, value in problem.base.model.named_buffers():
        value.data.copy_(buffers[name])
    problem.base.model.train(modes)
    return kept + 3 * weights


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch: several of them wait for one another longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
