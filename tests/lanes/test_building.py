"""Two factors become one only where no bit changes."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chainrule.lanes import Group, Kernel, Runs, StepDescription, Varying, building, compile_runs, supervised


class Scaled(nn.Module):
    """A layer whose products are scaled twice."""

    def __init__(self, first: float, second: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(5, 3, dtype=torch.float64))
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.weight / self.first * self.second)


def kernel_of(first: float, second: float) -> Kernel:
    generator = torch.Generator().manual_seed(1)
    samples = {
        "inputs": torch.randn(7, 5, generator=generator, dtype=torch.float64),
        "targets": torch.randn(7, 3, generator=generator, dtype=torch.float64),
    }
    groups = (Group(("weight",), {"lr": Varying("lr", 0.1)}),)
    return compile_runs(
        StepDescription(Scaled(first, second), supervised(nn.functional.mse_loss), "SGD", groups, samples)
    )


@pytest.mark.parametrize(
    ("first", "second", "is_joined"),
    [(4.0, 2**0.5, True), (2**0.5, 0.25, False), (3.0, 7.0, False), (0.25, 1.1, False)],
)
def test_factors_are_joined_where_every_bit_stays(
    first: float, second: float, is_joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = np.geomspace(1e-3, 1e3, 20)
    joined = kernel_of(first, second)
    monkeypatch.setattr(building, "_join_factors", lambda node, outputs: None)
    apart = kernel_of(first, second)
    losses = [kernel.run(Runs(20, settings={"lr": rates}), 30).losses for kernel in (joined, apart)]
    assert losses[0] is not None
    assert losses[1] is not None
    assert losses[0].tobytes() == losses[1].tobytes()
    assert (joined.code.text != apart.code.text) is is_joined
