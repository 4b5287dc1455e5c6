"""A task on which a penalty measurably lowers the activations and narrows the gap of validation and training loss."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from chainrule.penalties import ActivationPenalty


@dataclass(frozen=True)
class Outcome:
    activation: float
    training: float
    validation: float

    @property
    def gap(self) -> float:
        return self.validation - self.training


def train_on_noisy_classes(seed: int, strength: float) -> Outcome:
    """60 noisy samples of two classes, 64 hidden units, 300 full-batch steps of Adam: enough to learn the noise."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(1060, 10, generator=generator)
    noise = 0.8 * torch.randn(1060, generator=generator)
    classes = (inputs[:, 0] + 0.5 * inputs[:, 1] + noise > 0).long()
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    with ActivationPenalty("L2", strength, modules="1").attach(model) as attached:
        for _ in range(300):
            optimizer.zero_grad()
            loss = loss_fn(model(inputs[:60]), classes[:60]) + attached.value()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        return Outcome(
            activation=model[1](model[0](inputs[60:])).abs().mean().item(),
            training=loss_fn(model(inputs[:60]), classes[:60]).item(),
            validation=loss_fn(model(inputs[60:]), classes[60:]).item(),
        )


@pytest.mark.parametrize("seed", range(5))
def test_penalty_lowers_activations_and_narrows_the_gap(seed):
    free, penalised = train_on_noisy_classes(seed, 0.0), train_on_noisy_classes(seed, 0.1)
    assert free.training < 0.01, "the unpenalised network is meant to overfit"
    assert penalised.activation < 0.2 * free.activation
    assert penalised.gap < 0.8 * free.gap
    assert penalised.validation < free.validation
