import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from chainrule.probes import Budget, Subject
from chainrule.probes.find_rate import EXACT, USEFUL, USUAL, find_rate, flow_of
from chainrule.probes.rate_findings import LONG_ENOUGH
from chainrule.probes.restoring import restored
from chainrule.probes.subject import Schedule

ROWS = 512


def data(noise=0.1, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, 8, generator=generator)
    weights = torch.randn(8, 1, generator=generator)
    return inputs, scale * (torch.tanh(inputs @ weights) + noise * torch.randn(ROWS, 1, generator=generator))


def subject_of(*, optimizer=torch.optim.SGD, updates=2000, loss_fn=None, schedule=None, pairs=None, **settings):
    inputs, targets = pairs or data()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    loader = DataLoader(
        TensorDataset(inputs[:384], targets[:384]), 32, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    return Subject(
        model,
        loader,
        optimizer(model.parameters(), lr=1e-3, **settings),
        updates,
        loss_fn or nn.MSELoss(),
        validation=[(inputs[384:], targets[384:])],
        schedule=schedule,
    )


def found(subject, seeds=(0, 1, 2), share=0.1):
    with restored(subject):
        return find_rate(subject, Budget(subject.updates, share), seeds)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_the_suggestion_hardly_depends_on_the_seeds_of_the_probe(optimizer):
    suggestions = [found(subject_of(optimizer=optimizer), (3 * n, 3 * n + 1, 3 * n + 2)).suggestion for n in range(4)]
    assert None not in suggestions
    assert max(suggestions) / min(suggestions) < 1.1


def test_the_same_seeds_give_the_same_answer():
    one, other = found(subject_of()), found(subject_of())
    assert one.to_dict() | {"seconds": 0} == other.to_dict() | {"seconds": 0}


def test_a_loss_in_another_unit_gets_the_inverse_rate():
    def hundredfold(prediction, targets):
        return 100 * nn.functional.mse_loss(prediction, targets)

    one, hundredth = found(subject_of()).suggestion, found(subject_of(loss_fn=hundredfold)).suggestion
    assert one is not None
    assert hundredth == pytest.approx(one / 100, rel=0.1)


def test_four_times_the_training_gets_half_the_rate():
    short, long = found(subject_of(updates=2000)).suggestion, found(subject_of(updates=8000)).suggestion
    assert short is not None
    assert long == pytest.approx(short / 2, rel=0.1)


def test_for_adam_the_unit_of_the_loss_makes_no_difference():
    def hundredfold(prediction, targets):
        return 100 * nn.functional.mse_loss(prediction, targets)

    one = found(subject_of(optimizer=torch.optim.Adam)).suggestion
    same = found(subject_of(optimizer=torch.optim.Adam, loss_fn=hundredfold)).suggestion
    assert one is not None
    assert same == pytest.approx(one, rel=0.1)


@pytest.mark.parametrize(("updates", "share"), [(300, 0.1), (1000, 0.05), (1000, 0.1), (3000, 0.02), (3000, 0.1)])
def test_it_costs_no_more_than_is_allowed(updates, share):
    answer = found(subject_of(updates=updates), share=share)
    assert 0 < answer.spent <= updates * share


def test_the_suggestion_lies_among_the_good_rates_and_trained():
    answer = found(subject_of(momentum=0.9))
    assert answer.low <= answer.suggestion <= answer.high
    assert [region.name for region in answer.regions][:2] == ["too slow", "good"]
    at = [run for run in answer.twins if answer.suggestion <= run.rate <= answer.high]
    assert at
    assert all(run.is_stable for run in at)
    assert {run.seed for run in answer.twins} == {0, 1}
    assert {curve.seed for curve in answer.curves} <= {0, 1, 2}


SCHEDULES = {
    "cosine": (lambda optimizer, updates: CosineAnnealingLR(optimizer, updates), 500),
    "linear": (lambda optimizer, updates: LinearLR(optimizer, 1.0, 0.0, updates), 500),
    "steps": (lambda optimizer, updates: StepLR(optimizer, 500, 0.1), 550),
    "plateau": (lambda optimizer, updates: ReduceLROnPlateau(optimizer), 1000),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_flow_is_the_sum_of_the_factors_of_the_schedule(name):
    build, expected = SCHEDULES[name]
    assert flow_of(subject_of(updates=1000, schedule=Schedule(build, "batch", name))) == pytest.approx(
        expected, rel=2e-3
    )


def test_without_a_schedule_the_flow_is_the_number_of_updates():
    assert flow_of(subject_of(updates=1234)) == 1234


def test_a_schedule_of_epochs_moves_once_an_epoch():
    schedule = Schedule(lambda optimizer, updates: StepLR(optimizer, 1, 0.5), "epoch", "halved")
    assert flow_of(subject_of(updates=36, schedule=schedule)) == pytest.approx(12 * (1 + 0.5 + 0.25))


def test_full_batch_least_squares_gets_the_exact_limit():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 4, generator=generator, dtype=torch.float64)
    model = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    batch = (inputs, inputs @ torch.ones(4, 1, dtype=torch.float64))
    subject = Subject(
        model, [batch], torch.optim.SGD(model.parameters(), lr=1e-3), 1000, nn.MSELoss(), is_full_batch=True
    )
    answer = found(subject)
    limit = 2 / float(torch.linalg.eigvalsh(2 * inputs.T @ inputs / 64).max())
    assert answer.suggestion == pytest.approx(EXACT * limit, rel=1e-6)
    assert answer.certainty == "sure"
    stable = {run.rate: run.is_stable for run in answer.twins}
    assert stable[answer.suggestion]
    assert not all(stable.values())  # one of the twins was beyond the limit


@pytest.mark.parametrize(
    ("optimizer", "updates"), [(torch.optim.SGD, 400), (torch.optim.Adam, 400), (torch.optim.SGD, 1000)]
)
def test_the_suggestion_keeps_off_the_upper_edge_which_a_run_of_useful_length_supports(optimizer, updates):
    answer = found(subject_of(optimizer=optimizer, updates=updates))
    assert answer.suggestion is not None
    assert answer.low < answer.suggestion <= answer.high / 2
    longest = max(len(run.losses) for run in answer.twins)
    useful = min(USEFUL, max(5, 0.4 * longest))
    assert any(run.is_stable and run.rate >= answer.high and len(run.losses) >= useful for run in answer.twins)


# Refusals


def test_short_runs_are_named_as_the_cause_before_the_problem_is():
    def noise(prediction, targets):
        return nn.functional.mse_loss(prediction, torch.full_like(targets, 5.0)) * 0 + prediction.mean() * 0 + 1

    answer = found(subject_of(loss_fn=noise, updates=400))
    finding = answer.findings[0]
    longest = max(len(run.losses) for run in answer.twins)
    assert longest < LONG_ENOUGH
    assert finding.code == "too-few-updates"
    assert finding.claim == (f"The longest short run had {longest} updates, too few to bring the loss down by a fifth.")
    assert finding.remedy == (
        "This says nothing about the model: allow a larger share (share=0.5; --share 0.5), or plan a longer training, "
        "of 2000 updates instead of 400."
    )


def test_targets_that_are_drawn_anew_are_refused():
    def noise(prediction, targets):
        return nn.functional.mse_loss(prediction, torch.randn_like(targets) * 5)

    answer = found(subject_of(loss_fn=noise))
    assert answer.is_refusal
    assert answer.findings[0].code == "nothing-trains"


def test_a_loss_that_does_not_depend_on_the_weights_is_refused():
    answer = found(subject_of(loss_fn=lambda prediction, targets: prediction.mean() * 0 + targets.square().mean()))
    assert answer.suggestion is None
    finding = answer.findings[0]
    assert finding.code == "nothing-trains"
    assert finding.evidence["largest fall"] == "0.00%"
    assert finding.claim == (
        f"At no rate did the loss come down to {0.8 * answer.start_loss:.4g} within 10% of the training, so no rate "
        "can be told from another."
    )


def test_a_loss_that_is_not_finite_is_refused():
    inputs, targets = data()
    answer = found(subject_of(pairs=(inputs, targets * math.nan)))
    assert answer.findings[0].code == "loss-not-finite"
    assert answer.suggestion is None


def test_a_training_that_is_too_short_is_refused():
    answer = found(subject_of(updates=100))
    assert answer.findings[0].code == "training-too-short"
    assert answer.findings[0].remedy == (
        "A probe needs at least 20 gradient evaluations: plan 200 updates, allow a larger share, or train at several "
        "rates and compare them (chainrule sweep)."
    )


def test_a_start_off_the_scale_is_told_and_adam_gets_its_usual_rate():
    inputs, targets = data()
    answer = found(subject_of(optimizer=torch.optim.Adam, pairs=(inputs * 1000, targets * 0.001)))
    assert answer.findings[0].code == "loss-off-scale"
    assert answer.certainty == "unsure"
    assert answer.suggestion is not None
    assert answer.suggestion <= USUAL["Adam"]
