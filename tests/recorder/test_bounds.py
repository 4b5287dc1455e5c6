"""Ranges of bounded activations: those that the catalogue computes from the formulas."""

import math

import torch

from chainrule.activations import describe_all
from chainrule.recorder import record
from chainrule.recorder.bounds import BOUNDS, bounds_of
from chainrule.trace import Statistics

# Hardtanh's range is an argument; Softmax2d is the op softmax.
_NOT_AN_OP_OF_ITS_OWN = {"Hardtanh", "Softmax2d"}


def test_ranges_are_those_of_the_catalogue() -> None:
    bounded = {}
    for facts in describe_all():
        low, high = facts.output_range[0].lower, facts.output_range[-1].upper
        if math.isfinite(low) and math.isfinite(high) and facts.name not in _NOT_AN_OP_OF_ITS_OWN:
            bounded[facts.name.lower()] = (low, high)
    assert bounded == BOUNDS


def test_names_of_ops() -> None:
    assert bounds_of("sigmoid_") == bounds_of("sigmoid") == (0.0, 1.0)
    assert bounds_of("relu") is None


def test_the_saturated_share_is_taken() -> None:
    trace = record(torch.nn.Tanh(), torch.sum, torch.tensor([0.0, 9.0, -9.0, 0.5]).requires_grad_(), keep="statistics")
    numbers = trace.value("tanh").data
    assert isinstance(numbers, Statistics)
    assert numbers.saturated == 0.5
