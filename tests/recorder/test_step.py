"""One step: that recording it changes nothing, on models that nobody expects; arguments, losses and errors."""

import copy
from typing import Any

import pytest
import torch
from recorder_checks import batch, dense, lawless, names, network, what_torch_holds
from torch import Tensor, nn
from unusual_models import UNUSUAL, Around

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.recorder import record

# While tests run, types are checked first; what these two say is for those who run without.
from chainrule.recorder.step import _check, _refuse_unless_scalar
from chainrule.trace import Missing, Trace

pytestmark = [
    pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning"),
    pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning"),
]
mse = nn.functional.mse_loss


def _call(model: nn.Module, inputs: Any) -> Any:
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def _steps(name: str) -> tuple[Tensor, nn.Module, Tensor, Trace, nn.Module, Tensor]:
    """Take the step bare and recorded, from the same model and generators."""
    case = UNUSUAL[name]
    torch.manual_seed(1)
    model = case.build()
    twin = copy.deepcopy(model)
    torch.manual_seed(7)
    output = _call(model, case.inputs)
    loss = case.loss(output) if case.loss else output["loss"] if isinstance(output, dict) else output
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    state = torch.get_rng_state()
    torch.manual_seed(7)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    trace = record(twin, case.loss, case.inputs, None, optimizer)
    return loss.detach(), model, state, trace, twin, torch.get_rng_state()


@pytest.mark.parametrize("name", list(UNUSUAL))
def test_recording_changes_nothing_and_the_law_holds(name: str) -> None:
    before = what_torch_holds()
    loss, model, state, trace, twin, twin_state = _steps(name)
    assert trace.loss is not None
    assert torch.equal(trace.values[trace.loss].data, loss)
    assert torch.equal(state, twin_state)
    assert what_torch_holds() == before
    for (key, entry), other in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        assert torch.equal(entry, other), key
    gradients = {key: parameter.grad for key, parameter in twin.named_parameters()}
    for key, parameter in model.named_parameters():
        gradient = gradients[key]
        assert (parameter.grad is None) == (gradient is None), key
        assert gradient is None or torch.equal(dense(gradient), dense(parameter.grad)), key
    assert lawless(trace) == []
    assert [value.name for value in trace.values if isinstance(value.data, Missing) and value.kind != "hidden"] == []
    for value in trace.parameters:
        gradient = gradients[value.name]
        assert (value.adjoint is None) == (gradient is None), value.name
        assert gradient is None or torch.equal(dense(value.adjoint), dense(gradient)), value.name


def test_nothing_is_written_onto_modules() -> None:
    model = network()
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    record(model, mse, *batch(), torch.optim.Adam(model.parameters()))
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam, foreach": lambda p: torch.optim.Adam(p, foreach=True),
    "Adam, fused": lambda p: torch.optim.Adam(p, fused=True),
    "Adam, single": lambda p: torch.optim.Adam(p, foreach=False, amsgrad=True),
    "AdamW": torch.optim.AdamW,
    "RMSprop": lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.5),
    "Adagrad": torch.optim.Adagrad,
    "Adadelta": torch.optim.Adadelta,
    "Adafactor": torch.optim.Adafactor,
    "Adamax": torch.optim.Adamax,
    "ASGD": torch.optim.ASGD,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "Rprop": torch.optim.Rprop,
}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_two_updates_are_those_of_bare_steps(name: str) -> None:
    model, twin = network(), network()
    optimizer, other = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](twin.parameters())
    inputs, targets = batch()
    for _ in range(2):
        optimizer.zero_grad()
        mse(model(inputs), targets).backward()
        optimizer.step()
        start = [parameter.detach().clone() for parameter in twin.parameters()]
        trace = record(twin, mse, inputs, targets, other)
    for parameter, copied in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, copied)
    for update, before, parameter in zip(trace.updates, start, twin.parameters(), strict=True):
        assert torch.equal(update.before, before)
        assert torch.equal(update.after, parameter)
        assert torch.equal(update.gradient, parameter.grad)
        assert set(update.state_after) == set(update.state_before)


def test_lbfgs_gets_its_closure() -> None:
    model, twin = network(), network()
    inputs, targets = batch()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)

    def look() -> Tensor:
        optimizer.zero_grad()
        loss = mse(model(inputs), targets)
        loss.backward()
        return loss

    optimizer.step(look)
    trace = record(twin, mse, inputs, targets, torch.optim.LBFGS(twin.parameters(), max_iter=4))
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, other)
    assert names(trace, "forward", "loss", "update") == ["linear", "tanh", "linear", "mse_loss", "LBFGS"]
    assert trace.notes == ["The optimizer evaluates the loss itself (closure); its passes are not recorded."]


def test_inputs_by_position_by_name_and_alone() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    one, other = torch.ones(2), torch.zeros(2)
    for inputs, expected in (((one, other), ["input[0]", "input[1]"]), ({"x": one, "y": other}, ["x", "y"])):
        trace = record(Two(), torch.sum, inputs)
        assert [value.name for value in trace.values if value.kind == "input"] == expected
    alone = record(nn.Identity(), lambda output: output.sum() * 1, one)
    assert [value.name for value in alone.values if value.kind == "input"] == ["input"]


def test_a_packed_sequence_is_one_argument() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(2, 3, batch_first=True)

        def forward(self, packed: Any) -> Tensor:
            return self.rnn(packed)[0].data

    packed = nn.utils.rnn.pack_padded_sequence(torch.ones(2, 3, 2), torch.tensor([3, 2]), batch_first=True)
    trace = record(Reader(), torch.sum, packed)
    assert "gru" in names(trace, "forward")


@pytest.mark.parametrize("output", [lambda loss: {"loss": loss}, lambda loss: type("Output", (), {"loss": loss})()])
def test_a_loss_in_the_output(output: Any) -> None:
    trace = record(Around(lambda self, x: output(self.linear(x).mean())), None, torch.ones(1, 4))
    assert names(trace, "forward", "loss") == ["linear", "mean"]
    assert trace.values[trace.loss or 0].name == "mean"


def test_a_loss_without_a_gradient_is_noted() -> None:
    model = network().requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trace = record(model, mse, *batch(), optimizer)
    expected = "The loss does not depend on any tensor that requires a gradient, so there was no backward pass"
    assert trace.notes == [f"{expected} and no update."]
    assert record(model, mse, *batch()).notes == [f"{expected}."]
    assert trace.updates == []
    assert trace.values[trace.loss or 0].name == "mse_loss"


ERRORS = {
    "a class": (
        lambda: _check(nn.Linear, mse, "values", None),
        "A model to record is a torch.nn.Module.\n"
        "  found:    type\n"
        "  expected: an instance of a class that inherits from torch.nn.Module\n"
        "Give the instance, such as Net(), not the class.",
    ),
    "no loss": (
        lambda: _check(network(), "mse", "values", None),
        "A loss is called with the model's output and the targets.\n"
        "  found:    str\n"
        "  expected: a function such as torch.nn.functional.mse_loss, a module such as torch.nn.MSELoss(), or None",
    ),
    "a budget": (
        lambda: record(network(), mse, *batch(), byte_budget=-1),
        "A byte budget is a number of bytes.\n  found:    -1\n  expected: 0 or more, or None for no limit",
    ),
    "a loss of many numbers": (
        lambda: record(network(), None, torch.ones(3, 4)),
        "The loss is not one number, so there is nothing to backpropagate from.\n"
        "  found:    a tensor of shape (3, 1)\n"
        "  expected: a tensor with one element\n"
        "End the loss with .mean() or .sum().",
    ),
    "a loss that is no tensor": (
        lambda: _refuse_unless_scalar("loss"),
        "The loss is not one number, so there is nothing to backpropagate from.\n"
        "  found:    str\n"
        "  expected: a tensor with one element\n"
        "Give a loss_fn that takes the model's output.",
    ),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_errors(name: str) -> None:
    step, text = ERRORS[name]
    before = what_torch_holds()
    with pytest.raises(ChainruleError) as caught:
        step()
    assert str(caught.value) == text
    assert what_torch_holds() == before


def test_an_unknown_keep() -> None:
    with pytest.raises(UnknownNameError) as caught:
        _check(network(), mse, "value", None)
    assert str(caught.value) == (
        "There is no keep 'value'.\n  found:    value\n  expected: one of statistics, values\nDid you mean 'values'?"
    )


def _failing(error: BaseException) -> nn.Module:
    def fail(self: Any, x: Tensor) -> Tensor:
        self.linear(x)
        raise error

    return Around(fail)


def test_the_users_own_error_says_how_far_it_came() -> None:
    error = ValueError("mine")
    before = what_torch_holds()
    with pytest.raises(ValueError, match="mine") as caught:
        record(_failing(error), None, torch.ones(1, 4))
    assert caught.value is error
    (note,) = caught.value.__notes__
    assert note.startswith("chainrule: the last op that ran was linear in module 'linear', test_step.py:")
    assert note.endswith(": self.linear(x) (1 ops were recorded).")
    assert what_torch_holds() == before


def test_an_interrupt_leaves_nothing_behind() -> None:
    before = what_torch_holds()
    with pytest.raises(KeyboardInterrupt):
        record(_failing(KeyboardInterrupt()), None, torch.ones(1, 4))
    assert what_torch_holds() == before


def test_a_failing_backward_leaves_nothing_behind() -> None:
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, adjoint: Tensor) -> Tensor:
            raise ZeroDivisionError("in backward")

    before = what_torch_holds()
    model = Around(lambda self, x: Failing.apply(self.linear(x)).sum())
    with pytest.raises(ZeroDivisionError) as caught:
        record(model, None, torch.ones(1, 4))
    assert caught.value.__notes__[0].startswith("chainrule: the last op that ran was sum backward")
    assert what_torch_holds() == before
    assert lawless(record(network(), mse, *batch())) == []
