import math

import pytest
import torch
from torch import nn

from chainrule.penalties import gradient_ratios


def test_equals_the_norms_of_two_separate_backward_passes():
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double(), torch.randn(4, 3).double()
    hidden = model[1](model[0](inputs))
    loss, penalty = model[2](hidden).square().mean(), 0.3 * hidden.square().mean()
    ratios = gradient_ratios(penalty, loss, dict(model.named_parameters()))
    norms = []
    for scalar in (penalty, loss):
        model.zero_grad()
        scalar.backward(retain_graph=True)
        norms.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name in ("0.weight", "0.bias"):
        assert ratios[name] == pytest.approx((norms[0][name].norm() / norms[1][name].norm()).item(), rel=1e-12)
        assert ratios[name] > 0
    assert norms[0]["2.weight"] is None
    assert ratios["2.weight"] == ratios["2.bias"] == 0.0


def test_scales_with_the_penalty_and_leaves_graph_and_gradients():
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty, loss = weight.square().sum(), weight.sum()
    once = gradient_ratios(penalty, loss, {"w": weight})["w"]
    assert once == pytest.approx(10 / math.sqrt(2), rel=1e-6)
    assert gradient_ratios(5 * penalty, loss, {"w": weight})["w"] == pytest.approx(5 * once, rel=1e-6)
    assert weight.grad is None
    (penalty + loss).backward()
    assert weight.grad.tolist() == [7.0, 9.0]


@pytest.mark.parametrize(
    ("pull", "push", "ratio"),
    [
        (0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0),
        (2.0, 0.0, math.inf),
        (2.0, math.inf, 0.0),
        (math.inf, 1.0, math.inf),
        (math.inf, math.inf, math.nan),
        (math.nan, 0.0, math.nan),
        (0.0, math.nan, math.nan),
        (-3.0, 2.0, 1.5),
    ],
)
def test_edges(pull, push, ratio):
    weight = torch.tensor(1.0, requires_grad=True)
    found = gradient_ratios(weight * pull, weight * push, {"w": weight})["w"]
    assert found == ratio or (math.isnan(found) and math.isnan(ratio))


def test_frozen_parameters_constant_penalties_and_none_at_all():
    weight, frozen = torch.tensor(1.0, requires_grad=True), torch.tensor(1.0)
    assert gradient_ratios(2 * weight, weight, {"w": weight, "f": frozen}) == {"w": 2.0, "f": 0.0}
    assert gradient_ratios(torch.zeros(()), weight, {"w": weight}) == {"w": 0.0}
    assert gradient_ratios(weight, torch.zeros(()), {"w": weight}) == {"w": math.inf}
    assert gradient_ratios(weight, weight, {}) == {}


def test_half_precision_gradients_do_not_overflow():
    weight = torch.full((100,), 1.0, dtype=torch.float16, requires_grad=True)
    ratios = gradient_ratios((weight * 30000).float().sum(), weight.float().sum(), {"w": weight})
    assert ratios["w"] == pytest.approx(30000, rel=1e-3)
