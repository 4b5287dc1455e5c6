"""The batches of many runs at once: one for all of them, or another for each seed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from chainrule.shapes import Tensor
from chainrule.sweeps.problem import Problem
from chainrule.sweeps.results import Rows
from chainrule.training.building import part_tensors


@dataclass(frozen=True, slots=True, eq=False)
class RunBatch:
    """The samples of one step of some runs.

    Attributes:
        inputs: (samples, ...) for all runs, or (runs, samples, ...).
        targets: in the form that the loss wants, with the same first dimensions.
        is_shared: whether all runs have the same samples.
    """

    inputs: Tensor
    targets: Tensor
    is_shared: bool


@dataclass(frozen=True, slots=True, eq=False)
class TrainingParts:
    """The training parts of some runs' seeds, stacked where they differ.

    Attributes:
        inputs: (samples, ...), or (parts, samples, ...).
        targets: with the same first dimensions.
        part_of: which part each seed has; None when all have the same one.
    """

    inputs: Tensor
    targets: Tensor
    part_of: Tensor | None


def training_parts(problem: Problem, seeds: list[int]) -> TrainingParts:
    """Return the training parts of some distinct seeds, on the device of the run.

    Raises:
        RuntimeError: the parts of two seeds differ in shape, so that they cannot be stacked.
    """
    if not problem.has_parts or len(seeds) == 1:
        inputs, targets = part_tensors(problem.data(seeds[0]).train, problem.base.objective, problem.place)
        return TrainingParts(inputs, targets, None)
    parts = [part_tensors(problem.data(seed).train, problem.base.objective, problem.place) for seed in seeds]
    return TrainingParts(
        torch.stack([inputs for inputs, _ in parts]),
        torch.stack([targets for _, targets in parts]),
        torch.arange(len(seeds)),
    )


def batches_of(problem: Problem, rows: Rows, only: tuple[int, ...] | None = None) -> Iterator[RunBatch]:
    """Yield the batch of every step of some runs, as `training.batches` has them for each seed.

    Args:
        problem: the group.
        rows: which of its runs.
        only: the steps that are wanted, in rising order and perhaps twice; all when None.

    Raises:
        RuntimeError: see `training_parts`.
    """
    seeds, places = np.unique(problem.seeds[rows], return_inverse=True)
    parts = training_parts(problem, seeds.tolist())
    of_run = torch.from_numpy(places).to(parts.inputs.device)
    is_whole = problem.base.batches.is_whole
    for order in _wanted(row_numbers(problem, seeds.tolist()), range(problem.steps) if only is None else only):
        if parts.part_of is not None:
            if is_whole:
                yield RunBatch(parts.inputs[of_run], parts.targets[of_run], is_shared=False)
            else:
                own = order.to(parts.inputs.device)[of_run]
                yield RunBatch(parts.inputs[of_run[:, None], own], parts.targets[of_run[:, None], own], False)
        elif is_whole:
            yield RunBatch(parts.inputs, parts.targets, is_shared=True)
        elif len(seeds) == 1 or not problem.base.batches.shuffle:
            own = order[0].to(parts.inputs.device)
            yield RunBatch(parts.inputs[own], parts.targets[own], is_shared=True)
        else:
            own = order.to(parts.inputs.device)[of_run]
            yield RunBatch(parts.inputs[own], parts.targets[own], is_shared=False)


def whole_of(problem: Problem, rows: Rows) -> RunBatch:
    """Return the whole training part of some runs.

    Raises:
        RuntimeError: see `training_parts`.
    """
    seeds, places = np.unique(problem.seeds[rows], return_inverse=True)
    parts = training_parts(problem, seeds.tolist())
    if parts.part_of is None:
        return RunBatch(parts.inputs, parts.targets, is_shared=True)
    of_run = torch.from_numpy(places).to(parts.inputs.device)
    return RunBatch(parts.inputs[of_run], parts.targets[of_run], is_shared=False)


def _wanted(orders: Iterator[Tensor], steps: Iterable[int]) -> Iterator[Tensor]:
    """Yield the orders of some steps; a step that is named twice comes twice."""
    reached, order = -1, torch.zeros(0)
    for step in steps:
        while reached < step:
            order, reached = next(orders), reached + 1
        yield order


def row_numbers(problem: Problem, seeds: list[int]) -> Iterator[Tensor]:
    """Yield, step after step without end, which rows of its training part each seed takes: (seeds, samples)."""
    of_seeds = [problem.batch_rows(seed) for seed in seeds]
    epoch = 0
    while True:
        for batches in zip(*(each.epoch(epoch, 0, problem.place) for each in of_seeds), strict=True):
            yield torch.stack([batch.inputs for batch in batches])
        epoch += 1
