import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from chainrule.probes import Budget, Subject
from chainrule.probes.found_rate import RangeCurve, RangePoint
from chainrule.probes.range_test import HIGHEST, LOWEST, Ascent, median_edge, range_test
from chainrule.probes.restoring import Snapshot, restored


def subject_of(scale=1.0, size=32):
    """Return least squares whose targets are multiplied by a scale; its limit is about 1 whatever the scale."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 4, generator=generator)
    targets = scale * (inputs @ torch.ones(4, 1))
    model = nn.Linear(4, 1)
    nn.init.zeros_(model.weight)
    batches = [(inputs[row : row + size], targets[row : row + size]) for row in range(0, 256, size)]
    return Subject(model, batches, torch.optim.SGD(model.parameters(), lr=1e-3), 1000, nn.MSELoss())


def ascent(subject, updates=60, budget=None, **how):
    with restored(subject):
        return range_test(subject, Snapshot(subject), budget or Budget(10_000), seed=0, updates=updates, **how)


def test_rates_rise_by_one_factor_from_the_lowest():
    rates = [point.rate for point in ascent(subject_of()).curve.points]
    assert rates[0] == LOWEST
    factors = [after / before for before, after in pairwise(rates)]
    assert factors == pytest.approx([(HIGHEST / LOWEST) ** (1 / 59)] * len(factors))


def test_the_edge_is_near_the_limit_and_the_descent_below_it():
    curve = ascent(subject_of()).curve
    assert curve.descent is not None
    assert curve.edge is not None
    assert 0.3 < curve.edge < 10  # 2/λ is about 1, and the loss takes some updates to leave
    assert curve.descent < curve.edge
    assert curve.ended in ("the loss had left for good", "the loss was not finite")


def test_the_unit_of_the_loss_moves_the_edge_by_its_inverse():
    def edge(factor):
        subject = subject_of()
        scaled = Subject(
            subject.model, subject.batches, subject.optimizer, 1000, lambda p, t: factor * nn.functional.mse_loss(p, t)
        )
        return ascent(scaled, 90).curve.edge

    one, hundredth = edge(1.0), edge(100.0)
    assert one is not None
    assert hundredth is not None
    assert one / hundredth == pytest.approx(100, rel=0.6)


def test_it_costs_an_evaluation_for_each_point():
    budget = Budget(10_000)
    found = ascent(subject_of(), 25, budget)
    assert budget.by_purpose == {"range test": len(found.curve.points)}


def test_a_loss_that_never_leaves_has_no_edge():
    curve = ascent(subject_of(), 20, high=1e-4).curve
    assert curve.edge is None
    assert curve.ended == "all 20 updates were made"


def test_the_start_and_the_noise_are_those_of_the_batches():
    subject = subject_of()
    found = ascent(subject)
    losses = [nn.functional.mse_loss(subject.model(inputs), targets).item() for inputs, targets in subject.batches]
    assert found.start == pytest.approx(sum(losses) / len(losses), rel=0.1)
    assert 0 < found.noise < 2 * (max(losses) - min(losses))


def curve(edge):
    return Ascent(RangeCurve(0, (RangePoint(1.0, 1.0, 1.0),), edge, None, ""), 1.0, 0.0, 1.0)


def test_the_median_edge_is_taken_in_the_logarithm():
    assert median_edge([curve(0.01), curve(1.0)]) == pytest.approx(0.1)
    assert median_edge([curve(0.01), curve(None), curve(0.02), curve(9.0)]) == pytest.approx(0.02)
    assert median_edge([curve(None)]) is None
    assert math.isfinite(median_edge([curve(3.0)]) or math.nan)
