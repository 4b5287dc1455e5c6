"""What the worked example refuses, and what it says then."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from chainrule.recorder import record
from chainrule.shapes import Tensor
from chainrule.trace import Trace
from chainrule.worked import WorkedExampleError, program_of

INPUTS, TARGETS = torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 1, dtype=torch.float64)


def recorded(model: nn.Module, loss: object = F.mse_loss, targets: Tensor = TARGETS, **more: object) -> Trace:
    return record(model.double(), loss, INPUTS, targets, **more)


def refusal(trace: Trace, **more: int) -> str:
    with pytest.raises(WorkedExampleError) as caught:
        program_of(trace, **more)
    return str(caught.value)


def test_statistics_are_no_numbers() -> None:
    assert refusal(recorded(linear(), keep="statistics")) == (
        "The worked example needs every number of the step.\n"
        "  found:    a trace that keeps statistics\n"
        "  expected: a trace that keeps values\n"
        'Record the step with keep="values".'
    )


def test_a_trace_that_ran_out_of_its_budget() -> None:
    assert refusal(recorded(linear(), byte_budget=20)) == (
        "The worked example needs every number of the step.\n"
        "  found:    a trace that ran out of its 20 bytes at op 0\n"
        "  expected: a trace that keeps all values\n"
        "Record the step with a larger byte_budget, or a smaller network."
    )


def test_large_networks() -> None:
    assert refusal(recorded(linear()), most_scalars=6) == (
        "The network is too large to be written out number by number.\n"
        "  found:    8 numbers: 2 inputs, 1 target, 3 parameters, 2 results of ops\n"
        "  expected: at most 6\n"
        "Take smaller layers, or fewer samples in a batch: --data.batch_size 1. One gradient of a large network is "
        "explained with the numbers of its tensors: `chainrule explain digits output.weight 0,0`."
    )
    assert program_of(recorded(linear()), most_scalars=8).parameters == ("w1", "w2", "b1")


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)


def test_layers_that_torch_computes_as_a_whole() -> None:
    trace = recorded(Cell())
    op = next(op for op in trace.ops if op.name == "rnn_tanh_cell")
    assert refusal(trace) == (
        "The worked example cannot write out rnn_tanh_cell.\n"
        f"  where: rnn_tanh_cell in cell, {op.source}\n"
        "It is made of smaller ops; opened, each of them has its formula.\n"
        "Write the layer out in the module, with linear, sigmoid, tanh, softmax and their like."
    )


class Tripled(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(context: object, adjoint: Tensor) -> Tensor:
        return adjoint * 3


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = linear()

    def forward(self, x: Tensor) -> Tensor:
        return Tripled.apply(self.layer(x))


def test_functions_of_the_users_own() -> None:
    trace = recorded(Own())
    op = next(op for op in trace.ops if op.name == "Tripled")
    assert refusal(trace) == (
        "The worked example cannot write out Tripled.\n"
        f"  where: Tripled, {op.source}\n"
        "It is a torch.autograd.Function of the user's own (Tripled), with a backward that is written by hand.\n"
        "A network of other layers can be written out; verify and explain work for this one."
    )


class Hooked(Own):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        y.register_hook(lambda adjoint: 2 * adjoint)
        return y


def test_gradients_that_a_hook_changed() -> None:
    trace = recorded(Hooked())
    output = trace.value("layer.linear")
    gradient = output.adjoint.item()
    assert refusal(trace) == (
        "The formula of ∂E/∂o1 does not give what was recorded.\n"
        f"  found:    {gradient / 2:.9g} by the formula, {gradient:.9g} in the recording\n"
        "  expected: the same number\n"
        "Something happened in the step that its ops do not show, such as a hook that changed a gradient.\n"
        "chainrule verify says which gradient of the step is changed, and where."
    )


class InPlace(Own):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        part = y[:, :1]
        y.mul_(2)
        return part + y


def test_views_that_were_written_over() -> None:
    said = refusal(recorded(InPlace()))
    assert said.splitlines()[0] == "The worked example cannot write out view again."
    assert said.splitlines()[2:] == [
        "It belongs to a view of a tensor that was written over in place.",
        "Write the module without operations in place.",
    ]


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (
            nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0], dtype=torch.float64)),
            "Its classes have weights.\nTake the loss without weight, or weigh the samples by hand.",
        ),
        (
            nn.CrossEntropyLoss(ignore_index=1),
            "It leaves samples out (ignore_index).\nTake them out of the batch.",
        ),
    ],
)
def test_losses_that_weigh_or_leave_out(loss: nn.Module, reason: str) -> None:
    trace = record(nn.Linear(2, 2).double(), loss, torch.ones(2, 2, dtype=torch.float64), torch.tensor([0, 1]))
    (op,) = trace.ops_in("loss")
    assert refusal(trace) == (
        f"The worked example cannot write out cross_entropy.\n  where: cross_entropy in loss_fn, {op.source}\n{reason}"
    )


def test_a_loss_without_parameters() -> None:
    model = linear().requires_grad_(False)
    assert refusal(recorded(model)) == (
        "The loss of this step depends on no parameter.\n"
        "  found:    a loss of E_total\n"
        "  expected: a loss that is computed of parameters which require a gradient"
    )


def test_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        trace = record(nn.Linear(2, 1), F.mse_loss, INPUTS.float(), TARGETS.float())
    assert refusal(trace).splitlines()[2:] == [
        "Autocast computed it in bfloat16.",
        "Record the step without autocast, best in float64.",
    ]
