import pytest
import torch

from chainrule.errors import ShapeError
from chainrule.registry import HalfSumOfSquares


def example(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    return prediction.requires_grad_(), torch.randn(5, 3, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("seed", range(5))
def test_value_and_gradient_are_those_of_its_docstring(seed):
    a, t = example(seed)
    values, wanted = a.tolist(), t.tolist()
    rows = [[0.5 * (wanted[n][d] - values[n][d]) ** 2 for d in range(3)] for n in range(5)]
    assert HalfSumOfSquares()(a, t).item() == pytest.approx(sum(map(sum, rows)), rel=1e-14)
    assert HalfSumOfSquares("mean")(a, t).item() == pytest.approx(sum(map(sum, rows)) / 5, rel=1e-14)
    (gradient,) = torch.autograd.grad(HalfSumOfSquares()(a, t), a)
    torch.testing.assert_close(gradient, (a - t).detach(), rtol=0, atol=0)
    (mean_gradient,) = torch.autograd.grad(HalfSumOfSquares("mean")(a, t), a)
    torch.testing.assert_close(mean_gradient, (a - t).detach() / 5)


def test_gradients_of_mse_are_two_over_n_d_times_its_own():
    a, t = example()
    (own,) = torch.autograd.grad(HalfSumOfSquares()(a, t), a)
    (torchs,) = torch.autograd.grad(torch.nn.MSELoss()(a, t), a)
    torch.testing.assert_close(torchs, own * 2 / (5 * 3))


def test_prints_its_reduction():
    assert repr(HalfSumOfSquares("mean")) == "HalfSumOfSquares(reduction='mean')"


@pytest.mark.parametrize("target", [(5,), (5, 1), (1, 3), (3,), ()])
def test_refuses_what_pytorch_would_broadcast(target):
    a, _ = example()
    with pytest.raises(ShapeError) as caught:
        HalfSumOfSquares()(a, torch.zeros(target, dtype=torch.float64))
    assert (
        str(caught.value)
        == f"""\
The prediction and the target differ in shape.
  found:    prediction (5, 3), target {target}
  expected: the same shape for both"""
    )
