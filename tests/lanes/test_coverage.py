"""Modules and losses: two runs of twenty steps each, against the plain loop in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from plain_loop import relative_difference
from torch import Tensor, nn
from torch.nn import functional

from chainrule.lanes import Group, Runs, Shape, StepDescription, Varying, compile_runs, supervised
from chainrule.lanes.plain_loop import train_plainly

Case = tuple[Callable[[], nn.Module], Callable[[Tensor, Tensor], Tensor], str, str]
SQUARE = functional.mse_loss


class Composed(nn.Module):
    """A function of some modules and an input."""

    def __init__(self, function: Callable[[nn.ModuleList, Tensor], Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.parts, x)


def after_linear(activation: nn.Module, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), activation)


def image_to_four(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(4))


def last(cell: nn.Module) -> nn.Module:
    return Composed(lambda parts, x: parts[0](x)[0][:, -1], cell)


def twice(cell: nn.Module) -> nn.Module:
    def run(parts: nn.ModuleList, x: Tensor) -> Tensor:
        state = parts[0](x[:, 1], parts[0](x[:, 0]))
        return state[0] if isinstance(state, tuple) else state

    return Composed(run, cell)


def data(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    made: dict[str, Callable[[], Tensor]] = {
        "rows": lambda: torch.randn(5, 4, generator=generator),
        "others": lambda: torch.randn(5, 4, generator=generator) * 0.5 + 0.1,
        "shares": lambda: torch.randn(5, 4, generator=generator).softmax(1),
        "signs": lambda: torch.randn(5, 4, generator=generator).sign(),
        "classes": lambda: torch.tensor([0, 3, 1, 2, 3]),
        "words": lambda: torch.randint(0, 6, (5, 2), generator=generator),
        "images": lambda: torch.randn(5, 2, 5, 5, generator=generator),
        "lines": lambda: torch.randn(5, 2, 6, generator=generator),
        "sequences": lambda: torch.randn(5, 2, 4, generator=generator),
    }
    return made[name]()


ACTIVATIONS: dict[str, nn.Module] = {
    "CELU": nn.CELU(), "ELU": nn.ELU(), "GELU": nn.GELU(), "GELU, tanh": nn.GELU("tanh"), "Hardshrink": nn.Hardshrink(),
    "Hardsigmoid": nn.Hardsigmoid(), "Hardswish": nn.Hardswish(), "Hardtanh": nn.Hardtanh(-0.3, 0.4),
    "LeakyReLU": nn.LeakyReLU(), "LogSigmoid": nn.LogSigmoid(), "LogSoftmax": nn.LogSoftmax(1), "Mish": nn.Mish(),
    "PReLU": nn.PReLU(), "ReLU": nn.ReLU(), "ReLU6": nn.ReLU6(), "RReLU": nn.RReLU(), "SELU": nn.SELU(),
    "Sigmoid": nn.Sigmoid(), "SiLU": nn.SiLU(), "Softmax": nn.Softmax(1), "Softmin": nn.Softmin(1),
    "Softplus": nn.Softplus(), "Softshrink": nn.Softshrink(), "Softsign": nn.Softsign(), "Tanh": nn.Tanh(),
    "Tanhshrink": nn.Tanhshrink(), "Threshold": nn.Threshold(0.1, 2.0),
}  # fmt: skip

LOSSES: dict[str, tuple[Any, str]] = {
    "BCEWithLogits": (nn.BCEWithLogitsLoss(), "shares"),
    "CrossEntropy": (nn.CrossEntropyLoss(), "classes"),
    "CrossEntropy, shares": (nn.CrossEntropyLoss(), "shares"),
    "CrossEntropy, smoothed": (nn.CrossEntropyLoss(label_smoothing=0.2), "classes"),
    "CrossEntropy, without a class": (nn.CrossEntropyLoss(ignore_index=3), "classes"),
    "CosineSimilarity": (lambda p, t: (1 - functional.cosine_similarity(p, t)).mean(), "others"),
    "Hinge": (nn.HingeEmbeddingLoss(), "signs"),
    "Huber": (nn.HuberLoss(delta=0.3), "others"),
    "L1": (nn.L1Loss(), "others"),
    "PoissonNLL": (nn.PoissonNLLLoss(), "shares"),
    "SmoothL1": (nn.SmoothL1Loss(), "others"),
    "SoftMargin": (nn.SoftMarginLoss(), "signs"),
    "norm": (lambda p, t: (p - t).norm(), "others"),
    "logsumexp": (lambda p, t: (torch.logsumexp(p, 1) - t[:, 0]).square().mean(), "others"),
}

MODULES: dict[str, Case] = {
    "BCE": (lambda: after_linear(nn.Sigmoid()), nn.BCELoss(), "rows", "shares"),
    "KLDiv": (lambda: after_linear(nn.LogSoftmax(1)), nn.KLDivLoss(reduction="batchmean"), "rows", "shares"),
    "NLL": (lambda: after_linear(nn.LogSoftmax(1)), nn.NLLLoss(), "rows", "classes"),
    "GLU": (lambda: after_linear(nn.GLU(), 8), SQUARE, "rows", "others"),
    "LayerNorm": (lambda: after_linear(nn.LayerNorm(4)), SQUARE, "rows", "others"),
    "RMSNorm": (lambda: after_linear(nn.RMSNorm(4)), SQUARE, "rows", "others"),
    "GroupNorm": (lambda: after_linear(nn.GroupNorm(1, 4)), SQUARE, "rows", "others"),
    "BatchNorm1d": (lambda: after_linear(nn.BatchNorm1d(4)), SQUARE, "rows", "others"),
    "BatchNorm2d": (lambda: image_to_four(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)), SQUARE, "images", "others"),
    "InstanceNorm": (
        lambda: image_to_four(nn.Conv2d(2, 2, 3), nn.InstanceNorm2d(2, affine=True)), SQUARE, "images", "others"
    ),
    "Embedding": (
        lambda: nn.Sequential(nn.Embedding(6, 3, padding_idx=0), nn.Flatten(), nn.Linear(6, 4)), SQUARE, "words",
        "others",
    ),
    "Dropout": (lambda: nn.Sequential(after_linear(nn.Dropout(0.4)), nn.Linear(4, 4)), SQUARE, "rows", "others"),
    "noise": (
        lambda: Composed(lambda parts, x: parts[0](x) + 0.1 * torch.randn_like(x), nn.Linear(4, 4)), SQUARE, "rows",
        "others",
    ),
    "residual": (
        lambda: Composed(lambda parts, x: parts[1](x + torch.tanh(parts[0](x))), nn.Linear(4, 4), nn.Linear(4, 4)),
        SQUARE, "rows", "others",
    ),
    "tied weights": (
        lambda: Composed(lambda parts, x: torch.tanh(parts[0](x)) @ parts[0].weight, nn.Linear(4, 5)), SQUARE, "rows",
        "others",
    ),
    "bmm": (
        lambda: Composed(lambda parts, x: torch.bmm(parts[0](x).transpose(1, 2), x).mean(1), nn.Linear(4, 3)), SQUARE,
        "sequences", "others",
    ),
    "attention": (
        lambda: Composed(
            lambda parts, x: parts[0](x, x, x, need_weights=False)[0].mean(1),
            nn.MultiheadAttention(4, 2, batch_first=True),
        ),
        SQUARE, "sequences", "others",
    ),
    "Conv1d": (lambda: image_to_four(nn.Conv1d(2, 3, 3, stride=2, padding=1), nn.ReLU()), SQUARE, "lines", "others"),
    "Conv2d": (
        lambda: image_to_four(nn.Conv2d(2, 4, 3, groups=2, stride=2, padding=1), nn.Conv2d(4, 2, 2, dilation=2)),
        SQUARE, "images", "others",
    ),
    "ConvTranspose2d": (
        lambda: image_to_four(nn.Conv2d(2, 2, 3), nn.ConvTranspose2d(2, 1, 2, stride=2, padding=1)), SQUARE, "images",
        "others",
    ),
    "MaxPool2d": (
        lambda: image_to_four(nn.Conv2d(2, 2, 2), nn.MaxPool2d(3, 2, 1, ceil_mode=True)), SQUARE, "images", "others"
    ),
    "AvgPool2d": (
        lambda: image_to_four(nn.Conv2d(2, 2, 2), nn.AvgPool2d(3, 2, 1, count_include_pad=False)), SQUARE, "images",
        "others",
    ),
    "AdaptiveAvgPool2d": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()), SQUARE, "images", "others"
    ),
    "RNN": (lambda: last(nn.RNN(4, 4, batch_first=True)), SQUARE, "sequences", "others"),
    "GRU": (lambda: last(nn.GRU(4, 4, batch_first=True)), SQUARE, "sequences", "others"),
    "LSTMCell": (lambda: twice(nn.LSTMCell(4, 4)), SQUARE, "sequences", "others"),
    "written in place": (
        lambda: Composed(lambda parts, x: parts[0](x).mul_(2).add_(x).relu_(), nn.Linear(4, 4)), SQUARE, "rows",
        "others",
    ),
    "cumsum": (lambda: Composed(lambda parts, x: parts[0](x).cumsum(1), nn.Linear(4, 4)), SQUARE, "rows", "others"),
    "Bilinear": (lambda: Composed(lambda parts, x: parts[0](x, x), nn.Bilinear(4, 4, 4)), SQUARE, "rows", "others"),
}  # fmt: skip

CASES: dict[str, Case] = {
    **{
        name: (lambda layer=layer: after_linear(layer), SQUARE, "rows", "others") for name, layer in ACTIVATIONS.items()
    },
    **{name: (lambda: nn.Linear(4, 4), loss, "rows", target) for name, (loss, target) in LOSSES.items()},
    **MODULES,
}


@pytest.mark.parametrize("case", CASES)
def test_a_module_and_a_loss(case: str) -> None:
    make, loss, inputs, targets = CASES[case]
    torch.manual_seed(8)
    network = make()
    samples = {"inputs": data(inputs), "targets": data(targets)}
    with torch.no_grad():
        network(samples["inputs"])  # lazy layers get their sizes
    names = tuple(name for name, _ in network.named_parameters())
    groups = (Group(names, {"lr": Varying("lr", 0.05)}),)
    description = StepDescription(network, supervised(loss), "SGD", groups, samples)
    rates = np.array([0.02, 0.1])
    runs = Runs(2, settings={"lr": rates}, seeds=np.array([3, 4]), keeps_states=True)
    outcome = compile_runs(description).run(runs, 20)
    assert outcome.losses is not None
    assert outcome.states is not None
    assert np.isfinite(outcome.losses).all()
    for run, rate in enumerate(rates):
        plain = train_plainly(description, {"lr": rate}, {}, 20, seed=3 + run)
        assert relative_difference(outcome.losses[run], plain.losses) < 1e-12
        for name, values in outcome.states.items():
            assert np.allclose(values[run], plain.states[name], rtol=1e-10, atol=1e-12)


WIDTHS = ("CrossEntropy", "BatchNorm1d", "Embedding", "Dropout", "bmm", "Conv1d", "RNN")


@pytest.mark.parametrize("case", WIDTHS)
def test_the_bits_do_not_depend_on_lanes_and_tiles(case: str) -> None:
    make, loss, inputs, targets = CASES[case]
    torch.manual_seed(8)
    network = make()
    samples = {"inputs": data(inputs), "targets": data(targets)}
    with torch.no_grad():
        network(samples["inputs"])
    names = tuple(name for name, _ in network.named_parameters())
    groups = (Group(names, {"lr": Varying("lr", 0.05)}),)
    description = StepDescription(network, supervised(loss), "SGD", groups, samples)
    runs = Runs(3, settings={"lr": np.array([0.01, 0.1, 1.0])}, seeds=np.arange(3))
    one, other = (
        compile_runs(description, shape=shape).run(runs, 15, threads=threads)
        for shape, threads in ((Shape(2, 16, tile=1), 1), (Shape(8, 32, tile=3 if case == "CrossEntropy" else 5), 2))
    )
    assert np.array_equal(one.losses, other.losses, equal_nan=True)


def test_the_masks_of_dropout_change_with_seed_and_step() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4))
    samples = {"inputs": data("rows"), "targets": data("others")}
    groups = (Group(("1.weight", "1.bias"), {"lr": Varying("lr", 0.1)}),)
    kernel = compile_runs(StepDescription(network, supervised(SQUARE), "SGD", groups, samples))
    outcome = kernel.run(Runs(3, settings={"lr": np.zeros(3)}, seeds=np.array([1, 2, 1])), 6)
    assert outcome.losses is not None
    assert len(set(outcome.losses[0])) == 6
    assert not np.intersect1d(outcome.losses[0], outcome.losses[1]).size
    assert np.array_equal(outcome.losses[0], outcome.losses[2])
