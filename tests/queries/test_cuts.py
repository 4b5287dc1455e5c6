import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.findings import Finding
from chainrule.queries import why
from chainrule.recorder import Recorder, record
from chainrule.trace import Trace

from .faults import Net, WithIdle, batch, same, take


class Silent(torch.autograd.Function):
    """Its backward returns None."""

    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x + 1

    @staticmethod
    def backward(context: object, upstream: Tensor) -> None:
        return None


def only(trace: Trace, name: str | None = None) -> Finding:
    (finding,) = why(trace, name).findings
    return finding


def test_a_claim_names_all_parameters_and_the_line() -> None:
    finding = only(take(lambda h: h.detach())())
    assert finding.claim.startswith("fc1.weight and fc1.bias get no gradient: detach (")
    assert finding.claim.endswith(") hands the numbers on without their history, so no gradient goes back through it.")
    assert finding.where.startswith("op 1: detach, the model, ")
    assert finding.remedy == "Remove .detach() there if the gradient is to go through."
    assert finding.severity == "warning"


def test_a_loss_without_a_gradient_is_an_error() -> None:
    trace = take(end=lambda z: z.detach())()
    finding = only(trace)
    assert (finding.code, finding.severity, finding.evidence["values"]) == ("detached", "error", 4)


def test_the_cut_nearest_to_the_loss_is_named() -> None:
    trace = take(lambda h: torch.tanh(h.detach()), end=lambda z: z.detach())()
    names = {name: only(trace, name).evidence["op number"] for name in ("fc1.weight", "fc2.weight")}
    assert names["fc1.weight"] == names["fc2.weight"] == max(op.id for op in trace.ops if op.name == "detach")


def test_a_detached_side_branch_is_no_fault_of_a_parameter_that_has_a_gradient() -> None:
    trace = take(lambda h: torch.tanh(h) + h.detach())()
    assert why(trace).findings == ()
    assert why(trace, "fc1.weight").findings == ()


def test_a_backward_that_returns_nothing_is_named() -> None:
    finding = only(take(lambda h: Silent.apply(h))())  # type: ignore[no-untyped-call]
    assert (finding.code, finding.evidence["op"], finding.severity) == ("nothing-returned", "Silent", "error")


def test_an_unused_parameter_can_be_asked_about_by_name() -> None:
    torch.manual_seed(0)
    trace = record(WithIdle("never"), functional.mse_loss, *batch())
    assert only(trace).claim == "idle.weight and idle.bias get no gradient: unused by every op of this step."
    assert only(trace, "idle.bias").claim == "idle.bias gets no gradient: unused by every op of this step."


def test_without_the_model_a_layer_that_was_not_called_is_a_note() -> None:
    torch.manual_seed(0)
    model = WithIdle("never")
    x, t = batch()
    with Recorder(model) as recorder:
        functional.mse_loss(model(x), t).backward()
    finding = only(recorder.trace)
    assert (finding.code, finding.severity) == ("unused", "note")
    assert finding.claim == "idle was not called in this step, so its parameters get no gradient."


def test_all_frozen_is_an_error() -> None:
    model = Net(torch.tanh, same)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    finding = only(record(model, functional.mse_loss, *batch()))
    assert (finding.code, finding.severity) == ("frozen", "error")


@pytest.mark.parametrize(
    "read", [lambda h: h.mean().item(), lambda h: float(h.mean().detach()), lambda h: h.mean().tolist()]
)
def test_numbers_that_leave_torch_are_found_with_what_they_were(read: object) -> None:
    finding = only(take(lambda h: torch.full((len(h), 6), read(h)))())  # type: ignore[operator]
    assert finding.code == "left-torch"
    assert isinstance(finding.evidence["number"], float)


def test_looking_at_a_number_is_no_fault() -> None:
    def looked_at(h: Tensor) -> Tensor:
        h.mean().item()
        return torch.tanh(h)

    assert why(take(looked_at)()).findings == ()


def test_a_recording_without_a_backward_pass_says_so() -> None:
    model = nn.Linear(4, 3)
    with Recorder(model) as recorder:
        model(batch()[0])
    answer = why(recorder.trace)
    assert answer.findings == ()
    assert answer.limits == ("No backward pass was recorded, so there are no gradients to ask about.",)


def test_an_input_that_nobody_asked_about_is_a_note() -> None:
    trace = take()()
    for name in ("input", "target"):
        finding = only(trace, name)
        assert (finding.code, finding.severity) == ("not-followed", "note")
        assert finding.claim == f"{name} gets no gradient: requires_grad is False, so autograd did not follow it."
    whole = take(loss=functional.cross_entropy, targets=lambda t: t.argmax(1))()
    assert only(whole, "target").claim == "target gets no gradient: whole numbers have no gradient."


class Target(nn.Module):
    """A network, and its copy that is only looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
        self.copy = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            goal = self.copy(x)
        return self.net(x) - goal


def test_a_network_that_runs_without_gradients_as_a_whole_is_one_note() -> None:
    torch.manual_seed(0)
    finding = only(record(Target(), functional.mse_loss, *batch()))
    assert (finding.code, finding.severity) == ("no-grad", "note")
    assert finding.claim.startswith(
        "copy.0.weight, copy.0.bias, copy.2.weight and copy.2.bias get no gradient: linear in copy.0 ("
    )


def test_a_block_without_gradients_on_the_way_is_one_warning() -> None:
    class Blocked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.a(x)
            with torch.no_grad():
                h = torch.tanh(self.b(torch.tanh(h)))
            return self.c(h)

    torch.manual_seed(0)
    findings = why(record(Blocked(), functional.mse_loss, *batch())).findings
    assert [(one.code, one.severity, one.evidence["values"]) for one in findings] == [("no-grad", "warning", 4)]
