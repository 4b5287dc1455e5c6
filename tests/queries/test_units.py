import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries import why
from chainrule.recorder import record
from chainrule.trace import Trace

from .faults import Net, Shared, batch, step_of, take


def off(units: tuple[int, ...], by: float) -> object:
    def change(model: Net) -> None:
        model.fc1.bias[list(units)] = by

    return change


@pytest.mark.parametrize("units", [(2,), (1, 2, 5), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("activation", [torch.relu, functional.gelu, functional.silu])
def test_dead_units_are_counted_and_named(units: tuple[int, ...], activation: object) -> None:
    trace = take(activation, change=off(units, -60.0))()  # type: ignore[arg-type]
    (finding,) = (one for one in why(trace).findings if one.code == "dead-units")
    plural = len(units) > 1
    text = f"{len(units)} of 6 units of fc1 {'are' if plural else 'is'} dead on all 16 samples "
    text += f"(unit{'s' if plural else ''} {', '.join(map(str, units))}): "
    assert finding.claim.startswith(text)
    assert (finding.severity, finding.evidence["silent"], finding.evidence["of"]) == ("warning", len(units), 6)


@pytest.mark.parametrize("activation", [torch.sigmoid, torch.tanh])
def test_saturated_units_are_named(activation: object) -> None:
    trace = take(activation, change=off((3,), 40.0))()  # type: ignore[arg-type]
    (finding,) = (one for one in why(trace).findings if one.severity != "note")
    assert finding.claim.startswith("1 of 6 units of fc1 is saturated on all 16 samples (unit 3): ")
    assert finding.code == "saturated"


def test_a_unit_that_may_wake_with_another_batch_is_a_note() -> None:
    trace = take(torch.relu, change=off((4,), -1.6))()
    (finding,) = why(trace).findings
    assert (finding.code, finding.severity) == ("dead-units", "note")


def test_weight_and_bias_of_a_dead_unit_give_the_same_answer() -> None:
    trace = take(torch.relu, change=off((2,), -60.0))()
    claims = {name: [one.claim for one in why(trace, name).findings] for name in ("fc1.weight", "fc1.bias")}
    assert claims["fc1.weight"] == claims["fc1.bias"]
    assert len(claims["fc1.bias"]) == 1


def channels() -> Trace:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(180, 3))
    with torch.no_grad():
        model[1].bias[1] = -50.0  # type: ignore[index]
    return record(model, functional.mse_loss, torch.randn(4, 1, 8, 8), torch.randn(4, 3))


def test_channels_are_followed_through_a_normalisation() -> None:
    (finding,) = (one for one in why(channels()).findings if one.code == "dead-units")
    assert finding.claim.startswith("1 of 5 units of 0 is dead on all 4 samples (unit 1): relu in 2 (")


def test_inputs_that_are_always_zero_are_a_note_about_columns() -> None:
    trace = take(inputs=lambda x: x * torch.tensor([1.0, 0.0, 1.0, 0.0]))()
    assert why(trace).findings == ()
    (finding,) = why(trace, "fc1.weight").findings
    assert (finding.code, finding.severity, finding.evidence["columns"]) == ("zero-input", "note", "1, 3")


def test_rows_of_an_embedding_that_were_not_looked_up_are_a_note() -> None:
    class Looked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(9, 3)

        def forward(self, rows: Tensor) -> Tensor:
            return self.table(rows)

    torch.manual_seed(0)
    trace = record(Looked(), functional.mse_loss, torch.tensor([1, 1, 4]), torch.randn(3, 3))
    assert why(trace).findings == ()
    (finding,) = why(trace, "table.weight").findings
    assert finding.claim.startswith("7 of 9 rows of table.weight get no gradient: embedding in table (")


def test_single_units_are_not_known_of_statistics() -> None:
    torch.manual_seed(0)
    model = Net(torch.relu, lambda z: z)
    with torch.no_grad():
        model.fc1.bias[2] = -60.0
    answer = why(record(model, functional.mse_loss, *batch(), keep="statistics"))
    assert answer.findings == ()
    assert answer.limits == (
        "This trace keeps statistics: which element, which sample and which unit it is, and whether it is NaN or "
        'infinite, is known with keep="values" (and a byte budget that holds them). Single dead '
        "units are not looked at.",
    )


def test_a_recurrence_has_one_finding_with_the_layers_that_feed_its_activation() -> None:
    (finding,) = why(step_of(lambda: Shared(-60.0), (8, 20, 3), 1)()).findings
    assert finding.claim.startswith("1 of 8 units of i and h is dead on all 8 samples (unit 2): relu (")


@pytest.mark.parametrize("seed", range(4))
def test_a_unit_that_is_silent_at_some_steps_only_is_not_dead(seed: int) -> None:
    torch.manual_seed(seed)
    trace = record(Shared(0.0), functional.mse_loss, torch.randn(8, 20, 3), torch.randn(8, 1))
    rows = trace.value("h.weight").adjoint
    assert isinstance(rows, Tensor)
    silent = (~rows.any(1)).nonzero().flatten().tolist()
    named = [one.evidence["units"] for one in why(trace).findings]
    assert len(silent) < 2
    assert named == [f"unit {unit}" for unit in silent]


def test_a_layer_that_is_called_twice_is_dead_only_where_both_calls_are() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)
            with torch.no_grad():
                self.a.bias[:2] = -60.0

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.a(x)) + torch.relu(self.a(x) + torch.tensor([0.0, 90.0, 0.0, 0.0]))

    torch.manual_seed(0)
    (finding,) = why(record(Twice(), functional.mse_loss, torch.randn(16, 4), torch.randn(16, 4))).findings
    assert finding.evidence["units"] == "unit 0"


def test_a_unit_that_is_awake_where_nothing_comes_back_is_not_dead() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        model[2].weight.copy_(torch.tensor([[20.0, 0.1], [0.0, -0.2]]))
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    trace = record(model, functional.cross_entropy, inputs, torch.tensor([0, 1, 0, 1]))
    rows = trace.value("0.weight").adjoint
    assert isinstance(rows, Tensor)
    assert float(rows[0].norm()) < 1e-7 < float(rows[1].norm())
    assert why(trace).findings == ()


def test_one_sample_says_nothing_about_units() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    assert why(record(model, functional.mse_loss, torch.randn(1, 4), torch.randn(1, 3))).findings == ()
