"""Right gradients are found right, wrong ones wrong, and nothing of the user's is touched."""

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from chainrule.errors import ChainruleError
from chainrule.recorder import Recorder, record
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Trace
from chainrule.verification import Verification, verify


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def classes(count: int, below: int, seed: int = 2) -> Tensor:
    return torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed))


class Residual(nn.Module):
    """Convolutions with batch norm, dropout, a residual, in-place ReLU and max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.first(x)))
        h = h + torch.relu_(self.dropout(self.second(h)))
        out: Tensor = self.last(functional.max_pool2d(h, 2).mean((2, 3)))
        return out


class Words(nn.Module):
    """An embedding, an LSTM and a linear layer, one class per word."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.last = nn.Linear(5, 9)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.lstm(self.embedding(x))[0]).flatten(0, 1)
        return out


class Branching(nn.Module):
    """Another layer for inputs with a positive sum, and as many repetitions as the data say."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.layers[int(bool(x.sum() > 0))](x))
        while float(x.detach().abs().sum()) > 2:
            x = x / 2
        return x


class Narrow(nn.Module):
    """Casts to float32 on the way, and has a plain tensor and a constant of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.scale = torch.linspace(0.5, 1.5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.linear(x).float() * self.scale
        return functional.softmax(h, dim=-1, dtype=torch.float32) @ torch.full((3, 2), 0.5, dtype=torch.float32).cumsum(
            1
        )


class Recomputed(nn.Module):
    """Two layers of which the first is computed again in the backward pass."""

    def __init__(self, use_reentrant: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
        self.last = nn.Linear(4, 2)
        self.use_reentrant = use_reentrant

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        h = torch.utils.checkpoint.checkpoint(self.first, x, use_reentrant=self.use_reentrant)
        out: Tensor = self.last(h)
        return out


class Tied(nn.Module):
    """One matrix as embedding and as output."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.last = nn.Linear(4, 6, bias=False)
        self.last.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(torch.tanh(self.embedding(x)))
        return out


class Remembering(nn.Module):
    """Keeps its last output, counts its calls, and scales by a random number."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = self.linear(x) * (1 + 0.1 * torch.rand(()).item())
        return self.last


def zeroed() -> nn.Module:
    """Every ReLU input is exactly 0."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    for parameter in model[0].parameters():
        nn.init.zeros_(parameter)
    return model


Case = tuple[Callable[[], nn.Module], Any, Any, Any]
MODELS: dict[str, Case] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 2)),
        drawn(4, 3),
        drawn(4, 2),
        functional.mse_loss,
    ),
    "relu": (
        lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 3)),
        drawn(5, 3),
        classes(5, 3),
        nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1),
    ),
    "kinks at zero": (zeroed, drawn(4, 3), drawn(4, 2), functional.mse_loss),
    "residual": (Residual, drawn(3, 2, 6, 6), classes(3, 3), functional.cross_entropy),
    "words": (Words, classes(6, 9).reshape(2, 3), classes(6, 9, seed=3), functional.cross_entropy),
    "attention": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        drawn(2, 3, 4),
        drawn(2, 3, 4),
        functional.smooth_l1_loss,
    ),
    "branching": (Branching, drawn(2, 3), drawn(2, 3), functional.l1_loss),
    "narrow": (Narrow, drawn(4, 3), drawn(4, 2), functional.mse_loss),
    "recomputed": (lambda: Recomputed(False), drawn(3, 3), drawn(3, 2), functional.mse_loss),
    "recomputed, reentrant": (lambda: Recomputed(True), drawn(3, 3), drawn(3, 2), functional.mse_loss),
    "tied": (Tied, classes(5, 6), classes(5, 6, seed=3), functional.cross_entropy),
    "remembering": (Remembering, drawn(4, 3), drawn(4, 3), functional.mse_loss),
}


def built(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Any, Any, Any]:
    make, inputs, targets, loss_fn = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().to(dtype)
    parts = [copy.deepcopy(part) for part in (inputs, targets, loss_fn)]
    inputs, targets, loss_fn = (
        part.to(dtype)
        if isinstance(part, nn.Module) or (isinstance(part, Tensor) and part.is_floating_point())
        else part
        for part in parts
    )
    return model, loss_fn, inputs, targets


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_right_gradients_are_right(name: str, dtype: torch.dtype) -> None:
    model, loss_fn, inputs, targets = built(name, dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    verification = verify(record(model, loss_fn, inputs, targets, optimizer), entries=24)
    assert verification.is_right, str(verification)
    assert verification.findings == ()
    assert [row.verdict for row in verification.parameters] == ["right"] * len(verification.parameters)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {row.name for row in verification.parameters} == names
    assert {row.recorded for row in verification.parameters} == {"same"}
    assert all(row.worst < 1e-7 for row in verification.parameters)
    assert all(row.checked == row.entries or row.directions == 2 for row in verification.parameters)


class Autocast(nn.Module):
    """Two layers in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out: Tensor = self.layers(x)
        return out.float()


class Spectrum(nn.Module):
    """Complex weights on a spectrum."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, dtype=torch.complex64))
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.fft.ifft(torch.fft.fft(self.linear(x)) * self.weight).abs()
        return out


class Penalised(nn.Module):
    """Differentiates itself inside its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        y = self.layers(x)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        out: Tensor = y + slope.square().sum(1, keepdim=True)
        return out


OTHERS: dict[str, Callable[[], nn.Module]] = {
    "autocast": Autocast,
    "complex": Spectrum,
    "gradient penalty": Penalised,
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2)),
    "recurrent relu": lambda: nn.Sequential(nn.RNNCell(3, 4, nonlinearity="relu"), nn.Linear(4, 2)),
    "bfloat16": lambda: nn.Sequential(nn.Linear(3, 2), nn.Softplus()).bfloat16(),
    "sparse": lambda: nn.Sequential(nn.Flatten(), Indexed()),
}


class Indexed(nn.Module):
    """Takes the signs of its inputs for indices of an embedding with sparse gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(2, 2, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.embedding((x[:, 0] > 0).long())
        return out


@pytest.mark.parametrize("name", OTHERS)
def test_models_of_other_kinds_are_right(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = OTHERS[name]()
    inputs = drawn(5, 3).to(torch.bfloat16 if name == "bfloat16" else torch.float32)
    verification = verify(record(model, lambda output: output.square().mean(), inputs), entries=24)
    assert verification.is_right, str(verification)
    assert {(row.verdict, row.recorded) for row in verification.parameters} == {("right", "same")}


def test_kinks_are_named_and_do_not_count() -> None:
    verification = verify(record(*built("kinks at zero")))
    first = verification.parameters[0]
    assert (first.name, first.verdict, first.is_beside) == ("0.weight", "right", True)
    assert len(first.kinks) == 12
    assert first.kinks[0] == "0.weight[0, 0]: relu in 1"
    assert (
        verification.notes[0]
        == "16 entries are at a kink, where the loss has no derivative; they are not counted as errors."
    )


# -- the worked example


class SlippedHidden(torch.autograd.Function):
    """a_h1(1 − a_h1) where a_h2(1 − a_h2) belongs."""

    @staticmethod
    def forward(context: Any, z: Tensor) -> Tensor:
        a = torch.sigmoid(z)
        context.save_for_backward(a)
        return a

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        (a,) = context.saved_tensors
        slopes = a * (1 - a)
        return upstream[0] * torch.stack((slopes[0], slopes[0]))


class WorkedExample(nn.Module):
    """The 2-2-2 network: hidden weights w1 to w4, output weights w5 to w8."""

    def __init__(self, hidden: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.tensor([[0.15, 0.20], [0.25, 0.30]], dtype=torch.float64))
        self.output = nn.Parameter(torch.tensor([[0.40, 0.45], [0.50, 0.55]], dtype=torch.float64))
        self.activation = hidden

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.output @ self.activation(self.hidden @ x))


def half_sum(output: Tensor, target: Tensor) -> Tensor:
    return 0.5 * (target - output).square().sum()


INPUT = torch.tensor([0.05, 0.10], dtype=torch.float64)
TARGET = torch.tensor([0.01, 0.99], dtype=torch.float64)


def test_the_slip_that_gradcheck_lets_through_is_found() -> None:
    """It moves ∂E/∂w3 and ∂E/∂w4 by 2.6e-4 of themselves; gradcheck allows 1e-3 of them and 1e-5 besides."""
    model = WorkedExample(SlippedHidden.apply)
    hidden, output = model.hidden.detach(), model.output.detach()

    def error(w: Tensor, v: Tensor) -> Tensor:
        return half_sum(torch.sigmoid(v @ SlippedHidden.apply(w @ INPUT)), TARGET)  # type: ignore[no-untyped-call]

    assert torch.autograd.gradcheck(error, (hidden.clone().requires_grad_(), output.clone().requires_grad_()))

    verification = verify(record(model, half_sum, INPUT, TARGET))
    assert not verification.is_right
    row = next(row for row in verification.parameters if row.name == "hidden")
    assert (row.verdict, row.where) in (("wrong", "hidden[1, 0]"), ("wrong", "hidden[1, 1]"))
    assert 2.5e-4 < row.worst < 2.7e-4
    assert next(row for row in verification.parameters if row.name == "output").verdict == "right"
    assert verification.findings[0].code == "wrong-custom-backward"
    (check,) = verification.functions
    assert (check.function, check.verdict, check.argument, check.where) == ("SlippedHidden", "wrong", 0, "input 0[1]")

    healthy = verify(record(WorkedExample(torch.sigmoid), half_sum, INPUT, TARGET))
    assert healthy.is_right
    assert healthy.findings == ()


# -- hooks, cuts and estimators


class Net(nn.Module):
    """Two layers, and something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.between(self.first(x)))
        return out


def recorded(between: Callable[[Tensor], Tensor], change: Callable[[Net], object] = lambda net: None) -> Trace:
    with torch.random.fork_rng():
        net = Net(between)
    change(net)
    return record(net, functional.mse_loss, drawn(4, 3), drawn(4, 2))


def verdicts(verification: Verification) -> dict[str, str]:
    return {row.name: row.verdict for row in verification.parameters}


FIRST_WRONG = {"last.weight": "right", "last.bias": "right", "first.weight": "wrong", "first.bias": "wrong"}


def test_a_tensor_hook_that_clips_is_named() -> None:
    def clipped(h: Tensor) -> Tensor:
        h.register_hook(lambda gradient: gradient.clamp(-0.01, 0.01))
        return torch.tanh(h)

    verification = verify(recorded(clipped))
    assert verdicts(verification) == FIRST_WRONG
    finding = verification.findings[0]
    assert (finding.code, finding.evidence) == ("hook-changes-gradient", {"parameters": "first.weight, first.bias"})
    line = clipped.__code__.co_firstlineno + 1
    assert finding.where == f"tensor hook registered at test_verifying.py:{line}"
    assert finding.remedy == "Without it the gradients agree with central differences."


def test_a_full_backward_hook_that_scales_is_named() -> None:
    def halve(module: Any, to_inputs: Any, to_outputs: Any) -> Any:
        return tuple(None if gradient is None else gradient / 2 for gradient in to_inputs)

    trace = recorded(torch.tanh, lambda net: net.last.register_full_backward_hook(halve))
    verification = verify(trace)
    assert verdicts(verification) == FIRST_WRONG
    assert [finding.code for finding in verification.findings] == [
        "hook-changes-gradient",
        "wrong-gradient",
        "wrong-gradient",
    ]
    assert verification.findings[0].where == "backward hook of module 'last'"


def test_a_hook_of_a_parameter_is_named() -> None:
    trace = recorded(torch.tanh, lambda net: net.last.weight.register_hook(lambda gradient: gradient / 2))
    verification = verify(trace)
    assert set(verdicts(verification).values()) == {"right"}
    assert not verification.is_right
    (finding,) = verification.findings
    assert (finding.code, finding.where) == ("hook-changes-gradient", "last.weight")
    assert finding.remedy == "The parameter has a hook (register_hook), which changes its gradient."


def test_a_detached_branch_is_named() -> None:
    def cut(h: Tensor) -> Tensor:
        return torch.tanh(h) + h.detach() ** 2

    verification = verify(recorded(cut))
    assert verdicts(verification) == FIRST_WRONG
    assert verification.findings[0].code == "wrong-gradient"
    assert "(detach): the loss depends on parameters through them" in verification.findings[0].remedy


class Rounded(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return torch.round(x * 4) / 4

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0]


def test_a_straight_through_estimator_differs_by_design() -> None:
    verification = verify(recorded(Rounded.apply))
    assert not verification.is_right
    (check,) = verification.functions
    assert check.verdict == "straight-through"
    finding = verification.findings[0]
    assert (finding.code, finding.severity) == ("straight-through", "warning")
    assert finding.claim == (
        "The backward of Rounded differs by design? The derivative of its forward is 0 almost everywhere, and its "
        "backward sends something else: a straight-through estimator or a surrogate gradient, which differs from the "
        "derivative by design."
    )


def test_a_gradient_that_is_not_finite_is_wrong() -> None:
    verification = verify(recorded(lambda h: torch.sqrt(torch.relu(h) * 0) + h))
    assert not verification.is_right
    assert verdicts(verification)["first.weight"] == "wrong"


# -- what cannot be verified


def test_a_trace_without_a_model_is_refused() -> None:
    model = nn.Linear(2, 1)
    with Recorder(model) as recorder:
        model(torch.ones(1, 2)).sum().backward()
    with pytest.raises(ChainruleError) as caught:
        verify(recorder.trace)
    assert str(caught.value) == (
        "This trace cannot be verified: it does not have the model that it was recorded from.\n"
        "  found:    a trace that was loaded from a file, or recorded by `with Recorder(model)`\n"
        "  expected: a trace that chainrule.record returned in this process\n"
        "Record the step with chainrule.record(model, loss_fn, inputs, targets), and verify that trace."
    )


def test_statistics_without_the_parameters_of_before_are_refused() -> None:
    model, loss_fn, inputs, targets = built("mlp")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    trace = record(model, loss_fn, inputs, targets, optimizer, keep="statistics")
    with pytest.raises(ChainruleError) as caught:
        verify(trace)
    assert str(caught.value) == (
        "This trace cannot be verified: the parameters of before the update are not in it.\n"
        "  where: 0.weight\n"
        "The trace keeps statistics instead of tensors, and the parameters were changed since.\n"
        'Record the step with keep="values", or without an optimizer.'
    )


def test_statistics_without_an_update_are_verified() -> None:
    model, loss_fn, inputs, targets = built("mlp")
    verification = verify(record(model, loss_fn, inputs, targets, keep="statistics"))
    assert verification.is_right
    assert {row.recorded for row in verification.parameters} == {"rounding"}


class Uncopied(nn.Linear):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("cannot pickle '_thread.lock' object")


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    trace = record(Uncopied(3, 2), functional.mse_loss, drawn(4, 3), drawn(4, 2))
    with pytest.raises(ChainruleError) as caught:
        verify(trace)
    assert str(caught.value) == (
        "The model cannot be verified, because it cannot be copied.\n"
        "  where:    Uncopied\n"
        "  found:    TypeError: cannot pickle '_thread.lock' object\n"
        "  expected: a module that copy.deepcopy copies\n"
        "Keep open files, locks and processes out of the module, or give it a __deepcopy__."
    )


class OnlyFloat32(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.float32:
            raise TypeError("the kernel takes float32")
        return super().forward(x)


def test_a_model_that_does_not_run_in_float64_says_so() -> None:
    verification = verify(record(OnlyFloat32(3, 2), functional.mse_loss, drawn(4, 3), drawn(4, 2)))
    assert not verification.is_right
    assert verification.reason == "the model does not run in float64 (TypeError: the kernel takes float32)"
    assert [finding.code for finding in verification.findings] == ["not-verified"]
    assert str(verification).startswith("Gradients not verified: the model does not run in float64")


class Counting(nn.Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) / self.calls


def test_a_state_that_the_recording_does_not_know_says_so() -> None:
    """The derivation is right; the recorded numbers were of the first call, and cannot be had again."""
    verification = verify(record(Counting(3, 2), functional.mse_loss, drawn(4, 3), drawn(4, 2)))
    assert not verification.is_right
    assert {row.verdict for row in verification.parameters} == {"right"}
    assert {row.recorded for row in verification.parameters} == {"not compared"}
    (finding,) = verification.findings
    assert (finding.code, finding.severity) == ("recorded-not-compared", "warning")


STATE: dict[str, int] = {"calls": 0}


def test_a_step_that_is_never_the_same_says_so() -> None:
    def drifting(h: Tensor) -> Tensor:
        STATE["calls"] += 1
        return h * (1 + 0.1 * math.sin(STATE["calls"]))

    verification = verify(recorded(drifting))
    assert not verification.is_right
    assert verification.reason.startswith("computed twice at the same weights, the loss is not the same")


def test_a_loss_that_is_not_finite_says_so() -> None:
    verification = verify(recorded(lambda h: torch.log(h * 0)))
    assert not verification.is_right
    assert verification.reason.endswith("in float64, which has no derivative")


@pytest.mark.parametrize("arguments", [{"entries": -1}, {"entries": 0, "directions": 0}, {"directions": -2}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    trace = recorded(torch.tanh)
    with pytest.raises(ChainruleError, match=r"^Entries and directions to verify are numbers from 0, and not both 0\."):
        verify(trace, **arguments)


# -- what is touched


@pytest.mark.parametrize("name", ["residual", "remembering", "kinks at zero", "words"])
@pytest.mark.parametrize("with_update", [True, False])
def test_nothing_of_the_users_is_touched(name: str, with_update: bool) -> None:
    model, loss_fn, inputs, targets = built(name)
    optimizer = torch.optim.Adam(model.parameters()) if with_update else None
    trace = record(model, loss_fn, inputs, targets, optimizer)
    model.train(not model.training)
    before = snapshot(model, inputs, targets)
    verify(trace, entries=20)
    after = snapshot(model, inputs, targets)
    assert before.keys() == after.keys()
    for key, part in before.items():
        there = after[key]
        assert torch.equal(part, there) if isinstance(part, Tensor) else part == there, key


def snapshot(model: nn.Module, inputs: Any, targets: Any) -> dict[str, Any]:
    found: dict[str, Any] = {f"state {name}": part.clone() for name, part in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        found[f"gradient {name}"] = None if parameter.grad is None else parameter.grad.clone()
        found[f"gradient id {name}"] = id(parameter.grad)
        found[f"version {name}"] = parameter._version
    for path, module in model.named_modules():
        found[f"training {path}"] = module.training
        found[f"hooks {path}"] = (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            len(module._backward_hooks),
        )
        found[f"calls {path}"] = getattr(module, "calls", None)
        found[f"attributes {path}"] = sorted(module.__dict__)
    found |= {"inputs": inputs.clone(), "targets": targets.clone(), "versions": (inputs._version, targets._version)}
    found |= {"torch": torch.get_rng_state(), "dtype": torch.get_default_dtype()}
    found["numpy"] = str(numpy.random.get_state())
    found["grad"] = torch.is_grad_enabled()
    return found


def test_a_model_that_has_moved_on_is_verified_as_it_was() -> None:
    """Parameters, training flags, inputs and the loss's buffers have changed since."""
    model, loss_fn, inputs, targets = built("residual")
    trace = record(model, loss_fn, inputs, targets)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    model.eval()
    inputs.zero_()
    verification = verify(trace, entries=20)
    assert verification.is_right, str(verification)
    assert {row.recorded for row in verification.parameters} == {"same"}


def test_a_loss_that_knows_the_model_itself() -> None:
    """Its penalty moves with the copy, and the user's gradients and records stay as they are."""
    model = nn.Linear(3, 2)
    seen: dict[str, Tensor] = {}
    model.register_forward_hook(lambda module, inputs, output: seen.__setitem__("output", output))

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output, target) + 0.1 * sum(part.square().sum() for part in model.parameters())

    trace = record(model, loss, drawn(4, 3), drawn(4, 2))
    kept, gradient = seen["output"], model.weight.grad
    assert gradient is not None
    before = gradient.clone()
    assert verify(trace).is_right
    assert seen["output"] is kept
    assert model.weight.grad is gradient
    assert torch.equal(gradient, before)


# -- how much is looked at


def test_entries_directions_and_evaluations_are_counted() -> None:
    model, loss_fn, inputs, targets = built("residual")
    told: list[tuple[int, int]] = []
    verification = verify(
        record(model, loss_fn, inputs, targets), entries=10, progress=lambda done, of: told.append((done, of))
    )
    assert sum(row.checked for row in verification.parameters) <= 10
    assert told == [(number + 1, len(verification.parameters)) for number in range(len(verification.parameters))]
    partly = [row for row in verification.parameters if row.checked < row.entries]
    assert partly
    assert {row.directions for row in partly} == {2}
    resolved = [row for row in partly if row.name != "first.bias"]  # before batch norm: its gradient is 0
    assert all(row.resolution < 1e-3 for row in resolved)
    assert all(math.isnan(row.resolution) for row in verification.parameters if row not in partly)
    looks = 10 + 2 * len(partly)
    assert verification.evaluations <= 30 * looks + 40


def test_the_same_seed_looks_at_the_same() -> None:
    trace = record(*built("residual"))
    assert verify(trace, entries=12, seed=3).to_dict() == verify(trace, entries=12, seed=3).to_dict()


SCRIPT = """
import random, torch
from torch import nn
import chainrule.recorder, chainrule.verification

class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 2
    @staticmethod
    def backward(context, upstream):
        return upstream

class Net(nn.Linear):
    def forward(self, x):
        h = super().forward(x) * (1 + random.random())
        h = Doubled.apply(h)
        return h + h.detach() ** 2

before = random.getstate()
net = Net(3, 2)
trace = chainrule.recorder.record(net, nn.functional.mse_loss, torch.rand(4, 3), torch.rand(4, 2))
drawn = random.getstate()
verification = chainrule.verification.verify(trace)
assert drawn != before and random.getstate() == drawn
print(verification.functions[0].backward, "|", verification.functions[0].reason)
print(verification.findings[1].remedy)
"""


def test_lines_of_code_and_python_s_generator_outside_of_the_type_checker(tmp_path: Path) -> None:
    """The type checker of these tests stands between the user's line and torch, and draws random numbers itself."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "script.py:10 | It is 2 times too small, at every entry that was looked at."
    assert second == "See the first finding."


class Tripled(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return 3 * upstream[0]


def test_a_reentrant_checkpoint_says_that_its_functions_were_not_checked() -> None:
    trace = recorded(lambda h: checkpoint(Tripled.apply, h, use_reentrant=True))
    verification = verify(trace)
    assert verification.functions == ()
    assert not verification.is_right
    assert verification.findings[0].remedy == (
        "The step has a reentrant checkpoint: with use_reentrant=False the ops inside of it can be checked."
    )
    assert verification.notes[0] == (
        "Functions inside of a reentrant checkpoint were not checked one by one: their calls are not recorded. With "
        "use_reentrant=False they are."
    )


def test_a_recorded_gradient_that_is_missing_is_a_finding() -> None:
    trace = recorded(torch.tanh)
    name = trace.parameters[0].name
    trace.parameters[0].kept_adjoint = Missing("It was written over.")
    verification = verify(trace)
    (finding,) = verification.findings
    assert (finding.code, finding.where) == ("recorded-not-compared", name)
    assert not verification.is_right


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_the_spectral_norm_of_torch_is_named(norm: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(norm(nn.Linear(20, 20)), nn.Tanh(), nn.Linear(20, 2))
    verification = verify(record(model, functional.mse_loss, drawn(5, 20), drawn(5, 2)))
    (finding,) = verification.findings
    assert finding.remedy.startswith("It is under torch's spectral_norm, which by design")
