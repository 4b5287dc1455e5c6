"""Every loss of a task: it takes the data, its formula is torch's, its refusals read well, its classes mean classes."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from chainrule.components import build_objective, check_shapes, targets_for
from chainrule.components.loss_rules import RULES
from chainrule.components.losses import default_loss
from chainrule.errors import ShapeError, TaskError
from chainrule.registry import LOSSES
from chainrule.tasks import Component

HEAD = "The task cannot be trained as it is written.\n"
# Torch tells the user that it may change this mean some day; the formula below would show it.
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss:UserWarning")
each_loss = pytest.mark.parametrize("name", RULES)
F64 = torch.float64
FITS_NUMBERS = [
    "HalfSumOfSquares",
    "MSELoss",
    "L1Loss",
    "SmoothL1Loss",
    "HuberLoss",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "KLDivLoss",
    "MultiLabelSoftMarginLoss",
]
WANTS_CLASSES = [name for name in RULES if name not in FITS_NUMBERS]


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


def possible_outputs(name: str, classes: int) -> list[int]:
    tried = []
    for outputs in range(1, 9):
        try:
            objective_of(name, classes=classes, outputs=outputs)
        except TaskError:
            continue
        tried.append(outputs)
    return tried


@each_loss
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("classes", "columns"), [(2, 0), (3, 0), (0, 1), (0, 2)])
def test_torch_takes_what_it_is_given_and_gives_one_finite_number(name, reduction, classes, columns):
    if not classes and name in WANTS_CLASSES:
        return  # refused: see below
    sizes = possible_outputs(name, classes) if classes else [columns * (2 if name == "GaussianNLLLoss" else 1)]
    truth = torch.tensor([0, 1, 0, 1, 1]) if classes else torch.rand(5, columns, dtype=F64)
    assert sizes
    for outputs in sizes:
        objective = objective_of(name, classes, columns, outputs, reduction=reduction)
        prediction = predictions_for(name, 5, outputs)
        targets = targets_for(objective, truth, F64)
        check_shapes(objective, prediction, targets)
        loss = objective(prediction, targets)
        (gradient,) = torch.autograd.grad(loss, prediction)
        assert loss.shape == ()
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", RULES)
def test_sizes_of_the_last_layer(name):
    column_for_each = {*WANTS_CLASSES, "KLDivLoss", "MultiLabelSoftMarginLoss"} - {
        "SoftMarginLoss",
        "HingeEmbeddingLoss",
    }
    assert possible_outputs(name, 2) == (
        [4] if name == "GaussianNLLLoss" else [2] if name in column_for_each else [1, 2]
    )
    assert possible_outputs(name, 3) == ([6] if name == "GaussianNLLLoss" else [3])


@pytest.mark.parametrize("name", WANTS_CLASSES)
def test_a_loss_for_classes_is_refused_for_numbers(name):
    with pytest.raises(TaskError) as caught:
        objective_of(name, columns=1, outputs=1)
    assert (
        str(caught.value)
        == f"""\
{HEAD}loss.name
  found:    {name}
  expected: a loss for numbers, as the data are a regression: {", ".join(FITS_NUMBERS)}"""
    )


def refused(**keys):
    with pytest.raises(TaskError) as caught:
        objective_of(**keys)
    assert str(caught.value).startswith(HEAD)
    return str(caught.value).removeprefix(HEAD)


def said(key, found, expected):
    return f"{key}\n  found:    {found}\n  expected: {expected}"


REFUSALS = [
    (
        {"name": "CrossEntropyLoss", "classes": 3, "outputs": 1},
        said("model.layers", "1 output", "3: the data have 3 classes"),
    ),
    (
        {"name": "BCELoss", "classes": 2, "outputs": 3},
        said("model.layers", "3 outputs", "1 or 2: the data have 2 classes"),
    ),
    (
        {"name": "MSELoss", "columns": 1, "outputs": 2},
        said("model.layers", "2 outputs", "1: the data have 1 target column"),
    ),
    (
        {"name": "MSELoss", "columns": 2, "outputs": 1},
        said("model.layers", "1 output", "2: the data have 2 target columns"),
    ),
    (
        {"name": "GaussianNLLLoss", "columns": 1, "outputs": 1},
        said(
            "model.layers",
            "1 output",
            "2: the data have 1 target column and GaussianNLLLoss wants a mean and a log-variance for each",
        ),
    ),
    (
        {"name": "CrossEntropyLoss", "classes": 3, "outputs": 3, "weight": [1, 2]},
        said("loss.weight", "2 weights", "3, one for each class"),
    ),
    (
        {"name": "CrossEntropyLoss", "classes": 3, "weight": [[1, 2, 3]]},
        said("loss.weight", "weights of shape (1, 3)", "3, one for each class"),
    ),
    (
        {"name": "BCEWithLogitsLoss", "classes": 2, "outputs": 1, "pos_weight": [1, 2]},
        said("loss.pos_weight", "2 weights", "1, one for each output"),
    ),
    (
        {"name": "BCELoss", "columns": 2, "outputs": 2, "weight": [3]},
        said("loss.weight", "1 weight", "2, one for each output"),
    ),
    (
        {"name": "KLDivLoss", "classes": 2, "outputs": 2, "log_target": True},
        said("loss.log_target", "true", "false: the data have classes, and the logarithm of 0 is not finite"),
    ),
    (
        {"name": "MultiMarginLoss", "classes": 2, "outputs": 2, "p": 3},
        said("loss", "MultiMarginLoss with p = 3", "what torch takes; it says: only p == 1 and p == 2 supported"),
    ),
    (
        {"name": "HuberLoss", "columns": 1, "outputs": 1, "delta": -1.0},
        said(
            "loss",
            "HuberLoss with delta = -1.0",
            "what torch takes; it says: huber_loss does not support non-positive values for delta.",
        ),
    ),
    (
        {"name": "SmoothL1Loss", "columns": 1, "outputs": 1, "beta": -1.0},
        said(
            "loss",
            "SmoothL1Loss with beta = -1.0",
            "what torch takes; it says: smooth_l1_loss does not support negative values for beta.",
        ),
    ),
]


@pytest.mark.parametrize(("keys", "text"), REFUSALS)
def test_whole_text_of_refusals(keys, text):
    assert refused(**keys) == text


def test_smoothing_beyond_one_is_refused_in_torchs_words():
    text = refused(name="CrossEntropyLoss", classes=2, outputs=2, label_smoothing=2.0)
    assert text.splitlines()[:2] == ["loss", "  found:    CrossEntropyLoss with label_smoothing = 2.0"]
    assert "label_smoothing must be between 0.0 and 1.0" in text


def test_a_module_of_the_users_own_is_asked_for_its_outputs_later():
    assert objective_of("BCEWithLogitsLoss", classes=2).outputs == 1
    assert objective_of("BCEWithLogitsLoss", classes=2, pos_weight=[1, 2]).outputs == 2


def test_the_default_losses():
    assert (default_loss(3).name, default_loss(0).name) == ("CrossEntropyLoss", "MSELoss")
    assert build_objective(None, 3, 0, 3).name == "CrossEntropyLoss"
    assert build_objective(None, 0, 2, 2).name == "MSELoss"


OUT_OF_RANGE = [
    ("BCELoss", {}, 3.0, "targets from 0 to 1"),
    ("BCEWithLogitsLoss", {}, -0.5, "targets from 0 to 1"),
    ("MultiLabelSoftMarginLoss", {}, 1.5, "targets from 0 to 1"),
    ("PoissonNLLLoss", {}, -1.0, "targets ≥ 0"),
    ("KLDivLoss", {}, -0.25, "targets ≥ 0"),
    ("KLDivLoss", {"log_target": True}, 0.25, "targets ≤ 0"),
]


@pytest.mark.parametrize(("name", "arguments", "value", "expected"), OUT_OF_RANGE)
def test_a_target_out_of_range(name, arguments, value, expected):
    objective = objective_of(name, columns=2, outputs=2, **arguments)
    targets = torch.zeros(4, 2, dtype=F64)
    targets_for(objective, targets, F64)
    targets[2, 1] = value
    with pytest.raises(TaskError) as caught:
        targets_for(objective, targets, F64)
    assert (
        str(caught.value)
        == f"""\
A target is out of range for {name}.
  where:    data.targets, sample 2 (counting from 0)
  found:    {value:g}
  expected: {expected}
Choose a loss for numbers such as MSELoss, or scale the targets."""
    )


def misshapen(objective, prediction, target):
    with pytest.raises(ShapeError) as caught:
        check_shapes(objective, torch.zeros(prediction), torch.zeros(target))
    return str(caught.value)


def test_a_flat_prediction_against_a_column():
    assert (
        misshapen(objective_of("MSELoss", columns=1, outputs=1), (3,), (3, 1))
        == """\
The prediction does not have the shape that MSELoss needs.
  where:    the first forward pass
  found:    prediction (3,), target (3, 1)
  expected: prediction (3, 1), as the targets
PyTorch would broadcast (N,) against (N, 1) to (N, N). Return `x.unsqueeze(1)`, or do not squeeze."""
    )


def test_a_column_against_flat_targets():
    assert (
        misshapen(objective_of("MSELoss", columns=1, outputs=1), (3, 1), (3,))
        == """\
The prediction does not have the shape that MSELoss needs.
  where:    the first forward pass
  found:    prediction (3, 1), target (3,)
  expected: prediction (3,), as the targets
PyTorch would broadcast (N, 1) against (N,) to (N, N). Return `x.squeeze(1)`, or unsqueeze the targets."""
    )


def test_too_few_columns_for_the_classes():
    assert (
        misshapen(objective_of("CrossEntropyLoss", classes=3, outputs=3), (3, 2), (3,))
        == """\
The prediction does not have the shape that CrossEntropyLoss needs.
  where:    the first forward pass
  found:    prediction (3, 2), target (3,)
  expected: prediction (3, 3): a row for each sample, a column for each class"""
    )


def test_one_column_where_two_are_wanted():
    assert (
        misshapen(objective_of("GaussianNLLLoss", columns=1, outputs=2), (3, 1), (3, 1))
        == """\
The prediction does not have the shape that GaussianNLLLoss needs.
  where:    the first forward pass
  found:    prediction (3, 1), target (3, 1)
  expected: prediction (3, 2): a mean and a log-variance for each target"""
    )


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


@each_loss
def test_a_share_of_a_batch_makes_means_of_batches_the_mean_of_all(name):
    objective = objective_of(name, 3, 0, possible_outputs(name, 3)[0])
    prediction = predictions_for(name, 9, objective.outputs)
    targets = targets_for(objective, torch.tensor([0, 1, 2, 2, 1, 0, 0, 0, 1]), F64)
    parts = [(prediction[rows], targets[rows]) for rows in (slice(0, 2), slice(2, 9))]
    if name == "HalfSumOfSquares":  # a sum
        joined = sum(objective(a, t) for a, t in parts)
    else:
        joined = sum(objective(a, t) * objective.share(t) for a, t in parts) / objective.share(targets)
    torch.testing.assert_close(joined, objective(prediction, targets))


MEANINGS = [(name, classes, {}) for name in RULES for classes in (2, 3)] + [
    ("PoissonNLLLoss", 2, {"log_input": False}),
    ("HingeEmbeddingLoss", 2, {"margin": 4.0}),
    ("HingeEmbeddingLoss", 3, {"margin": 0.25}),
    ("MultiMarginLoss", 3, {"p": 2}),
    ("CrossEntropyLoss", 3, {"label_smoothing": 0.2, "weight": [1, 2, 3]}),
    ("KLDivLoss", 2, {"reduction": "batchmean"}),
]


@pytest.mark.parametrize(("name", "classes", "arguments"), MEANINGS)
def test_predicted_class_is_what_the_loss_teaches(name, classes, arguments):
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(60) % classes
    corners = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]], dtype=F64)
    inputs = corners[truth] + 0.3 * torch.randn(60, 2, dtype=F64, generator=generator)
    for outputs in possible_outputs(name, classes):
        objective = objective_of(name, classes, 0, outputs, **arguments)
        torch.manual_seed(1)
        last = nn.Softplus() if arguments.get("log_input") is False else last_layer(name)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, outputs), last).double()
        targets = targets_for(objective, truth, F64)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        first = objective(model(inputs), targets).item()
        for _ in range(300):
            optimizer.zero_grad()
            loss = objective(model(inputs), targets)
            loss.backward()
            optimizer.step()
        predicted = objective.predicted_class(model(inputs))
        assert loss.item() < first
        assert predicted.dtype == torch.int64
        assert (predicted == truth).double().mean().item() == 1.0, outputs


def test_what_predictions_must_be_is_said_where_it_matters():
    wants = {name: rule for name in RULES if (rule := RULES[name](LOSSES[name]()).wants)}
    for name, sentence in wants.items():
        ending = re.search(r"end the model with (\w+)$", sentence)
        assert ending is not None
        assert ending[1] == type(last_layer(name)).__name__
    assert set(wants) == {"BCELoss", "NLLLoss", "KLDivLoss", "HingeEmbeddingLoss"}
