"""The three trainings that engines for many runs are compared on, and the contenders that PyTorch itself offers.

    2-2-2    two layers of two sigmoid units, one sample, half the squared error, SGD; 100,000 learning rates
    map      16-16-1 in mean-field scaling, tanh, 272 samples, mean squared error, SGD with a rate for each layer
    digits   64-32-10, ReLU, cross-entropy, minibatches of 64, Adam; 256 learning rates

Every contender trains the same weights on the same data and hands back the last losses, so that they can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from chainrule.lanes import Group, Kernel, Runs, StepDescription, Varying, compile_runs, supervised

Numbers: TypeAlias = NDArray[Any]
Train: TypeAlias = Callable[[Numbers, int], Numbers]  # (rates [run, group], steps) → the last losses [run]

LANES, STOPPING = "chainrule lanes", "chainrule lanes, stopping early"
LOOP, VMAP, COMPILED = "plain loop", "torch.vmap, no compiler", "torch.compile"
SAMPLES = 272
WIDTH = 16
MAP_OPERATIONS = 2 * SAMPLES * (2 * WIDTH * WIDTH + 3 * WIDTH)  # of its matrix products in a step, + and × apart
BATCHES = 64
BATCH_SIZE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A training.

    Attributes:
        name: of it.
        precision: what is computed with.
        network: with its initial weights, in that precision.
        loss: of predictions and targets.
        inputs: of all samples, and of all steps where there are minibatches: [step, sample, ...].
        targets: theirs.
        groups: the parameters that share a learning rate.
        optimizer: of torch.
        rates: [run, group].
        steps: of a whole training.
    """

    name: str
    precision: str
    network: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    targets: Tensor
    groups: tuple[tuple[str, ...], ...]
    optimizer: str
    rates: Numbers
    steps: int

    @property
    def has_batches(self) -> bool:
        """Whether each step has samples of its own."""
        return self.inputs.dim() == 3

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the samples of a step."""
        return (self.inputs[step], self.targets[step]) if self.has_batches else (self.inputs, self.targets)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The initial weights."""
        return {name: value.detach() for name, value in self.network.named_parameters()}


@dataclass(frozen=True, slots=True)
class Contender:
    """An engine on a case.

    Attributes:
        name: what the table calls it.
        case: what it trains.
        prepare: makes it ready: imports, traces, compiles.
        rates: of the runs that are timed.
        steps: how many of their steps.
        told: what the table says beside it.
        is_long: it is timed once only.
    """

    name: str
    case: str
    prepare: Callable[[], Train]
    rates: Numbers
    steps: int
    told: str = ""
    is_long: bool = False


class MapNetwork(nn.Module):
    """The network of the published map of learning rates, in its scaling."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        super().__init__()
        self.first = nn.Parameter(first)
        self.second = nn.Parameter(second)

    def forward(self, x: Tensor) -> Tensor:
        """Return the prediction."""
        return torch.tanh(x @ self.first / WIDTH**0.5 * 2**0.5) @ self.second / WIDTH


def half_square(prediction: Tensor, target: Tensor) -> Tensor:
    """Return half the sum of the squared errors."""
    return 0.5 * ((target - prediction) ** 2).sum()


def two_two_two(runs: int) -> Case:
    """Return the worked example at learning rates from 0.01 to 316."""
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sigmoid(), nn.Linear(2, 2, bias=False), nn.Sigmoid())
    weights = {"0.weight": [[0.15, 0.2], [0.25, 0.3]], "2.weight": [[0.4, 0.45], [0.5, 0.55]]}
    network.double().load_state_dict({name: torch.tensor(rows, dtype=torch.float64) for name, rows in weights.items()})
    inputs = torch.tensor([[0.05, 0.1]], dtype=torch.float64)
    targets = torch.tensor([[0.01, 0.99]], dtype=torch.float64)
    rates = np.logspace(-2, 2.5, runs)[:, None]
    groups = (("0.weight", "2.weight"),)
    return Case("2-2-2", "float64", network, half_square, inputs, targets, groups, "SGD", rates, 1000)


def learning_rate_map(resolution: int) -> Case:
    """Return the map's network at a grid of learning rates from 10⁻³ to 10⁶ for each layer."""
    rng = np.random.default_rng(0)
    first, second = (torch.from_numpy(rng.standard_normal((WIDTH, out))) for out in (WIDTH, 1))
    inputs, targets = (torch.from_numpy(rng.standard_normal((SAMPLES, out))) for out in (WIDTH, 1))
    axis = np.logspace(-3, 6, resolution)
    rates = np.stack([each.ravel() for each in np.meshgrid(axis, axis)], axis=-1)
    groups = (("first",), ("second",))
    network = MapNetwork(first, second)
    return Case("map", "float64", network, nn.functional.mse_loss, inputs, targets, groups, "SGD", rates, 500)


def digits(runs: int) -> Case:
    """Return the classifier of digits at learning rates from 10⁻⁴ to 0.3."""
    inputs, classes = load_digits(return_X_y=True)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    order = torch.from_numpy(np.random.default_rng(0).integers(0, len(inputs), (BATCHES, BATCH_SIZE)))
    groups = (tuple(name for name, _ in network.named_parameters()),)
    return Case(
        "digits", "float32", network, nn.functional.cross_entropy, torch.from_numpy(inputs / 16).float()[order],
        torch.from_numpy(classes)[order], groups, "Adam", np.logspace(-4, -0.5, runs)[:, None], BATCHES,
    )  # fmt: skip


def kernel_of(case: Case) -> Kernel:
    """Return chainrule's kernel of a case."""
    groups = tuple(Group(names, {"lr": Varying(f"lr.{place}", 0.01)}) for place, names in enumerate(case.groups))
    samples = {"inputs": case.inputs, "targets": case.targets}
    if case.has_batches:
        samples = {name: value.flatten(0, 1) for name, value in samples.items()}
    return compile_runs(
        StepDescription(
            network=case.network,
            objective=supervised(case.loss),
            optimizer=case.optimizer,
            groups=groups,
            samples=samples,
            batch_size=BATCH_SIZE if case.has_batches else None,
            precision="float64" if case.precision == "float64" else "float32",
        )
    )


def prepare_lanes(case: Case, *, stops_early: bool = False, threads: int = 1) -> Train:
    """Return chainrule's engine."""
    kernel = kernel_of(case)

    def train(rates: Numbers, steps: int) -> Numbers:
        order = np.arange(steps * BATCH_SIZE).reshape(steps, BATCH_SIZE) if case.has_batches else None
        settings = {f"lr.{place}": rates[:, place] for place in range(len(case.groups))}
        runs = Runs(len(rates), settings=settings, order=order, keeps_losses=False, stops_early=stops_early)
        return kernel.run(runs, steps, threads=threads).measure

    return train


def prepare_loop(case: Case) -> Train:
    """Return the plain loop: forward, backward and the optimizer's step, with the options of it that are fastest."""
    fastest: dict[str, Any] = {"fused": True} if case.optimizer == "Adam" else {"foreach": False}

    def train_one(rates: Numbers, steps: int) -> float:
        named = dict(case.network.named_parameters())
        initial = case.weights
        initial = {name: value.clone() for name, value in initial.items()}
        groups = [
            {"params": [named[name] for name in names], "lr": float(rate)}
            for names, rate in zip(case.groups, rates, strict=True)
        ]
        optimizer = getattr(torch.optim, case.optimizer)(groups, **fastest)
        for step in range(steps):
            inputs, targets = case.batch(step)
            loss = case.loss(case.network(inputs), targets)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        with torch.no_grad():
            for name, value in initial.items():
                named[name].copy_(value)
        return loss.item()

    return lambda rates, steps: np.array([train_one(each, steps) for each in rates])


def _batched_step(case: Case) -> Callable[..., tuple[list[dict[str, Tensor]], Tensor]]:
    """Return (slots, rates, step, inputs, targets) → (slots, losses), for all runs of a chunk; slots[0] is weights."""
    group_of = {name: place for place, names in enumerate(case.groups) for name in names}

    def loss_of(weights: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        return case.loss(functional_call(case.network, weights, (inputs,)), targets)

    gradients_of = vmap(grad_and_value(loss_of), in_dims=(0, None, None))

    def spread(rates: Tensor, name: str, like: Tensor) -> Tensor:
        return rates[:, group_of[name]].reshape(-1, *[1] * (like.dim() - 1))

    def sgd(
        slots: list[dict[str, Tensor]], rates: Tensor, step: Tensor, inputs: Tensor, targets: Tensor
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        gradients, losses = gradients_of(slots[0], inputs, targets)
        moved = {name: w - spread(rates, name, w) * gradients[name] for name, w in slots[0].items()}
        return [moved], losses

    def adam(
        slots: list[dict[str, Tensor]], rates: Tensor, step: Tensor, inputs: Tensor, targets: Tensor
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        gradients, losses = gradients_of(slots[0], inputs, targets)
        new: list[dict[str, Tensor]] = [{}, {}, {}]
        root, bias = (1 - 0.999**step).sqrt(), 1 - 0.9**step
        for name, w in slots[0].items():
            g = gradients[name]
            first = slots[1][name] + (g - slots[1][name]) * 0.1
            second = slots[2][name] * 0.999 + g * g * 0.001
            moved = w - spread(rates, name, w) / bias * first / (second.sqrt() / root + 1e-8)
            for slot, value in zip(new, (moved, first, second), strict=True):
                slot[name] = value
        return new, losses

    return adam if case.optimizer == "Adam" else sgd


def _stepping(case: Case, step_of: Callable[..., Any], chunk: int) -> Train:
    def train(rates: Numbers, steps: int) -> Numbers:
        dtype = getattr(torch, case.precision)
        found = []
        with torch.no_grad():
            for first in range(0, len(rates), chunk):
                own = torch.from_numpy(rates[first : first + chunk]).to(dtype)
                weights = {name: value.repeat(len(own), *[1] * value.dim()) for name, value in case.weights.items()}
                slots = [weights]
                if case.optimizer == "Adam":
                    slots += [{name: torch.zeros_like(value) for name, value in weights.items()} for _ in range(2)]
                for step in range(steps):
                    slots, losses = step_of(slots, own, torch.tensor(step + 1.0, dtype=dtype), *case.batch(step))
                found.append(losses.numpy())
        return np.concatenate(found)

    return train


def prepare_vmap(case: Case, chunk: int) -> Train:
    """Return torch.func.vmap over stacked weights, a chunk of runs at a time, without a compiler."""
    return _stepping(case, _batched_step(case), chunk)


def prepare_compiled(case: Case, chunk: int) -> Train:
    """Return the same step made by torch.compile, one step a call (several would take minutes to compile)."""
    train = _stepping(case, torch.compile(_batched_step(case), dynamic=False), chunk)
    train(case.rates[:chunk], 3)
    return train


def torch_contenders(case: Case, *, size: float) -> list[Contender]:
    """Return the contenders of PyTorch on a case.

    Args:
        case: the training.
        size: of the work; 1 is the full one.
    """
    steps = {"2-2-2": max(5, int(40 * size)), "map": 10, "digits": max(20, int(BATCHES * size))}[case.name]
    at_once = {"2-2-2": (20_000, 20_000), "map": (128, 512), "digits": (256, 64)}[case.name]  # the fastest of several
    plain = min(max(30, int(400 * size)), BATCHES if case.has_batches else 400)
    spread = case.rates[:: max(1, len(case.rates) // max(at_once))]
    eager, compiled = (spread[:number] for number in at_once)
    return [
        Contender(LOOP, case.name, partial(prepare_loop, case), case.rates[:1], plain, "one run"),
        Contender(VMAP, case.name, partial(prepare_vmap, case, len(eager)), eager, steps, f"chunks of {len(eager):,}"),
        Contender(
            COMPILED, case.name, partial(prepare_compiled, case, len(compiled)), compiled, steps,
            f"vmap, chunks of {len(compiled):,}",
        ),
    ]  # fmt: skip


def lanes_contenders(case: Case, *, size: float) -> list[Contender]:
    """Return chainrule's engine on a case; on the map also with early stopping, over whole trainings.

    Args:
        case: the training.
        size: of the work; 1 is the full one.
    """
    if case.name == "map":
        fewer = case.rates if size == 1 else case.rates[::4]
        steps = max(20, int(100 * size))
        stopping = partial(prepare_lanes, case, stops_early=True)
        return [
            Contender(LANES, case.name, partial(prepare_lanes, case), fewer, steps, "no early stopping"),
            Contender(STOPPING, case.name, stopping, fewer, case.steps, f"{case.steps} steps, over all of them"),
        ]
    steps = case.steps if case.has_batches else max(100, int(case.steps * size))
    return [Contender(LANES, case.name, partial(prepare_lanes, case), case.rates, steps)]
