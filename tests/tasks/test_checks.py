"""What a schema cannot say: components against their signatures, and keys against one another."""

import numpy as np
import pytest

from chainrule.tasks import Task

DATA = {"inputs": [[0, 0], [0, 1]], "targets": [0, 1]}
MODEL = {"layers": [2, 1]}
HEAD = "The task cannot be trained as it is written.\n"


def text_of(**keys: object) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        Task(**{"data": DATA, "model": MODEL, **keys})
    assert type(caught.value).__name__ == "TaskError"
    assert str(caught.value).startswith(HEAD)
    return str(caught.value).removeprefix(HEAD)


def said(key: str, found: str, expected: str, more: str = "") -> str:
    return f"{key}\n  found:    {found}\n  expected: {expected}" + (f"\n  {more}" if more else "")


ONE_OF_TWO = "one of the two"
CROSS_KEYS = [
    ({"data": {}}, said("data", "neither source nor inputs", "source, or inputs and targets")),
    ({"data": {"source": "iris", **DATA}}, said("data", "source and inputs or targets", ONE_OF_TWO)),
    (
        {"data": {"inputs": [[1]]}},
        said("data.targets", "nothing", "a row for each sample: inputs and targets go together"),
    ),
    (
        {"data": {"targets": [1]}},
        said("data.inputs", "nothing", "a row for each sample: inputs and targets go together"),
    ),
    (
        {"model": {}},
        said("model", "neither layers nor module", "layers (sizes) or module (a module of your own), one of the two"),
    ),
    (
        {"model": {"layers": [1], "module": "net.py:Net"}},
        said("model", "layers and module", "layers (sizes) or module (a module of your own), one of the two"),
    ),
    ({"model": {"module": "net"}}, said("model.module", "'net'", '"file.py:Class" or "package.module:Class"')),
    (
        {"model": {"module": "net.py:Net", "activation": "ReLU"}},
        said("model.activation", "a value", "nothing: a module of your own makes its layers itself"),
    ),
    (
        {"model": {"layers": [3, 3, 1], "activation": ["ReLU"]}},
        said("model.activation", "1 entry", "2, one for each hidden layer"),
    ),
    (
        {"model": {"layers": [2, 3], "output_activation": ["ReLU", "Tanh"]}},
        said("model.output_activation", "2 entries", "3, one for each output"),
    ),
    ({"model": {"layers": [2, 3], "bias": [True]}}, said("model.bias", "1 entry", "2, one for each layer")),
    ({"model": {"layers": [2, 3], "weights": []}}, said("model.weights", "0 entries", "2, one for each layer")),
    ({"model": {"layers": [2, 3], "biases": [1]}}, said("model.biases", "1 entry", "2, one for each layer")),
    (
        {"model": {"layers": [1], "weights": [[[1, 2]]], "init": "ones_"}},
        said("model.init", "'ones_'", "nothing: the weights are written out"),
    ),
    (
        {"model": {"layers": [1], "biases": [0], "bias_init": "ones_"}},
        said("model.bias_init", "'ones_'", "nothing: the biases are written out"),
    ),
    (
        {"model": {"layers": [1], "bias": False, "biases": [0.5]}},
        said("model.biases", "[0.5]", "nothing: model.bias is false"),
    ),
    (
        {"model": {"layers": [1], "bias": False, "bias_init": "zeros_"}},
        said("model.bias_init", "'zeros_'", "nothing: model.bias is false"),
    ),
    (
        {"model": {"layers": [1], "bias": [False], "bias_convention": "fixed"}},
        said("model.bias_convention", "'fixed'", "nothing: model.bias is false"),
    ),
    (
        {"model": {"layers": [1, 1], "bias": [True, False], "biases": [0.5, 0.25]}},
        said("model.biases.1", "0.25", "0: model.bias.1 is false"),
    ),
    (
        {"loss": {"name": "MSELoss", "reduction": "none"}},
        said("loss.reduction", "'none'", "'mean' or 'sum': the loss must be one number"),
    ),
    (
        {"loss": {"name": "KLDivLoss", "reduction": "none"}},
        said("loss.reduction", "'none'", "'mean', 'sum' or 'batchmean': the loss must be one number"),
    ),
    ({"loss": {"name": "MSELoss", "reduction": 3}}, said("loss.reduction", "3", "text")),
    (
        {"stop": {"early_stopping": 3}},
        said("data.validation", "0", "a share above 0: stop.early_stopping watches the validation loss"),
    ),
    (
        {"schedule": {"name": "SequentialLR", "milestones": [1]}},
        said("schedule.schedulers", "nothing", 'a list of schedulers: [{name = "LinearLR", ...}, ...]'),
    ),
    (
        {"schedule": {"name": "ChainedScheduler", "schedulers": []}},
        said("schedule.schedulers", "[]", 'a list of schedulers: [{name = "LinearLR", ...}, ...]'),
    ),
    (
        {"schedule": {"name": "SequentialLR", "schedulers": ["LinearLR", "ConstantLR"], "milestones": [1, 2]}},
        said("schedule.milestones", "[1, 2]", "1 entry: one between each scheduler and the next"),
    ),
    (
        {
            "schedule": {
                "name": "ChainedScheduler",
                "schedulers": [{"name": "SequentialLR", "schedulers": ["StepLR", "LinearLR"], "milestones": "x"}],
            }
        },
        said("schedule.schedulers.0.schedulers.0.step_size", "nothing", "a value: StepLR does not work without it")
        + "\n"
        + said("schedule.schedulers.0.milestones", "'x'", "a list of whole numbers"),
    ),
    ({"schedule": "StepLR"}, said("schedule.step_size", "nothing", "a value: StepLR does not work without it")),
    ({"schedule": "OneCycleLR"}, said("schedule.max_lr", "nothing", "a value: OneCycleLR does not work without it")),
    (
        {"schedule": {"name": "LambdaLR", "lr_lambda": len}},
        said(
            "schedule.lr_lambda",
            "a value of type builtin_function_or_method",
            'numbers, text, true or false, lists and tables; a function or class as "file.py:name"',
            "A run keeps its task as TOML.",
        ),
    ),
    (
        {"model": {"module": "net.py:Net", "arguments": {"sizes": [1, None]}}},
        said(
            "model.arguments.sizes",
            "None",
            'numbers, text, true or false, lists and tables; a function or class as "file.py:name"',
            "A run keeps its task as TOML.",
        ),
    ),
    (
        {"optimizer": {"name": "SGD", "lr": True, "momentun": 0.9}},
        said("optimizer.lr", "True", "a number")
        + "\n"
        + said(
            "optimizer.momentun",
            "0.9",
            "an argument of SGD: lr, momentum, dampening, weight_decay, nesterov, maximize, foreach, differentiable, "
            "fused",
            "Did you mean 'momentum'?",
        ),
    ),
    (
        {"model": {"layers": [1, 1], "activation": [{"name": "ELU", "alfa": 1}], "init": "constant_"}},
        said("model.activation.0.alfa", "1", "an argument of ELU: alpha", "Did you mean 'alpha'?")
        + "\n"
        + said("model.init.val", "nothing", "a value: constant_ does not work without it"),
    ),
    (
        {"loss": "CTCLoss"},
        said(
            "loss.name",
            "'CTCLoss'",
            "one of BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, GaussianNLLLoss, HalfSumOfSquares, "
            "HingeEmbeddingLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, MultiLabelMarginLoss, "
            "MultiLabelSoftMarginLoss, MultiMarginLoss, NLLLoss, PoissonNLLLoss, SmoothL1Loss, SoftMarginLoss",
            "It needs the lengths of the sequences; use it in a module of your own.",
        ),
    ),
    (
        {"optimizer": "Adma"},
        said(
            "optimizer.name",
            "'Adma'",
            "one of Adadelta, Adafactor, Adagrad, Adam, Adamax, AdamW, ASGD, LBFGS, Muon, NAdam, RAdam, RMSprop, "
            "Rprop, SGD, SparseAdam",
            "Did you mean 'Adam'?",
        ),
    ),
]


@pytest.mark.parametrize(("keys", "text"), CROSS_KEYS)
def test_whole_text(keys, text):
    assert text_of(**keys) == text


@pytest.mark.parametrize(
    "keys",
    [
        {"model": {"layers": [1, 1], "bias": [True, False], "biases": [0.5, 0]}},
        {"model": {"layers": [1, 1], "bias": [True, False], "bias_convention": "fixed", "bias_init": "zeros_"}},
        {"loss": {"name": "KLDivLoss", "reduction": "batchmean"}},
        {"loss": {"name": "CrossEntropyLoss", "weight": np.array([1.0, 2.0])}},
        {"optimizer": {"name": "Adam", "foreach": None}},
        {"schedule": {"name": "OneCycleLR", "max_lr": 0.1}},
        {"model": {"layers": [2], "output_activation": "Softmax"}},
        {"schedule": {"name": "LambdaLR", "lr_lambda": "f.py:f"}},
        {"stop": {"early_stopping": 3}, "data": {**DATA, "validation": 0.5}},
    ],
)
def test_accepted(keys):
    assert Task(**{"data": DATA, "model": MODEL, **keys}).name == "task"
