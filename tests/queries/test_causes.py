import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries import why
from chainrule.recorder import record

from .faults import Net, batch, same, take

# Activation, where it is flat, and what that is called.
FLAT = {
    "relu": (-200.0, "dead-units"),
    "relu6": (200.0, "dead-units"),
    "elu": (-200.0, "dead-units"),
    "celu": (-200.0, "dead-units"),
    "selu": (-200.0, "dead-units"),
    "gelu": (-200.0, "dead-units"),
    "silu": (-200.0, "dead-units"),
    "mish": (-200.0, "dead-units"),
    "hardswish": (-200.0, "dead-units"),
    "softplus": (-200.0, "dead-units"),
    "sigmoid": (200.0, "saturated"),
    "tanh": (-200.0, "saturated"),
    "hardtanh": (200.0, "saturated"),
    "hardsigmoid": (-200.0, "saturated"),
}


@pytest.mark.parametrize("name", FLAT)
def test_activations_that_are_flat_are_named(name: str) -> None:
    shift, code = FLAT[name]
    (finding,) = (one for one in why(take(lambda h: getattr(functional, name)(h + shift))(), "fc1.weight").findings)
    assert (finding.code, finding.evidence["op"], finding.severity) == (code, name, "error")
    assert finding.remedy


def overwrite(h: Tensor) -> Tensor:
    h = h * 1
    h[:] = 0.5
    return h


def test_what_is_written_over_is_named() -> None:
    (finding,) = (one for one in why(take(overwrite)()).findings if one.severity == "error")
    assert (finding.code, finding.evidence["op"]) == ("overwritten", "setitem")


def test_what_is_smaller_than_the_other_is_named() -> None:
    (finding,) = why(take(lambda h: torch.maximum(h, torch.full((6,), 99.0)))()).findings
    assert finding.evidence["op"] == "maximum"
    assert "its input is smaller than the other of the two" in finding.claim


def test_a_factor_of_zero_names_what_made_it() -> None:
    (finding,) = why(take(lambda h: torch.relu(h - 100))(), "fc2.weight").findings
    assert (finding.code, finding.severity) == ("zero-input", "note")
    assert "is multiplied with, relu, is zero everywhere (made so by relu (" in finding.claim


def test_inputs_of_zeros_are_a_warning() -> None:
    findings = why(take(inputs=torch.zeros_like)()).findings
    assert [(one.code, one.severity) for one in findings] == [("zero-input", "warning")]


def test_a_state_that_is_only_the_first_is_a_warning() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 3, bidirectional=True, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[0][:, -1, 3:]

    torch.manual_seed(0)
    trace = record(Last(), functional.mse_loss, torch.randn(5, 7, 4), torch.randn(5, 3))
    (finding,) = why(trace, "rnn.weight_hh_l0_reverse").findings
    assert (finding.code, finding.severity) == ("zero-input", "warning")


@pytest.mark.parametrize("keep", ["values", "statistics"])
def test_dropout_of_everything_needs_no_tensors(keep: str) -> None:
    torch.manual_seed(0)
    model = Net(lambda h: functional.dropout(torch.tanh(h), 1.0), same)
    trace = record(model, functional.mse_loss, *batch(), keep=keep)  # type: ignore[arg-type]
    assert ("dropped", "error") in [(one.code, one.severity) for one in why(trace).findings]
