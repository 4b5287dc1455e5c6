import copy
import random
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from chainrule.errors import DataError, TaskError
from chainrule.probes import BatchStream, Budget, Subject, subject_of
from chainrule.probes.restoring import Snapshot, restored
from chainrule.probes.stability import stability_limit
from chainrule.tasks import load_task
from chainrule.training import train


def probe(subject, updates=6):
    """Do what probes do: rising rates, seeds, twins, validation and curvature."""
    with restored(subject) as snapshot:
        for seed in (3, 4):
            snapshot.put_back()
            stream = BatchStream(subject.batches, seed)
            for power in range(updates):
                subject.set_rate(1e-6 * 10.0**power)
                subject.update(next(stream))
            for batch in subject.validation or ():
                subject.validation_loss(batch)
        snapshot.put_back()
        stability_limit(subject, BatchStream(subject.batches).take(2), Budget(1000), products=2)


def points(seed=0, rows=40):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 6, generator=generator)
    return TensorDataset(inputs, inputs.square().sum(dim=1, keepdim=True))


class Counting(nn.Module):
    """A layer that keeps what no state dictionary has: a count, a list, a plain tensor, a generator."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.means = []
        self.running = torch.zeros(())
        self.generator = torch.Generator().manual_seed(1)
        self.register_buffer("wide", torch.zeros(1, 1).expand(4, 6), persistent=False)

    def forward(self, inputs):
        self.calls += 1
        self.means.append(inputs.detach().mean().item())
        self.running.mul_(0.9).add_(inputs.detach().mean())
        noise = torch.randn(inputs.shape[1:], generator=self.generator)
        return inputs + noise * 0.01 * self.calls + self.running


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        Counting(),
        nn.Linear(6, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, 16),
        nn.utils.parametrizations.spectral_norm(nn.Linear(16, 1)),
    )


class Noisy(Dataset):
    """Augments with the global generators of NumPy and Python, and with generators of its own."""

    def __init__(self):
        self.points = points()
        self.numpy = np.random.default_rng(0)
        self.old_numpy = np.random.RandomState(0)
        self.python = random.Random(0)  # noqa: S311 - no secret
        self.torch = torch.Generator().manual_seed(0)
        self.reads = 0
        self.cache = {}

    def __len__(self):
        return len(self.points)

    def __getitem__(self, row):
        self.reads += 1
        self.cache[row] = self.reads
        inputs, targets = self.points[row]
        noise = np.random.rand() + random.random()  # noqa: S311 - no secret
        noise += self.numpy.random() + self.old_numpy.rand() + self.python.random()
        return inputs + 0.01 * noise + 0.01 * torch.rand((), generator=self.torch) * self.reads, targets


class Stream(IterableDataset):
    def __iter__(self):
        return iter([points()[row] for row in torch.randperm(40).tolist()])


def collating():
    generator = np.random.default_rng(5)

    def collate(rows):
        inputs, targets = torch.utils.data.default_collate(rows)
        return inputs + float(generator.random()) * 0.01, targets

    return collate


LOADERS = {
    "list": lambda: [points()[rows : rows + 8] for rows in range(0, 40, 8)],
    "in order": lambda: DataLoader(points(), 8),
    "shuffle": lambda: DataLoader(points(), 8, shuffle=True),
    "generator": lambda: DataLoader(points(), 8, shuffle=True, generator=torch.Generator().manual_seed(5)),
    "drop last": lambda: DataLoader(points(), 16, shuffle=True, drop_last=True),
    "random sampler": lambda: DataLoader(
        points(), 8, sampler=RandomSampler(points(), replacement=True, generator=torch.Generator().manual_seed(2))
    ),
    "subset": lambda: DataLoader(points(), 8, sampler=SubsetRandomSampler(range(30))),
    "weighted": lambda: DataLoader(
        points(), 8, sampler=WeightedRandomSampler([1.0, 3.0] * 20, 40, generator=torch.Generator().manual_seed(2))
    ),
    "noisy": lambda: DataLoader(Noisy(), 8, shuffle=True),
    "collating": lambda: DataLoader(points(), 8, shuffle=True, collate_fn=collating()),
    "iterable": lambda: DataLoader(Stream(), 8),
}

OPTIMIZERS = {
    "SGD": lambda weights: torch.optim.SGD(weights, lr=0.01),
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9, nesterov=True),
    "Adam": lambda weights: torch.optim.Adam(weights, lr=0.01),
    "AdamW amsgrad": lambda weights: torch.optim.AdamW(weights, lr=torch.tensor(0.01), amsgrad=True, foreach=False),
    "RMSprop": lambda weights: torch.optim.RMSprop(weights, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda weights: torch.optim.Adagrad(weights, lr=0.01),
    "LBFGS": lambda weights: torch.optim.LBFGS(weights, lr=0.1, max_iter=3),
}


def seeded():
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)


def trained(loader, optimizer_name, warm, is_probed):
    """Train a network for two epochs, with or without a probe before; return all that the training can show."""
    model = network()
    optimizer = OPTIMIZERS[optimizer_name](list(model.parameters()))
    batches = LOADERS[loader]()
    seeded()
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.97)
    loss_fn = nn.MSELoss()

    def epochs(count):
        losses = []
        for _ in range(count):
            for inputs, targets in batches:

                def closure(inputs=inputs, targets=targets):
                    optimizer.zero_grad()
                    loss = loss_fn(model(inputs), targets)
                    loss.backward()
                    return loss

                losses.append(optimizer.step(closure).item())
            schedule.step()
        return losses

    losses = epochs(warm)
    if is_probed:
        subject = Subject(model, batches, optimizer, 1000, loss_fn, validation=[points(9)[:8]])
        probe(subject)
    losses += epochs(2)
    drawn = [torch.rand(3).tolist(), np.random.rand(), random.random()]  # noqa: S311 - no secret
    layer = model[0]
    extra = [layer.calls, layer.means, layer.running.item(), layer.wide.stride()]
    state = list(optimizer.state_dict()["state"].values())
    return losses, drawn, extra, schedule.state_dict(), dict(model.state_dict()), state


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(same(left, right) for left, right in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("warm", [0, 1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_that_was_probed_is_bit_for_bit_one_that_was_not_whatever_the_optimizer(optimizer, warm):
    assert same(trained("shuffle", optimizer, warm, True), trained("shuffle", optimizer, warm, False))


@pytest.mark.parametrize("loader", LOADERS)
def test_a_training_that_was_probed_is_bit_for_bit_one_that_was_not_whatever_the_loader(loader):
    assert same(trained(loader, "Adam", 1, True), trained(loader, "Adam", 1, False))


def test_the_comparison_sees_a_probe_that_does_not_clean_up():
    left = trained("shuffle", "Adam", 0, False)
    torch.manual_seed(0)
    again = trained("shuffle", "Adam", 0, False)
    assert same(left, again)
    again[0][-1] += 1e-7
    assert not same(left, again)


def test_workers_that_a_loader_keeps_are_not_the_probes():
    def losses(is_probed):
        torch.manual_seed(0)
        model = nn.Linear(6, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        batches = DataLoader(
            points(), 20, shuffle=True, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
        )
        found = []
        for epoch in range(2):
            if is_probed and epoch:
                keeps = batches._iterator
                probe(Subject(model, batches, optimizer, 1000, nn.MSELoss()), updates=2)
                assert batches._iterator is keeps
            for inputs, targets in batches:
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(inputs), targets)
                loss.backward()
                optimizer.step()
                found.append(loss.item())
        return found

    assert losses(True) == losses(False)


def everything(model, optimizer):
    weights = [
        (name, weight.clone(), weight.requires_grad, None if weight.grad is None else weight.grad.clone())
        for name, weight in model.named_parameters()
    ]
    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(optimizer.state_dict())
    generators = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    return weights, dict(copy.deepcopy(model.state_dict())), modes, state, generators


def odd_state():
    """Return a subject in the middle of things: gradients are there, layers frozen and in evaluation mode."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    subject = Subject(model, LOADERS["shuffle"](), optimizer, 1000, nn.MSELoss())
    seeded()
    for batch in BatchStream(subject.batches).take(3):
        subject.update(batch)
    model[2].eval()
    model[1].weight.requires_grad_(False)
    model[5].bias.grad = None
    return subject


def disturb(subject):
    model = subject.model
    subject.update(BatchStream(subject.batches, 1).take(1)[0])
    for weight in model.parameters():
        weight.requires_grad_(True)
        weight.grad = torch.ones_like(weight)
    model.eval()
    subject.optimizer.param_groups[0]["lr"] = 7.0
    subject.optimizer.param_groups[0]["new"] = 1
    subject.optimizer.state.clear()
    model[1].weight.data = torch.zeros(16, 6)
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)


def disturb_and(subject, error):
    disturb(subject)
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, None])
def test_whatever_happens_inside_everything_is_as_before(error):
    subject = odd_state()
    before = everything(subject.model, subject.optimizer)
    places = [weight.data_ptr() for weight in subject.model.parameters()]
    gradients = [weight.grad for weight in subject.model.parameters()]
    if error is None:
        with restored(subject):
            disturb(subject)
    else:
        with pytest.raises(error), restored(subject):
            disturb_and(subject, error)
    assert same(everything(subject.model, subject.optimizer), before)
    assert [weight.data_ptr() for weight in subject.model.parameters()] == places
    assert all(weight.grad is old for weight, old in zip(subject.model.parameters(), gradients, strict=True))


def test_ctrl_c_while_things_are_put_back_waits_until_they_are(monkeypatch):
    subject = odd_state()
    before = everything(subject.model, subject.optimizer)
    put_back, calls = Snapshot.put_back, []

    def interrupted(self):
        calls.append(1)
        if len(calls) < 3:
            self._actions[5]()
            raise KeyboardInterrupt
        put_back(self)

    monkeypatch.setattr(Snapshot, "put_back", interrupted)
    with pytest.raises(KeyboardInterrupt), restored(subject):
        disturb(subject)
    assert len(calls) == 3
    assert same(everything(subject.model, subject.optimizer), before)


def test_putting_back_can_be_done_again_and_again():
    subject = odd_state()
    before = everything(subject.model, subject.optimizer)
    with restored(subject) as snapshot:
        for _ in range(3):
            disturb(subject)
            assert not same(everything(subject.model, subject.optimizer), before)
            snapshot.put_back()
            assert same(everything(subject.model, subject.optimizer), before)


def test_tied_weights_stay_tied_and_views_stay_views():
    flat = nn.Parameter(torch.arange(12.0))
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    model.register_buffer("part", flat.data[3:6])
    model.flat = flat
    optimizer = torch.optim.SGD([flat, model[0].weight], lr=1.0)
    subject = Subject(model, [(torch.ones(2, 3), torch.ones(2, 3))], optimizer, 100, nn.MSELoss())
    before = flat.detach().clone()
    with restored(subject):
        flat.data.add_(1)
        model.part = torch.zeros(3)
    assert torch.equal(flat, before)
    assert model.part.data_ptr() == flat.data[3:6].data_ptr()
    assert model[1].weight is model[0].weight


def test_a_batch_that_a_model_writes_into_stays_as_it_is_in_the_users_list():
    class Writing(nn.Module):
        def __init__(self):
            super().__init__()
            self.end = nn.Linear(6, 1)

        def forward(self, inputs):
            inputs += 1
            return self.end(inputs)

    model = Writing()
    batches = [tuple(part.clone() for part in points()[:8])]
    before = batches[0][0].clone()
    probe(Subject(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), 1000, nn.MSELoss()))
    assert torch.equal(batches[0][0], before)


def test_a_task_that_was_probed_trains_as_before():
    task = load_task("iris", {"stop.epochs": "3"})
    before = train(task).history["loss"].values
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    with subject_of(task) as subject:
        first = [weight.clone() for weight in subject.model.parameters()]
        probe(subject)
        assert all(torch.equal(one, two) for one, two in zip(subject.model.parameters(), first, strict=True))
        losses = [subject.update(batch) for batch in BatchStream(subject.batches).take(len(before))]
    assert torch.equal(torch.get_rng_state(), drawn)
    # The probe's own updates are those of the training, too.
    assert losses == list(before)
    assert train(task).history["loss"].values == before


@pytest.mark.parametrize("kind", ["iterator", "generator", "loader over one"])
def test_batches_that_are_used_up_by_looking_are_refused(kind):
    loader = DataLoader(points(), 8)

    class Once(IterableDataset):
        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

    batches, name = {
        "iterator": lambda: (iter(loader), "_SingleProcessDataLoaderIter"),
        "generator": lambda: ((batch for batch in loader), "generator"),
        "loader over one": lambda: (DataLoader(Once(), 8), "Once"),
    }[kind]()
    model = nn.Linear(6, 1)
    subject = Subject(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), 100, nn.MSELoss())
    with pytest.raises(DataError) as caught, restored(subject):
        pass
    assert str(caught.value) == (
        "These batches are used up by looking at them, so the training would miss what the probe took.\n"
        f"  found:    an iterator ({name})\n"
        "  expected: an iterable that starts anew each time: a DataLoader, a list of batches, a class with __iter__\n"
        "Give the loader itself and not iter(loader), or list(itertools.islice(batches, n))."
    )


def test_a_data_set_that_holds_an_open_iterator_is_refused():
    class Holding(IterableDataset):
        def __init__(self):
            self.rows = iter(range(40))

        def __iter__(self):
            return (points()[row] for row in self.rows)

    model = nn.Linear(6, 1)
    batches = DataLoader(Holding(), 8)
    subject = Subject(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), 100, nn.MSELoss())
    with pytest.raises(DataError) as caught, restored(subject):
        pass
    assert str(caught.value) == (
        "The data set holds an iterator that is used up by looking at it.\n"
        "  where:    Holding.rows\n"
        "  found:    range_iterator\n"
        "  expected: an iterator that __iter__ makes anew each time"
    )
    assert next(batches.dataset.rows) == 0


def test_weights_without_a_shape_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lazy modules are a new feature, torch says once in a process
        model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 1))
    subject = Subject(model, [points()[:8]], torch.optim.SGD(model.parameters(), lr=0.1), 100, nn.MSELoss())
    with pytest.raises(TaskError) as caught, restored(subject):
        pass
    assert str(caught.value) == (
        "The model has weights without a shape yet, which its first forward pass gives it for good.\n"
        "  found:    a lazy module with an UninitializedParameter\n"
        "  expected: weights with a shape\n"
        "Run the model once on a batch before the probe."
    )


def test_rates_of_groups_keep_their_ratios():
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1))
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters(), "lr": 0.4}]
    subject = Subject(model, [], torch.optim.SGD(groups), 100, nn.MSELoss())
    for rate in (1e-3, 2.0):
        subject.set_rate(rate)
        rates = [group["lr"] for group in subject.optimizer.param_groups]
        assert rates == [rate, pytest.approx(4 * rate)]
        assert all(one < two for one, two in pairwise(rates))
