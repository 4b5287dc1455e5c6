"""Steps with one fault each, whose cause is known, and their healthy twins."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.recorder import record
from chainrule.trace import Trace

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Fault:
    """A fault: what `why` must say of it, and the step with it and without it."""

    name: str
    code: str
    op: str
    module: str
    faulty: Callable[[], Trace]
    healthy: Callable[[], Trace]


class Net(nn.Module):
    """Two layers with something between them and something behind them, which are functions of the test."""

    def __init__(self, middle: Step, end: Step, width: int = 6, out: int = 3) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, width)
        self.fc2 = nn.Linear(width, out)
        self.middle = middle
        self.end = end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.fc2(self.middle(self.fc1(x))))


class Stack(nn.Module):
    """Layers of one kind, one behind another."""

    def __init__(self, depth: int, activation: Callable[[], nn.Module], gain: float | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(depth))
        self.acts = nn.ModuleList(activation() for _ in range(depth))
        self.head = nn.Linear(8, 3)
        if gain is not None:
            for layer in self.layers:
                nn.init.orthogonal_(layer.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        for layer, act in zip(self.layers, self.acts, strict=True):
            x = act(layer(x))
        return self.head(x)


class Recurrent(nn.Module):
    """h ← W_i·x + W_h·h over the steps of a sequence."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.i = nn.Linear(3, 8)
        self.h = nn.Linear(8, 8, bias=False)
        self.o = nn.Linear(8, 1)
        nn.init.orthogonal_(self.h.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            h = self.i(x[:, t]) + self.h(h)
        return self.o(h)


class Sequence(nn.Module):
    """A recurrent network of PyTorch's own, and its last state."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 8, batch_first=True)
        self.o = nn.Linear(8, 1)
        with torch.no_grad():
            self.rnn.weight_hh_l0 *= factor

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.rnn(0.01 * x)[0]
        return self.o(states[:, -1])


class Shared(nn.Module):
    """A recurrence over ReLU: a unit that is silent at one step is not so at all."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.i = nn.Linear(3, 8)
        self.h = nn.Linear(8, 8)
        self.o = nn.Linear(8, 1)
        with torch.no_grad():
            self.i.bias[2] += bias

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            h = torch.relu(self.i(x[:, t]) + self.h(h))
        return self.o(h)


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 6)
        self.norm = nn.LayerNorm(6)
        self.fc2 = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.norm(self.fc1(x)))


class Embedded(nn.Module):
    """A number is rounded to a row of a table."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 6)
        self.table = nn.Embedding(50, 6)
        self.fc2 = nn.Linear(6, 3)
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc1(x)
        if self.whole:
            return self.fc2(self.table(h.abs().long()).sum(1))
        return self.fc2(h @ torch.ones(6, 6) + self.table(torch.arange(len(x))))


class Double(torch.autograd.Function):
    """Twice its input, with a backward that forgets the gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> Tensor:
        return 0 * upstream


class TrueDouble(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(context: Any, upstream: Tensor) -> Tensor:
        return 2 * upstream


def same(x: Tensor) -> Tensor:
    return x


def batch(samples: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 4, generator=generator), torch.randn(samples, 3, generator=generator)


def take(
    middle: Step = torch.tanh,
    end: Step = same,
    change: Callable[[Net], object] = same,  # type: ignore[assignment]
    loss: Callable[..., Tensor] = functional.mse_loss,
    inputs: Callable[[Tensor], Tensor] = same,
    targets: Callable[[Tensor], Tensor] = same,
) -> Callable[[], Trace]:
    """Return what records one step of a `Net`."""

    def run() -> Trace:
        torch.manual_seed(0)
        model = Net(middle, end)
        with torch.no_grad():
            change(model)
        x, t = batch()
        return record(model, loss, inputs(x), targets(t))

    return run


def step_of(build: Callable[[], nn.Module], shape: tuple[int, ...] = (16, 4), out: int = 3) -> Callable[[], Trace]:
    """Return what records one step of a model, with random inputs and targets."""

    def run() -> Trace:
        torch.manual_seed(0)
        model = build()
        generator = torch.Generator().manual_seed(1)
        x, t = torch.randn(shape, generator=generator), torch.randn(shape[0], out, generator=generator)
        return record(model, functional.mse_loss, x, t)

    return run


def classes(t: Tensor) -> Tensor:
    return t.argmax(1)


def ignored(t: Tensor) -> Tensor:
    return torch.full((len(t),), -100)


def without_gradient(h: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.tanh(h)


def unit_off(model: Net) -> None:
    model.fc1.bias[2] = -50.0


def zero_head(model: Net) -> None:
    model.fc2.weight.zero_()


def half(middle: Step) -> Callable[[], Trace]:
    def run() -> Trace:
        torch.manual_seed(0)
        model = Net(middle, same).half()
        x, t = batch()
        return record(model, lambda y, target: (y - target).square().mean(), x.half(), t.half())

    return run


def small_half(scale: float) -> Callable[[], Trace]:
    def run() -> Trace:
        torch.manual_seed(0)
        model = Net(torch.tanh, same).half()
        x, t = batch()
        return record(model, lambda y, target: (y - target).square().mean() * scale, x.half(), t.half())

    return run


def far(y: Tensor, t: Tensor) -> Tensor:
    return functional.mse_loss(y, t * 1e6)


def frozen() -> Trace:
    torch.manual_seed(0)
    model = Net(torch.tanh, same)
    model.fc1.weight.requires_grad_(False)
    return record(model, functional.mse_loss, *batch())


class WithIdle(Net):
    def __init__(self, use: str) -> None:
        super().__init__(torch.tanh, same)
        self.idle = nn.Linear(6, 3)
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        h = self.middle(self.fc1(x))
        if self.use == "never":
            return self.fc2(h)
        more = self.idle(h)
        return self.fc2(h) + (more if self.use == "fully" else 0.0)


def normed(gamma: float) -> Callable[[], Trace]:
    def build() -> nn.Module:
        model = Normed()
        nn.init.constant_(model.norm.weight, gamma)
        return model

    return step_of(build)


def no_layer(model: Net) -> None:
    model.fc1.weight.zero_()
    model.fc1.bias.zero_()


def one_logit(model: Step) -> Callable[[], Trace]:
    return take(
        end=lambda z: model(z[:, :1]), loss=lambda p, t: functional.binary_cross_entropy(p, (t[:, :1] > 0) * 1.0)
    )


def copied(h: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of this itself
        return torch.tensor(h)


def dropped(chance: float) -> Callable[[], Trace]:
    return take(lambda h: functional.dropout(torch.tanh(h), chance, training=True))


def bad_weight(model: Net) -> None:
    model.fc1.weight[1, 2] = torch.nan


def bad_row(x: Tensor) -> Tensor:
    x = x.clone()
    x[5, 1] = torch.nan
    return x


def bad_target(t: Tensor) -> Tensor:
    t = t.clone()
    t[3, 0] = torch.inf
    return t


def zero_row(h: Tensor) -> Tensor:
    keep = torch.ones(len(h), 1)
    keep[2] = 0.0
    return h * keep


def off_axis(h: Tensor) -> Tensor:
    return zero_row(h).square().sum(1, keepdim=True).sqrt() * torch.ones(6)


def fully_masked(h: Tensor, rows: int) -> Tensor:
    mask = torch.zeros(h.shape, dtype=torch.bool)
    mask[:, 0] = True
    mask[:rows] = True
    return torch.softmax(h.masked_fill(mask, -torch.inf), -1)


def first_class(p: Tensor, t: Tensor) -> Tensor:
    return -p.log()[:, 0].mean()


def where_log(h: Tensor) -> Tensor:
    h = zero_row(h)
    return torch.where(h != 0, torch.log(h.abs()), torch.zeros_like(h))


def where_log_twice(h: Tensor) -> Tensor:
    h = zero_row(h)
    safe = torch.where(h != 0, h, torch.ones_like(h))
    return torch.where(h != 0, torch.log(safe.abs()), torch.zeros_like(h))


def constant_row(h: Tensor) -> Tensor:
    return zero_row(h) + 0.0


def standardised(h: Tensor, epsilon: float) -> Tensor:
    h = constant_row(h)
    return (h - h.mean(1, keepdim=True)) / (h.std(1, keepdim=True, correction=0) + epsilon)


def unit_length(h: Tensor, epsilon: float) -> Tensor:
    h = zero_row(h)
    return h / (h.square().sum(1, keepdim=True) + epsilon).sqrt()


def at_one(h: Tensor, nearest: float) -> Tensor:
    h = torch.tanh(h)
    return torch.cat([h[:, :5] * nearest, torch.full_like(h[:, :1], nearest) * (1 + 0 * h[:, 5:])], 1)


def certain(h: Tensor, t: Tensor) -> Tensor:
    return functional.binary_cross_entropy(torch.sigmoid(h), (t > 0).to(h.dtype))


FAULTS: tuple[Fault, ...] = (
    # exactly zero
    Fault("dead ReLU layer", "dead-units", "relu", "", take(lambda h: torch.relu(h - 100)), take(torch.relu)),
    Fault("dead unit", "dead-units", "relu", "", take(torch.relu, change=unit_off), take(torch.relu)),
    Fault("dead layer in place", "dead-units", "relu_", "", take(lambda h: (h - 100).relu_()), take(torch.relu)),
    Fault("dead GELU layer", "dead-units", "gelu", "", take(lambda h: functional.gelu(h - 100)), take(functional.gelu)),
    Fault(
        "sigmoid, exactly saturated",
        "saturated",
        "sigmoid",
        "",
        take(lambda h: torch.sigmoid(h + 200)),
        take(torch.sigmoid),
    ),
    Fault("tanh, nearly saturated", "saturated", "tanh", "", take(lambda h: torch.tanh(h + 8)), take(torch.tanh)),
    Fault(
        "softmax, exactly saturated",
        "saturated",
        "softmax",
        "",
        take(end=lambda z: torch.softmax(z * 1e5, 1)),
        take(end=lambda z: torch.softmax(z, 1)),
    ),
    Fault(
        "softmax, nearly saturated",
        "saturated",
        "softmax",
        "",
        take(end=lambda z: torch.softmax(z + torch.tensor([18.0, 0.0, 0.0]), 1)),
        take(end=lambda z: torch.softmax(z, 1)),
    ),
    Fault("hardtanh outside", "saturated", "hardtanh", "", take(lambda h: functional.hardtanh(h + 9)), take()),
    Fault("clamp outside", "saturated", "clamp", "", take(lambda h: (h + 9).clamp(-1, 1)), take()),
    Fault("detached branch", "detached", "detach", "", take(lambda h: h.detach()), take()),
    Fault("torch.tensor of a tensor", "detached", "tensor", "", take(copied), take(lambda h: torch.stack(list(h)))),
    Fault("a parameter made in forward", "detached", "linear", "fc2", take(nn.Parameter), take()),
    Fault("no_grad block", "no-grad", "tanh", "", take(without_gradient), take()),
    Fault(".data", "detached", "data", "", take(lambda h: h.data), take()),
    Fault(
        ".item()",
        "left-torch",
        "item",
        "",
        take(lambda h: torch.ones(len(h), 6) * torch.tensor(h.mean().item())),
        take(lambda h: torch.ones(len(h), 6) * h.mean()),
    ),
    Fault(
        "numpy and back",
        "left-torch",
        "numpy",
        "",
        take(lambda h: torch.from_numpy(h.detach().numpy() * 2)),
        take(lambda h: h * 2),
    ),
    Fault(
        "argmax",
        "not-differentiable",
        "argmax",
        "",
        take(lambda h: functional.one_hot(h.argmax(1), 6).float()),
        take(lambda h: torch.softmax(h, 1)),
    ),
    Fault("comparison", "not-differentiable", "gt", "", take(lambda h: (h > 0).float()), take(torch.sigmoid)),
    Fault("round", "flat", "round", "", take(torch.round), take(lambda h: h + (h.round() - h).detach())),
    Fault("sign", "flat", "sign", "", take(torch.sign), take(torch.tanh)),
    Fault("integer cast", "not-differentiable", "to", "", take(lambda h: (h * 9).to(torch.int32).float()), take()),
    Fault(
        "embedding of a cast",
        "not-differentiable",
        "long",
        "",
        step_of(lambda: Embedded(True)),
        step_of(lambda: Embedded(False)),
    ),
    Fault("parameter unused", "unused", "", "", step_of(lambda: WithIdle("never")), step_of(lambda: WithIdle("fully"))),
    Fault(
        "computed, not reached",
        "unreached",
        "linear",
        "idle",
        step_of(lambda: WithIdle("partly")),
        step_of(lambda: WithIdle("fully")),
    ),
    Fault("requires_grad False", "frozen", "", "", frozen, take()),
    Fault("γ of a norm is 0", "zero-weights", "layer_norm", "norm", normed(0.0), normed(1.0)),
    Fault("layer below is 0", "zero-weights", "relu", "", take(torch.relu, change=no_layer), take(torch.relu)),
    Fault(
        "softmax of one logit",
        "single-entry",
        "softmax",
        "",
        one_logit(lambda z: torch.softmax(z, -1)),
        one_logit(torch.sigmoid),
    ),
    Fault(
        "one class",
        "single-entry",
        "cross_entropy",
        "",
        take(end=lambda z: z[:, :1], loss=lambda z, t: functional.cross_entropy(z, classes(t) * 0)),
        take(loss=lambda z, t: functional.cross_entropy(z, classes(t))),
    ),
    Fault(
        "dead unit of a recurrence",
        "dead-units",
        "relu",
        "",
        step_of(lambda: Shared(-60.0), (8, 20, 3), 1),
        step_of(lambda: Shared(0.0), (8, 20, 3), 1),
    ),
    Fault("layer above is 0", "zero-weights", "linear", "fc2", take(change=zero_head), take()),
    Fault("dropout of everything", "dropped", "dropout", "", dropped(1.0), dropped(0.5)),
    Fault(
        "all masked out",
        "masked",
        "masked_fill",
        "",
        take(lambda h: h.masked_fill(torch.ones(6, dtype=torch.bool), 0.0)),
        take(lambda h: h.masked_fill(torch.eye(16, 6, dtype=torch.bool), 0.0)),
    ),
    Fault(
        "where takes the other",
        "masked",
        "where",
        "",
        take(lambda h: torch.where(torch.zeros(6, dtype=torch.bool), h, torch.ones(6))),
        take(lambda h: torch.where(h > 0, h, 0.1 * h)),
    ),
    Fault(
        "all targets ignored, sum",
        "all-ignored",
        "cross_entropy",
        "loss_fn",
        take(loss=nn.CrossEntropyLoss(reduction="sum"), targets=ignored),
        take(loss=nn.CrossEntropyLoss(reduction="sum"), targets=classes),
    ),
    Fault("times 0", "multiplied-by-zero", "mul", "", take(lambda h: h * 0.0), take(lambda h: h * 0.5)),
    Fault(
        "times a mask of zeros",
        "multiplied-by-zero",
        "mul",
        "",
        take(lambda h: h * torch.zeros(6)),
        take(lambda h: h * torch.tensor([1.0, 1.0, 0.5, 1.0, 1.0, 1.0])),
    ),
    Fault(
        "custom backward of zeros",
        "custom-backward",
        "Double",
        "",
        take(lambda h: Double.apply(h)),  # type: ignore[no-untyped-call]
        take(lambda h: TrueDouble.apply(h)),  # type: ignore[no-untyped-call]
    ),
    Fault("float16 underflow", "underflow", "mean", "", small_half(1e-6), small_half(1.0)),
    # NaN and infinity
    Fault(
        "sqrt at 0",
        "inf-backward",
        "sqrt",
        "",
        take(off_axis),
        take(lambda h: (h.square().sum(1, keepdim=True) + 1e-6).sqrt() * torch.ones(6)),
    ),
    Fault(
        "log of 0",
        "inf-forward",
        "log",
        "",
        take(end=lambda z: torch.softmax(z, 1) * torch.tensor([0.0, 1.0, 1.0]), loss=first_class),
        take(end=lambda z: torch.softmax(z, 1), loss=first_class),
    ),
    Fault("log behind where", "nan-backward", "log", "", take(where_log), take(where_log_twice)),
    Fault(
        "softmax of a masked row",
        "nan-forward",
        "softmax",
        "",
        take(lambda h: fully_masked(h, 3)),
        take(lambda h: fully_masked(h, 0)),
    ),
    Fault("exp overflow", "inf-forward", "exp", "", take(lambda h: torch.exp(h * 1000)), take(torch.exp)),
    Fault(
        "0/0 of a constant row",
        "nan-forward",
        "div",
        "",
        take(lambda h: standardised(h, 0.0)),
        take(lambda h: standardised(h + torch.arange(6.0), 1e-5)),
    ),
    Fault(
        "x/|x| at 0",
        "nan-forward",
        "div",
        "",
        take(lambda h: unit_length(h, 0.0)),
        take(lambda h: unit_length(h, 1e-6)),
    ),
    Fault(
        "division by 0",
        "inf-forward",
        "div",
        "",
        take(lambda h: torch.tanh(h) / torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0, 1.0])),
        take(lambda h: torch.tanh(h) / torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 1.0])),
    ),
    Fault("float16 overflow", "inf-forward", "mul", "", half(lambda h: h * 60000 * 10), half(torch.tanh)),
    Fault("NaN in the inputs", "bad-input", "", "", take(inputs=bad_row), take()),
    Fault("infinity in the targets", "bad-input", "", "", take(targets=bad_target), take()),
    Fault("NaN in a weight", "bad-parameter", "", "", take(change=bad_weight), take()),
    Fault(
        "all targets ignored, mean",
        "all-ignored",
        "cross_entropy",
        "loss_fn",
        take(loss=nn.CrossEntropyLoss(), targets=ignored),
        take(loss=nn.CrossEntropyLoss(), targets=classes),
    ),
    Fault(
        "acos at 1",
        "inf-backward",
        "acos",
        "",
        take(lambda h: torch.acos(at_one(h, 1.0))),
        take(lambda h: torch.acos(at_one(h, 0.9))),
    ),
    Fault(
        "asin at 1",
        "inf-backward",
        "asin",
        "",
        take(lambda h: torch.asin(at_one(h, 1.0))),
        take(lambda h: torch.asin(at_one(h, 0.9))),
    ),
    Fault(
        "root at 0 by pow",
        "inf-backward",
        "pow",
        "",
        take(lambda h: torch.pow(zero_row(h).square(), 0.5)),
        take(lambda h: torch.pow(zero_row(h).square() + 1e-3, 0.5)),
    ),
    Fault(
        "spread of a single number",
        "nan-forward",
        "std",
        "",
        take(lambda h: h / h[:1].std(0)),
        take(lambda h: h / h.std(0)),
    ),
    Fault("log of a negative", "nan-forward", "log", "", take(torch.log), take(lambda h: torch.log(h.abs() + 1))),
    # huge and tiny
    Fault(
        "exploding recurrence",
        "exploding",
        "linear",
        "h",
        step_of(lambda: Recurrent(3.0), (2, 30, 3), 1),
        step_of(lambda: Recurrent(0.9), (2, 30, 3), 1),
    ),
    Fault(
        "exploding LSTM",
        "exploding",
        "lstm",
        "rnn",
        step_of(lambda: Sequence(60.0), (8, 60, 3), 1),
        step_of(lambda: Sequence(1.0), (8, 60, 3), 1),
    ),
    Fault(
        "exploding depth",
        "exploding",
        "linear",
        "layers",
        step_of(lambda: Stack(12, nn.Identity, 5.0), (16, 8)),
        step_of(lambda: Stack(12, nn.Identity, 1.0), (16, 8)),
    ),
    Fault(
        "vanishing depth",
        "vanishing",
        "sigmoid",
        "acts",
        step_of(lambda: Stack(14, nn.Sigmoid, None), (16, 8)),
        step_of(lambda: Stack(14, nn.Tanh, 1.2), (16, 8)),
    ),
    Fault("inputs too large", "large-input", "linear", "fc1", take(same, inputs=lambda x: x * 1e6), take(same)),
    Fault("targets too large", "large-error", "mse_loss", "", take(loss=far), take()),
)
