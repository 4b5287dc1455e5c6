"""One block for many copies, used again when nobody holds a copy any more."""

import gc
import random
import weakref

import pytest
import torch
from recorder_checks import batch, network
from torch import Tensor, nn

from chainrule.recorder import record
from chainrule.recorder.arena import arena_for
from chainrule.trace import Trace


@pytest.mark.parametrize("size", [7, 2**20])
def test_copies_are_equal_apart_and_aligned(size: int) -> None:
    tensors = [torch.arange(float(size)), torch.ones(3, dtype=torch.int8), torch.rand(4, 5).T, torch.tensor(2.0)]
    arena = arena_for(nn.Linear(1, 1), tensors)
    copies = [arena.copy(tensor) for tensor in tensors]
    for tensor, copy in zip(tensors, copies, strict=True):
        assert copy is not None
        assert torch.equal(copy, tensor)
        assert copy.stride() == tensor.stride()
        assert copy.data_ptr() % 64 == 0
        assert copy.data_ptr() != tensor.data_ptr()
    first, second = copies[0], copies[1]
    assert first is not None
    assert second is not None
    version = second._version
    first.zero_()
    assert second._version == version
    assert torch.equal(second, tensors[1])


def test_what_does_not_fit_is_not_copied() -> None:
    arena = arena_for(nn.Linear(1, 1), [torch.ones(16)])
    assert arena.copy(torch.ones(17)) is None
    assert arena.copy(torch.ones(16)) is not None
    assert arena.copy(torch.ones(1)) is None


def test_what_is_not_one_dense_piece_is_not_copied() -> None:
    arena = arena_for(nn.Linear(1, 1), [torch.ones(100)])
    assert arena.copy(torch.ones(4, 4)[:, :2]) is None
    assert arena.copy(torch.ones(1).expand(3)) is None
    assert arena.copy(torch.eye(2).to_sparse()) is None
    assert arena.copy(torch.ones(2, device="meta")) is None

    class Own(Tensor):
        pass

    assert arena.copy(torch.ones(2).as_subclass(Own)) is None


def test_a_block_is_used_again_only_when_no_copy_lives() -> None:
    model = nn.Linear(1, 1)
    tensor = torch.ones(8)
    copy = arena_for(model, [tensor]).copy(tensor)
    assert copy is not None
    place = copy.data_ptr()
    other = arena_for(model, [tensor]).copy(tensor * 2)
    assert other is not None
    assert other.data_ptr() != place
    assert torch.equal(copy, tensor)
    view = other[2:]
    place = other.data_ptr()
    del other
    again = arena_for(model, [tensor]).copy(tensor * 3)
    assert torch.equal(view, tensor[2:] * 2)  # a view of a copy holds the block, too
    del again, view
    gc.collect()
    last = arena_for(model, [tensor]).copy(tensor)
    assert last is not None


def test_a_block_is_freed_with_its_model() -> None:
    model = nn.Linear(1, 1)
    arena_for(model, [torch.ones(4)])
    gone = weakref.ref(model)
    del model
    assert gone() is None


def test_traces_that_live_are_not_written_over() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    chance = random.Random(0)  # noqa: S311  # which trace is dropped, not a secret
    living: list[tuple[Trace, list[Tensor]]] = []
    for _ in range(12):
        before = [parameter.detach().clone() for parameter in model.parameters()]
        living.append((record(model, nn.functional.mse_loss, *batch(), optimizer), before))
        for trace, expected in living:
            for value, tensor in zip(trace.parameters, expected, strict=True):
                assert torch.equal(value.data, tensor)  # type: ignore[arg-type]
        if chance.random() < 0.5:
            living.pop(chance.randrange(len(living)))
