import math

import numpy as np
import pytest

from chainrule.probes.activation_runs import Ends
from chainrule.probes.candidates import candidate_of
from chainrule.probes.tuning import Decades, best_rate, capped, decades_round, mildest_decade, tune

RELU = candidate_of("ReLU")
CAP = 4.0


def bowl(best, noise=0.0):
    """Return a trainer whose loss is a parabola over the exponent, lowest at `best`, and diverges far above."""
    asked = []

    def train(candidate, points, part):
        asked.extend(points)
        values = []
        for rate, seed in points:
            apart = math.log10(rate) - best
            wobble = noise * math.sin(1e3 * rate + seed)
            values.append(math.nan if apart > 1.2 else 0.1 + 0.5 * apart**2 + wobble)
        array = np.array(values)
        return Ends(array, array + 1, array, array, np.ones(len(points), np.bool_))

    train.asked = asked
    return train


@pytest.mark.parametrize("best", [-3.0, -2.4, -1.75, -0.9, 0.3])
def test_the_best_rate_is_found_to_a_quarter_of_a_decade(best):
    tried = tune(bowl(best), RELU, (7, 8), decades_round(1e-2), CAP)
    assert abs(math.log10(best_rate(tried)) - best) <= 0.251
    assert [each.rate for each in tried] == sorted(each.rate for each in tried)


@pytest.mark.parametrize("best", [-6.0, 2.0])
def test_it_goes_on_beyond_the_edges_it_began_with(best):
    tried = tune(bowl(best), RELU, (0,), decades_round(1e-2), 100.0)
    assert abs(math.log10(best_rate(tried)) - best) <= 0.251


def test_it_does_not_go_beyond_its_limits():
    train = bowl(5.0)
    tune(train, RELU, (0,), Decades((-3.0, -2.0), -4.0, -0.5), CAP)
    assert max(rate for rate, _ in train.asked) <= 10**-0.5


def test_every_rate_is_run_once_with_every_seed():
    train = bowl(-2.0)
    tune(train, RELU, (7, 8), decades_round(1e-2), CAP)
    assert len(train.asked) == len(set(train.asked)) == 2 * decades_round(1e-2).usual_count


def test_of_decades_that_do_about_as_well_the_smallest_is_taken():
    equal = {-3.0: np.array([1.02, 0.99, 1.01]), -2.0: np.array([1.0, 1.0, 1.0]), -1.0: np.array([0.9, 1.0, 1.1])}
    apart = {-3.0: np.array([2.0, 2.1, 1.9]), -2.0: np.array([1.0, 1.1, 0.9]), -1.0: np.array([5.0, 5.0, 5.0])}
    assert mildest_decade(equal) == -3.0
    assert mildest_decade(apart) == -2.0


def test_a_lucky_rate_beside_bad_ones_is_not_taken():
    def train(candidate, points, part):
        exponents = np.array([math.log10(rate) for rate, _ in points])
        values = np.where(exponents > -1.7, 3.0, 0.1 + 0.01 * np.abs(exponents + 2))
        values[np.abs(exponents + 1.75) < 0.1] = 0.09
        return Ends(values, values, values, values, np.ones(len(points), np.bool_))

    tried = tune(train, RELU, (0, 1), decades_round(1e-2), CAP)
    assert min(tried, key=lambda each: each.score).rate == pytest.approx(10**-1.75)
    assert best_rate(tried) < 10**-1.8


def test_losses_above_the_cap_and_no_numbers_count_as_the_cap():
    assert capped(np.array([1.0, 9.0, np.nan, np.inf]), CAP).tolist() == [1.0, 4.0, 4.0, 4.0]


@pytest.mark.parametrize(("rate", "middle"), [(0.01, -2), (0.003, -3), (1.0, 0), (0.0, -2), (1e-30, -5)])
def test_decades_lie_round_the_rate_that_was_given(rate, middle):
    assert decades_round(rate).first == tuple(float(middle + step) for step in (-2, -1, 0, 1))
