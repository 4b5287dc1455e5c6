"""What was encoded comes back as it was, bit for bit and type for type."""

import json
import math
from collections import Counter, OrderedDict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from chainrule.errors import CheckpointError
from chainrule.shapes import Tensor
from chainrule.tensor_files import pack_tensors, unpack_tensors
from chainrule.training.encoding import decode, encode

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


@some.composite
def tensors(draw: some.DrawFn) -> Tensor:
    shape = draw(some.lists(some.integers(0, 3), max_size=3))
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(draw(some.integers(0, 9)))) * 5
    return numbers.to(draw(some.sampled_from(DTYPES)))


texts = some.text(max_size=4) | some.sampled_from(["$tensor", "$tuple", "a.b", "a", "b", "1", "#", "__metadata__"])
leaves = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.sampled_from([-0.0, math.inf, -math.inf, math.nan, 5e-324, 0.1])
    | texts
    | tensors()
)
keys = texts | some.integers(-3, 3) | some.tuples(some.integers(0, 2), texts)
values = some.recursive(
    leaves,
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.lists(inner, max_size=3).map(tuple)
        | some.dictionaries(keys, inner, max_size=3)
        | some.dictionaries(some.integers(0, 3), some.integers(0, 9), max_size=3).map(Counter)
    ),
    max_leaves=12,
)


def same(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor):
        # Compared as bytes: −0.0 equals 0.0, and NaN does not equal itself.
        return (
            isinstance(two, Tensor)
            and (one.dtype, one.shape) == (two.dtype, two.shape)
            and pack_tensors({"": one}) == pack_tensors({"": two})
        )
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float):
        return one.hex() == two.hex()
    return bool(one == two)


def there_and_back(value: Any) -> Any:
    """Encode, write as a checkpoint does, read, decode."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(encode(value, tensors, ""), allow_nan=False)
    return decode(json.loads(text), unpack_tensors(pack_tensors(tensors)))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(values)
def test_there_and_back(value: Any) -> None:
    assert same(there_and_back({"state": value}), {"state": value})


def test_paths_that_meet_keep_their_tensors_apart() -> None:
    value = {"a": {"b": torch.ones(1)}, "a.b": torch.zeros(1), "x": {1: torch.ones(2), "1": torch.zeros(2)}}
    assert same(there_and_back(value), value)


def test_tied_weights_come_back_for_every_name() -> None:
    tied = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    value = {"first": tied, "second": tied, "part": tied[0], "turned": tied.T}
    assert same(there_and_back(value), value)


def test_ordered_dictionaries_come_back_as_plain_ones_in_their_order() -> None:
    assert list(there_and_back(OrderedDict(b=1, a=2)).items()) == [("b", 1), ("a", 2)]


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(CheckpointError) as error:
        encode({"optimizer": {"state": [1, {2}]}}, {}, "")
    assert (
        str(error.value)
        == """A checkpoint cannot hold this state.
  where:    .optimizer.state.1
  found:    an object of type set
  expected: numbers, text, lists, dictionaries and tensors"""
    )
