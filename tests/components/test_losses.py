"""Every loss of a task: it takes the data, its refusals read well, and its classes mean classes."""

import pytest
import torch
from torch import nn

from chainrule.components import build_objective, check_shapes, targets_for
from chainrule.components.loss_rules import RULES
from chainrule.components.losses import default_loss
from chainrule.errors import ShapeError, TaskError
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
    *(
        (
            {"name": name, "classes": 8, "outputs": 1},
            said(
                "model.layers",
                "1 output",
                '8: the data have 8 classes; or data.kind = "regression", if the targets are numbers and no classes',
            ),
        )
        for name in ("PoissonNLLLoss", "MSELoss")
    ),
    (
        {"name": "MSELoss", "classes": 8, "outputs": 2},
        said("model.layers", "2 outputs", "8: the data have 8 classes"),
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


@pytest.mark.parametrize("returned", [(torch.zeros(3, 1), 1), {"logits": torch.zeros(3, 1)}, None])
def test_a_model_that_returns_no_tensor(returned):
    with pytest.raises(ShapeError) as caught:
        check_shapes(objective_of("MSELoss", columns=1), returned, torch.zeros(3, 1))
    assert (
        str(caught.value)
        == f"""\
The model does not return one tensor.
  where:    the first forward pass
  found:    an object of type {type(returned).__name__}
  expected: a tensor with a row for each sample"""
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
