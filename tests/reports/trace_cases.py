"""Recorded steps that the views of a trace are tried on, each recorded once."""

from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch import Tensor, nn

from chainrule.recorder import record
from chainrule.trace import Keep, LeftOut, Missing, ModuleNote, Op, Statistics, Trace, Use, Value


class TwoTwoTwo(nn.Module):
    """The worked example with biases: its numbers are in every textbook."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(2, 2), nn.Linear(2, 2)
        weights = (torch.tensor([[0.15, 0.2], [0.25, 0.3]]), torch.tensor([[0.4, 0.45], [0.5, 0.55]]))
        for layer, weight, bias in zip((self.fc1, self.fc2), weights, (0.35, 0.6), strict=True):
            layer.weight.data.copy_(weight)
            layer.bias.data.fill_(bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.fc2(torch.sigmoid(self.fc1(x))))


class Block(nn.Module):
    """A residual block; `is_wide` gives the short cut a convolution of its own."""

    def __init__(self, channels: int, factor: int = 1) -> None:
        super().__init__()
        wide = channels * factor
        self.conv1, self.bn1 = nn.Conv2d(channels, wide, 3, padding=1), nn.BatchNorm2d(wide)
        self.conv2, self.bn2 = nn.Conv2d(wide, wide, 3, padding=1), nn.BatchNorm2d(wide)
        self.short = nn.Conv2d(channels, wide, 1) if factor > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        inner += self.short(x)
        return torch.relu(inner)


class ResidualNet(nn.Module):
    """Two residual blocks, dropout and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList([Block(4), Block(4, 2)])
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.head(self.drop(x.mean((2, 3))))
        return result


class Recurrent(nn.Module):
    """A cell in a loop of many steps, and a decision that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.RNNCell(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), 8)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        if state.abs().max() > 100:
            state = state / 2
        result: Tensor = self.out(state)
        return result


def _encoder(layers: int, keep: Keep = "values") -> Trace:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    optimizer = torch.optim.AdamW(model.parameters())
    return record(model, nn.MSELoss(), torch.randn(2, 5, 16), torch.randn(2, 5, 16), optimizer, keep=keep)


def _two() -> Trace:
    model = TwoTwoTwo().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    inputs, targets = torch.tensor([[0.05, 0.1]]).double(), torch.tensor([[0.01, 0.99]]).double()
    return record(model, lambda out, target: 0.5 * (target - out).square().sum(), inputs, targets, optimizer)


def _residual(keep: Keep = "values", byte_budget: int | None = None) -> Trace:
    torch.manual_seed(1)
    model = ResidualNet()
    inputs, targets = torch.randn(4, 3, 8, 8), torch.randint(5, (4,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return record(model, nn.CrossEntropyLoss(), inputs, targets, optimizer, keep=keep, byte_budget=byte_budget)


def _recurrent() -> Trace:
    torch.manual_seed(2)
    model = Recurrent()
    return record(model, nn.CrossEntropyLoss(), torch.randn(4, 50, 3), torch.randint(2, (4,)))


def hand_built() -> Trace:
    """A step that failed after two ops: no loss, a value that is missing, statistics, an op without a line of code."""
    x = Value(0, "input", "input", (2,), "float32", "cpu", None, 0, False, torch.tensor([1.0, 2.0]))
    w = Value(1, "parameter", "fc.weight", (3, 2), "float32", "cpu", None, 0, True, Missing("it was freed"))
    h = Value(2, "computed", "", (3,), "float32", "cpu", 0, 0, True, Statistics(3, 0.5, 1.0, -1.0, 2.0, 0.25))
    nan = float("nan")
    ruined = Statistics(3, nan, nan, nan, nan, 0.0, None, 3)
    y = Value(3, "computed", "y", (3,), "float32", "cpu", 1, 0, True, ruined)
    linear = Op(0, "linear", "forward", "fc", "Linear", 0, None, outputs=[2])
    custom = Op(1, "Mystery", "forward", "", "Net", 0, None, outputs=[3], opaque="It is a custom Function.")
    for op, values in ((linear, (x, w)), (custom, (h,))):
        for place, value in enumerate(values):
            use = Use(value.id, op.id, (place,))
            op.inputs.append(use)
            value.uses.append(use)
    modules = {"": ModuleNote("Net", True), "fc": ModuleNote("Linear", True, (2,))}
    return Trace(
        [linear, custom],
        [x, w, h, y],
        [],
        None,
        modules,
        "values",
        notes=["torch.compile was set aside: it is recorded as it stands."],
        left_out=LeftOut(1, 1_000_000),
    )


_CASES: Final[dict[str, Callable[[], Trace]]] = {
    "two-two-two": _two,
    "residual": _residual,
    "residual, statistics": lambda: _residual("statistics"),
    "residual, small budget": lambda: _residual("values", 20_000),
    "recurrent": _recurrent,
    "encoder": lambda: _encoder(2),
    "deep encoder": lambda: _encoder(12, "statistics"),
    "hand built": hand_built,
}
NAMES: Final = tuple(_CASES)


@cache
def trace_of(name: str) -> Trace:
    """Return a recorded step by its name."""
    return _CASES[name]()
