"""What is kept of a tensor: itself, a copy, its statistics; and how many bytes of it."""

import pytest
import torch
from recorder_checks import batch, network
from torch import Tensor, nn

from chainrule.recorder import record
from chainrule.recorder.keeping import Keeper, memory_of, version_of
from chainrule.trace import Held, LeftOut, Missing, Statistics, read
from chainrule.trace.reduction import statistics_of

mse = nn.functional.mse_loss


def test_a_tensor_is_kept_without_a_copy() -> None:
    tensor = torch.ones(3)
    kept = Keeper("values", None).keep(tensor, 0)
    assert isinstance(kept, Held)
    assert kept.tensor.data_ptr() == tensor.data_ptr()


def test_what_is_written_over_is_copied_first_with_all_its_views() -> None:
    keeper = Keeper("values", None)
    tensor = torch.arange(6.0)
    kept = [keeper.keep(tensor, 0), keeper.keep(tensor.view(2, 3).T, 0), keeper.keep(tensor[2:4], 0)]
    keeper.will_be_overwritten(tensor[:1], 1)
    tensor.zero_()
    numbers = [read(each) for each in kept]
    assert torch.equal(numbers[0], torch.arange(6.0))  # type: ignore[arg-type]
    assert torch.equal(numbers[1], torch.arange(6.0).view(2, 3).T)  # type: ignore[arg-type]
    assert torch.equal(numbers[2], torch.tensor([2.0, 3.0]))  # type: ignore[arg-type]


def test_what_was_written_over_by_others_is_never_a_wrong_number() -> None:
    keeper = Keeper("values", None)
    tensor = torch.ones(3)
    kept = keeper.keep(tensor, 0)
    tensor.zero_()
    keeper.will_be_overwritten(tensor, 1)  # too late
    assert read(kept) == Missing("it was overwritten in place after the recording")


@pytest.mark.parametrize("is_inference", [False, True])
def test_tensors_of_inference_mode_are_copied(is_inference: bool) -> None:
    with torch.inference_mode(is_inference):
        tensor = torch.ones(3)
    assert version_of(tensor) == (-1 if is_inference else 0)
    kept = Keeper("values", None).keep(tensor, 0)
    assert isinstance(kept, Held)
    assert (kept.tensor.data_ptr() != tensor.data_ptr()) == is_inference
    assert torch.equal(read(kept), tensor)  # type: ignore[arg-type]


def test_sparse_tensors_are_copied_and_have_no_memory_of_one_piece() -> None:
    sparse = torch.eye(3).to_sparse()
    kept = read(Keeper("values", None).keep(sparse, 0))
    assert isinstance(kept, Tensor)
    assert torch.equal(kept.to_dense(), torch.eye(3))
    assert memory_of(sparse) == 0
    assert memory_of(torch.ones(2)) != 0


@pytest.mark.parametrize(("budget", "fits"), [(0, 0), (11, 0), (12, 1), (35, 1), (36, 2), (None, 3)])
def test_the_budget(budget: int | None, fits: int) -> None:
    keeper = Keeper("values", budget)
    tensors = [torch.ones(3), torch.ones(6), torch.ones(100)]
    kept = [read(keeper.keep(tensor, op)) for op, tensor in enumerate(tensors)]
    assert [isinstance(each, Tensor) for each in kept] == [True] * fits + [False] * (3 - fits)
    assert all(isinstance(each, Statistics) for each in kept[fits:])
    assert keeper.left_out == (None if budget is None else LeftOut(fits, budget))


def test_views_cost_nothing() -> None:
    tensor = torch.ones(4)
    keeper = Keeper("values", 16)
    assert all(isinstance(read(keeper.keep(view, 0)), Tensor) for view in (tensor, tensor[:2], tensor.view(2, 2)))
    assert keeper.left_out is None


def test_after_the_first_op_that_is_left_out_there_are_statistics_only() -> None:
    trace = record(network(), mse, *batch(), byte_budget=300)
    assert trace.left_out is not None
    assert trace.ops[trace.left_out.op].name == "linear"
    kinds = [type(value.data) for value in trace.values]
    assert kinds == sorted(kinds, key=lambda kind: kind is Statistics)
    assert 0 < kinds.count(Statistics) < len(kinds)
    assert record(network(), mse, *batch()).left_out is None


def test_statistics_of_what_changes_are_taken_anew() -> None:
    keeper = Keeper("statistics", None)
    tensor = torch.arange(4.0)
    first = keeper.keep(tensor, 0)
    assert first == keeper.keep(tensor.view(2, 2), 0) == statistics_of(tensor)
    tensor.mul_(2)
    assert keeper.keep(tensor, 0) == statistics_of(tensor) != first
    bounded = keeper.keep(tensor, 0, (0.0, 6.0))
    assert isinstance(bounded, Statistics)
    assert bounded.saturated == 0.5


def test_a_tensor_of_vmap_has_no_numbers() -> None:
    kept = []

    def look(row: Tensor) -> Tensor:
        kept.append(Keeper("values", None).keep(row, 0))
        return row

    torch.vmap(look)(torch.ones(2, 3))
    assert kept == [
        Missing("it is a batched or differentiated tensor inside torch.func, which has no numbers of its own")
    ]
