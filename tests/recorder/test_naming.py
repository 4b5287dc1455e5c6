"""Names of values."""

from typing import Any

import torch
from recorder_checks import network
from torch import Tensor, nn
from unusual_models import Around

from chainrule.recorder import record


def test_names() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        low, high = self.linear(x).chunk(2, dim=1)
        return (low.tanh() + high.tanh() + torch.ones(2)).sum()

    trace = record(Around(forward), None, torch.ones(1, 4))
    assert [value.name for value in trace.values] == [
        "input", "linear.weight", "linear.bias", "linear.linear", "chunk:0", "chunk:1", "tanh", "tanh#2", "add", "ones",
        "add#2", "sum",
    ]  # fmt: skip


def test_names_are_unique_and_find_their_values() -> None:
    trace = record(nn.Sequential(network(), nn.Tanh(), nn.Tanh()), torch.sum, torch.ones(1, 4))
    names = [value.name for value in trace.values]
    assert len(set(names)) == len(names)
    assert all(trace.value(name) is value for name, value in zip(names, trace.values, strict=True))


def test_a_leaf_that_changed_is_numbered() -> None:
    model = nn.BatchNorm1d(2)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = model

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.norm(x))

    names = [value.name for value in record(Twice(), torch.sum, torch.randn(3, 2)).values]
    assert len(set(names)) == len(names)
    assert {"norm.running_mean", "norm.num_batches_tracked"} <= set(names)
