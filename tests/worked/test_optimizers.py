"""Optimizers: their names, groups, and the notes where there are no lines."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from chainrule.programs import Program, program_text
from chainrule.recorder import record
from chainrule.worked import program_of

Make = Callable[[nn.Module], torch.optim.Optimizer | None]


def worked(make: Make) -> Program:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1, bias=False)).double()
    ones = torch.ones(1, 1, dtype=torch.float64)
    return program_of(record(model, F.mse_loss, ones, 0 * ones, make(model)))


def test_settings_in_which_groups_differ_have_numbers() -> None:
    program = worked(
        lambda model: torch.optim.SGD(
            [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}], lr=0.2, momentum=0.9
        )
    )
    assert [(each.name, each.latex, each.value, each.meaning) for each in program.of_kind("setting")] == [
        ("η_1", r"\eta_1", 0.1, "learning rate"),
        ("μ", r"\mu", 0.9, "momentum"),
        ("η_2", r"\eta_2", 0.2, "learning rate"),
    ]
    lines = {line.name: program_text(line.formula) for line in program.in_step("update")}
    assert lines["w1⁺"] == "w1 − η_1·u_w1⁺"
    assert lines["w2⁺"] == "w2 − η_2·u_w2⁺"
    assert lines["u_w2⁺"] == "μ·u_w2 + ∂E/∂w2"


def test_states_are_those_before_the_step() -> None:
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    ones = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(3):
        state = {name: part.clone() for name, part in optimizer.state[model.weight].items()}
        trace = record(model, F.mse_loss, ones, 0 * ones, optimizer)
    states = {each.name: each.value for each in program_of(trace).of_kind("state")}
    assert states == {"m_w1": state["exp_avg"].item(), "v_w1": state["exp_avg_sq"].item(), "t": 3.0}


LINES_END = "The lines end at the gradients."


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (lambda model: None, "The step was recorded without an optimizer, so no parameter is updated."),
        (
            lambda model: torch.optim.Adagrad(model.parameters()),
            "There are no formulas for the updates of Adagrad, only for SGD, Adam, AdamW, RMSprop. " + LINES_END,
        ),
        (
            lambda model: torch.optim.Adam(model.parameters(), amsgrad=True),
            "There are no formulas for Adam with amsgrad. " + LINES_END,
        ),
        (
            lambda model: torch.optim.SGD(model.parameters(), 0.1, maximize=True),
            "There are no formulas for SGD with maximize. " + LINES_END,
        ),
    ],
)
def test_a_note_says_why_there_is_no_update(make: Make, note: str) -> None:
    program = worked(make)
    assert program.notes == (note,)
    assert not program.updated
    assert list(program.in_step("gradients"))


def test_parameters_that_no_optimizer_moves() -> None:
    program = worked(lambda model: torch.optim.SGD(model[2].parameters(), 0.1))
    assert program.updated == {"w2": "w2⁺"}
    assert program.notes == (
        "0.weight has a gradient, but no optimizer moved it.",
        "0.bias has a gradient, but no optimizer moved it.",
    )
