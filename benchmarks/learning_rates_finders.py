"""The learning-rate finders that are in use, by their published algorithms.

Sources, each read in its repository:
    fastai/callback/schedule.py @0a049e8 and fastai/learner.py (AvgSmoothLoss): `LRFinder`, `valley`, `slide`,
        `minimum`, `steep`;
    lightning/pytorch/tuner/lr_finder.py @0012782, which is what 2.6 does;
    torch_lr_finder/lr_finder.py @00abb90, `range_test` and `plot`.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from learning_rates_problems import Batches, Problem
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a finder recorded: rates and losses, as it smooths them, and the updates that it made."""

    rates: Numbers
    losses: Numbers
    updates: int


def forever(batches: Batches) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches, epoch after epoch."""
    while True:
        yield from batches


def _training(problem: Problem, network: torch.nn.Module, seed: int) -> Callable[[float], float]:
    """Return a function that makes one update at a rate and returns the loss before it."""
    inputs, targets, _, _ = problem.data()
    model = copy.deepcopy(network).train()
    optimizer = getattr(torch.optim, problem.optimizer)(model.parameters(), lr=0.0, **problem.settings)
    batches = forever(Batches(inputs, targets, problem.batch_size, seed))

    def update(rate: float) -> float:
        x, y = next(batches)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = problem.loss(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(loss.detach())

    return update


def fastai_sweep(update: Callable[[float], float], start: float = 1e-7, end: float = 10.0, number: int = 100) -> Sweep:
    """Return fastai's sweep: its smoothed loss is an average with β = 0.98, corrected for the start.

    The step that ends it is recorded too, as in fastai: its recorder notes the loss before the finder looks at it.
    """
    rates, losses, best, average = [], [], np.inf, 0.0
    for step in range(number):
        rate = start * (end / start) ** (step / number)
        average = 0.98 * average + (1 - 0.98) * update(rate)
        smoothed = average / (1 - 0.98 ** (step + 1))
        rates.append(rate)
        losses.append(smoothed)
        best = min(best, smoothed)
        if smoothed > 4 * best:
            break
    return Sweep(np.array(rates), np.array(losses), len(rates))


def fastai_points(sweep: Sweep, number: int = 100) -> tuple[Numbers, Numbers]:
    """Return the points that fastai looks at: without the first tenth and the last five, and up to the first NaN."""
    rates, losses = sweep.rates[number // 10 : -5], sweep.losses[number // 10 : -5]
    bad = np.nonzero(np.isnan(losses))[0]
    return (rates[: bad[0]], losses[: bad[0]]) if len(bad) else (rates, losses)


def valley(rates: Numbers, losses: Numbers) -> float:
    """Two thirds down the longest decreasing subsequence; fastai's default."""
    length = [1] * len(losses)
    start = end = 0
    for here in range(1, len(losses)):
        for before in range(here):
            if losses[here] < losses[before] and length[here] < length[before] + 1:
                length[here] = length[before] + 1
            if length[end] < length[here]:
                end = here
                start = end - length[end]
    sections = (end - start) / 3
    return float(rates[start + int(sections) + int(sections / 2)])


def slide(rates: Numbers, losses: Numbers, width: int = 15, threshold: float = 0.005) -> float:
    """From the right, until the slopes at the two ends of a window are alike."""
    slopes = np.gradient(losses)
    right, left = -1, -1 - width
    found = rates[left]
    while left >= -len(losses) and abs(slopes[right] - slopes[left]) > threshold:
        found = rates[left]
        right, left = right - 1, left - 1
    return float(found)


def minimum(rates: Numbers, losses: Numbers) -> float:
    """A tenth of the rate at the lowest loss."""
    return float(rates[losses.argmin()] / 10)


def steep(rates: Numbers, losses: Numbers) -> float:
    """Where the loss falls fastest over the logarithm of the rate."""
    return float(rates[(np.diff(losses) / np.diff(np.log(rates))).argmin()])


def lightning(update: Callable[[float], float]) -> tuple[float | None, int]:
    """Lightning 2.6: argmin of the slope over the rate itself; (suggestion, updates).

    Two details of its code: the scheduler's second rate is a rung further than its first, and the correction of the
    average (β = 0.98) counts one step too many.
    """
    low, high, number = 1e-8, 1.0, 100
    rates, losses, best, average = [], [], 0.0, 0.0
    for step in range(number):
        rate = low * (high / low) ** ((step + 1) / number) if step else low
        current = update(rate)
        average = 0.98 * average + (1 - 0.98) * current
        done = step + 1
        smoothed = average / (1 - 0.98 ** (done + 1))
        rates.append(rate)
        losses.append(smoothed)
        if done > 1 and smoothed > 4.0 * best:
            break
        if smoothed < best or done == 1:
            best = smoothed
    seen, over = np.array(losses)[10:-1], np.array(rates)[10:-1]
    finite = np.isfinite(seen)
    seen, over = seen[finite], over[finite]
    if len(seen) < 2:
        return None, len(rates)
    slopes = torch.gradient(torch.tensor(seen), spacing=[torch.tensor(over)])[0]
    return float(over[int(slopes.argmin())]), len(rates)


def torch_lr_finder(update: Callable[[float], float], start: float) -> tuple[float | None, int]:
    """torch-lr-finder: argmin of the slope per step, its smoothing not corrected; (suggestion, updates).

    It begins at the optimizer's rate. The end stops it when the loss is above 5 times the best.
    """
    end, number = 10.0, 100
    rates: list[float] = []
    losses: list[float] = []
    best = np.inf
    for step in range(number):
        rate = start * (end / start) ** (step / (number - 1))
        loss = update(rate)
        if step:
            loss = 0.05 * loss + 0.95 * losses[-1]
        best = min(best, loss) if step else loss
        rates.append(rate)
        losses.append(loss)
        if loss > 5 * best:
            break
    seen, over = np.array(losses)[10:-5], np.array(rates)[10:-5]
    if len(seen) < 2:
        return None, len(rates)
    return float(over[np.gradient(seen).argmin()]), len(rates)


def competitors(problem: Problem, network: torch.nn.Module, seed: int) -> dict[str, tuple[float | None, int]]:
    """Return the suggestion and the updates of each finder that is in use; None where it gives none."""
    found: dict[str, tuple[float | None, int]] = {}
    sweep = fastai_sweep(_training(problem, network, seed))
    rates, losses = fastai_points(sweep)
    rules: dict[str, Callable[[Numbers, Numbers], float]] = {
        "valley": valley, "slide": slide, "minimum": minimum, "steep": steep
    }  # fmt: skip
    for name, rule in rules.items():
        try:
            found[f"fastai {name}"] = rule(rates, losses), sweep.updates
        except (IndexError, ValueError):  # too few points, where fastai raises
            found[f"fastai {name}"] = None, sweep.updates
    found["Lightning 2.6"] = lightning(_training(problem, network, seed))
    found["torch-lr-finder"] = torch_lr_finder(_training(problem, network, seed), 1e-7)
    found["constant 1e-2"] = 1e-2, 0
    found["constant 1e-3"] = 1e-3, 0
    return found
