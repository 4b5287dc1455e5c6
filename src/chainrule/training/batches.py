"""The batches of an epoch: a seeded order that depends on the epoch alone, so that a run can go on from anywhere.

In turn, every sample comes once in an epoch. With replacement each place of a batch is drawn from all samples, whatever
was drawn before; an epoch is then as many updates as it would be in turn, all of the same size.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from chainrule.shapes import Tensor
from chainrule.training.devices import Placement


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of one update, or this process's share of them.

    Attributes:
        inputs: (samples, ...).
        targets: in the form that the loss wants.
        is_padding: the process has no share of this batch; the one sample it holds must not count.
    """

    inputs: Tensor
    targets: Tensor
    is_padding: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """The training part, cut into batches in a new order for every epoch.

    Attributes:
        inputs: of the whole training part, on the device of the run.
        targets: in the form that the loss wants, on the device of the run.
        size: samples of an update, over all processes.
        shuffle: whether the order changes from epoch to epoch.
        seed: decides the orders.
        with_replacement: whether each place of a batch is drawn from all samples.
        given: (updates, size): the samples of each update where a task says them; the others say nothing then.
        samples: in the whole training part.
        per_epoch: how many updates an epoch has.
    """

    inputs: Tensor
    targets: Tensor
    size: int
    shuffle: bool
    seed: int
    with_replacement: bool = False
    given: Tensor | None = None
    samples: int = field(init=False)
    per_epoch: int = field(init=False)

    def __post_init__(self) -> None:
        # Counted once: the length of a tensor costs a microsecond, and every update asks for it.
        object.__setattr__(self, "samples", len(self.inputs))
        object.__setattr__(self, "per_epoch", -(-self.samples // self.size))

    @property
    def is_whole(self) -> bool:
        """Whether every batch is the whole training part, in whatever order."""
        return self.per_epoch == 1 and not self.with_replacement and self.given is None

    def samples_of(self, number: int) -> int:
        """Return how many samples a batch of an epoch has; in turn, the last may have fewer than the others."""
        are_equal = self.with_replacement or self.given is not None
        return self.size if are_equal else min(self.size, self.samples - number * self.size)

    def epoch(self, epoch: int, first: int, place: Placement) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on, each cut to the share of this process."""
        if self.is_whole and place.world == 1:
            # One batch is the whole part, and the order of its samples does not matter.
            if first == 0:
                yield Batch(self.inputs, self.targets)
            return
        order = self._order(epoch)
        for start in range(first * self.size, len(order), self.size):
            whole = order[start : start + self.size]
            yield self._share(whole, place) if place.world > 1 else Batch(self.inputs[whole], self.targets[whole])

    def _share(self, whole: Tensor, place: Placement) -> Batch:
        own = whole[place.rank :: place.world]
        rows = own if len(own) else whole[:1]
        return Batch(self.inputs[rows], self.targets[rows], is_padding=not len(own))

    def _order(self, epoch: int) -> Tensor:
        if self.given is not None:
            return self.given[epoch * self.per_epoch : (epoch + 1) * self.per_epoch].reshape(-1)
        if not self.shuffle and not self.with_replacement:
            return torch.arange(self.samples, device=self.inputs.device)
        # Two numbers make one seed: neighbouring seeds and epochs must not share an order.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch + 1) % 2**63)
        if self.with_replacement:
            order = torch.randint(self.samples, (self.per_epoch * self.size,), generator=generator)
        else:
            order = torch.randperm(self.samples, generator=generator)
        return order.to(self.inputs.device)
