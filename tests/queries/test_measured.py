import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries.measured import Measured, size_of
from chainrule.recorder import record
from chainrule.trace import Missing
from chainrule.trace.reduction import statistics_of

GENERATOR = torch.Generator().manual_seed(3)
DRAWN = torch.randn(50, generator=GENERATOR)
TENSORS = {
    "drawn": DRAWN,
    "half are zero": DRAWN.clamp(min=0),
    "zeros": torch.zeros(4, 3),
    "squares overflow": DRAWN * 1e30,
    "squares underflow": DRAWN * 1e-30,
    "float16": DRAWN.half(),
    "float64": DRAWN.double(),
    "whole numbers": torch.arange(-3, 9),
    "truth values": torch.tensor([True, False, True]),
    "one number": torch.tensor(-2.5),
    "not finite": torch.tensor([1.0, math.nan, -math.inf, 0.0, -3.0, math.inf]),
    "complex": torch.tensor([3 + 4j, 0j]),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_a_size_is_that_of_the_elements(tensor: Tensor) -> None:
    size = size_of(tensor)
    assert size is not None
    wide = (tensor.abs() if tensor.is_complex() else tensor).to(torch.float64).reshape(-1)
    finite = wide[wide.isfinite()]
    assert (size.count, size.nan) == (tensor.numel(), int(wide.isnan().sum()))
    assert size.not_finite == len(wide) - len(finite)
    assert size.nonzero == float((wide != 0).double().mean())
    assert size.norm == pytest.approx(float(finite.norm()), rel=1e-4)
    assert size.largest == pytest.approx(float(finite.abs().max()))
    assert (size.lowest, size.highest) == pytest.approx((float(finite.min()), float(finite.max())))


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_statistics_say_the_same_but_for_which_kind_is_not_finite(tensor: Tensor) -> None:
    size, other = size_of(tensor), size_of(statistics_of(tensor))
    assert size is not None
    assert other is not None
    assert (other.count, other.not_finite) == (size.count, size.not_finite)
    assert other.nan == (0 if size.not_finite == 0 else None)
    assert other.norm == pytest.approx(size.norm, rel=1e-3)
    assert other.nonzero == pytest.approx(size.nonzero)


def test_a_sparse_tensor_counts_its_zeros() -> None:
    size = size_of(
        torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.tensor([2.0, 1.0]), (4,), check_invariants=True)
    )
    assert size is not None
    assert (size.count, size.nonzero, size.norm) == (4, 0.25, 3.0)


def test_nothing_has_no_size() -> None:
    assert size_of(None) is None
    assert size_of(Missing("it was overwritten")) is None
    assert size_of(torch.empty(3, device="meta")) is None


def test_a_step_is_measured_by_its_structure() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    trace = record(model, functional.mse_loss, torch.randn(5, 4), torch.randn(5, 2))
    measured = Measured(trace)
    assert [op.name for op in measured.computing_ops] == ["linear", "tanh", "linear", "mse_loss"]
    assert [op.name for op in measured.backward_ops] == ["mse_loss", "linear", "tanh", "linear"]
    assert measured.samples == 5
    assert measured.loss_number == pytest.approx(float(trace.value("mse_loss").data))  # type: ignore[arg-type]
    assert measured.before_loss == {value.id for value in trace.values}
    tanh = measured.computing_ops[1]
    above, below = measured.above(tanh), measured.sent(tanh.inputs[0])
    adjoint = trace.value("1.tanh").adjoint
    assert isinstance(adjoint, Tensor)
    assert above is not None
    assert below is not None
    assert above.norm == pytest.approx(float(adjoint.norm()))
    assert below.norm < above.norm
