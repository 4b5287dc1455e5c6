"""Data that are drawn at random."""

import pytest
import torch

from chainrule.data import load_data
from chainrule.errors import DataError
from chainrule.tasks import DataSpec


def test_the_numbers_are_standard_normal_and_those_of_the_seed() -> None:
    spec = DataSpec(source="gaussian", samples=2000, features=16)
    data = load_data(spec, 3)
    assert data.train.inputs.shape == (2000, 16)
    assert data.train.targets.shape == (2000, 1)
    assert abs(data.train.inputs.mean()) < 0.02
    assert abs(data.train.inputs.std() - 1) < 0.02
    assert torch.equal(load_data(spec, 3).train.inputs, data.train.inputs)
    assert not torch.equal(load_data(spec, 4).train.inputs, data.train.inputs)


def test_usual_sizes() -> None:
    assert load_data(DataSpec(source="gaussian"), 0).train.inputs.shape == (100, 16)


def test_sizes_belong_to_drawn_data_only() -> None:
    with pytest.raises(DataError) as caught:
        load_data(DataSpec(source="iris", samples=10), 0)
    assert str(caught.value) == (
        "data.samples is the size of data that are drawn at random.\n"
        "  where:    data.samples\n"
        "  found:    10, and other data\n"
        '  expected: no data.samples, or data.source = "gaussian"'
    )
