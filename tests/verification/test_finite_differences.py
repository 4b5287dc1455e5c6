"""Central differences find a wrong gradient, however small its effect on the loss, and are not fooled by corners."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from chainrule.shapes import Tensor
from chainrule.verification import GradientCheck, check_gradients

Loss = Callable[[], Tensor]


class SlippedHidden(torch.autograd.Function):
    """The hidden layer of the worked example with the commonest slip: a_h1(1 − a_h1) where a_h2(1 − a_h2) belongs."""

    @staticmethod
    def forward(context: Any, z: Tensor) -> Tensor:
        a = torch.sigmoid(z)
        context.save_for_backward(a)
        return a

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        (a,) = context.saved_tensors
        slopes = a * (1 - a)
        return upstream[0] * torch.stack((slopes[0], slopes[0]))


def worked_example(hidden: Callable[[Tensor], Tensor]) -> tuple[Loss, dict[str, nn.Parameter]]:
    numbers = {"hidden1.weight": [[0.15, 0.20], [0.25, 0.30]], "output.weight": [[0.40, 0.45], [0.50, 0.55]]}
    weights = {name: nn.Parameter(torch.tensor(rows, dtype=torch.float64)) for name, rows in numbers.items()}
    inputs = torch.tensor([0.05, 0.10], dtype=torch.float64)
    targets = torch.tensor([0.01, 0.99], dtype=torch.float64)

    def loss() -> Tensor:
        output = torch.sigmoid(weights["output.weight"] @ hidden(weights["hidden1.weight"] @ inputs))
        return 0.5 * (targets - output).square().sum()

    return loss, weights


def test_the_right_gradient_is_right() -> None:
    check = check_gradients(*worked_example(torch.sigmoid), entries=60, seed=0)
    assert check.is_right
    assert check.worst < 1e-7
    assert (check.checked, check.entries, check.kinks, check.reason) == (8, 8, (), "")
    assert str(check) == (
        f"gradients agree with finite differences in float64: all 8 entries, largest relative error {check.worst:.1e}"
    )


def test_the_commonest_slip_is_found() -> None:
    """It moves ∂E/∂w3 by 2.6e-4 of itself, and the loss by 5e-10; gradcheck's default tolerances let it pass."""
    loss, weights = worked_example(SlippedHidden.apply)
    check = check_gradients(loss, weights, entries=60, seed=0)
    slopes = [a * (1 - a) for a in (0.5068745667645342, 0.5106234010049637)]
    assert not check.is_right
    assert check.worst == pytest.approx(slopes[0] / slopes[1] - 1, rel=1e-3)
    assert 2.5e-4 < check.worst < 2.7e-4
    assert check.where in ("hidden1.weight[1, 0]", "hidden1.weight[1, 1]")
    assert str(check) == (
        f"gradients DIFFER from finite differences in float64: {check.where}, relative error 2.6e-04 (all 8 entries "
        "checked)"
    )


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("slip", [1.001, -1.0, 0.0])
def test_found_at_every_scale(size: float, slip: float) -> None:
    class Slipped(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Tensor) -> Tensor:
            return x.sin()

        @staticmethod
        def backward(context: Any, *upstream: Tensor) -> Tensor:
            return upstream[0] * weight.detach().cos() * slip

    weight = nn.Parameter(torch.tensor([0.3, 0.7], dtype=torch.float64))
    check = check_gradients(lambda: (size * Slipped.apply(weight)).sum(), {"w": weight}, 60, 0)  # type: ignore[no-untyped-call]
    assert not check.is_right
    right = check_gradients(lambda: (size * weight.sin()).sum(), {"w": weight}, 60, 0)
    assert right.is_right
    assert right.worst < 1e-8


def test_corners_are_counted_apart() -> None:
    """relu(w·x) at w = 0: autograd says 0, the slopes at both sides are 0 and x, and none of them is wrong."""
    weight = nn.Parameter(torch.tensor([0.0, 0.5, -0.5], dtype=torch.float64))
    check = check_gradients(lambda: torch.relu(2 * weight).sum(), {"w": weight}, 60, 0)
    assert check.kinks == ("w[0]",)
    assert check.is_right
    assert str(check).endswith("; 1 at a kink, not counted")


def test_a_corner_of_many_samples() -> None:
    """Both slopes are positive and autograd says 0, between the slopes of every sample and not between their sums."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    inputs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    check = check_gradients(
        lambda: (torch.relu(inputs * weight) * torch.tensor([3.0, -1.0])).sum(), {"w": weight}, 60, 0
    )
    assert check.kinks == ("w[0]",)
    assert check.is_right


def test_a_corner_beside_the_spot_is_no_excuse() -> None:
    """The step reaches over it, and a shorter step does not: the gradient is held against that one."""
    weight = nn.Parameter(torch.tensor([3e-6], dtype=torch.float64))
    right = check_gradients(lambda: torch.relu(weight).sum(), {"w": weight}, 60, 0)
    assert right.is_right
    assert right.kinks == ()
    wrong = check_gradients(
        lambda: torch.relu(weight.detach() + 1.001 * (weight - weight.detach())).sum(), {"w": weight}, 60, 0
    )
    assert not wrong.is_right


def test_a_sharp_bend_is_no_corner() -> None:
    """sin 3000x bends so much within the step that its slopes differ by 4 %, and is smooth all the same."""
    weight = nn.Parameter(torch.tensor([0.0004], dtype=torch.float64))
    right = check_gradients(lambda: torch.sin(3000 * weight).sum(), {"w": weight}, 60, 0)
    assert right.is_right
    wrong = check_gradients(
        lambda: (torch.sin(3000 * weight) + 0.1 * (weight - weight.detach())).sum(), {"w": weight}, 60, 0
    )
    assert not wrong.is_right
    assert (right.kinks, wrong.kinks) == ((), ())


def test_a_gradient_of_nothing_but_rounding_is_right() -> None:
    """A constant over all samples, taken away by their mean: its gradient is 0 but for rounding."""
    numbers = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = {name: nn.Parameter(torch.ones(3, dtype=torch.float64)) for name in ("bias", "scale")}

    def loss() -> Tensor:
        shifted = (numbers * weights["scale"]).tanh() * 1e-3 + weights["bias"]
        return 1 + (shifted - shifted.mean(dim=0)).square().sum()

    assert check_gradients(loss, weights, 60, 0).is_right


@pytest.mark.parametrize("slope", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_wrong(slope: float) -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(context: Any, *upstream: Tensor) -> Tensor:
            return upstream[0] * torch.tensor([2.0, slope], dtype=torch.float64)

    weight = nn.Parameter(torch.ones(2, dtype=torch.float64))
    check = check_gradients(lambda: Broken.apply(weight).sum(), {"w": weight}, 60, 0)  # type: ignore[no-untyped-call]
    assert not check.is_right
    assert str(check) == (
        "gradients DIFFER from finite differences in float64: w[1], relative error inf (all 2 entries checked)"
    )


def test_a_loss_that_is_not_finite_is_not_checked() -> None:
    weight = nn.Parameter(torch.tensor([-1.0], dtype=torch.float64))
    check = check_gradients(lambda: weight.log().sum(), {"w": weight}, 60, 0)
    assert str(check) == "gradients not checked: the loss is nan at these weights"
    assert not check.is_right


def test_an_unused_parameter_has_gradient_0() -> None:
    used, unused = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    check = check_gradients(lambda: used.square().sum(), {"used": used, "unused": unused}, 60, 0)
    assert check.is_right
    assert check.checked == 4


def test_the_seed_chooses_the_entries_and_their_number() -> None:
    weights = {name: nn.Parameter(torch.ones(5, 4, dtype=torch.float64)) for name in ("one", "two")}
    nudged: list[tuple[int, ...]] = []

    def loss() -> Tensor:
        numbers = torch.cat([weight.reshape(-1) for weight in weights.values()])
        nudged.append(tuple((numbers.detach() != 1).nonzero()[:, 0].tolist()))
        return numbers.square().sum()

    def chosen(entries: int, seed: int) -> list[int]:
        nudged.clear()
        check = check_gradients(loss, weights, entries, seed)
        assert (check.checked, check.entries) == (min(entries, 40), 40)
        assert all(len(each) <= 1 for each in nudged)
        return sorted({each[0] for each in nudged if each})

    assert chosen(7, 0) == chosen(7, 0) != chosen(7, 1)
    assert len(chosen(7, 0)) == 7
    assert chosen(100, 0) == list(range(40))
    text = str(check_gradients(loss, weights, 7, 0))
    assert text.startswith("gradients agree with finite differences in float64: 7 of 40 entries, largest")


def test_parameters_are_put_back_to_the_bit() -> None:
    loss, weights = worked_example(torch.sigmoid)
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    check_gradients(loss, weights, 60, 0)
    for name, weight in weights.items():
        assert torch.equal(weight, before[name])
        assert weight.grad is None


def test_parameters_are_put_back_after_an_error() -> None:
    weight = nn.Parameter(torch.ones(3, dtype=torch.float64))

    def loss() -> Tensor:
        if (weight != 1).any():
            raise RuntimeError("nudged")
        return weight.sum()

    with pytest.raises(RuntimeError, match="nudged"):
        check_gradients(loss, {"w": weight}, 60, 0)
    assert weight.tolist() == [1.0, 1.0, 1.0]


def test_a_scalar_parameter_has_a_label() -> None:
    weight = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    assert check_gradients(lambda: weight**3, {"scale": weight}, 60, 0).where == "scale[]"


def test_a_reason_stands_for_itself() -> None:
    check = GradientCheck(0.0, "", 0, 12, reason="no float64 here")
    assert not check.is_right
    assert str(check) == "gradients not checked: no float64 here"
