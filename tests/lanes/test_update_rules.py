"""Every update rule is that of torch.optim, with each of its settings, fixed or different in each run."""

import numpy as np
import pytest
import torch
from plain_loop import plain_losses, relative_difference
from torch import nn

from chainrule.errors import UnknownNameError
from chainrule.lanes import Group, Runs, StepDescription, Varying, compile_runs, supervised

CASES = {
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "dampening": ("SGD", {"momentum": 0.8, "dampening": 0.3}),
    "maximize": ("SGD", {"maximize": True}),
    "momentum of each run": ("SGD", {"momentum": Varying("momentum", 0.9), "weight_decay": Varying("decay", 0.1)}),
    "Adam": ("Adam", {"weight_decay": 0.1}),
    "amsgrad": ("Adam", {"amsgrad": True, "beta1": 0.8, "eps": 1e-6}),
    "betas of each run": ("Adam", {"beta1": Varying("beta1", 0.9), "beta2": Varying("beta2", 0.99)}),
    "AdamW": ("AdamW", {}),
    "AdamW, decay of each run": ("AdamW", {"weight_decay": Varying("decay", 0.1)}),
    "RMSprop": ("RMSprop", {}),
    "RMSprop, centered": ("RMSprop", {"centered": True, "momentum": 0.5, "alpha": 0.9}),
}


def describe(optimizer: str, settings: dict[str, object]) -> StepDescription:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    samples = {"inputs": torch.randn(6, 3), "targets": torch.randn(6, 2)}
    names = tuple(name for name, _ in network.named_parameters())
    group = Group(names, {"lr": Varying("lr", 0.05), **settings})  # type: ignore[dict-item]  # as CASES has them
    return StepDescription(network, supervised(nn.functional.mse_loss), optimizer, (group,), samples)


@pytest.mark.parametrize("case", CASES)
def test_a_rule_is_torchs(case: str) -> None:
    description = describe(*CASES[case])
    settings = {item.name: item.nominal * np.array([1.0, 0.7]) for item in description.varying}
    outcome = compile_runs(description).run(Runs(2, settings=settings), 25)
    assert outcome.losses is not None
    for run in range(2):
        plain = plain_losses(description, {name: float(values[run]) for name, values in settings.items()}, 25)
        assert relative_difference(outcome.losses[run], plain) < 1e-12


def test_names_that_are_not_there() -> None:
    with pytest.raises(UnknownNameError) as optimizer:
        compile_runs(describe("Adagrad", {}))
    assert str(optimizer.value) == (
        "There is no optimizer of the lanes engine 'Adagrad'.\n"
        "  found:    Adagrad\n"
        "  expected: one of Adam, AdamW, RMSprop, SGD"
    )
    with pytest.raises(UnknownNameError) as setting:
        compile_runs(describe("SGD", {"momentun": 0.9}))
    assert str(setting.value) == (
        "There is no setting of SGD 'momentun'.\n"
        "  found:    momentun\n"
        "  expected: one of dampening, lr, maximize, momentum, nesterov, weight_decay\n"
        "Did you mean 'momentum'?"
    )
