import math

import numpy as np
import pytest
import torch
from torch import nn

from chainrule.errors import TaskError, UnknownNameError
from chainrule.probes.activation_runs import Ends, Start
from chainrule.probes.candidates import USUAL, candidate_from, candidate_of
from chainrule.probes.comparing import compare, plan_of
from chainrule.probes.gains import LayerGain
from chainrule.probes.tuning import decades_round
from chainrule.sweeps import Progress, Status

DECADES = decades_round(1e-2)


class Made:
    """Runs of a made-up world: each candidate has a best loss, and the seed adds luck that all share."""

    judges_validation = True

    def __init__(self, levels, *, noise=0.01, layers=2, informed=1.0, chi=1.0, training=None, stop_after=None):
        self.levels, self.noise, self.layers, self.informed, self.chi = levels, noise, layers, informed, chi
        self.training, self.stop_after, self.calls = training, stop_after, 0

    def ends(self, candidate, points, part, progress):
        self.calls += 1
        number = list(self.levels).index(candidate.label)
        values = []
        for rate, seed in points:
            own = np.random.default_rng([seed, number, round(1e6 * rate)]).normal(0, self.noise)
            luck = np.random.default_rng([seed, 99]).normal(0, 0.2)
            values.append(self.levels[candidate.label] + 0.2 * (math.log10(rate) + 2) ** 2 + luck + own)
        judged = np.array(values)
        done = np.ones(len(points), np.bool_)
        if self.stop_after is not None and self.calls > self.stop_after:
            done[1:] = False
        training = judged if self.training is None else np.full(len(points), self.training)
        return Ends(judged, judged + self.informed, np.full(len(points), 0.2), training, done)

    def start(self, candidate, seed):
        layers = tuple(LayerGain(f"layer{number}", 1.0, self.chi, 0.0, 0.0) for number in range(self.layers))
        return Start(3.0, 3.0, layers)


def plan(*names, seeds=8):
    return plan_of([candidate_of(name) for name in names], DECADES, 0, seeds, 4)


def test_the_better_one_is_found_and_the_count_of_runs_is_the_plans():
    runs = Made({"ReLU": 1.0, "Tanh": 0.7, "GELU": 1.2})
    asked = plan("ReLU", "Tanh", "GELU")
    found = compare(runs, asked, has_norm=False)
    assert found.ranking.order == ("Tanh", "ReLU", "GELU")
    assert found.ranking.chosen == "Tanh"
    assert found.runs == asked.runs == 3 * (8 * 4 + 8)
    assert [each.rate for each in found.compared] == pytest.approx([1e-2, 1e-2, 1e-2])
    assert found.findings == []


def test_tuning_seeds_are_none_of_those_compared_with():
    for seeds in (5, 8, 1200):
        asked = plan("ReLU", "Tanh", seeds=seeds)
        assert not set(asked.seeds) & set(asked.tuning_seeds)


def test_equal_ones_tie_and_the_simplest_is_taken():
    quiet = 0
    for trial in range(40):
        runs = Made({"ReLU": 1.0, "LeakyReLU": 1.0 + 1e-9 * trial, "GELU": 2.0}, noise=0.0005)
        found = compare(runs, plan("ReLU", "LeakyReLU", "GELU"), has_norm=False).ranking
        quiet += set(found.order[:2]) == {"ReLU", "LeakyReLU"} and not found.differences[0].is_shown
        assert found.chosen == "ReLU"
    assert quiet >= 38


@pytest.mark.parametrize(
    ("layers", "has_norm", "levels", "chosen"),
    [
        (6, False, {"ReLU": 1.0, "Sigmoid": 0.99}, "ReLU"),
        (6, True, {"ReLU": 1.0, "Sigmoid": 0.9}, "Sigmoid"),
        (2, False, {"ReLU": 1.0, "Sigmoid": 0.9}, "Sigmoid"),
        (6, False, {"ReLU": 1.0, "Sigmoid": 0.3}, "Sigmoid"),
    ],
)
def test_sigmoid_in_six_layers_without_a_norm_only_where_shown(layers, has_norm, levels, chosen):
    noise = 0.03 if levels["Sigmoid"] > 0.95 else 0.001
    found = compare(Made(levels, layers=layers, noise=noise), plan(*levels), has_norm=has_norm)
    assert found.ranking.chosen == chosen


def test_a_loss_that_is_noise_is_refused():
    found = compare(Made({"ReLU": 1.0, "Tanh": 0.9}, informed=0.0), plan("ReLU", "Tanh"), has_norm=False)
    assert found.ranking is None
    assert [each.code for each in found.findings] == ["loss-is-noise"]
    assert found.findings[0].claim == (
        "The loss is noise: on the validation samples no activation's predictions fit their own targets better "
        "than those of other samples, so no activation can be called better."
    )


@pytest.mark.parametrize("training", [3.0, 7.0, math.nan])
def test_where_nothing_trains_it_says_so(training):
    found = compare(Made({"ReLU": 1.0, "Tanh": 0.9}, training=training), plan("ReLU", "Tanh"), has_norm=False)
    assert found.ranking is None
    assert [each.code for each in found.findings] == ["nothing-trains"]
    assert found.findings[0].claim.startswith("Nothing trains: with no activation, and at no rate")


@pytest.mark.parametrize(("training", "judged"), [(math.nan, 3.0), (3.0, math.inf)])
def test_a_loss_that_is_not_finite_before_the_first_update_is_said_before_any_run(training, judged):
    class Nowhere(Made):
        def start(self, candidate, seed):
            return Start(judged, training, ())

    runs = Nowhere({"ReLU": 1.0, "Tanh": 0.9})
    found = compare(runs, plan("ReLU", "Tanh"), has_norm=False)
    assert (runs.calls, found.runs, found.compared, found.ranking) == (0, 0, [], None)
    assert [each.code for each in found.findings] == ["loss-not-finite"]
    assert found.findings[0].claim == (
        "The loss is not finite before the first update, with no activation, so none can be called better."
    )
    assert list(found.findings[0].evidence) == ["loss, ReLU", "loss, Tanh"]
    assert set(found.findings[0].evidence.values()) <= {"nan", "inf"}


@pytest.mark.parametrize(("chi", "fate"), [(0.1, "die out"), (20.0, "blow up")])
def test_gains_outside_of_the_bounds_are_said(chi, fate):
    found = compare(Made({"ReLU": 1.0, "Tanh": 0.9}, layers=4, chi=chi), plan("ReLU", "Tanh"), has_norm=False)
    assert [each.code for each in found.findings] == ["extreme-gain", "extreme-gain"]
    assert f"ReLU: changes of the inputs {fate} before training: χ over 4 layers is {chi**4:.2g}" in (
        found.findings[0].claim
    )


def test_an_interruption_keeps_what_is_finished():
    runs = Made({"ReLU": 1.0, "Tanh": 0.9, "GELU": 2.0}, stop_after=7)
    found = compare(runs, plan("ReLU", "Tanh", "GELU"), has_norm=False)
    assert found.was_interrupted
    assert [each.label for each in found.compared] == ["ReLU", "Tanh"]
    assert found.ranking.chosen == "Tanh"
    assert found.findings[0].claim == "The comparison was interrupted; not compared: GELU."
    early = compare(Made({"ReLU": 1.0, "Tanh": 0.9}, stop_after=1), plan("ReLU", "Tanh"), has_norm=False)
    assert (early.compared, early.ranking) == ([], None)


def test_progress_is_a_whole():
    class Heard:
        def __init__(self):
            self.told = []

        def tell(self, status):
            self.told.append(status)

    class Telling(Made):
        def ends(self, candidate, points, part, progress):
            for done in range(1, len(points) + 1):
                progress.tell(Status(done, len(points), 0.0, None, "loop"))
            return super().ends(candidate, points, part, progress)

    heard = Heard()
    assert isinstance(heard, Progress)
    asked = plan("ReLU", "Tanh")
    compare(Telling({"ReLU": 1.0, "Tanh": 0.9}), asked, has_norm=False, progress=heard)
    assert [status.runs_done for status in heard.told] == list(range(1, asked.runs + 1))
    assert {status.runs for status in heard.told} == {asked.runs}
    assert heard.told[-1].seconds_left == 0.0


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (("ReLU",), 8, "There is nothing to compare.\n  where:    candidates\n  found:    ReLU\n"
         "  expected: at least two activations, each once"),
        (("ReLU", "relu"), 8, "There is nothing to compare.\n  where:    candidates\n  found:    ReLU, ReLU\n"
         "  expected: at least two activations, each once"),
        (("ReLU", "Tanh"), 4, "So few seeds cannot show a difference.\n"
         "  found:    4 to compare with, 4 to tune with\n"
         "  expected: at least 5 to compare with, and 1 to tune with"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(names, seeds, message):
    with pytest.raises(TaskError) as caught:
        plan(*names, seeds=seeds)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ("gelu", "GELU"),
        (candidate_of("ELU", {"alpha": 0.5}), "ELU(alpha=0.5)"),
        (nn.Tanh, "Tanh"),
        (nn.ReLU(inplace=True), "ReLU"),
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.GELU(approximate="tanh"), "GELU(approximate='tanh')"),
        (nn.RReLU(0.1, 0.2), "RReLU(lower=0.1, upper=0.2)"),
        (nn.PReLU(init=0.5), "PReLU(init=0.5)"),
        (nn.Hardtanh(-2.0, 2.0), "Hardtanh(min_val=−2, max_val=2)"),
    ],
)
def test_names_modules_and_classes_are_candidates(given, label):
    assert candidate_from(given).label == label


class Squared(nn.Module):
    def forward(self, x):
        return x.relu() ** 2


@pytest.mark.parametrize(
    ("given", "found"), [(Squared(), "Squared"), (Squared, "Squared"), (torch.tanh, "tanh"), (3, "int")]
)
def test_what_is_no_activation_of_torch_is_refused(given, found):
    with pytest.raises(TaskError) as caught:
        candidate_from(given)
    assert str(caught.value) == (
        "A candidate is no activation of torch.nn.\n"
        "  where:    candidates\n"
        f"  found:    {found}\n"
        '  expected: a name such as "GELU", nn.GELU, nn.LeakyReLU(0.2), or what candidate_of returns\n'
        "Initial weights need the gain of the activation, which follows from a known formula."
    )


@pytest.mark.parametrize("given", [nn.Linear(2, 2), nn.Conv1d, nn.PReLU(8)])
def test_modules_with_arguments_or_names_that_the_catalogue_lacks_are_refused(given):
    with pytest.raises(UnknownNameError, match=r"There is no activation|The formula of PReLU has no"):
        candidate_from(given)


def test_candidates_carry_the_gain_of_the_catalogue():
    assert candidate_of("leaky_relu", {"negative_slope": 0.2}).label == "LeakyReLU(negative_slope=0.2)"
    assert candidate_of("ReLU").gain == pytest.approx(math.sqrt(2))
    assert [name for name in USUAL if candidate_of(name).is_sigmoid] == ["Sigmoid"]
    with pytest.raises(TaskError) as caught:
        candidate_of("Softmax")
    assert str(caught.value) == (
        "Softmax cannot be compared as the activation of the hidden layers.\n"
        "  where:    candidates\n"
        "  found:    Softmax\n"
        "  expected: an activation that maps each number by itself\n"
        "Initial weights need its gain, and its gain depends on the number of its inputs, or is infinite."
    )


def test_starts_that_differ_much_from_seed_to_seed_hide_no_fall():
    class Uneven(Made):
        def start(self, candidate, seed):
            return Start(3.0, 3.0 * 10.0 ** (seed % 3), super().start(candidate, seed).layers)

    found = compare(Uneven({"ReLU": 1.0, "Tanh": 0.9}), plan("ReLU", "Tanh", seeds=5), has_norm=False)
    assert found.ranking is not None
