import copy
import math

import pytest
import torch
from torch import nn

from chainrule.probes import Budget, Subject
from chainrule.probes.budget import FORWARD
from chainrule.probes.restoring import Snapshot, restored
from chainrule.probes.twins import constant_loss, judge_of, path_of, run_twin


def line(rows=96, size=16, seed=0, optimizer=torch.optim.SGD, validation=True, **settings):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 4, generator=generator)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5], [1.5]])
    model = nn.Linear(4, 1, bias=False)
    nn.init.zeros_(model.weight)
    batches = [(inputs[row : row + size], targets[row : row + size]) for row in range(0, rows, size)]
    kept = [(inputs[:64], targets[:64])] if validation else None
    return Subject(model, batches, optimizer(model.parameters(), lr=1e-3, **settings), 1000, nn.MSELoss(), None, kept)


def steady(optimizer, rates):
    """Return how far updates at these rates move a weight whose gradient is always 1."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    made = optimizer([weight])
    for rate in rates:
        weight.grad = torch.ones(1, dtype=torch.float64)
        made.param_groups[0]["lr"] = rate
        made.step()
    return -weight.item()


RATES = [0.1, 0.3, 0.2, 0.05, 0.4]


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_path_is_how_far_a_steady_gradient_moves_a_weight(momentum):
    made = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=momentum)
    moved = steady(lambda weights: torch.optim.SGD(weights, lr=1.0, momentum=momentum), RATES)
    assert path_of(made, RATES) == pytest.approx(moved * (1 - momentum), rel=1e-9)


def test_adam_goes_the_path_of_its_rates():
    moved = steady(lambda weights: torch.optim.Adam(weights, eps=0.0), RATES)
    assert path_of(torch.optim.Adam([nn.Parameter(torch.zeros(1))]), RATES) == pytest.approx(moved, rel=1e-9)
    assert moved == pytest.approx(sum(RATES), rel=1e-9)


def test_a_judge_takes_as_many_validation_samples_as_two_batches_have():
    judge = judge_of(line(size=16))
    assert [len(batch[0]) for batch in judge.batches] == [32]
    assert judge.is_validation
    assert judge.cost == pytest.approx(2 * FORWARD)


def test_without_validation_two_training_batches_judge():
    judge = judge_of(line(validation=False))
    assert [len(batch[0]) for batch in judge.batches] == [16, 16]
    assert not judge.is_validation
    assert judge.cost == pytest.approx(2 * FORWARD)


def test_a_judge_sees_the_mean_loss_and_pays_for_it():
    subject, budget = line(), Budget(1000)
    judge = judge_of(subject)
    inputs, targets = judge.batches[0]
    expected = nn.functional.mse_loss(subject.model(inputs), targets).item()
    assert judge.look(budget) == pytest.approx(expected, rel=1e-6)
    assert budget.by_purpose == {"judging": pytest.approx(2 * FORWARD)}


def twin(subject, rate, *, seed=0, updates=40, level=-math.inf, budget=None):
    with restored(subject):
        judge = judge_of(subject)
        budget = budget or Budget(10_000)
        start = judge.look(budget)
        return run_twin(
            subject,
            Snapshot(subject),
            budget,
            judge,
            rate=rate,
            seed=seed,
            updates=updates,
            start=start,
            level=level * start if level > 0 else level,
        )


def test_the_path_to_a_level_hardly_depends_on_the_rate_that_measured_it():
    paths = [twin(line(size=96), rate, updates=round(0.1 / rate), level=0.8).path for rate in (3e-4, 1e-3, 3e-3)]
    assert None not in paths
    assert max(paths) / min(paths) < 1.1


def test_nor_on_momentum():
    plain = twin(line(size=96), 1e-3, updates=100, level=0.8).path
    heavy = twin(line(size=96, momentum=0.9), 1e-4, updates=100, level=0.8).path
    assert plain is not None
    assert heavy is not None
    assert heavy == pytest.approx(plain / 10, rel=0.2)


def test_a_twin_makes_the_updates_of_a_plain_loop():
    subject = line()
    model = copy.deepcopy(subject.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    expected = []
    for inputs, targets in subject.batches:
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    found = twin(subject, 0.05, updates=len(expected))
    assert list(found.run.losses) == expected
    assert found.run.is_stable
    assert found.path is None


def test_a_twin_at_too_large_a_rate_is_not_stable():
    found = twin(line(), 1e4, updates=100)
    assert not found.run.is_stable
    assert found.run.score == math.inf
    assert math.isfinite(found.lowest)


def test_a_twin_ends_where_the_budget_ends():
    found = twin(line(), 1e-3, updates=1000, budget=Budget(100))
    assert 0 < len(found.run.losses) <= 10


def test_the_best_constant_predicts_the_mean():
    subject = line()
    targets = judge_of(subject).batches[0][1]
    assert constant_loss(judge_of(subject)) == pytest.approx(targets.var(unbiased=False).item(), rel=1e-3)


def test_the_best_constant_predicts_the_shares_of_the_classes():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 3, generator=generator)
    classes = torch.tensor([0] * 30 + [1] * 20 + [2] * 10)
    model = nn.Linear(3, 3)
    subject = Subject(
        model, [(inputs, classes)] * 2, torch.optim.SGD(model.parameters()), 1000, nn.CrossEntropyLoss(), None,
        [(inputs, classes)],
    )  # fmt: skip
    entropy = -sum(share * math.log(share) for share in (1 / 2, 1 / 3, 1 / 6))
    assert constant_loss(judge_of(subject)) == pytest.approx(entropy, rel=1e-3)


def test_of_a_step_of_ones_own_no_constant_is_known():
    subject = line(validation=False)
    own = Subject(
        subject.model,
        subject.batches,
        subject.optimizer,
        1000,
        step=lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1]),
    )
    assert constant_loss(judge_of(own)) is None
