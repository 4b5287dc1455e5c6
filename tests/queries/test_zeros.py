import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries import why
from chainrule.queries.measured import Measured
from chainrule.queries.zeros import cancelling_op, cuts_of, is_zero
from chainrule.recorder import record
from chainrule.trace import Trace

from .faults import Net, batch, same, take


def codes(trace: Trace, name: str | None = None) -> list[tuple[str, str]]:
    return [(one.code, one.severity) for one in why(trace, name).findings]


def test_ops_that_pass_zeros_on_are_not_accused() -> None:
    trace = take(lambda h: torch.relu(torch.tanh(h) * 2 - 100))()
    measured = Measured(trace)
    (cut,) = cuts_of(measured, trace.value("fc1.weight"))
    assert cut.op.name == "relu"
    assert is_zero(measured, trace.value("tanh"))


def test_of_two_cuts_on_one_path_the_one_near_the_loss_is_named() -> None:
    trace = take(lambda h: torch.relu(h - 100), end=lambda z: torch.round(z))()
    (finding,) = why(trace).findings
    assert finding.evidence["op"] == "round"
    assert finding.evidence["values"] == 4


def test_of_two_paths_that_are_cut_both_are_named() -> None:
    trace = take(lambda h: torch.relu(h - 100) + torch.round(h))()
    found = {one.evidence["op"]: one.severity for one in why(trace, "fc1.weight").findings}
    assert found == {"relu": "note", "round": "error"}


def test_contributions_that_cancel_name_the_value() -> None:
    trace = take(lambda h: (2 * h) - h - h + torch.ones(6))()
    (finding,) = why(trace).findings
    assert (finding.code, finding.severity, finding.where) == ("cancelled", "warning", "fc1.linear")


def test_a_loss_at_its_minimum_is_a_note() -> None:
    torch.manual_seed(0)
    model = Net(torch.tanh, same)
    x, _ = batch()
    target = model(x).detach()
    assert codes(record(model, functional.mse_loss, x, target)) == [("at-minimum", "note")]
    assert codes(record(model, lambda p, t: (p - t).square().sum(), x, target)) == [("at-minimum", "note")]


def test_zero_weights_that_can_never_move_are_an_error() -> None:
    torch.manual_seed(0)
    model = Net(torch.relu, same)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert ("zero-weights", "error") in codes(record(model, functional.mse_loss, *batch()))


def test_zero_initialised_layers_of_one_kind_are_one_note() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleList(nn.Linear(4, 4) for _ in range(5))
            self.outer = nn.ModuleList(nn.Linear(4, 4) for _ in range(5))
            for layer in self.outer:
                nn.init.zeros_(layer.weight)

        def forward(self, x: Tensor) -> Tensor:
            for inner, outer in zip(self.inner, self.outer, strict=True):
                x = x + outer(torch.tanh(inner(x)))
            return x[:, :3]

    torch.manual_seed(0)
    (finding,) = why(record(Residual(), functional.mse_loss, *batch())).findings
    assert (finding.code, finding.severity) == ("zero-weights", "note")
    assert (finding.evidence["ops"], finding.evidence["values"]) == (5, 10)


def test_a_bias_before_a_normalisation_has_no_effect() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    trace = record(model, functional.mse_loss, *batch())
    measured = Measured(trace)
    idle = [value.name for value in trace.parameters if cancelling_op(measured, value) is not None]
    assert idle == ["0.bias"]
    assert codes(trace) == [("no-effect", "note")]
    kept = record(model, functional.mse_loss, *batch(), keep="statistics")
    assert codes(kept) == [("no-effect", "note")]


def test_small_gradients_of_a_small_loss_are_what_is_wanted() -> None:
    torch.manual_seed(0)
    model = Net(lambda h: torch.tanh(h + 8), same)
    x, _ = batch()
    trace = record(model, functional.mse_loss, x, model(x).detach() + 1e-3)
    assert codes(trace) == [("saturated", "note")]


def test_a_bias_before_a_normalisation_has_no_effect_at_two_calls_either() -> None:
    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.o = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return sum(self.o(torch.tanh(self.norm(self.a(one)))) for one in (x, x + 0.1))  # type: ignore[return-value]

    torch.manual_seed(0)
    findings = why(record(Twin(), functional.mse_loss, torch.randn(32, 4), torch.randn(32, 3))).findings
    assert [(one.code, one.severity) for one in findings] == [("no-effect", "note")]
    assert findings[0].claim.startswith("a.bias has no effect on the loss: ")
