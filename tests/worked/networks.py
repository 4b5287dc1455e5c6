"""Small networks, losses and optimizers of every kind that the worked example writes out."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from chainrule.registry import HalfSumOfSquares
from chainrule.shapes import Tensor

Optimizer = Callable[[nn.Module], torch.optim.Optimizer]


@dataclass(frozen=True)
class Network:
    """A network with data, a loss and an optimizer; `steps` updates come before the one that is written out."""

    model: Callable[[], nn.Module]
    loss: Any
    inputs: Any
    targets: Any
    optimizer: Optimizer = lambda model: torch.optim.SGD(model.parameters(), 0.5)
    steps: int = 0


def draw(*shape: int) -> Tensor:
    """Numbers between −1 and 1 that depend on the shape alone."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


def chance(*shape: int) -> Tensor:
    return (draw(*shape) + 1) / 2


def dense(*sizes: int, activation: type[nn.Module] = nn.Sigmoid, last: nn.Module | None = None, bias: bool = True):
    layers: list[nn.Module] = []
    for number, (below, above) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(below, above, bias=bias))
        if number < len(sizes) - 2:
            layers.append(activation())
    return nn.Sequential(*layers, *([] if last is None else [last]))


def adam(**settings: Any) -> Optimizer:
    return lambda model: torch.optim.Adam(model.parameters(), **settings)


def sgd(**settings: Any) -> Optimizer:
    return lambda model: torch.optim.SGD(model.parameters(), **{"lr": 0.1, **settings})


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


class Tied(nn.Module):
    """An encoder whose weight, transposed, is the decoder's too."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(4, 2)
        self.bias = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.encode(x)), self.encode.weight.t(), self.bias)


class Recurrent(nn.Module):
    """A recurrent cell, written out over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.across, self.out = nn.Linear(2, 3), nn.Linear(3, 3, bias=False), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), 3, dtype=x.dtype)
        for step in range(x.shape[1]):
            state = torch.tanh(self.into(x[:, step]) + self.across(state))
        return self.out(state)


class Attention(nn.Module):
    """One head of attention, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(2, 2, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).transpose(-1, -2) / 2**0.5
        return torch.softmax(scores, -1) @ self.v(x)


class FusedAttention(Attention):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x), is_causal=True)


class Words(nn.Module):
    """Word vectors, their mean, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(5, 2), nn.Linear(2, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(self.table(words).mean(1))


class Pictures(nn.Module):
    """A convolution, pooling and a layer."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.conv, self.pool, self.out = nn.Conv2d(1, 2, 2), pool, nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.pool(self.conv(x))).flatten(1))


class Places(nn.Module):
    """Views, indexing, joining, writing into a tensor, and numbers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor([0.5, 2.0, 1.5]))
        self.weight = nn.Parameter(draw(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        y = (x @ self.weight).reshape(-1, 2, 1).squeeze(2)
        z = torch.cat([y[:, 1:], y[:, :1].exp(), y.sum(1, keepdim=True)], 1) * self.scale
        z[:, 0] = y[:, 0] ** 2
        return torch.where(z > 0, z, 0.1 * z.detach() * z)


class DroppedAttention(Attention):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x), dropout_p=0.5)


class MaskedAttention(Attention):
    """With a trained bias of the scores; the first query may see one key alone."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(draw(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tensor([[False, True, True], [False, False, False], [False, False, False]])
        mask = self.bias.masked_fill(hidden, -torch.inf)
        return F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x), mask)


class Channels(nn.Module):
    """Normalisations of images: a channel of a sample, groups of channels, and both by what runs along."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 2)
        self.instance, self.group = nn.InstanceNorm2d(2), nn.GroupNorm(1, 2)
        self.batch = nn.BatchNorm2d(2).eval()
        self.batch.running_mean.copy_(draw(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return (self.instance(y) + self.group(y) * self.batch(y)).mean((2, 3))


def with_penalty(output: Tensor, target: Tensor) -> Tensor:
    """Two losses and a penalty, and a view of their sum."""
    loss = F.mse_loss(output, target) + F.smooth_l1_loss(output, target) + 0.1 * output.abs().sum()
    return loss.reshape(1, 1).squeeze()


def half_squares_by_hand(output: Tensor, target: Tensor) -> Tensor:
    return 0.5 * ((target - output) ** 2).sum()


def of_one_group_each(model: nn.Module) -> torch.optim.Optimizer:
    first, *others = model.parameters()
    return torch.optim.SGD([{"params": [first], "lr": 0.3}, {"params": others}], lr=0.1, momentum=0.5)


def of_two_optimizers(model: nn.Module) -> torch.optim.Optimizer:
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    biases = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    return torch.optim.AdamW([{"params": weights}, {"params": biases, "weight_decay": 0.0, "lr": 0.01}], lr=0.1)


TWO = (draw(2, 3), draw(2, 2))
CLASSES = torch.tensor([0, 2])
NETWORKS: dict[str, Network] = {
    "2-2-2": Network(lambda: dense(2, 2, 2, last=nn.Sigmoid()), HalfSumOfSquares(), draw(1, 2), chance(1, 2)),
    "2-2-2 without biases, unbatched": Network(
        lambda: dense(2, 2, 2, last=nn.Sigmoid(), bias=False), half_squares_by_hand, draw(2), chance(2)
    ),
    "2-2-2, three samples, the mean over samples": Network(
        lambda: dense(2, 2, 2, last=nn.Sigmoid()), HalfSumOfSquares("mean"), draw(3, 2), chance(3, 2)
    ),
    "3-4-3 ReLU, softmax, Adam, two samples": Network(
        lambda: dense(3, 4, 3, activation=nn.ReLU), nn.CrossEntropyLoss(), draw(2, 3), CLASSES, adam(lr=0.01)
    ),
    "3-4-3, Adam later": Network(
        lambda: dense(3, 4, 3, activation=nn.ReLU), nn.CrossEntropyLoss(), draw(2, 3), CLASSES, adam(lr=0.01), 3
    ),
    "label smoothing": Network(
        lambda: dense(3, 2, 3, activation=nn.ELU),
        nn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum"),
        draw(2, 3),
        CLASSES,
    ),
    "probabilities as targets": Network(
        lambda: dense(3, 2, 3, activation=nn.SELU), nn.CrossEntropyLoss(), draw(2, 3), chance(2, 3).softmax(1)
    ),
    "targets that do not add up to 1": Network(
        lambda: dense(3, 3), nn.CrossEntropyLoss(label_smoothing=0.25), draw(2, 3), chance(2, 3)
    ),
    "LogSoftmax and NLL": Network(
        lambda: dense(3, 4, 3, activation=nn.Mish, last=nn.LogSoftmax(1)), nn.NLLLoss(), draw(2, 3), CLASSES
    ),
    "softmax inside, MSE": Network(
        lambda: nn.Sequential(nn.Linear(3, 3), nn.Softmax(1), nn.Linear(3, 2)), nn.MSELoss(), *TWO, sgd(momentum=0.9), 2
    ),
    "deep tanh, Nesterov": Network(
        lambda: dense(3, 3, 2, 3, 2, activation=nn.Tanh),
        nn.MSELoss(reduction="sum"),
        *TWO,
        sgd(momentum=0.9, nesterov=True, weight_decay=0.1),
        2,
    ),
    "L1, dampening at first": Network(
        lambda: dense(3, 2, 2, activation=nn.GELU), nn.L1Loss(), *TWO, sgd(momentum=0.9, dampening=0.5)
    ),
    "L1, dampening later": Network(
        lambda: dense(3, 2, 2, activation=nn.SiLU), nn.L1Loss(), *TWO, sgd(momentum=0.9, dampening=0.5), 2
    ),
    "smooth L1, RMSprop": Network(
        lambda: dense(3, 2, 2, activation=nn.Softplus),
        nn.SmoothL1Loss(beta=0.3),
        *TWO,
        lambda model: torch.optim.RMSprop(model.parameters(), 0.01, momentum=0.8, weight_decay=0.01),
        2,
    ),
    "Huber, groups": Network(
        lambda: dense(3, 2, 2, activation=lambda: nn.LeakyReLU(0.2)),
        nn.HuberLoss(delta=0.5),
        *TWO,
        of_one_group_each,
        1,
    ),
    "binary cross-entropy": Network(
        lambda: dense(3, 2, 1, activation=nn.Tanh, last=nn.Sigmoid()), nn.BCELoss(), draw(2, 3), chance(2, 1).round()
    ),
    "binary cross-entropy with logits, AdamW": Network(
        lambda: dense(3, 2, 2, activation=nn.Hardswish),
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 3.0], dtype=torch.float64)),
        draw(2, 3),
        chance(2, 2),
        of_two_optimizers,
        2,
    ),
    "KL divergence, batch mean": Network(
        lambda: dense(3, 3, last=nn.LogSoftmax(1)), nn.KLDivLoss(reduction="batchmean"), draw(2, 3), chance(2, 3)
    ),
    "Poisson": Network(lambda: dense(3, 2, 1), nn.PoissonNLLLoss(), draw(2, 3), chance(2, 1) * 3),
    "multi-margin": Network(lambda: dense(3, 2, 3), nn.MultiMarginLoss(), draw(2, 3), CLASSES),
    "soft margin": Network(lambda: dense(3, 2, 1), nn.SoftMarginLoss(), draw(2, 3), draw(2, 1).sign()),
    "LayerNorm": Network(
        lambda: nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 2)), nn.MSELoss(), *TWO
    ),
    "BatchNorm": Network(
        lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Tanh(), nn.Linear(2, 2)), nn.MSELoss(), *TWO
    ),
    "dropout": Network(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)), nn.MSELoss(), *TWO
    ),
    "GLU, PReLU": Network(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.GLU(), nn.Linear(2, 2), nn.PReLU()), nn.MSELoss(), *TWO
    ),
    "convolution and max-pool": Network(
        lambda: Pictures(nn.MaxPool2d(2)), nn.CrossEntropyLoss(), draw(2, 1, 3, 3), torch.tensor([1, 0])
    ),
    "convolution and mean pool": Network(lambda: Pictures(nn.AvgPool2d(2)), nn.MSELoss(), draw(1, 1, 3, 3), draw(1, 2)),
    "embedding": Network(Words, nn.CrossEntropyLoss(), torch.tensor([[1, 3], [3, 0]]), CLASSES, adam(lr=0.1)),
    "residual": Network(Residual, nn.MSELoss(), draw(2, 3), chance(2, 3)),
    "tied weights": Network(Tied, nn.MSELoss(), draw(2, 4), chance(2, 4), adam(lr=0.1, weight_decay=0.1), 1),
    "recurrent": Network(Recurrent, nn.MSELoss(), draw(2, 3, 2), draw(2, 1)),
    "attention": Network(Attention, nn.MSELoss(), draw(1, 3, 2), chance(1, 3, 2)),
    "fused attention": Network(FusedAttention, nn.MSELoss(), draw(1, 1, 3, 2), chance(1, 1, 3, 2)),
    "attention with dropout": Network(DroppedAttention, nn.MSELoss(), draw(1, 1, 3, 2), chance(1, 1, 3, 2)),
    "attention with a trained mask": Network(MaskedAttention, nn.MSELoss(), draw(2, 1, 3, 2), chance(2, 1, 3, 2)),
    "norms of images": Network(Channels, nn.MSELoss(), draw(2, 1, 3, 3), chance(2, 2)),
    "RMSNorm, alpha dropout": Network(
        lambda: nn.Sequential(nn.Linear(3, 3), nn.SELU(), nn.RMSNorm(3), nn.AlphaDropout(0.3), nn.Linear(3, 2)),
        nn.MSELoss(),
        *TWO,
    ),
    "two losses and a penalty": Network(lambda: dense(3, 2, 2), with_penalty, *TWO),
    "losses of words in a row": Network(
        lambda: nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 4)),
        lambda output, target: F.cross_entropy(output.flatten(0, 1), target.flatten()),
        torch.tensor([[1, 3, 0], [3, 0, 2]]),
        torch.tensor([[3, 0, 1], [0, 2, 2]]),
    ),
    "views, joins, writes": Network(Places, nn.MSELoss(), draw(2, 3), chance(2, 3)),
}
