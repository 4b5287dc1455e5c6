import math

import numpy as np
import pytest
import torch

from chainrule.activations import activation_names, describe, sample_curves
from chainrule.activations.elementwise import ELEMENTWISE
from chainrule.activations.rule import build_module


@pytest.mark.parametrize("name", [rule.name for rule in ELEMENTWISE])
def test_curves_are_torchs_values_and_autograds_slopes(name: str) -> None:
    facts = describe(name)
    value, slope = sample_curves(name)
    module = build_module(name, dict(facts.arguments))
    for curve, is_slope in ((value, False), (slope, True)):
        x, y = np.array(curve.x), np.array(curve.y)
        off_breaks = np.isfinite(y) & ~np.isin(x, [gap.place for gap in facts.breaks])
        inputs = torch.tensor(x[off_breaks], requires_grad=True)
        outputs = module(inputs)
        (slopes,) = torch.autograd.grad(outputs.sum(), inputs)
        expected = slopes if is_slope else outputs.detach()
        np.testing.assert_allclose(
            y[off_breaks], expected.numpy(), rtol=1e-7 if name == "Hardsigmoid" else 1e-10, atol=1e-12
        )


@pytest.mark.parametrize("name", activation_names())
def test_curves_run_from_end_to_end_without_turning_back(name: str) -> None:
    for curve in sample_curves(name):
        assert len(curve.x) == len(curve.y)
        assert (curve.x[0], curve.x[-1]) == (-6.0, 6.0)
        assert all(np.diff(curve.x) >= 0)


def test_a_kink_breaks_the_slope_and_a_jump_both() -> None:
    def gaps(name: str) -> list[list[float]]:
        return [[x for x, y in zip(curve.x, curve.y, strict=True) if math.isnan(y)] for curve in sample_curves(name)]

    assert gaps("ReLU") == [[], [0.0]]
    assert gaps("Hardshrink") == [[-0.5, 0.5], [-0.5, 0.5]]
    assert gaps("ELU") == [[], []]


def test_both_sides_of_a_kink_are_on_the_curve() -> None:
    _, slope = sample_curves("ReLU")
    assert [y for x, y in zip(slope.x, slope.y, strict=True) if x == 0.0 and not math.isnan(y)] == [0.0, 1.0]
