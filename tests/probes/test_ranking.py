import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from chainrule.probes.ranking import Preference, mean_interval, paired_differences, rank, student_quantile

FALL = 1.0
NAMES = ("plain", "fancy", "flat")


def preference(margin=0.01, avoided=None):
    return Preference(NAMES, margin, avoided or {})


def losses(seed, shifts, spread=0.01, seeds=8):
    generator = np.random.default_rng(seed)
    luck = generator.normal(0, 1.0, seeds)
    return {
        name: 5 + luck + shift + generator.normal(0, spread, seeds) for name, shift in zip(NAMES, shifts, strict=False)
    }


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 9, 20])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.975, 0.9988])
def test_the_quantile_is_students(degrees, share):
    assert student_quantile(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("seeds", [5, 8, 10])
@pytest.mark.parametrize("law", ["normal", "heavy tails"])
def test_students_interval_covers_what_it_says_and_the_bootstrap_less(seeds, law):
    generator = np.random.default_rng(seeds)
    draws = generator.normal(size=(1500, seeds)) if law == "normal" else generator.standard_t(3, size=(1500, seeds))
    student = [low <= 0 <= high for _, low, high in map(mean_interval, draws)]
    resampled = draws[:500][np.arange(500)[:, None, None], generator.integers(0, seeds, (500, 400, seeds))].mean(axis=2)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    assert np.mean(student) >= 0.935
    assert np.mean((low <= 0) & (high >= 0)) <= 0.93


def test_intervals_of_all_pairs_hold_at_once():
    held = []
    for seed in range(400):
        found = paired_differences(losses(seed, (0.0, 0.02, 0.05)), FALL)
        truth = {"plain": 0.0, "fancy": 0.02, "flat": 0.05}
        held.append(
            all(
                each.low <= truth[each.candidate] - truth[each.reference] <= each.high
                for each in (found[pair] for pair in combinations(NAMES, 2))
            )
        )
    assert np.mean(held) >= 0.93


def test_equal_candidates_are_not_told_apart_though_the_best_is_picked_by_the_data():
    quiet = [len(rank(losses(seed, (0, 0, 0)), FALL, preference()).tied) == 2 for seed in range(2000)]
    assert np.mean(quiet) >= 0.95


def test_pairing_finds_differences_far_below_the_luck_of_seeds():
    found = rank(losses(1, (0.0, 0.1, 0.2)), FALL, preference())
    assert found.order == NAMES
    assert [each.is_shown for each in found.differences] == [True, True]
    assert found.chosen == "plain"
    assert found.reason == "plain ends lowest, and all others are shown to be worse."


def test_a_difference_reads_the_same_from_both_sides():
    found = paired_differences(losses(2, (0.0, 0.1, 0.2)), FALL)
    one, other = found["plain", "fancy"], found["fancy", "plain"]
    assert (one.mean, one.low, one.high) == (-other.mean, -other.high, -other.low)
    assert one.reversed() == other


def test_identical_losses_are_no_difference():
    same = np.linspace(1, 2, 6)
    found = paired_differences({"plain": same, "fancy": same.copy()}, FALL)["plain", "fancy"]
    assert (found.mean, found.low, found.high, found.is_shown) == (0.0, 0.0, 0.0, False)


def test_a_sure_difference_that_is_negligible_is_none():
    base = np.linspace(1, 2, 6)
    tiny = paired_differences({"plain": base, "fancy": base + 1e-4}, FALL)["fancy", "plain"]
    small = paired_differences({"plain": base, "fancy": base + 1e-2}, FALL)["fancy", "plain"]
    assert tiny.low > 0
    assert (tiny.is_shown, small.is_shown) == (False, True)


def test_a_tie_goes_to_the_preferred_within_the_margin_only():
    near = losses(3, (0.004, 0.0, 0.5))
    far = losses(3, (0.03, 0.0, 0.5), spread=0.1)
    assert rank(near, FALL, preference()).chosen == "plain"
    assert "plain ties with fancy" in rank(near, FALL, preference()).reason
    assert rank(near, FALL, preference(margin=0.0)).order[0] == "fancy"
    assert rank(far, FALL, preference(margin=1e-6)).chosen == rank(far, FALL, preference(margin=1e-6)).order[0]


def test_what_is_avoided_is_chosen_only_where_all_others_are_shown_to_be_worse():
    avoided = {"flat": "it is not recommended at 6 hidden layers without a norm"}
    unclear = rank(losses(4, (0.0, 0.0, -0.001)), FALL, preference(avoided=avoided))
    shown = rank(losses(4, (0.0, 0.0, -0.5)), FALL, preference(avoided=avoided))
    assert unclear.order[0] == "flat"
    assert unclear.chosen != "flat"
    assert unclear.reason.startswith(
        "flat has the lowest mean loss, but it is not recommended at 6 hidden layers without a norm, and it is not "
        "shown that all others are worse. "
    )
    assert shown.chosen == "flat"


def test_the_level_is_shared_by_all_pairs():
    few, many = losses(5, (0, 0)), losses(5, (0, 0, 0))
    two = paired_differences(few, FALL)["plain", "fancy"]
    three = paired_differences(many, FALL)["plain", "fancy"]
    ratio = student_quantile(1 - 0.05 / 6, 7) / student_quantile(1 - 0.05 / 2, 7)
    spread = float(np.std(few["plain"] - few["fancy"], ddof=1)) / math.sqrt(8)
    assert (two.high - two.low) / 2 == pytest.approx(student_quantile(0.975, 7) * spread)
    other = float(np.std(many["plain"] - many["fancy"], ddof=1)) / math.sqrt(8)
    assert (three.high - three.low) / 2 == pytest.approx(ratio * student_quantile(0.975, 7) * other)
