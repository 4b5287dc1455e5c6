"""Every wrong backward of a list of faults is named with what is wrong; its healthy twin is passed in silence."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from chainrule.recorder import record
from chainrule.shapes import Tensor
from chainrule.verification import FunctionCheck, Verification, verify

Saved = tuple[Tensor, ...]
Backward = Callable[[Any, Saved, Tensor], Any]


def function(name: str, forward: Callable[..., Tensor], backward: Backward) -> Any:
    """Return a torch.autograd.Function that saves its inputs and its output.

    Args:
        name: of the class.
        forward: takes the inputs.
        backward: takes the context, what was saved and the adjoint of the output.
    """

    def run(context: Any, *inputs: Tensor) -> Tensor:
        output = forward(*inputs)
        context.save_for_backward(*inputs, output)
        return output

    def back(context: Any, upstream: Tensor) -> Any:
        return backward(context, context.saved_tensors, upstream)

    kind = type(name, (torch.autograd.Function,), {"forward": staticmethod(run), "backward": staticmethod(back)})
    kind.__module__ = __name__
    return kind


@dataclass(frozen=True)
class Fault:
    """A forward, its right backward and a wrong one, with what must be said of it."""

    forward: Callable[..., Tensor]
    right: Backward
    wrong: Backward
    says: str
    weights: tuple[tuple[int, ...], ...] = ()
    argument: int = 0
    rows: int = 4
    columns: int = field(default=3)


def one_wrong(gradient: Tensor) -> Tensor:
    wrong = gradient.clone()
    wrong[2, 1] *= 1.5
    return wrong


def softmax_back(context: Any, saved: Saved, up: Tensor) -> Tensor:
    y = saved[1]
    return y * (up - (up * y).sum(-1, keepdim=True))


FAULTS: dict[str, Fault] = {
    "missing factor": Fault(
        torch.square,
        lambda c, s, g: g * 2 * s[0],
        lambda c, s, g: g * s[0],
        "It is 2 times too small, at every entry that was looked at.",
    ),
    "factor too much": Fault(
        lambda x: x.sin() * 3,
        lambda c, s, g: g * 3 * s[0].cos(),
        lambda c, s, g: g * 9 * s[0].cos(),
        "It is 3 times too large, at every entry that was looked at.",
    ),
    "sign": Fault(torch.cos, lambda c, s, g: -g * s[0].sin(), lambda c, s, g: g * s[0].sin(), "Its sign is flipped."),
    "transposed": Fault(
        lambda x, w: x @ w,
        lambda c, s, g: (g @ s[1].T, s[0].T @ g),
        lambda c, s, g: (g @ s[1].T, g.T @ s[0]),
        "It is the transpose of what it should be.",
        weights=((3, 3),),
        argument=1,
    ),
    "forgotten sum over the batch": Fault(
        lambda x, w: x * w,
        lambda c, s, g: (g * s[1], (g * s[0]).sum(0)),
        lambda c, s, g: (g * s[1], (g * s[0])[0]),
        "3 of the 3 entries that were looked at are wrong, not all by the same factor.",
        weights=((3,),),
        argument=1,
    ),
    "mean instead of sum over the batch": Fault(
        lambda x, w: x + w,
        lambda c, s, g: (g, g.sum(0)),
        lambda c, s, g: (g, g.mean(0)),
        "It is 4 times too small, at every entry that was looked at.",
        weights=((3,),),
        argument=1,
    ),
    "a branch left out": Fault(
        lambda x: x * torch.sigmoid(x),
        lambda c, s, g: g * (torch.sigmoid(s[0]) + s[1] * (1 - torch.sigmoid(s[0]))),
        lambda c, s, g: g * torch.sigmoid(s[0]),
        "12 of the 12 entries that were looked at are wrong, not all by the same factor.",
    ),
    "one millionth of itself": Fault(
        lambda x: x.exp() * 1e4,
        lambda c, s, g: g * s[1],
        lambda c, s, g: g * s[1] * (1 + 1e-6),
        "It is too large by 1.0e-06 of itself, at every entry that was looked at.",
    ),
    "only for negative inputs": Fault(
        lambda x: functional.leaky_relu(x, 0.1),
        lambda c, s, g: g * torch.where(s[0] > 0, 1.0, 0.1),
        lambda c, s, g: g * torch.where(s[0] > 0, 1.0, 0.2),
        "5 of the 12 entries that were looked at are wrong, not all by the same factor.",
    ),
    "at one entry of many": Fault(
        torch.tanh,
        lambda c, s, g: g * (1 - s[1] ** 2),
        lambda c, s, g: one_wrong(g * (1 - s[1] ** 2)),
        "",
        rows=20,
        columns=30,
    ),
    "None for an input that matters": Fault(
        lambda x, w: x * w,
        lambda c, s, g: (g * s[1], (g * s[0]).sum(0)),
        lambda c, s, g: (g * s[1], None),
        "It returns None for an input that its output depends on.",
        weights=((3,),),
        argument=1,
    ),
    "the wrong needs_input_grad": Fault(
        lambda x, k, w: x * k * w,
        lambda c, s, g: (g * s[1] * s[2], None, (g * s[0] * s[1]).sum(0) if c.needs_input_grad[2] else None),
        lambda c, s, g: (g * s[1] * s[2], None, (g * s[0] * s[1]).sum(0) if c.needs_input_grad[1] else None),
        "It returns None for an input that its output depends on.",
        weights=((0,), (3,)),
        argument=2,
    ),
    "zeros": Fault(
        lambda x, w: x * w,
        lambda c, s, g: (g * s[1], (g * s[0]).sum(0)),
        lambda c, s, g: (g * s[1], torch.zeros_like(s[1])),
        "It sends nothing to an input that its output depends on.",
        weights=((3,),),
        argument=1,
    ),
    "softmax without its sum": Fault(
        lambda x: torch.softmax(x, -1),
        softmax_back,
        lambda c, s, g: s[1] * g,
        "12 of the 12 entries that were looked at are wrong, not all by the same factor.",
    ),
    "a gradient where nothing depends": Fault(
        lambda x, w: x * 2 + 0 * w.sum(),
        lambda c, s, g: (2 * g, None),
        lambda c, s, g: (2 * g, s[1]),
        "Its output does not depend on this input, and yet a gradient is sent to it.",
        weights=((3,),),
        argument=1,
    ),
}


class Net(nn.Module):
    """A linear layer, a Function with weights of its own, and a linear layer."""

    def __init__(self, custom: Any, fault: Fault) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Linear(fault.columns, fault.columns)
        self.last = nn.Linear(fault.columns, 2)
        # A shape with 0 stands for a constant.
        self.weights = nn.ParameterList(torch.randn(shape) for shape in fault.weights if shape != (0,))
        self.constants = [torch.full((fault.columns,), 0.7) for shape in fault.weights if shape == (0,)]
        self.custom = custom

    def forward(self, x: Tensor) -> Tensor:
        h = self.custom.apply(self.first(x), *self.constants, *self.weights)
        out: Tensor = self.last(torch.tanh(h))
        return out


def verified(fault: Fault, backward: Backward) -> Verification:
    with torch.random.fork_rng():
        net = Net(function("Custom", fault.forward, backward), fault)
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(fault.rows, fault.columns, generator=generator)
    targets = torch.randn(fault.rows, 2, generator=generator)
    return verify(record(net, functional.mse_loss, inputs, targets), entries=40)


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_backward_is_named(name: str) -> None:
    fault = FAULTS[name]
    verification = verified(fault, fault.wrong)
    assert not verification.is_right
    (check,) = verification.functions
    assert (check.function, check.verdict, check.argument) == ("Custom", "wrong", fault.argument)
    assert check.source
    assert check.backward.startswith("test_custom_functions.py:")
    assert check.where.startswith(f"input {fault.argument}[")
    assert check.recorded != check.true
    assert verification.findings[0].code == "wrong-custom-backward"
    if fault.says:
        assert check.reason == fault.says


@pytest.mark.parametrize("name", FAULTS)
def test_its_healthy_twin_is_passed_in_silence(name: str) -> None:
    fault = FAULTS[name]
    verification = verified(fault, fault.right)
    assert verification.is_right, str(verification)
    assert verification.findings == ()
    (check,) = verification.functions
    assert (check.verdict, check.reason) == ("right", "")


def test_the_wrong_entry_of_many_is_found_by_halving() -> None:
    fault = FAULTS["at one entry of many"]
    verification = verified(fault, fault.wrong)
    (check,) = verification.functions
    assert check.where == "input 0[2, 1]"
    assert check.recorded / check.true == pytest.approx(1.5)


# -- what a single call cannot show


class Stale(torch.autograd.Function):
    """Keeps its input on the class."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        Stale.x = x  # type: ignore[attr-defined]
        return x**2

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0] * 2 * Stale.x  # type: ignore[attr-defined,no-any-return]


class Careful(torch.autograd.Function):
    """Keeps its input as it should."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0] * 2 * context.saved_tensors[0]


class Unsaved(torch.autograd.Function):
    """Keeps its input as an attribute of the context, where nothing notices that it is written over."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.x = x.detach()
        return x**2

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0] * 2 * context.x


class Twice(nn.Module):
    def __init__(self, custom: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.custom = nn.Linear(3, 3), nn.Linear(3, 3), custom

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.custom.apply(self.second(self.custom.apply(self.first(x))))
        return out


class WrittenOver(nn.Module):
    def __init__(self, custom: Any, times: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.custom, self.times = nn.Linear(3, 3), nn.Linear(3, 3), custom, times

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        out: Tensor = self.second(self.custom.apply(h))
        h.detach().mul_(self.times)  # not noticed by autograd when nothing was saved
        return out


def checked(model: Callable[[], nn.Module]) -> tuple[Verification, FunctionCheck]:
    generator = torch.Generator().manual_seed(5)
    with torch.random.fork_rng():
        net = model()
    parts = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    verification = verify(record(net, functional.mse_loss, *parts))
    return verification, verification.functions[0]


def test_numbers_that_are_kept_on_the_class_are_found() -> None:
    verification, check = checked(lambda: Twice(Stale))
    assert {row.name: row.verdict for row in verification.parameters}["first.weight"] == "wrong"
    assert check.verdict == "wrong"
    assert check.reason.startswith("It keeps what its backward needs outside of its context")
    healthy, _ = checked(lambda: Twice(Careful))
    assert healthy.is_right
    assert [check.verdict for check in healthy.functions] == ["right", "right"]


def test_a_kept_tensor_that_is_written_over_is_found() -> None:
    verification, check = checked(lambda: WrittenOver(Unsaved, 1.5))
    assert {row.name: row.verdict for row in verification.parameters}["first.weight"] == "wrong"
    assert check.verdict == "wrong"
    assert check.reason.startswith(
        "Taken by itself in float64 it is right, but in the step it sent something else: what it had saved was changed"
    )
    assert check.recorded / check.true == pytest.approx(1.5, rel=1e-5)
    healthy, _ = checked(lambda: WrittenOver(Unsaved, 1.0))
    assert healthy.is_right


# -- Functions of other kinds


class NumpyCube(torch.autograd.Function):
    """Leaves torch for its work."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return torch.from_numpy(x.detach().numpy() ** 3)

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return upstream[0] * torch.from_numpy(3 * x.detach().numpy() ** 2)


class Pair(torch.autograd.Function):
    """Has two outputs, and an integer and a flag among its inputs."""

    @staticmethod
    def forward(context: Any, x: Tensor, power: int, is_shifted: bool) -> tuple[Tensor, Tensor]:
        context.save_for_backward(x)
        context.power = power
        return x**power, x + float(is_shifted)

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (x,) = context.saved_tensors
        return upstream[0] * context.power * x ** (context.power - 1) + upstream[1], None, None


class InPlace(torch.autograd.Function):
    """Writes over its input."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        x.mul_(2)
        context.mark_dirty(x)
        return x

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0] * 2


class OnlyFloat32(torch.autograd.Function):
    """Refuses float64."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError("a kernel for float32")
        return x * 2

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0] * 2


class Noisy(torch.autograd.Function):
    """Draws random numbers."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        mask = torch.rand_like(x) > 0.5
        context.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0] * context.saved_tensors[0]


class Through(nn.Module):
    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.between = nn.Linear(3, 3), nn.Linear(3, 3), between

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.between(self.first(x)))
        return out


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "numpy": NumpyCube.apply,
    "two outputs": lambda h: torch.mul(*Pair.apply(h, 3, True)),  # type: ignore[no-untyped-call]
    "in place": lambda h: InPlace.apply(h.clone()),  # type: ignore[no-untyped-call,no-any-return]
    "random": Noisy.apply,
}


@pytest.mark.parametrize("kind", KINDS)
def test_functions_of_every_kind_are_right(kind: str) -> None:
    verification, check = checked(lambda: Through(KINDS[kind]))
    assert verification.is_right, str(verification)
    assert check.verdict == "right"


def test_a_forward_that_refuses_float64_says_so() -> None:
    verification, check = checked(lambda: Through(OnlyFloat32.apply))
    assert check.verdict == "not checked"
    assert check.reason == "Its forward does not run in float64: TypeError: a kernel for float32."
    assert not verification.is_right
    assert verification.reason == "the model does not run in float64 (TypeError: a kernel for float32)"


# -- what only a step shows


def redraws(context: Any, upstream: Tensor) -> Tensor:
    return upstream * (torch.rand_like(upstream) > 0.4).to(upstream) / 0.6


def writes(context: Any, upstream: Tensor) -> Tensor:
    return upstream.mul_(2 * context.saved_tensors[0])


def halves(context: Any, upstream: Tensor) -> Tensor:
    return (upstream * 2 * context.saved_tensors[0]).to(torch.bfloat16).to(upstream)


def masked(context: Any, x: Tensor) -> Tensor:
    return x * (torch.rand_like(x) > 0.4).to(x) / 0.6


def squared(context: Any, x: Tensor) -> Tensor:
    context.save_for_backward(x)
    return x**2


ONLY_IN_A_STEP: dict[str, tuple[Any, Any, str]] = {
    "Redraws": (masked, redraws, "It draws random numbers in its backward"),
    "Writes": (squared, writes, "It writes over the gradient that it is given"),
    "Halves": (
        squared,
        halves,
        "Taken by itself in float64 it is right, but in the step it sent something else: it differs by",
    ),
}


@pytest.mark.parametrize("name", ONLY_IN_A_STEP)
def test_the_cause_is_the_one_that_there_is(name: str) -> None:
    forward, backward, reason = ONLY_IN_A_STEP[name]
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward), "__module__": __name__}
    kind = type(name, (torch.autograd.Function,), members)
    verification, check = checked(lambda: Twice(kind))
    assert check.verdict == "wrong"
    assert check.reason.startswith(reason)
    assert not verification.is_right
