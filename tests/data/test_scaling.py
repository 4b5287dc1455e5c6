import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from chainrule.data.scaling import find_constant, fit_scaling
from chainrule.errors import DataError

TABLES = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6),
    elements=st.floats(-1e6, 1e6, allow_nan=False, width=32),
)


@settings(deadline=None)
@given(TABLES)
def test_undo_is_the_inverse_of_apply(table):
    values = torch.from_numpy(table)
    scaling = fit_scaling(values, "data.standardise_inputs")
    back = scaling.undo(scaling.apply(values))
    assert torch.allclose(back, values, rtol=1e-12, atol=1e-12 * float(values.abs().max()) + 1e-300)


@settings(deadline=None)
@given(TABLES)
def test_the_training_part_gets_mean_0_and_deviation_1_or_is_constant(table):
    values = torch.from_numpy(np.round(table, 1))
    scaled = fit_scaling(values, "data.standardise_inputs").apply(values)
    constant = find_constant(values)
    assert bool((scaled[:, constant] == 0).all())
    varying = scaled[:, ~constant]
    assert torch.allclose(varying.mean(dim=0), torch.zeros(()).double(), atol=1e-6)
    assert torch.allclose(varying.square().mean(dim=0).sqrt(), torch.ones(()).double(), atol=1e-6)


def test_a_constant_that_binary_cannot_hold_becomes_exactly_0():
    values = torch.full((7, 1), 0.1, dtype=torch.float64)
    scaling = fit_scaling(values, "data.standardise_inputs")
    assert scaling.means.item() == 0.1
    assert scaling.deviations.item() == 1.0
    assert torch.equal(scaling.apply(values), torch.zeros(7, 1, dtype=torch.float64))


def test_a_spread_that_underflows_does_not_divide_by_zero():
    values = torch.tensor([[0.0], [1e-200]], dtype=torch.float64)
    assert bool(fit_scaling(values, "data.standardise_inputs").apply(values).isfinite().all())


def test_the_precision_of_the_values_is_kept():
    scaling = fit_scaling(torch.tensor([[1.0], [3.0]], dtype=torch.float64), "data.standardise_inputs")
    assert scaling.apply(torch.tensor([[2.0]], dtype=torch.float32)).dtype == torch.float32


def test_numbers_that_overflow_are_refused():
    values = torch.tensor([[1e200], [-1e200]], dtype=torch.float64)
    with pytest.raises(DataError) as caught:
        fit_scaling(values, "data.standardise_inputs")
    assert (
        str(caught.value)
        == """The data cannot be standardised: their numbers are too large.
  where:    data.standardise_inputs
  found:    a largest magnitude of 1e+200
  expected: numbers whose squares are below 1.8e308, the limit of float64
Divide the column by a power of ten."""
    )
