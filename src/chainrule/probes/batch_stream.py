"""Batches without end, drawn from what the user gave, so that looking changes nothing that was given.

A loader is iterated through a shallow copy of its own, so that its workers are not the user's; the generators it draws
from are the user's, and `restored` puts them back. Every batch is handed out as a copy, because a model may write into
its inputs.
"""

import copy
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader

from chainrule.errors import DataError
from chainrule.training.batches import Batches
from chainrule.training.devices import Placement


@runtime_checkable
class Epochs(Protocol):
    """Batches whose order is decided by two numbers alone: a seed and the number of the epoch."""

    def epoch(self, seed: int | None, number: int) -> Iterator[Any]:
        """Yield the batches of an epoch; with the training's own seed when `seed` is None."""


@final
@dataclass(frozen=True, slots=True)
class TaskBatches:
    """The training part of a task, in the order in which the task trains on it, or in another seed's.

    Attributes:
        batches: of the run.
        place: of the run.
    """

    batches: Batches
    place: Placement

    def __iter__(self) -> Iterator[Any]:
        return self.epoch(None, 0)

    def __len__(self) -> int:
        return self.batches.per_epoch

    def epoch(self, seed: int | None, number: int) -> Iterator[Any]:
        """Yield the batches of an epoch; see `Epochs`."""
        own = self.batches
        batches = own if seed is None else Batches(own.inputs, own.targets, own.size, own.shuffle, seed)
        return batches.epoch(number, 0, self.place)


@final
class BatchStream(Iterator[Any]):
    """The batches of an iterable, epoch after epoch, without end.

    Use it inside `restored`, which puts back the generators that it draws from and seeds.

    Args:
        batches: anything that can be iterated again and again.
        seed: decides the order of a loader that shuffles, and what else is drawn (dropout); None goes on from the
            generators as they are.

    Raises:
        DataError: it is used up by looking, or holds no batch; the second shows at the first batch.
    """

    def __init__(self, batches: Iterable[Any], seed: int | None = None) -> None:
        refuse_used_up(batches)
        self._source = own_copy(batches)
        self._seed = seed
        self._epoch = -1
        self._count = 0
        self._batches: Iterator[Any] = iter(())
        self.per_epoch: int | None = None
        """How many batches an epoch has; None until one was gone through, where the iterable does not tell."""
        if callable(getattr(batches, "__len__", None)):
            try:
                self.per_epoch = len(batches)  # type: ignore[arg-type]
            except (TypeError, NotImplementedError):  # a DataLoader over an IterableDataset has a __len__ that raises
                self.per_epoch = None
        if seed is not None:
            seed_everything(seed)
            for generator in _generators_of(batches):
                generator.manual_seed(seed)

    def __next__(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self._begin_epoch()
            try:
                batch = next(self._batches)
            except StopIteration:
                raise _used_up(self._epoch) if self._epoch else no_batch() from None
        self._count += 1
        return copy.deepcopy(batch)

    def take(self, count: int) -> list[Any]:
        """Return the next `count` batches."""
        return [next(self) for _ in range(count)]

    def _begin_epoch(self) -> None:
        if self._epoch >= 0 and self.per_epoch is None:
            self.per_epoch = self._count
        self._epoch += 1
        self._count = 0
        if isinstance(self._source, Epochs):
            self._batches = self._source.epoch(self._seed, self._epoch)
        else:
            self._batches = iter(self._source)


def _used_up(epoch: int) -> DataError:
    return DataError(
        what="These batches can be gone through once only, so the training would miss what the probe took.",
        found=f"no batch in epoch {epoch + 1}",
        expected="an iterable that starts anew each time",
    )


def no_batch() -> DataError:
    """Return the refusal of an iterable without batches."""
    return DataError(
        what="There is no batch to probe with.", found="an iterable that yields nothing", expected="at least one batch"
    )


def seed_everything(seed: int) -> None:
    """Seed the generators that a training draws from: torch's on every device, NumPy's and Python's."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def refuse_used_up(batches: Iterable[Any]) -> None:
    """Refuse an iterable whose batches are gone once they were looked at.

    Raises:
        DataError: it is an iterator, or a loader over one.
    """
    used_up: object = None
    if isinstance(batches, Iterator):
        used_up = batches
    elif isinstance(batches, DataLoader) and isinstance(batches.dataset, Iterator):
        used_up = batches.dataset
    if used_up is not None:
        raise DataError(
            what="These batches are used up by looking at them, so the training would miss what the probe took.",
            found=f"an iterator ({type(used_up).__name__})",
            expected="an iterable that starts anew each time: a DataLoader, a list of batches, a class with __iter__",
            next_step="Give the loader itself and not iter(loader), or list(itertools.islice(batches, n)).",
        )


def own_copy(batches: Iterable[Any]) -> Iterable[Any]:
    """Return a loader whose workers are not the user's; anything else as it is."""
    if not isinstance(batches, DataLoader):
        return batches
    loader = copy.copy(batches)
    loader._iterator = None  # the workers that a loader keeps are the user's
    return loader


def _generators_of(batches: Iterable[Any]) -> list[torch.Generator]:
    """Return the generators that decide the order of a loader."""
    loader = getattr(batches, "loader", batches)  # of an iterable that gathers another's batches
    parts: list[object] = [loader]
    for name in ("sampler", "batch_sampler", "dataset"):
        part = getattr(loader, name, None)
        parts += [part, getattr(part, "sampler", None)]
    found = [getattr(part, "generator", None) for part in parts]
    return [generator for generator in found if isinstance(generator, torch.Generator)]
