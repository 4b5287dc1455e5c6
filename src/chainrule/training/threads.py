"""How many threads torch computes with. Small networks are fastest on one, and on any machine give the same numbers.

Threads of a small step wait for one another longer than they compute, most of all where other programs want the cores
too; and a sum that is split over threads is rounded in another order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch

from chainrule.data import Dataset
from chainrule.tasks import Task

# Multiplications of a forward pass up to which one thread was as fast as two: measured, layers of 64 to 1024 units.
SMALL = 2_000_000


def threads_for(task: Task, data: Dataset) -> int:
    """Return how many threads a task computes with: what it says, 1 for a small network of layers, else torch's own."""
    if task.run.threads is not None:
        return task.run.threads
    if task.model.layers is None:
        return torch.get_num_threads()
    rows = len(data.train) if task.data.batch_size == "full" else task.data.batch_size
    sizes = [data.train.inputs[0].numel(), *task.model.layers]
    work = rows * sum(below * above for below, above in pairwise(sizes))
    return 1 if work <= SMALL else torch.get_num_threads()


@contextmanager
def computing_threads(task: Task, data: Dataset) -> Iterator[int]:
    """Compute with as many threads as the task wants, yield how many, and put torch's number back."""
    before = torch.get_num_threads()
    threads = threads_for(task, data)
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)
