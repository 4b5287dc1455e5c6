import pytest
import torch
from torch import nn

from chainrule.activations import describe
from chainrule.probes.output_advice import Ending, advise_output

IDS = torch.tensor([0, 1, 1, 0])
POSITIVE = torch.tensor([[0.5], [7.25], [200.0]], dtype=torch.float64)
ANY = torch.tensor([[-3.0], [2.0]], dtype=torch.float64)
COUNTS = torch.tensor([[0.0], [3.0], [2.0]], dtype=torch.float64)


def text(advice):
    return " ".join(f"{fact.about}: {fact.sentence}" for fact in advice.facts)


@pytest.mark.parametrize(
    ("targets", "classes", "outputs", "kind", "activation", "loss"),
    [
        (IDS, 2, 1, "binary", "Identity", "BCEWithLogitsLoss"),
        (IDS, 2, 0, "binary", "Identity", "BCEWithLogitsLoss"),
        (IDS, 2, 2, "multi-class", "Identity", "CrossEntropyLoss"),
        (IDS, 3, 3, "multi-class", "Identity", "CrossEntropyLoss"),
        (ANY, 0, 1, "unbounded", "Identity", "MSELoss"),
        (POSITIVE, 0, 1, "positive", "Softplus", "MSELoss"),
        (COUNTS, 0, 1, "positive", "Identity", "PoissonNLLLoss"),
    ],
)
def test_the_targets_decide(targets, classes, outputs, kind, activation, loss):
    advice = advise_output(targets, classes, Ending("", "", outputs))
    assert advice.kind == kind
    assert advice.activation.startswith(activation)
    assert advice.loss.startswith(loss)
    assert advice.objections == ()


@pytest.mark.parametrize("name", ["Softplus", "ELU", "ReLU"])
def test_facts_on_positive_outputs_are_the_catalogues(name):
    assert describe(name).range_text in text(advise_output(POSITIVE, 0))


def test_elu_is_said_not_to_keep_an_output_positive():
    low = describe("ELU").output_range[0].lower
    assert float(nn.ELU()(torch.tensor(-50.0))) == pytest.approx(low)
    assert f"it falls to −α = −{-low:g} and does not keep an output positive" in text(advise_output(POSITIVE, 0))


def test_the_slopes_of_a_wrong_binary_output_are_autograds():
    logit = torch.tensor([[-10.0]], dtype=torch.float64, requires_grad=True)
    one = torch.ones_like(logit)
    (square,) = torch.autograd.grad((torch.sigmoid(logit) - one).square().mean(), logit)
    (direct,) = torch.autograd.grad(nn.functional.binary_cross_entropy_with_logits(logit, one), logit)
    said = text(advise_output(IDS, 2, Ending("", "", 1)))
    assert f"{abs(float(square)):.4g}" in said
    assert f"its slope is {abs(float(direct)):.4g}" in said


def test_the_cost_of_a_second_softmax_is_computed_for_the_number_of_classes():
    for classes in (3, 10):
        perfect = torch.eye(classes, dtype=torch.float64)[:1]
        cost = float(nn.functional.cross_entropy(perfect, torch.tensor([0])))
        assert f"would still cost {cost:.4g}" in text(advise_output(IDS, classes, Ending("", "", classes)))


@pytest.mark.parametrize(
    ("targets", "classes", "now", "begin"),
    [
        (IDS, 2, Ending("Sigmoid", "BCEWithLogitsLoss", 1), "BCEWithLogitsLoss takes the Sigmoid itself"),
        (IDS, 2, Ending("Sigmoid", "MSELoss", 1), "A confidently wrong output learns slowly"),
        (IDS, 3, Ending("Softmax", "CrossEntropyLoss", 3), "CrossEntropyLoss takes the Softmax itself"),
        (ANY, 0, Ending("Tanh", "MSELoss", 1), "Tanh has the range (−1, 1): 2 of 2 targets lie outside of it"),
        (
            POSITIVE,
            0,
            Ending("ELU", "MSELoss", 1),
            "ELU has the range (−1, ∞), so it does not keep the output positive",
        ),
    ],
)
def test_what_speaks_against_the_present_ending_is_said(targets, classes, now, begin):
    (objection,) = advise_output(targets, classes, now).objections
    assert objection.startswith(begin)


@pytest.mark.parametrize(
    ("targets", "classes", "now"),
    [
        (IDS, 2, Ending("Identity", "BCEWithLogitsLoss", 1)),
        (IDS, 3, Ending("Identity", "CrossEntropyLoss", 3)),
        (ANY, 0, Ending("Identity", "MSELoss", 1)),
        (POSITIVE, 0, Ending("Softplus", "MSELoss", 1)),
    ],
)
def test_a_fitting_ending_meets_no_objection(targets, classes, now):
    assert advise_output(targets, classes, now).objections == ()
