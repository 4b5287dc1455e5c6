import math

import pytest
import torch
from torch import nn

from chainrule.probes import Budget, Subject
from chainrule.probes.found_rate import StabilityLimit
from chainrule.probes.lanczos import largest_eigenvalue
from chainrule.probes.restoring import restored
from chainrule.probes.stability import NoLimit, stability_limit


def least_squares(dtype=torch.float64, seed=0, columns=8):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(256, columns, generator=generator, dtype=torch.float64) * torch.linspace(0.14, 1.3, columns)
    targets = inputs @ torch.randn(columns, 1, generator=generator, dtype=torch.float64)
    model = nn.Linear(columns, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, columns, generator=generator, dtype=torch.float64))
    return model, (inputs.to(dtype), targets.to(dtype))


def limit_of(model, batches, optimizer, loss_fn=None, *, updates=100_000, is_full_batch=True, **how):
    subject = Subject(model, batches, optimizer, updates, loss_fn or nn.MSELoss(), is_full_batch=is_full_batch)
    budget = Budget(updates)
    with restored(subject):
        return stability_limit(subject, batches, budget, **how), budget


def largest_curvature(inputs):
    wide = inputs.double()
    return float(torch.linalg.eigvalsh(2 / len(wide) * wide.T @ wide)[-1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_limit_of_gradient_descent_on_least_squares_is_two_over_the_largest_eigenvalue(seed, dtype):
    model, batch = least_squares(dtype, seed)
    limit, _ = limit_of(model, [batch], torch.optim.SGD(model.parameters(), lr=0.1))
    assert isinstance(limit, StabilityLimit)
    assert limit.is_exact
    assert limit.formula == "2/λ"
    assert limit.limit == pytest.approx(2 / largest_curvature(batch[0]), rel=1e-6)
    assert limit.words == (
        "The loss is quadratic in the weights and every update sees all data, so this is exact for the whole training: "
        "below it the loss converges, above it it diverges."
    )


def diverges(model, batch, optimizer, updates=3000):
    """Say whether the loss grows a thousandfold before it has fallen to almost nothing, or at the end has grown."""
    inputs, targets = batch
    first = value = None
    for _ in range(updates):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        value = loss.item()
        first = value if first is None else first
        if not 1e-12 * first < value < 1e3 * first:
            break
    return value > first


SGD_SETTINGS = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.5, "dampening": 0.3},
    {"momentum": 0.9, "nesterov": True},
    {"weight_decay": 0.3},
    {"momentum": 0.8, "weight_decay": 0.1},
]


@pytest.mark.parametrize("settings", SGD_SETTINGS, ids=str)
def test_sgd_converges_just_below_its_limit_and_diverges_just_above(settings):
    for factor in (0.98, 1.02):
        model, batch = least_squares()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **settings)
        limit, _ = limit_of(model, [batch], optimizer)
        assert isinstance(limit, StabilityLimit)
        assert limit.is_exact
        optimizer.param_groups[0]["lr"] = factor * limit.limit
        assert diverges(model, batch, optimizer) is (factor > 1)


ADAPTIVE = [
    (torch.optim.Adam, {"betas": (0.9, 1 - 1e-13)}),
    (torch.optim.Adam, {"betas": (0.5, 1 - 1e-13), "weight_decay": 0.3}),
    (torch.optim.AdamW, {"betas": (0.9, 1 - 1e-13), "weight_decay": 0.3}),
    (torch.optim.RMSprop, {"alpha": 1 - 1e-13}),
    (torch.optim.RMSprop, {"alpha": 1 - 1e-13, "momentum": 0.9}),
    (torch.optim.RMSprop, {"alpha": 1 - 1e-13, "momentum": 0.9, "weight_decay": 0.2}),
]


@pytest.mark.parametrize(("kind", "settings"), ADAPTIVE, ids=str)
def test_adaptive_optimizers_whose_divisors_stand_still_have_the_limit_of_their_preconditioned_curvature(
    kind, settings
):
    for factor in (0.98, 1.02):
        model, batch = least_squares()
        optimizer = kind(model.parameters(), lr=1e-9, **settings)
        diverges(model, batch, optimizer, updates=1)
        state = optimizer.state[model.weight]
        squares = torch.linspace(0.5, 3.0, 8, dtype=torch.float64)[None]
        state["exp_avg_sq" if "exp_avg_sq" in state else "square_avg"].copy_(squares)
        state["step"].fill_(2.0**60)  # so late that Adam's correction of its first steps is 1
        limit, _ = limit_of(model, [batch], optimizer, tolerance=1e-6)
        assert isinstance(limit, StabilityLimit)
        assert not limit.is_exact
        assert "updates so far" in limit.words
        optimizer.param_groups[0]["lr"] = factor * limit.limit
        for name in ("exp_avg", "momentum_buffer"):
            if name in state:
                state[name].zero_()
        assert diverges(model, batch, optimizer) is (factor > 1)


def test_groups_with_their_own_rates_scale_the_curvature():
    model = nn.Linear(3, 1, bias=True, dtype=torch.float64)
    inputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    targets = inputs.sum(dim=1, keepdim=True)
    groups = [{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.5}]
    limit, _ = limit_of(model, [(inputs, targets)], torch.optim.SGD(groups))
    wide = torch.cat([inputs, torch.ones(64, 1, dtype=torch.float64)], dim=1)
    root = torch.diag(torch.tensor([1.0, 1.0, 1.0, 5.0], dtype=torch.float64).sqrt())
    expected = float(torch.linalg.eigvalsh(root @ (2 / 64 * wide.T @ wide) @ root)[-1])
    assert isinstance(limit, StabilityLimit)
    assert limit.is_exact
    assert limit.limit == pytest.approx(2 / expected, rel=1e-6)


@pytest.mark.parametrize("layers", ["two linear", "relu", "tanh"])
def test_a_loss_that_is_not_quadratic_has_no_exact_limit_but_its_hessians(layers):
    torch.manual_seed(0)
    between = {"two linear": nn.Identity(), "relu": nn.ReLU(), "tanh": nn.Tanh()}[layers]
    model = nn.Sequential(nn.Linear(4, 5), between, nn.Linear(5, 1)).double()
    inputs = torch.randn(32, 4, dtype=torch.float64)
    targets = inputs.sin().sum(dim=1, keepdim=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    limit, _ = limit_of(model, [(inputs, targets)], optimizer, tolerance=1e-8)
    flat = torch.cat([weight.detach().flatten() for weight in model.parameters()])

    def loss(numbers):
        parts = torch.split(numbers, [weight.numel() for weight in model.parameters()])
        named = {
            name: part.view_as(weight) for (name, weight), part in zip(model.named_parameters(), parts, strict=True)
        }
        return nn.functional.mse_loss(torch.func.functional_call(model, named, inputs), targets)

    expected = float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))[-1])
    assert isinstance(limit, StabilityLimit)
    assert not limit.is_exact
    assert limit.limit == pytest.approx(2 / expected, rel=1e-8)


def test_batches_are_averaged():
    model, (inputs, targets) = least_squares()
    halves = [(inputs[:128], targets[:128]), (inputs[128:], targets[128:])]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    limit, _ = limit_of(model, halves, optimizer, is_full_batch=False, tolerance=1e-9)
    assert isinstance(limit, StabilityLimit)
    assert limit.limit == pytest.approx(2 / largest_curvature(inputs), rel=1e-8)
    assert not limit.is_exact
    assert limit.batches == 2
    assert limit.words.startswith("For the mean loss of 2 batches at the initial weights:")


def test_looking_costs_what_was_counted_and_never_more_than_is_allowed():
    model, batch = least_squares()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    limit, budget = limit_of(model, [batch], optimizer)
    assert isinstance(limit, StabilityLimit)
    # Far away a gradient and a product, here a gradient, a product to compare and the products of the eigenvalue.
    assert budget.spent == 3 + 1 + 2 + 2 * limit.products
    assert budget.by_purpose == {"stability limit": budget.spent}
    for updates in range(10, 200, 10):
        limit, budget = limit_of(model, [batch], optimizer, updates=updates)
        assert budget.spent <= 0.1 * updates
        if isinstance(limit, NoLimit):
            assert budget.spent == 0
            assert limit.reason == (
                f"Not computed: it takes at least 5 gradient evaluations, and {updates / 10:g} are left."
            )


class Flash(nn.Module):
    """Attention as models call it; the fused kernels have no second derivative."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(16, 48)
        self.end = nn.Linear(16, 1)

    def forward(self, inputs):
        query, key, value = self.projection(inputs).view(*inputs.shape[:2], 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.end(mixed.transpose(1, 2).flatten(2))


def test_attention_is_differentiated_twice():
    torch.manual_seed(0)
    batch = (torch.randn(4, 8, 16), torch.randn(4, 8, 1))
    model = Flash()
    limit, _ = limit_of(model, [batch], torch.optim.SGD(model.parameters(), lr=0.1), is_full_batch=False)
    assert isinstance(limit, StabilityLimit)
    assert limit.limit > 0


def reason(limit):
    assert isinstance(limit, NoLimit)
    return limit.reason


def test_where_there_is_no_limit_the_reason_is_said():
    model, batch = least_squares()
    refused, budget = limit_of(model, [batch], torch.optim.Adagrad(model.parameters()))
    assert reason(refused) == (
        "Not computed: for Adagrad no formula of its limit is known here; there is one for SGD, Adam, AdamW, RMSprop."
    )
    assert budget.spent == 0
    groups = [{"params": [model.weight], "momentum": 0.9}, {"params": [nn.Parameter(torch.ones(1))], "momentum": 0.5}]
    refused, _ = limit_of(model, [batch], torch.optim.SGD(groups, lr=0.1))
    assert reason(refused) == "Not computed: the groups of SGD differ in momentum."
    refused, _ = limit_of(model, [batch], torch.optim.SGD(model.parameters(), lr=0.1, maximize=True))
    assert reason(refused) == "Not computed: SGD maximises the loss."
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    refused, _ = limit_of(model, [batch], sgd, lambda prediction, targets: -(prediction - targets).square().mean())
    assert reason(refused) == "There is none at the present weights: the loss curves upwards in no direction."
    refused, _ = limit_of(model, [batch], sgd, lambda prediction, targets: (prediction - targets).mean())
    assert reason(refused) == "There is none at the present weights: the loss curves upwards in no direction."
    refused, _ = limit_of(model, [batch], sgd, lambda prediction, targets: prediction.mean() * math.inf)
    assert reason(refused) == "Not computed: the gradient at the present weights is not finite."


class Once(torch.autograd.Function):
    @staticmethod
    def forward(context, value):
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, upstream):
        return upstream


def test_a_function_with_one_derivative_only_has_no_limit():
    model, batch = least_squares()

    def loss_fn(prediction, targets):
        return (Once.apply(prediction) - targets).square().mean()

    refused, _ = limit_of(model, [batch], torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    assert reason(refused) == (
        "Not computed: an autograd.Function of the model says that it can be differentiated once only."
    )


@pytest.mark.parametrize("seed", range(5))
def test_lanczos_finds_the_ends_of_a_known_spectrum(seed):
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64))
    spectrum = torch.linspace(-3, 2, 60, dtype=torch.float64)
    matrix = basis @ torch.diag(spectrum) @ basis.T
    first = torch.randn(60, generator=generator, dtype=torch.float64)
    found = largest_eigenvalue(lambda vector: matrix @ vector, first, tolerance=1e-9, products=60)
    assert found.largest == pytest.approx(2, abs=1e-8)
    assert found.smallest == pytest.approx(-3, abs=0.1)
    rough = largest_eigenvalue(lambda vector: matrix @ vector, first, tolerance=1e-1, products=60)
    assert rough.products < found.products
    assert abs(rough.largest - 2) <= rough.residual * abs(rough.largest)


def test_lanczos_ends_where_the_space_ends():
    matrix = torch.diag(torch.tensor([5.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    found = largest_eigenvalue(lambda vector: matrix @ vector, torch.ones(4).double(), tolerance=0.0, products=50)
    assert (found.largest, found.products) == (pytest.approx(5), 2)
    nothing = largest_eigenvalue(lambda vector: vector * 0, torch.ones(4).double(), tolerance=1e-3, products=50)
    assert nothing.largest == 0
