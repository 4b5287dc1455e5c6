"""Code that was written for float32 computes in float64."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from chainrule.shapes import Tensor
from chainrule.verification.widening import InFloat64, run_backward

X = torch.linspace(0.1, 1.0, 4, dtype=torch.float64)
NARROW: dict[str, Callable[[Tensor], Tensor]] = {
    "a constant": lambda x: x * torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float32),
    "float": lambda x: x.float() * 3,
    "half": lambda x: x.half() * 3,
    "to": lambda x: x.to(torch.float32) * 3,
    "to bfloat16": lambda x: x.to(dtype=torch.bfloat16) * 3,
    "softmax": lambda x: functional.softmax(x, -1, dtype=torch.float32),
    "factory": lambda x: functional.linear(x, torch.ones(2, 4, dtype=torch.float32)),
    "list": lambda x: torch.stack([x, torch.ones(4, dtype=torch.float32)]).prod(0),
}


@pytest.mark.parametrize("name", NARROW)
def test_everything_is_in_float64(name: str) -> None:
    x = X.clone().requires_grad_()
    with InFloat64():
        y = NARROW[name](x)
    assert y.dtype is torch.float64
    third = (X.double() * 3).sum()
    if name in ("float", "half", "to", "to bfloat16"):
        assert float(y.detach().sum()) == float(third)


def test_what_is_written_over_stays_what_it_is() -> None:
    narrow = torch.zeros(4, dtype=torch.float32)
    with InFloat64():
        narrow.add_(X)
        narrow[0] = X[1]
    assert narrow.dtype is torch.float32
    assert float(narrow[0]) == pytest.approx(0.4)


def test_integers_and_flags_are_left_alone() -> None:
    with InFloat64():
        assert torch.ones(2, dtype=torch.int32).dtype is torch.int32
        assert (X > 0.5).dtype is torch.bool
        assert X.long().dtype is torch.int64


def test_the_backward_pass_runs_in_it_too() -> None:
    seen: list[torch.dtype] = []

    class Casting(torch.autograd.Function):
        @staticmethod
        def forward(context: object, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(context: object, *upstream: Tensor) -> Tensor:
            cast = upstream[0].float()
            seen.append(cast.dtype)
            return cast * 2

    x = X.clone().requires_grad_()
    with InFloat64():
        y = Casting.apply(x)  # type: ignore[no-untyped-call]
        run_backward([y], [torch.ones_like(y)])
    assert seen == [torch.float64]
    assert x.grad is not None
    assert x.grad.dtype is torch.float64
