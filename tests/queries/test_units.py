import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries import why
from chainrule.recorder import record
from chainrule.trace import Trace

from .faults import Net, batch, take


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
        'infinite, is known with keep="values" (and a byte budget that holds them).',
    )
