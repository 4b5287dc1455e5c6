"""Twin runs: the same weights and batches, another rate; and how far a run has come.

Far below the edge of stability, training at rate η for n updates does what a rate of η/10 does in 10·n updates: to
first order the weights depend on the sum of the rates alone, here called the *path*,

    path after n updates at rate η = η · Σₖ₌₁…ₙ (1 − βᵏ)

where the factor is what momentum β has gathered of a steady gradient, over what it will gather in the end; without
momentum it is 1, and the path is η·n. Adam corrects its first moment for the start, so its path is η·n too. So one
short run at a brisk rate shows what a long run at a slow one would do, and the path at which the loss has fallen to
some level is a property of the problem that hardly depends on the rate that measured it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from chainrule.probes.batch_stream import BatchStream
from chainrule.probes.budget import FORWARD, GRADIENT, Budget
from chainrule.probes.found_rate import TwinRun
from chainrule.probes.restoring import Snapshot
from chainrule.probes.subject import LossFunction, Subject, moved, pair_of
from chainrule.shapes import Tensor
from chainrule.training.evaluation import evaluating

PURPOSE: Final = "twin runs"
JUDGING: Final = "judging"
AHEAD: Final = 10
"""Updates of a continuation at a higher rate."""
BATCHES: Final = 2  # to judge by, of the training's batch size
_CONSTANT_UPDATES: Final = 150
_LOOKS: Final = 1.3  # from one look to the next, a run has made this many times the updates
_RARER: Final = 1.6  # the same where few evaluations are allowed
AMPLE: Final = 100
"""Gradient evaluations; a probe that is allowed fewer judges by one batch, and looks more rarely."""


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A few batches that stay the same for all runs, and what a look at them costs.

    Attributes:
        subject: what is judged.
        batches: that the loss is taken over.
        is_validation: they are not trained on.
        cost: of a look, in gradient evaluations.
    """

    subject: Subject
    batches: tuple[Any, ...]
    is_validation: bool
    cost: float

    def look(self, budget: Budget) -> float:
        """Return the mean loss over the judge's batches, in evaluation mode."""
        budget.spend(self.cost, JUDGING)
        return math.fsum(self._losses()) / len(self.batches)

    def _losses(self) -> Iterable[float]:
        for batch in self.batches:
            if self.is_validation:
                yield self.subject.validation_loss(batch)
            else:
                with torch.no_grad(), evaluating(self.subject.model):
                    yield self.subject.loss(batch).item()


def judge_of(subject: Subject, seed: int = 0, most: int = BATCHES) -> Judge:
    """Return what runs of a subject are judged by: the first validation samples, or some training batches.

    Of validation batches as many samples are taken as a few training batches have, where samples can be counted.

    Args:
        subject: what is judged.
        seed: of the training batches.
        most: batches' worth of samples.
    """
    stream = BatchStream(subject.batches, seed)
    trained = stream.take(most if not subject.is_full_batch else 1)
    size = _samples(trained[0])
    if subject.validation is None:
        return Judge(subject, tuple(trained), False, FORWARD * len(trained))
    taken: list[Any] = []
    count = 0
    for batch in subject.validation:
        own = _samples(batch)
        if own is None or size is None:
            taken.append(batch)
            count += 1
            if len(taken) == most:
                return Judge(subject, tuple(taken), True, FORWARD * len(taken))
            continue
        room = most * size - count
        part = _first(batch, room)
        taken.append(batch if part is None else part)
        count += own if part is None else min(own, room)
        if count >= most * size:
            break
    if not taken:
        return Judge(subject, tuple(trained), False, FORWARD * len(trained))
    return Judge(subject, tuple(taken), True, FORWARD * (count / size if size else len(taken)))


def constant_loss(judge: Judge) -> float | None:
    """Return the judged loss of the best constant prediction; None where it is not known.

    It is known of a loss function of prediction and targets, where the prediction is a tensor.
    """
    subject = judge.subject
    if subject.loss_fn is None:
        return None
    losses = []
    for batch in judge.batches:
        inputs, targets = pair_of(batch if subject.device is None else moved(batch, subject.device))
        with torch.no_grad(), evaluating(subject.model):
            prediction = subject.model(inputs)
        if not isinstance(prediction, Tensor) or prediction.dim() < 1:
            return None
        losses.append(_lowest_of_constants(subject.loss_fn, prediction, targets))
    mean = math.fsum(losses) / len(losses)
    return mean if math.isfinite(mean) else None


def _lowest_of_constants(loss_fn: LossFunction, prediction: Tensor, targets: Any) -> float:
    """Return about the lowest loss of one prediction for all samples, by Adam from the means of what there is."""
    starts = [prediction.detach()]
    if isinstance(targets, Tensor) and targets.shape == prediction.shape and targets.is_floating_point():
        starts.append(targets.detach())
    lowest = math.inf
    for start in starts:
        constant = start.mean(dim=0).clone().requires_grad_()
        rate = 0.05 * max(1.0, constant.abs().max().item())
        optimizer = torch.optim.Adam([constant], lr=rate)
        for _ in range(_CONSTANT_UPDATES):
            optimizer.zero_grad()
            loss = loss_fn(constant.expand_as(prediction), targets)
            if not math.isfinite(loss.item()):
                break
            lowest = min(lowest, loss.item())
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return lowest


def _samples(batch: Any) -> int | None:
    """Return how many samples a batch has; None where that cannot be seen."""
    inputs = getattr(batch, "inputs", None)
    if isinstance(inputs, Tensor) and inputs.dim():
        return len(inputs)
    if isinstance(batch, tuple | list) and batch and all(isinstance(part, Tensor) and part.dim() for part in batch):
        return len(batch[0]) if len({len(part) for part in batch}) == 1 else None
    return None


def _first(batch: Any, count: int) -> Any | None:
    """Return the first samples of a batch of tensors; None where it is something else or has no more."""
    if not isinstance(batch, tuple | list) or hasattr(batch, "_fields") or len(batch[0]) <= count:
        return None
    return type(batch)(part[:count] for part in batch)


def path_of(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> float:
    """Return how far updates at some rates go along a steady gradient; see the module."""
    momentum = float(optimizer.param_groups[0].get("momentum", 0.0) or 0.0)
    gathered = path = 0.0
    for rate in rates:
        gathered = momentum * gathered + 1 - momentum
        path += rate * gathered
    return path


@dataclass(frozen=True, slots=True)
class Measured:
    """A twin run, and where its loss came to a level.

    Attributes:
        run: what is shown of it.
        path: at which the level was reached; None where it was not.
        seen: (updates, judged loss), from the start on; +∞ where it was not finite.
        ahead: how a continuation at a higher rate ended, as a run of its own; None where there was none.
    """

    run: TwinRun
    path: float | None
    seen: tuple[tuple[int, float], ...]
    ahead: TwinRun | None = None

    @property
    def lowest(self) -> float:
        """The lowest loss that the judge saw."""
        return min(loss for _, loss in self.seen)


def run_twin(
    subject: Subject,
    snapshot: Snapshot,
    budget: Budget,
    judge: Judge,
    *,
    rate: float,
    seed: int,
    updates: int,
    start: float,
    level: float = -math.inf,
    faster: Callable[[float], float] | None = None,
) -> Measured:
    """Train for a few updates at one rate, until the judged loss has come to a level.

    Args:
        subject: what is probed; it is put back before the run, not after it.
        snapshot: of the subject as it was.
        budget: pays; the run ends where it cannot.
        judge: looks at the run ever more rarely, and at its end.
        rate: of the optimizer's first group.
        seed: of the batches.
        updates: at most.
        start: the judged loss before the first update.
        level: of the judged loss at which the run ends; without one it makes all its updates.
        faster: from the path to the level to the rate at which the run then goes on for `AHEAD` updates, to see
            whether a training that has begun bears it.
    """
    snapshot.put_back()
    stream = BatchStream(subject.batches, seed)
    subject.set_rate(rate)
    losses: list[float] = []
    seen = [(0, start)]
    looks = _looks(updates, _LOOKS if budget.allowed >= AMPLE else _RARER) if level > -math.inf else {updates}
    reached: float | None = None
    while len(losses) < updates and budget.allows(GRADIENT + judge.cost):
        budget.spend(GRADIENT, PURPOSE)
        losses.append(subject.update(next(stream)))
        is_last = len(losses) == updates or not budget.allows(GRADIENT + 2 * judge.cost)
        if not math.isfinite(losses[-1]):
            seen.append((len(losses), math.inf))
        elif len(losses) in looks or is_last:
            judged = judge.look(budget)
            seen.append((len(losses), judged if math.isfinite(judged) else math.inf))
            if judged <= level:
                reached = _begun(subject.optimizer, rate, seen, level)
                break
        if seen[-1][1] == math.inf:
            break
    score = seen[-1][1]
    run = TwinRun(rate, seed, tuple(losses), score, score < start)
    if reached is None or faster is None or not budget.allows(AHEAD * GRADIENT + judge.cost):
        return Measured(run, reached, tuple(seen))
    higher = faster(reached)
    subject.set_rate(higher)
    onward: list[float] = []
    for _ in range(AHEAD):
        budget.spend(GRADIENT, PURPOSE)
        onward.append(subject.update(next(stream)))
        if not math.isfinite(onward[-1]):
            break
    end = judge.look(budget)
    end = end if math.isfinite(end) and math.isfinite(onward[-1]) else math.inf
    return Measured(run, reached, tuple(seen), TwinRun(higher, seed, tuple(onward), end, end < start))


def _looks(updates: int, factor: float) -> set[int]:
    looks, at = {updates}, max(2.0, updates / 6)
    while at < updates:
        looks.add(round(at))
        at *= factor
    return looks


def _begun(optimizer: torch.optim.Optimizer, rate: float, seen: Sequence[tuple[int, float]], level: float) -> float:
    """Return the path to a level, or less where the loss stood on a plateau before it fell.

    A loss that falls evenly takes about half of the path for the second half of the fall. One that takes less than a
    quarter for it has waited, and waiting says nothing about how fast it can go. Then it is four times that part.
    """
    path = _crossing(optimizer, rate, seen, level)
    return min(path, 4 * (path - _crossing(optimizer, rate, seen, (seen[0][1] + level) / 2)))


def _crossing(optimizer: torch.optim.Optimizer, rate: float, seen: Sequence[tuple[int, float]], level: float) -> float:
    """Return the path at which the loss, straight between two looks, came to a level."""
    last = next(number for number, (_, loss) in enumerate(seen) if loss <= level)
    (before, high), (after, low) = seen[last - 1], seen[last]
    near, far = (path_of(optimizer, [rate] * updates) for updates in (before, after))
    return near + (far - near) * (high - level) / (high - low)
