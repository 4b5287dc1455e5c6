"""The problems on which ways to choose a learning rate are compared: data, network, optimizer, schedule, budget.

Development problems were looked at while the algorithm was being made, `held_out` ones were kept back until it was
done. What they showed then changed it once more, so a third part was made and kept back until after that: `FRESH`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice, pairwise
from typing import Any, Literal

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor, nn

Data = tuple[Tensor, Tensor, Tensor, Tensor]
Norm = Literal["none", "batch", "layer"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A training whose best learning rate is looked for.

    Attributes:
        name: of the data, the network and the optimizer.
        data: returns (inputs, targets, validation inputs, validation targets).
        network: returns a network with new initial weights, drawn from torch's generator.
        loss: of (prediction, targets).
        optimizer: a class of torch.optim, by name.
        batch_size: samples of a step; None: all of them.
        schedule: of the full training.
        steps: of the full training.
        held_out: kept back while the algorithm was being made.
        settings: of the optimizer, but the learning rate.
        seeds: of the exhaustive table; more where single runs end in different basins.
    """

    name: str
    data: Callable[[], Data]
    network: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: str
    batch_size: int | None
    schedule: Literal["constant", "cosine"]
    steps: int
    held_out: bool
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: int = 15

    def seeded_network(self, seed: int) -> nn.Module:
        """Return the network with the initial weights of a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 + seed)
            return self.network()

    def factor(self, step: int) -> float:
        """Return what the learning rate of a step, counted from 0, is multiplied by."""
        return 1.0 if self.schedule == "constant" else 0.5 * (1 + float(np.cos(np.pi * step / self.steps)))


class Batches:
    """Minibatches in an order that is drawn anew for each epoch; the samples left over at its end are dropped."""

    def __init__(self, inputs: Tensor, targets: Tensor, batch_size: int | None, seed: int) -> None:
        self.inputs, self.targets = inputs, targets
        self.batch_size = min(batch_size or len(inputs), len(inputs))
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Return the steps of an epoch."""
        return len(self.inputs) // self.batch_size

    def orders(self) -> Iterator[Tensor]:
        """Yield the samples of each step of one epoch."""
        order = torch.randperm(len(self.inputs), generator=self.generator)
        for step in range(len(self)):
            yield order[step * self.batch_size : (step + 1) * self.batch_size]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (inputs, targets) of each step of one epoch."""
        for order in self.orders():
            yield self.inputs[order], self.targets[order]

    def steps(self, count: int) -> Tensor:
        """Return the samples of the first steps over as many epochs as it takes, [step, sample]."""
        epochs = iter(lambda: list(self.orders()), None)
        return torch.stack(list(islice((order for epoch in epochs for order in epoch), count)))


def _split(inputs: Any, targets: Any, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    order = np.random.default_rng(seed).permutation(len(inputs))
    cut = len(inputs) * 3 // 4
    return inputs[order[:cut]], targets[order[:cut]], inputs[order[cut:]], targets[order[cut:]]


def _prepared(inputs: Any, targets: Any, *, is_raw: bool = False) -> Data:
    """Return a split into three quarters and one, inputs standardised unless raw, numbers to predict standardised."""
    trained, trained_targets, kept, kept_targets = _split(np.asarray(inputs, np.float64), np.asarray(targets))
    if not is_raw:
        mean, deviation = trained.mean(0), trained.std(0) + 1e-9
        trained, kept = (trained - mean) / deviation, (kept - mean) / deviation
    if trained_targets.dtype.kind == "f":
        mean, deviation = trained_targets.mean(), trained_targets.std()
        trained_targets, kept_targets = (trained_targets - mean) / deviation, (kept_targets - mean) / deviation
        numbers = [np.asarray(part, np.float32)[:, None] for part in (trained_targets, kept_targets)]
    else:
        numbers = [np.asarray(part, np.int64) for part in (trained_targets, kept_targets)]
    first, second = (torch.from_numpy(np.asarray(part, np.float32)) for part in (trained, kept))
    return first, torch.from_numpy(numbers[0]), second, torch.from_numpy(numbers[1])


@cache
def _digits() -> Data:
    inputs, classes = datasets.load_digits(return_X_y=True)
    return _prepared(inputs / 8 - 1, classes, is_raw=True)


@cache
def _images() -> Data:
    first, classes, second, others = _digits()
    return first.view(-1, 1, 8, 8), classes, second.view(-1, 1, 8, 8), others


@cache
def _loaded(name: str, is_raw: bool) -> Data:
    loader = getattr(datasets, f"load_{name}")
    return _prepared(*loader(return_X_y=True), is_raw=is_raw)


@cache
def _made(name: str, is_raw: bool, settings: tuple[tuple[str, Any], ...]) -> Data:
    maker = getattr(datasets, f"make_{name}")
    inputs, targets = maker(random_state=0, **dict(settings))
    return _prepared(inputs, targets, is_raw=is_raw)


def loaded(name: str, *, is_raw: bool = False) -> Callable[[], Data]:
    """Return one of scikit-learn's data sets."""
    return partial(_loaded, name, is_raw)


def made(name: str, *, is_raw: bool = False, **settings: Any) -> Callable[[], Data]:
    """Return data that scikit-learn draws."""
    return partial(_made, name, is_raw, tuple(settings.items()))


class Layers(nn.Sequential):
    """A multilayer perceptron."""

    def __init__(self, *widths: int, activation: type[nn.Module] = nn.ReLU, norm: Norm = "none") -> None:
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(widths)):
            layers.append(nn.Linear(before, after))
            if number < len(widths) - 2:
                if norm != "none":
                    layers.append(nn.BatchNorm1d(after) if norm == "batch" else nn.LayerNorm(after))
                layers.append(activation())
        super().__init__(*layers)


def small_cnn() -> nn.Module:
    """Return two convolutions and a linear layer, for images of 8 × 8 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def _net(*widths: int, activation: type[nn.Module] = nn.ReLU, norm: Norm = "none") -> Callable[[], nn.Module]:
    return partial(Layers, *widths, activation=activation, norm=norm)


_CLASSES, _SQUARES = nn.functional.cross_entropy, nn.functional.mse_loss
_MOMENTUM = {"momentum": 0.9}
_TANH, _SIGMOID = nn.Tanh, nn.Sigmoid
_FRIEDMAN = made("friedman1", n_samples=1000, noise=1.0)
_MOONS = made("moons", n_samples=800, noise=0.25)
_REGRESSION = made("regression", n_samples=1000, n_features=20, noise=20.0)

PROBLEMS: tuple[Problem, ...] = (
    Problem("digits, SGD-m", _digits, _net(64, 64, 10), _CLASSES, "SGD", 64, "cosine", 1500, False, _MOMENTUM),
    Problem("digits, Adam", _digits, _net(64, 64, 10), _CLASSES, "Adam", 32, "constant", 1500, True),
    Problem("digits CNN, Adam", _images, small_cnn, _CLASSES, "Adam", 64, "cosine", 1000, False, seeds=5),
    Problem("digits CNN, SGD-m", _images, small_cnn, _CLASSES, "SGD", 32, "constant", 1000, True, _MOMENTUM, 5),
    Problem(
        "wine raw, Adam", loaded("wine", is_raw=True), _net(13, 32, 32, 3, activation=_TANH), _CLASSES,
        "Adam", 16, "constant", 2000, False, seeds=45,
    ),
    Problem(
        "cancer raw, SGD-m", loaded("breast_cancer", is_raw=True), _net(30, 32, 2), _CLASSES,
        "SGD", 32, "cosine", 2000, True, _MOMENTUM, 45,
    ),
    Problem(
        "diabetes, SGD-m", loaded("diabetes"), _net(10, 64, 1), _SQUARES, "SGD", 32, "cosine", 2000, False, _MOMENTUM
    ),
    Problem("diabetes, AdamW", loaded("diabetes"), _net(10, 32, 32, 1), _SQUARES, "AdamW", 64, "constant", 1500, True),
    Problem("moons, Adam", _MOONS, _net(2, 32, 32, 2, activation=_TANH), _CLASSES, "Adam", 32, "cosine", 2000, False),
    Problem("moons, SGD", _MOONS, _net(2, 32, 32, 2, activation=_TANH), _CLASSES, "SGD", 64, "constant", 3000, True),
    Problem("friedman, SGD-m", _FRIEDMAN, _net(10, 64, 64, 1), _SQUARES, "SGD", 64, "constant", 2000, False, _MOMENTUM),
    Problem("friedman, Adam", _FRIEDMAN, _net(10, 64, 64, 1), _SQUARES, "Adam", 32, "cosine", 2000, True),
    Problem(
        "friedman2 raw, Adam", made("friedman2", is_raw=True, n_samples=800, noise=50.0), _net(4, 32, 32, 1),
        _SQUARES, "Adam", 64, "cosine", 2000, False,
    ),
    Problem("iris, SGD", loaded("iris"), _net(4, 16, 3), _CLASSES, "SGD", 16, "constant", 2000, True, seeds=45),
    Problem(
        "digits deep sigmoid, Adam", _digits, _net(64, 32, 32, 32, 32, 10, activation=_SIGMOID), _CLASSES,
        "Adam", 64, "constant", 2000, False,
    ),
    Problem(
        "digits deep sigmoid, SGD-m", _digits, _net(64, 32, 32, 10, activation=_SIGMOID), _CLASSES,
        "SGD", 64, "cosine", 2000, True, _MOMENTUM,
    ),
    Problem(
        "digits BatchNorm, SGD-m", _digits, _net(64, 64, 64, 10, norm="batch"), _CLASSES,
        "SGD", 32, "cosine", 1000, False, _MOMENTUM,
    ),
    Problem(
        "cancer BatchNorm, Adam", loaded("breast_cancer"), _net(30, 32, 32, 2, norm="batch"), _CLASSES,
        "Adam", 64, "constant", 1000, True,
    ),
    Problem(
        "digits LayerNorm, SGD", _digits, _net(64, 32, 32, 32, 32, 10, norm="layer"), _CLASSES,
        "SGD", 64, "constant", 1500, False,
    ),
    Problem(
        "friedman LayerNorm, AdamW", _FRIEDMAN, _net(10, 64, 64, 1, norm="layer"), _SQUARES,
        "AdamW", 128, "cosine", 2000, True,
    ),
    Problem("regression, SGD", _REGRESSION, _net(20, 1), _SQUARES, "SGD", 8, "constant", 2000, False),
    Problem(
        "circles, SGD", made("circles", n_samples=800, noise=0.1, factor=0.5), _net(2, 32, 32, 2, activation=_TANH),
        _CLASSES, "SGD", 32, "cosine", 2000, True,
    ),
    Problem(
        "swiss roll, Adam", made("swiss_roll", n_samples=1000, noise=0.5), _net(3, 64, 64, 1, activation=_TANH),
        _SQUARES, "Adam", 128, "constant", 2000, False,
    ),
    Problem(
        "S curve, SGD-m", made("s_curve", n_samples=1000, noise=0.1), _net(3, 32, 32, 32, 1), _SQUARES,
        "SGD", 128, "cosine", 1500, True, _MOMENTUM,
    ),
)  # fmt: skip

FRESH: tuple[Problem, ...] = (
    Problem("wine, SGD-m", loaded("wine"), _net(13, 16, 3), _CLASSES, "SGD", 16, "cosine", 1500, True, _MOMENTUM),
    Problem(
        "digits tanh, AdamW", _digits, _net(64, 32, 10, activation=_TANH), _CLASSES,
        "AdamW", 128, "constant", 1000, True,
    ),
    Problem(
        "friedman3, Adam", made("friedman3", n_samples=800, noise=0.1), _net(4, 32, 32, 1, activation=_TANH), _SQUARES,
        "Adam", 16, "constant", 2000, True,
    ),
    Problem(
        "diabetes LayerNorm, Adam", loaded("diabetes"), _net(10, 32, 32, 1, norm="layer"), _SQUARES,
        "Adam", 32, "cosine", 1000, True,
    ),
    Problem(
        "blobs, SGD", made("blobs", n_samples=900, n_features=10, centers=6, cluster_std=6.0), _net(10, 32, 6),
        _CLASSES, "SGD", 32, "constant", 2000, True,
    ),
    Problem(
        "sparse regression, SGD-m", made("sparse_uncorrelated", n_samples=900), _net(10, 32, 1), _SQUARES,
        "SGD", 64, "cosine", 2000, True, _MOMENTUM,
    ),
    Problem(
        "digits deep tanh, SGD-m", _digits, _net(64, 16, 16, 16, 16, 10, activation=_TANH), _CLASSES,
        "SGD", 32, "constant", 1500, True, _MOMENTUM,
    ),
    Problem(
        "quantiles, Adam", made("gaussian_quantiles", n_samples=900, n_classes=3), _net(2, 32, 32, 3), _CLASSES,
        "Adam", 64, "cosine", 2000, True,
    ),
)  # fmt: skip
