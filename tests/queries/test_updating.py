import torch
from torch import nn
from torch.nn import functional

from chainrule.queries import Answer, why
from chainrule.recorder import record

from .faults import batch


def answer(rate: float, first: int = 0) -> Answer:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    optimizer = torch.optim.SGD(list(model.parameters())[first:], lr=rate)
    return why(record(model, functional.mse_loss, *batch(), optimizer))


def test_parameters_that_no_optimizer_holds_are_a_note() -> None:
    (finding,) = answer(0.1, first=2).findings
    assert (finding.code, finding.severity) == ("not-in-optimizer", "note")
    assert finding.claim == "0.weight and 0.bias have a gradient, but no optimizer that made a step here holds them."


def test_a_learning_rate_of_zero_is_a_note() -> None:
    (finding,) = answer(0.0).findings
    assert (finding.code, finding.severity) == ("not-changed", "note")
    assert finding.claim == (
        "0.weight, 0.bias, 2.weight and 2.bias have a gradient, but the update did not change them: "
        "the learning rate is 0."
    )


def test_an_update_that_moves_everything_is_none() -> None:
    assert answer(0.1).findings == ()
