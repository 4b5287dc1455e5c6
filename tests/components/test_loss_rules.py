"""Every loss of a task: the formula and the divisor that are printed are those that torch computes."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from chainrule.components import build_objective, targets_for
from chainrule.components.loss_rules import RULES
from chainrule.registry import LOSSES
from chainrule.tasks import Component

# Torch tells the user that it may change this mean some day; the formula below would show it.
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning")
F64 = torch.float64


def objective_of(name, classes=0, columns=0, outputs=None, **arguments):
    objective = build_objective(Component(name=name, **arguments), classes, columns, outputs)
    objective.module.double()
    return objective


def last_layer(name: str) -> nn.Module:
    """Return the activation that the predictions of a loss must come from, as its rule says."""
    wanted = {"BCELoss": nn.Sigmoid(), "NLLLoss": nn.LogSoftmax(dim=1), "KLDivLoss": nn.LogSoftmax(dim=1)}
    return {**wanted, "HingeEmbeddingLoss": nn.Softplus()}.get(name, nn.Identity())


def predictions_for(name: str, rows: int, outputs: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(rows, outputs, dtype=F64, generator=generator)
    return last_layer(name)(raw).detach().requires_grad_()


def test_there_is_a_rule_for_every_loss():
    assert set(RULES) == set(LOSSES.members)


def test_what_predictions_must_be_is_said_where_it_matters():
    wants = {name: rule for name in RULES if (rule := RULES[name](LOSSES[name]()).wants)}
    for name, sentence in wants.items():
        ending = re.search(r"end the model with (\w+)$", sentence)
        assert ending is not None
        assert ending[1] == type(last_layer(name)).__name__
    assert set(wants) == {"BCELoss", "NLLLoss", "KLDivLoss", "HingeEmbeddingLoss"}


# Formulas, one term at a time and by hand: what `formula` says, for one sample n and output d, or for one sample.
def softmax(a):
    return np.exp(a - a.max()) / np.exp(a - a.max()).sum()


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def soft_margins(t, a):
    return t * np.log(sigmoid(a)) + (1 - t) * np.log(1 - sigmoid(a))


W = np.array([1.0, 3.0, 0.5])
P = np.array([2.0, 0.25, 1.0])
EACH = "samples and outputs"
# loss, arguments, how targets look, the sentence after "E = mean over ", the term
FORMULAS = [
    ("MSELoss", {}, "number", f"{EACH} of (t − a)²", lambda t, a, d: (t - a) ** 2),
    ("L1Loss", {}, "number", f"{EACH} of |t − a|", lambda t, a, d: abs(t - a)),
    (
        "SmoothL1Loss",
        {},
        "number",
        f"{EACH} of (t − a)²/2 where |t − a| < 1, else |t − a| − 0.5",
        lambda t, a, d: (t - a) ** 2 / 2 if abs(t - a) < 1 else abs(t - a) - 0.5,
    ),
    (
        "SmoothL1Loss",
        {"beta": 0.25},
        "number",
        f"{EACH} of (t − a)²/0.5 where |t − a| < 0.25, else |t − a| − 0.125",
        lambda t, a, d: (t - a) ** 2 / 0.5 if abs(t - a) < 0.25 else abs(t - a) - 0.125,
    ),
    ("SmoothL1Loss", {"beta": 0.0}, "number", f"{EACH} of |t − a|", lambda t, a, d: abs(t - a)),
    (
        "HuberLoss",
        {},
        "number",
        f"{EACH} of (t − a)²/2 where |t − a| ≤ 1, else |t − a| − 0.5",
        lambda t, a, d: (t - a) ** 2 / 2 if abs(t - a) <= 1 else abs(t - a) - 0.5,
    ),
    (
        "HuberLoss",
        {"delta": 0.5},
        "number",
        f"{EACH} of (t − a)²/2 where |t − a| ≤ 0.5, else 0.5·(|t − a| − 0.25)",
        lambda t, a, d: (t - a) ** 2 / 2 if abs(t - a) <= 0.5 else 0.5 * (abs(t - a) - 0.25),
    ),
    ("PoissonNLLLoss", {}, "count", f"{EACH} of e^a − t·a", lambda t, a, d: math.exp(a) - t * a),
    (
        "PoissonNLLLoss",
        {"log_input": False, "eps": 0.001},
        "count",
        f"{EACH} of a − t·log(a + 0.001)",
        lambda t, a, d: a - t * math.log(a + 0.001),
    ),
    (
        "PoissonNLLLoss",
        {"full": True},
        "count",
        f"{EACH} of e^a − t·a + (t log t − t + ½ log(2πt) where t > 1)",
        lambda t, a, d: math.exp(a) - t * a + (t * math.log(t) - t + 0.5 * math.log(2 * math.pi * t) if t > 1 else 0),
    ),
    (
        "BCELoss",
        {},
        "share",
        f"{EACH} of −t log a − (1 − t) log(1 − a)",
        lambda t, a, d: -t * math.log(a) - (1 - t) * math.log(1 - a),
    ),
    (
        "BCELoss",
        {"weight": W.tolist()},
        "share",
        f"{EACH} of w·(−t log a − (1 − t) log(1 − a)), w = (1, 3, 0.5)",
        lambda t, a, d: W[d] * (-t * math.log(a) - (1 - t) * math.log(1 - a)),
    ),
    (
        "BCEWithLogitsLoss",
        {},
        "share",
        f"{EACH} of −t log σ(a) − (1 − t) log(1 − σ(a))",
        lambda t, a, d: -soft_margins(t, a),
    ),
    (
        "BCEWithLogitsLoss",
        {"weight": W.tolist(), "pos_weight": P.tolist()},
        "share",
        f"{EACH} of w·(−p·t log σ(a) − (1 − t) log(1 − σ(a))), w = (1, 3, 0.5), p = (2, 0.25, 1)",
        lambda t, a, d: W[d] * (-P[d] * t * np.log(sigmoid(a)) - (1 - t) * np.log(1 - sigmoid(a))),
    ),
    ("KLDivLoss", {}, "share", f"{EACH} of t (log t − a)", lambda t, a, d: t * (math.log(t) - a)),
    (
        "KLDivLoss",
        {"log_target": True},
        "logarithm",
        f"{EACH} of e^t (t − a)",
        lambda t, a, d: math.exp(t) * (t - a),
    ),
    ("SoftMarginLoss", {}, "sign", f"{EACH} of log(1 + e^(−t·a))", lambda t, a, d: math.log(1 + math.exp(-t * a))),
    (
        "HingeEmbeddingLoss",
        {},
        "sign",
        f"{EACH} of a where t = 1, max(0, 1 − a) where t = −1",
        lambda t, a, d: a if t == 1 else max(0, 1 - a),
    ),
    (
        "HingeEmbeddingLoss",
        {"margin": 0.5},
        "sign",
        f"{EACH} of a where t = 1, max(0, 0.5 − a) where t = −1",
        lambda t, a, d: a if t == 1 else max(0, 0.5 - a),
    ),
    (
        "MultiLabelSoftMarginLoss",
        {},
        "rows of shares",
        "samples of −1/C Σ_c (t_c log σ(a_c) + (1 − t_c) log(1 − σ(a_c)))",
        lambda t, a: -soft_margins(t, a).mean(),
    ),
    (
        "MultiLabelSoftMarginLoss",
        {"weight": W.tolist()},
        "rows of shares",
        "samples of −1/C Σ_c w_c (t_c log σ(a_c) + (1 − t_c) log(1 − σ(a_c))), w = (1, 3, 0.5)",
        lambda t, a: -(W * soft_margins(t, a)).mean(),
    ),
    ("CrossEntropyLoss", {}, "class", "samples of −log softmax(a)_t", lambda t, a: -np.log(softmax(a)[t])),
    (
        "CrossEntropyLoss",
        {"label_smoothing": 0.25},
        "class",
        "samples of −0.75 log softmax(a)_t − 0.25/C Σ_c log softmax(a)_c",
        lambda t, a: -0.75 * np.log(softmax(a)[t]) - 0.25 / 3 * np.log(softmax(a)).sum(),
    ),
    ("NLLLoss", {}, "class", "samples of −a_t", lambda t, a: -a[t]),
    (
        "MultiMarginLoss",
        {},
        "class",
        "samples of 1/C Σ_{c≠t} max(0, 1 − a_t + a_c)",
        lambda t, a: sum(max(0, 1 - a[t] + a[c]) for c in range(3) if c != t) / 3,
    ),
    (
        "MultiMarginLoss",
        {"p": 2, "margin": 0.5, "weight": W.tolist()},
        "class",
        "samples of w_t/C Σ_{c≠t} max(0, 0.5 − a_t + a_c)², w = (1, 3, 0.5)",
        lambda t, a: W[t] * sum(max(0, 0.5 - a[t] + a[c]) ** 2 for c in range(3) if c != t) / 3,
    ),
    (
        "MultiLabelMarginLoss",
        {},
        "class",
        "samples of 1/C Σ_{c≠t} max(0, 1 − a_t + a_c)",
        lambda t, a: sum(max(0, 1 - a[t] + a[c]) for c in range(3) if c != t) / 3,
    ),
]


def formula_case(name, arguments, looks, reduction, rows=6):
    """Return objective, predictions and targets (both in the form of the loss), and the targets as they were."""
    generator = torch.Generator().manual_seed(3)
    classes = 3 if looks in ("class", "sign") else 0
    objective = objective_of(name, classes, 3, 3, reduction=reduction, **arguments)
    truth = torch.randint(3, (rows,), generator=generator)
    if not classes:
        truth = torch.rand(rows, 3, dtype=F64, generator=generator)
        truth = {"count": torch.round(5 * truth), "number": 4 * truth - 2, "logarithm": truth.log()}.get(looks, truth)
    prediction = predictions_for(name, rows, 3, seed=4).detach()
    if arguments.get("log_input") is False:
        prediction = prediction.exp()
    return objective, prediction, targets_for(objective, truth, F64), truth


@pytest.mark.parametrize(("name", "arguments", "looks", "sentence", "term"), FORMULAS)
def test_the_formula_and_the_divisor_that_are_printed_are_torchs(name, arguments, looks, sentence, term):
    objective, prediction, targets, truth = formula_case(name, arguments, looks, "mean")
    by_sum = formula_case(name, arguments, looks, "sum")[0]
    a, t = prediction.numpy(), targets.numpy()
    if sentence.startswith(EACH):
        terms = [term(t[n, d], a[n, d], d) for n in range(len(a)) for d in range(3)]
    else:
        rows = truth.numpy() if looks == "class" else t
        terms = [term(rows[n], a[n]) for n in range(len(a))]
    assert objective.convention() == f"E = mean over {sentence}"
    assert by_sum.convention() == f"E = sum over {sentence}"
    assert by_sum(prediction, targets).item() == pytest.approx(math.fsum(terms), rel=1e-12)
    assert objective(prediction, targets).item() == pytest.approx(math.fsum(terms) / len(terms), rel=1e-12)
    assert len(terms) == (len(a) * 3 if objective.rule.over == EACH else len(a))


WEIGHTED = [
    ("CrossEntropyLoss", {}, "−w_t log softmax(a)_t", lambda t, a: -W[t] * np.log(softmax(a)[t])),
    ("NLLLoss", {}, "−w_t a_t", lambda t, a: -W[t] * a[t]),
    (
        "CrossEntropyLoss",
        {"label_smoothing": 0.25},
        "−0.75 w_t log softmax(a)_t − 0.25/C Σ_c w_c log softmax(a)_c",
        lambda t, a: -0.75 * W[t] * np.log(softmax(a)[t]) - 0.25 / 3 * (W * np.log(softmax(a))).sum(),
    ),
]


@pytest.mark.parametrize(("name", "arguments", "formula", "term"), WEIGHTED)
def test_with_class_weights_the_mean_divides_by_the_weights_of_the_classes(name, arguments, formula, term):
    arguments = {"weight": W.tolist(), **arguments}
    objective, prediction, targets, truth = formula_case(name, arguments, "class", "mean")
    by_sum = formula_case(name, arguments, "class", "sum")[0]
    terms = [term(t, a) for t, a in zip(truth.tolist(), prediction.numpy(), strict=True)]
    weights = W[truth.numpy()].sum()
    assert objective.convention() == (f"E = sum over samples of {formula}, divided by the sum of w_t, w = (1, 3, 0.5)")
    assert by_sum.convention() == f"E = sum over samples of {formula}, w = (1, 3, 0.5)"
    assert by_sum(prediction, targets).item() == pytest.approx(math.fsum(terms), rel=1e-12)
    assert objective(prediction, targets).item() == pytest.approx(math.fsum(terms) / weights, rel=1e-12)
    assert objective.share(targets) == pytest.approx(weights)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("weight", [None, W.tolist()])
def test_a_class_that_is_left_out_counts_nowhere(name, weight):
    arguments = {"ignore_index": 1} | ({"weight": weight} if weight else {})
    objective, prediction, targets, truth = formula_case(name, arguments, "class", "mean", rows=12)
    kept = truth != 1
    without, _, _, _ = formula_case(name, {"weight": weight} if weight else {}, "class", "mean")
    assert 0 < kept.sum() < 12
    assert objective(prediction, targets).item() == pytest.approx(
        without(prediction[kept], targets[kept]).item(), rel=1e-12
    )
    assert objective.share(targets) == pytest.approx(without.share(targets[kept]))
    assert ", class 1 left out" in objective.convention()


def test_kl_divergence_as_a_mean_over_samples():
    objective, prediction, targets, _ = formula_case("KLDivLoss", {}, "share", "batchmean")
    rows = (targets * (targets.log() - prediction)).sum(dim=1)
    assert objective.convention() == "E = mean over samples of the sum over outputs of t (log t − a)"
    assert objective(prediction, targets).item() == pytest.approx(rows.mean().item(), rel=1e-12)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_gaussian_likelihood_from_the_halves_of_the_outputs(full, eps):
    objective = objective_of("GaussianNLLLoss", columns=2, outputs=4, full=full, eps=eps)
    prediction = predictions_for("GaussianNLLLoss", 5, 4)
    t = np.random.default_rng(0).normal(size=(5, 2))
    a, s = np.split(prediction.detach().numpy(), 2, axis=1)
    v = np.maximum(np.exp(s), eps)
    terms = 0.5 * (np.log(v) + (t - a) ** 2 / v) + (0.5 * math.log(2 * math.pi) if full else 0)
    assert objective(prediction, torch.from_numpy(t)).item() == pytest.approx(terms.mean(), rel=1e-12)
    constant = " + ½ log(2π)" if full else ""
    assert objective.convention() == (
        f"E = mean over samples and outputs of ½ (log v + (t − a)²/v){constant}, with v = max(e^s, {eps:g}); the "
        "outputs are all a, then all s"
    )


def test_the_conventions_of_the_worked_examples_loss():
    assert objective_of("HalfSumOfSquares", columns=2).convention() == (
        "E = ½ Σ (t − a)², the sum over samples and outputs"
    )
    assert objective_of("HalfSumOfSquares", columns=2, reduction="mean").convention() == (
        "E = ½ Σ (t − a)², summed over outputs, mean over samples"
    )
