"""Recorded steps of many kinds of model, each small and with its own seed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from chainrule.recorder import record
from chainrule.trace import Op, Trace

SAMPLES = 4


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.drop, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Dropout(0.3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.norm(self.first(x)), inplace=True)
        y = self.drop(self.second(hidden))
        y += hidden
        return self.head(functional.max_pool2d(y, 2).mean((2, 3)))


class Recurrent(nn.Module):
    def __init__(self, kind: Any, **settings: Any) -> None:
        super().__init__()
        self.body, self.head = kind(3, 4, 2, batch_first=True, **settings), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[0][:, -1])


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for moment in x.unbind(1):
            state = self.cell(moment, state)
        return state[0] * state[1]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.middle = nn.Embedding(7, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.middle(self.middle(self.embed(x))))
        return (hidden @ self.embed.weight.T).flatten(0, 1)


class Written(nn.Module):
    """In-place ops on views, on their bases, item assignment, gather and scatter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros(4, 3, dtype=x.dtype)
        y[0] = self.weight[1]
        y[1:3] = x[:2, :3]
        y[1:3] *= 2
        y[2] += self.weight[0]
        line = y.view(12)
        line[3:6].add_(self.weight[3])
        y.mul_(2)
        places = torch.tensor([[0], [1], [2], [0]])
        spread = torch.zeros(4, 3, dtype=x.dtype).scatter(1, places, torch.gather(y, 1, places))
        first, second = (y * spread + line.view(4, 3)).chunk(2)
        copy = self.weight.clone()
        copy[:2].mul_(3)
        copy[0, 0] = first[0, 0]
        return first * second + torch.cat([copy, y]).sin()[:2] + torch.where(copy > 0, copy, copy.exp())[2:]


class Overwritten(nn.Module):
    """Nothing in front of the weight requires a gradient, and the input is written over through a view."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.frozen(x) * x
        y[0].mul_(3)
        y[:, 1] = x[:, 0].square()
        return self.head(torch.tanh(y))


class Checkpointed(nn.Module):
    def __init__(self, use_reentrant: bool) -> None:
        super().__init__()
        self.front, self.use_reentrant = nn.Linear(4, 4), use_reentrant
        self.body = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.body, self.front(x), use_reentrant=self.use_reentrant) * 1.5


class InNumpy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.from_numpy(x.detach().numpy() ** 2)

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.from_numpy(2 * x.detach().numpy() * adjoint.numpy())


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, adjoint: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        squashed = torch.sigmoid(x)
        return adjoint * squashed * (1 + x * (1 - squashed))


class Custom(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.first, self.second, self.function = nn.Linear(4, 5), nn.Linear(5, 3), function

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.function.apply(self.first(x)))


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.linear(torch.tanh(self.linear(x))))


class Spectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.filter = nn.Linear(4, 4), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(self.linear(x)) * self.filter)[:, :3]


@dataclass(frozen=True)
class Case:
    """How to build a model, and what its step is given."""

    build: Callable[[], nn.Module]
    inputs: Tensor
    targets: Tensor
    loss: Callable[..., Tensor] = functional.cross_entropy
    dtype: torch.dtype = torch.float64
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


def _bfloat16() -> AbstractContextManager[Any]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def _cases() -> dict[str, Case]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, sequences, words = normal(SAMPLES, 4), normal(SAMPLES, 5, 3), torch.tensor([[1, 2, 6], [2, 0, 2]])
    classes = torch.tensor([0, 2, 1, 1])
    encoder = nn.TransformerEncoderLayer
    squares = functional.mse_loss
    mlp = lambda: nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 3))  # noqa: E731
    return {
        "mlp": Case(mlp, rows, classes),
        "mlp in float32": Case(mlp, rows, classes, dtype=torch.float32),
        "cnn": Case(Residual, normal(SAMPLES, 3, 6, 6), classes),
        "LSTM": Case(lambda: Recurrent(nn.LSTM), sequences, classes),
        "LSTM in float32": Case(lambda: Recurrent(nn.LSTM), sequences, classes, dtype=torch.float32),
        "GRU with dropout": Case(lambda: Recurrent(nn.GRU, dropout=0.2), sequences, classes),
        "LSTMCell": Case(Cells, sequences, normal(SAMPLES, 3), squares),
        "transformer": Case(
            lambda: nn.Sequential(encoder(8, 2, 12, batch_first=True), nn.Flatten(), nn.Linear(40, 3)),
            normal(SAMPLES, 5, 8),
            classes,
        ),
        "tied embedding": Case(Tied, words, words.flatten()),
        "sparse embedding": Case(
            lambda: nn.Sequential(nn.Embedding(7, 4, sparse=True), nn.Flatten(), nn.Linear(12, 3)), words, classes[:2]
        ),
        "writes and views": Case(Written, rows, normal(2, 3), squares),
        "frozen and overwritten": Case(Overwritten, rows, classes),
        "checkpoint": Case(lambda: Checkpointed(False), rows, classes),
        "reentrant checkpoint": Case(lambda: Checkpointed(True), rows, classes),
        "Function in torch": Case(lambda: Custom(Swish), rows, classes),
        "Function in numpy": Case(lambda: Custom(InNumpy), rows, classes),
        "complex numbers": Case(Spectrum, rows, classes),
        "autocast": Case(
            lambda: nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.LayerNorm(5), nn.Linear(5, 3)),
            rows,
            classes,
            dtype=torch.float32,
            context=_bfloat16,
        ),
        "autocast, shared layer": Case(Shared, rows, classes, dtype=torch.float32, context=_bfloat16),
    }


CASES = _cases()
AUTOCAST = ("autocast", "autocast, shared layer")


def make(name: str) -> tuple[Case, nn.Module, Tensor]:
    """Return a case with its model and its inputs, in its dtype."""
    case = CASES[name]
    torch.manual_seed(1)
    model = case.build().train().to(case.dtype)
    return case, model, case.inputs.to(case.dtype) if case.inputs.is_floating_point() else case.inputs


@cache
def trace_of(name: str) -> Trace:
    """Return a recorded step; the same trace for all tests, which only read it."""
    case, model, inputs = make(name)
    targets = case.targets.to(case.dtype) if case.targets.is_floating_point() else case.targets
    torch.manual_seed(2)
    with case.context():
        return record(model, case.loss, inputs.clone(), targets)


def ops_of(trace: Trace) -> list[Op]:
    """Return the ops that computed something of the user's, those that a checkpoint computed again among them."""
    return [op for op in trace.ops if op.phase in ("forward", "loss") or op.recomputed]
