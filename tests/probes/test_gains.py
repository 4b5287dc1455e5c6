import math

import pytest
import torch
from torch import nn

from chainrule.probes.gains import chi_product, is_extreme, mean_gains, measure_gains


def net(activation, depth=3, width=24, gain=1.0, seed=0):
    torch.manual_seed(seed)
    layers = []
    for _ in range(depth):
        linear = nn.Linear(width, width, bias=False)
        nn.init.normal_(linear.weight, std=gain / math.sqrt(width))
        layers += [linear, activation()]
    return nn.Sequential(*layers).double()


def paths(depth):
    return [str(2 * layer + 1) for layer in range(depth)]


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    return torch.randn(300, 24, dtype=torch.float64)


def test_of_a_linear_layer_chi_is_the_mean_squared_row(inputs):
    model = net(nn.Identity)
    for layer, linear in zip(measure_gains(model, inputs, paths(3)), (model[0], model[2], model[4]), strict=True):
        assert layer.chi == pytest.approx(float(linear.weight.detach().square().sum()) / 24, rel=0.03)
        assert (layer.dead, layer.saturated) == (0.0, 0.0)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_chi_is_the_mean_squared_jacobian_sample_by_sample(activation, inputs):
    model = net(activation, depth=1)
    rows = inputs[:40]
    jacobians = torch.stack([torch.autograd.functional.jacobian(model, row) for row in rows])
    exact = float(jacobians.square().sum(dim=(1, 2)).mean()) / 24
    assert measure_gains(model, rows, ["1"])[0].chi == pytest.approx(exact, rel=0.1)


def test_relu_with_its_gain_keeps_changes_and_sigmoid_loses_them(inputs):
    relu = chi_product(measure_gains(net(nn.ReLU, 12, gain=math.sqrt(2)), inputs, paths(12)))
    sigmoid = chi_product(measure_gains(net(nn.Sigmoid, 12, gain=1.8462), inputs, paths(12)))
    assert not is_extreme(relu)
    assert sigmoid < 1e-8
    assert is_extreme(sigmoid)


@pytest.mark.parametrize(("product", "extreme"), [(1e-4, True), (2e-3, False), (500.0, False), (2e3, True)])
def test_what_is_extreme(product, extreme):
    assert is_extreme(product) is extreme
    assert not is_extreme(math.nan)


def test_the_variance_factor_is_that_of_the_outputs(inputs):
    model = net(nn.Tanh, depth=1)
    factor = measure_gains(model, inputs, ["1"])[0].variance_factor
    before, after = inputs.var(dim=0, correction=0).mean(), model(inputs).detach().var(dim=0, correction=0).mean()
    assert factor == pytest.approx(float(after / before))


def test_dead_and_saturated_units_are_counted(inputs):
    model = nn.Sequential(nn.Linear(24, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh()).double()
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-1e3, -1e3, 1e3, 1e3]))
        model[2].bias.copy_(torch.tensor([5.0, 0.0]))
        model[2].weight.zero_()
    relu, tanh = measure_gains(model, inputs, ["1", "3"])
    assert (relu.dead, relu.saturated) == (0.5, 0.5)
    assert (tanh.dead, tanh.saturated) == (0.0, 0.5)


def test_activations_in_place_and_called_twice_are_seen(inputs):
    class Twice(nn.Module):
        def __init__(self, inplace):
            super().__init__()
            torch.manual_seed(0)
            self.one, self.two, self.act = nn.Linear(24, 24), nn.Linear(24, 24), nn.ReLU(inplace=inplace)

        def forward(self, x):
            return self.act(self.two(self.act(self.one(x))))

    plain, inplace = (measure_gains(Twice(way).double(), inputs, ["act"]) for way in (False, True))
    assert [layer.layer for layer in plain] == ["act", "act (call 2)"]
    assert plain == inplace


def test_nothing_of_the_model_changes(inputs):
    model = nn.Sequential(nn.Linear(24, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)).double().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    measure_gains(model, inputs, ["2"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not inputs.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_inputs_that_are_no_numbers_begin_at_the_first_activation():
    model = nn.Sequential(nn.Embedding(10, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU()).double()
    first, second = measure_gains(model, torch.arange(10), ["1", "3"])
    assert math.isnan(first.chi)
    assert math.isnan(first.variance_factor)
    assert second.chi > 0
    assert chi_product([first, second]) == second.chi


def test_means_over_seeds_are_geometric_for_factors():
    model = net(nn.ReLU, 1)
    torch.manual_seed(2)
    runs = [measure_gains(model, torch.randn(50, 24, dtype=torch.float64), ["1"], seed) for seed in range(3)]
    (mean,) = mean_gains(runs)
    assert mean.chi == pytest.approx(math.prod(run[0].chi for run in runs) ** (1 / 3))
    assert mean.saturated == pytest.approx(sum(run[0].saturated for run in runs) / 3)
