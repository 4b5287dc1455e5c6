import pytest
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset

from chainrule.errors import DataError
from chainrule.probes import BatchStream, subject_of
from chainrule.tasks import load_task


def rows(batches):
    return [[int(number) for number in batch[0]] for batch in batches]


def loader(**how):
    return DataLoader(TensorDataset(torch.arange(12)), 4, **how)


def test_it_goes_on_epoch_after_epoch():
    stream = BatchStream(loader())
    assert rows(stream.take(7)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]] * 2 + [[0, 1, 2, 3]]
    assert stream.per_epoch == 3


def test_the_length_of_an_epoch_is_learned_where_it_is_not_told():
    class Unsized:
        def __iter__(self):
            return iter([(torch.tensor([1]),), (torch.tensor([2]),)])

    stream = BatchStream(Unsized())
    assert stream.per_epoch is None
    stream.take(2)
    assert stream.per_epoch is None
    next(stream)
    assert stream.per_epoch == 2


GENERATOR = {"shuffle": True, "generator": torch.Generator().manual_seed(1)}
SAMPLER = {"sampler": SubsetRandomSampler(range(12), generator=torch.Generator().manual_seed(1))}


@pytest.mark.parametrize("how", [{"shuffle": True}, GENERATOR, SAMPLER], ids=["shuffle", "generator", "sampler"])
def test_a_seed_decides_the_order_of_a_loader_that_shuffles(how):
    batches = loader(**how)
    first, again, other = (rows(BatchStream(batches, seed).take(6)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert first[:3] != first[3:]  # another order in the next epoch
    assert sorted(number for batch in first[:3] for number in batch) == list(range(12))


def test_a_batch_is_the_streams_own():
    batches = [(torch.zeros(2), {"more": [torch.zeros(1)]})]
    batch = next(BatchStream(batches))
    batch[0].add_(1)
    batch[1]["more"][0].add_(1)
    assert batches[0][0].tolist() == [0, 0]
    assert batches[0][1]["more"][0].tolist() == [0]


def test_a_tasks_batches_are_those_of_its_training_or_of_another_seed():
    with subject_of(load_task("iris", {"data.batch_size": "16"})) as subject:
        one, two = (BatchStream(subject.batches).take(12) for _ in range(2))
        other = BatchStream(subject.batches, 3).take(12)
    assert all(torch.equal(left.inputs, right.inputs) for left, right in zip(one, two, strict=True))
    assert not all(torch.equal(left.inputs, right.inputs) for left, right in zip(one, other, strict=True))


def test_an_iterable_that_is_empty_the_second_time_is_found_out():
    class Once:
        def __init__(self):
            self.batches = [(torch.ones(1),)]

        def __iter__(self):
            while self.batches:
                yield self.batches.pop()

    stream = BatchStream(Once())
    next(stream)
    with pytest.raises(DataError) as caught:
        next(stream)
    assert str(caught.value) == (
        "These batches can be gone through once only, so the training would miss what the probe took.\n"
        "  found:    no batch in epoch 2\n"
        "  expected: an iterable that starts anew each time"
    )


def test_no_batch_at_all_is_refused():
    with pytest.raises(DataError) as caught:
        next(BatchStream([]))
    assert str(caught.value) == (
        "There is no batch to probe with.\n  found:    an iterable that yields nothing\n  expected: at least one batch"
    )
