"""A kernel that computes something else than PyTorch is refused, with the numbers."""

import dataclasses
import re

import pytest
import torch
from torch import nn

from chainrule.lanes import Group, StepDescription, Unsupported, Varying, compile_runs, supervised
from chainrule.lanes.pointwise import POINTWISE


def describe(network: nn.Module) -> StepDescription:
    torch.manual_seed(0)
    samples = {"inputs": torch.ones(2, 2), "targets": torch.zeros(2, 2)}
    names = tuple(name for name, _ in network.named_parameters())
    group = Group(names, {"lr": Varying("lr", 0.5)})
    return StepDescription(network, supervised(nn.functional.mse_loss), "SGD", (group,), samples)


def test_a_wrong_formula_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(POINTWISE["tanh"], emit=POINTWISE["sigmoid"].emit)
    monkeypatch.setitem(POINTWISE, "tanh", wrong)
    with pytest.raises(Unsupported) as refused:
        compile_runs(describe(nn.Sequential(nn.Linear(2, 2), nn.Tanh())))
    text = re.sub(r"-?\d\.\d+(e-\d+)?", "NUMBER", str(refused.value))
    assert text == (
        "The lanes engine computes this training step otherwise than PyTorch, so it is not used.\n"
        "  where:    the loss\n"
        "  found:    NUMBER\n"
        "  expected: NUMBER, as the plain loop has it\n"
        "Run it with plain PyTorch."
    )


class Sorted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sort().values


def test_an_op_without_code_is_refused() -> None:
    with pytest.raises(Unsupported) as refused:
        compile_runs(describe(nn.Sequential(nn.Linear(2, 2), Sorted())))
    assert str(refused.value) == (
        "The lanes engine cannot compile this training step.\n"
        "  where: sort\n"
        "The op sort does not give one tensor.\n"
        "Run it with plain PyTorch."
    )


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_a_branch_on_a_number_is_refused() -> None:
    with pytest.raises(Unsupported, match="PyTorch cannot trace it"):
        compile_runs(describe(nn.Sequential(nn.Linear(2, 2), Branching())))


def test_a_class_that_does_not_exist_is_pytorchs_error() -> None:
    description = dataclasses.replace(
        describe(nn.Linear(2, 2)),
        samples={"inputs": torch.ones(3, 2), "targets": torch.tensor([0, 1, 7])},
        objective=supervised(nn.functional.cross_entropy),
        batch_size=2,
    )
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        compile_runs(description)
