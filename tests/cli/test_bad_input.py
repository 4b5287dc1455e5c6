"""Bad input through the command line, by the whole text that a person reads."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from .conftest import Command

TASK = """\
name = "own"

[data]
source = "own.csv"
target = "y"

[model]
layers = [4, 2]

[loss]
name = "CrossEntropyLoss"

[optimizer]
name = "SGD"
lr = 0.1

[stop]
epochs = 2
"""

NETWORKS = """\
from torch import nn


class Unbuilt(nn.Module):
    def __init__(self):
        raise ValueError("no weights today")


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(99, 2)

    def forward(self, x):
        return self.layer(x)


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x).squeeze(1)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a task that trains: twenty rows, two inputs, two classes."""
    rows = [f"{number / 10},{number * 7 % 5},{'ab'[number % 2]}" for number in range(20)]
    (tmp_path / "own.csv").write_text("\n".join(["u,v,y", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "task.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "net.py").write_text(NETWORKS, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    return tmp_path


def refused(command: Command, *tokens: str) -> str:
    failed = command("train", *tokens, "-o", "run")
    assert (failed.code, failed.out) == (2, "")
    assert not Path("run/report.html").exists()
    return failed.err


TABLES: Mapping[str, tuple[bytes, str]] = {
    "empty": (
        b"",
        """\
error: 'bad.csv' is empty.
  where:    {folder}/bad.csv
  found:    0 bytes
  expected: a header and at least one row
""",
    ),
    "ragged": (
        b"u,v,y\n1,2,a\n1,2\n1,2,b\n",
        """\
error: A row of 'bad.csv' has 2 fields where the header has 3.
  where:    {folder}/bad.csv, line 3
  found:    1 | 2
  expected: u | v | y
A cell that holds the separator must be quoted, and a number is written with a point, as in 1.5.
""",
    ),
    "not UTF-8": (
        "u,v,y\n1,2,é\n".encode("latin-1"),
        """\
error: 'bad.csv' is not text in UTF-8.
  where:    {folder}/bad.csv, line 2, byte 10 (counted from 0)
  found:    the byte 0xe9
  expected: text in UTF-8
The file may be in an older encoding.
Save it as UTF-8 (spreadsheets call it 'CSV UTF-8').
""",
    ),
    "one class": (
        b"u,v,y\n" + b"1,2,a\n" * 5,
        """\
error: The target has one class only, so there is nothing to tell apart.
  where:    {folder}/bad.csv, column 'y'
  found:    'a' in all 5 rows
  expected: at least two classes
Check the target column.
""",
    ),
    "not a number": (
        b"u,v,y\n1,2,a\n1,nan,b\n3,4,a\n",
        """\
error: The column 'v' holds a number that is not finite.
  where:    {folder}/bad.csv, line 3, column 'v'
  found:    'nan'
  expected: a finite number, or an empty cell for a missing value
Empty the cell, and let data.missing say what happens with missing values.
""",
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(command: Command, folder: Path, kind: str) -> None:
    data, text = TABLES[kind]
    (folder / "bad.csv").write_bytes(data)
    assert refused(command, "task.toml", "--data.source", "bad.csv") == text.format(folder=folder)


KEYS = {
    ("--modle.layers", "[3]"): """\
modle
  found:    {'layers': [3]}
  expected: one of name, description, seed, data, model, loss, optimizer, schedule, penalty, stop, run, map
  Did you mean 'model'?
""",
    ("--model.activation", "Rlu"): """\
model.activation.name
  found:    'Rlu'
  expected: one of CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyReLU, \
LogSigmoid, LogSoftmax, Mish, PReLU, ReLU, ReLU6, RReLU, SELU, Sigmoid, SiLU, Softmax, Softmax2d, Softmin, Softplus, \
Softshrink, Softsign, Tanh, Tanhshrink, Threshold
  Did you mean 'ReLU'?
""",
    ("--loss", "CrossEntropy"): """\
loss.name
  found:    'CrossEntropy'
  expected: one of BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, GaussianNLLLoss, HalfSumOfSquares, \
HingeEmbeddingLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, \
MultiMarginLoss, NLLLoss, PoissonNLLLoss, SmoothL1Loss, SoftMarginLoss
  Did you mean 'CrossEntropyLoss'?
""",
    ("--optimizer", '{name = "SGD", momentun = 1}'): """\
optimizer.momentun
  found:    1
  expected: an argument of SGD: lr, momentum, dampening, weight_decay, nesterov, maximize, foreach, differentiable, \
fused
  Did you mean 'momentum'?
""",
}


@pytest.mark.parametrize("tokens", KEYS, ids=lambda tokens: tokens[0])
def test_keys(command: Command, folder: Path, tokens: tuple[str, str]) -> None:
    head = "error: The task cannot be trained as it is written.\n  where: task.toml\n"
    assert refused(command, "task.toml", *tokens) == head + KEYS[tokens]


def test_an_unknown_task(command: Command) -> None:
    assert (
        refused(command, "irsi")
        == """\
error: There is no task 'irsi'.
  found:    No such file or directory
  expected: a TOML file, or one of the built-in two-two-two, two-two-two-even, two-two-two-biased, xor, \
breast-cancer, diabetes, digits, iris, wine, fractal-identity, fractal-initialisation, fractal-minibatch, \
fractal-relu, fractal-single, fractal-tanh
Did you mean 'iris'?
"""
    )


def test_a_batch_that_is_larger_than_the_data(command: Command, folder: Path) -> None:
    assert (
        refused(command, "task.toml", "--data.batch_size", "64")
        == """\
error: The batch is larger than the training part.
  where:    data.batch_size
  found:    64
  expected: 1 to 20, or "full"
"""
    )


MODULES = {
    "net.py:Unbuilt": """\
error: {folder}/net.py:Unbuilt failed to build.
  where: model.arguments
Traceback (your code, most recent call last):
  File "{folder}/net.py", line 6, in __init__
    raise ValueError("no weights today")
ValueError: no weights today
""",
    "net.py:Failing": """\
error: Failing failed in forward.
  where: inputs of shape (2, 2)
Traceback (your code, most recent call last):
  File "{folder}/net.py", line 15, in forward
    return self.layer(x)
           ^^^^^^^^^^^^^
RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x2 and 99x2)
""",
    "broken.py:Net": """\
error: broken.py failed to import.
  where: model.module
Traceback (your code, most recent call last):
  File "{folder}/broken.py", line 1, in <module>
    import nothing_of_this_name
ModuleNotFoundError: No module named 'nothing_of_this_name'
""",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_the_users_own(command: Command, folder: Path, name: str) -> None:
    text = refused(command, "task.toml", "--model", f'{{module = "{name}"}}')
    assert text == MODULES[name].format(folder=folder)


def test_shapes_that_would_broadcast(command: Command, folder: Path) -> None:
    (folder / "own.csv").write_text("u,v,y\n" + "".join(f"{n},{n % 3},{n / 7}\n" for n in range(20)), encoding="utf-8")
    text = refused(command, "task.toml", "--loss", "MSELoss", "--model", '{module = "net.py:Flat"}')
    assert (
        text
        == """\
error: The prediction does not have the shape that MSELoss needs.
  where:    the first forward pass
  found:    prediction (3,), target (3, 1)
  expected: prediction (3, 1), as the targets
PyTorch would broadcast (N,) against (N, 1) to (N, N). Return `x.unsqueeze(1)`, or do not squeeze.
"""
    )


def test_a_folder_that_is_no_run(command: Command, folder: Path) -> None:
    failed = command("train", "--resume", "nowhere")
    assert failed.code == 2
    assert (
        failed.err
        == """\
error: nowhere is no run folder.
  where:    --resume
  found:    no such folder
  expected: the folder of a run that `chainrule train` wrote, such as runs/20261121-081500-iris
"""
    )


@pytest.fixture
def run(command: Command, folder: Path) -> Path:
    assert command("train", "task.toml", "-o", "done", "-q").code == 0
    return Path("done")


def test_a_change_that_a_resumed_run_cannot_have(command: Command, run: Path) -> None:
    failed = command("train", "--resume", str(run), "--optimizer.lr", "3")
    assert failed.code == 2
    assert (
        failed.err
        == """\
error: A run that goes on cannot change optimizer.lr: its numbers would not be those of one run.
  where:    --resume
  found:    optimizer.lr = 3
  expected: changes of [stop], the name, the description or how often checkpoints are written
Train again for the rest.
"""
    )


def test_a_checkpoint_of_an_edited_task(command: Command, run: Path) -> None:
    text = (run / "task.toml").read_text(encoding="utf-8")
    (run / "task.toml").write_text(text.replace("seed = 0", "seed = 1"), encoding="utf-8")
    failed = command("train", "--resume", str(run))
    assert failed.code == 2
    lines = failed.err.splitlines()
    assert lines[:2] == [
        "error: The checkpoint is of another task.",
        "  where:    done/checkpoints/step-000000000002",
    ]
    assert lines[4:] == [
        "Data, model, loss, optimizer, schedule, penalties, seed or precision changed since it was written.",
        "Only [stop], the name and how often checkpoints are written may change.",
    ]


def test_a_truncated_checkpoint(command: Command, run: Path) -> None:
    (tensors,) = run.glob("checkpoints/*/tensors.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:100])
    failed = command("train", "--resume", str(run), "--epochs", "4")
    assert failed.code == 2
    assert (
        failed.err
        == """\
error: The checkpoint is damaged.
  where:    done/checkpoints/step-000000000002
  found:    tensors.safetensors has 100 bytes that do not match its digest
  expected: state.json and tensors.safetensors as they were written
A disk or a copy cut it short: chainrule itself never leaves a part of a checkpoint under this name.
Delete this folder to resume from the checkpoint before it, or train again.
"""
    )


def test_a_folder_that_holds_a_run_already(command: Command, run: Path) -> None:
    before = (run / "metrics.parquet").read_bytes()
    failed = command("train", "task.toml", "-o", "done")
    assert failed.code == 2
    assert (
        failed.err
        == """\
error: The output folder already holds a run.
  where: done
Go on with it by --resume done, or choose another folder with --output.
"""
    )
    assert (run / "metrics.parquet").read_bytes() == before


def test_a_folder_that_cannot_be_written(command: Command, folder: Path) -> None:
    failed = command("train", "task.toml", "-o", "own.csv/run")
    assert failed.code == 2
    assert failed.err.splitlines()[0].startswith("error: Cannot write ")
    assert "Not a directory" in failed.err


def test_a_device_that_is_not_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    text = refused(command, "two-two-two", "--device", "cuda")
    assert text.splitlines()[0] == "error: This machine has no cuda device that torch can use."
    assert text.splitlines()[2] == "  expected: --device cpu"


MODULE = """
import sys

import torch
from torch import nn


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g * (1 / 0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        {body}
"""
HURTS = [
    ("sys.exit(0)", "Net failed in forward."),
    ("return (self.layer(x), 1)", "The model does not return one tensor."),
    ("return self.layer(x).to(torch.complex64)", "The model does not return numbers that a loss can take."),
    ("return Wrong.apply(self.layer(x))", "The backward pass failed."),
    ("return self.layer(x.mul_(2))", "The model changes its inputs in place, so every pass would see other data."),
]


@pytest.mark.parametrize(("body", "first"), HURTS)
def test_a_module_that_misbehaves(command: Command, folder: Path, body: str, first: str) -> None:
    (folder / "net.py").write_text(MODULE.replace("{body}", body), encoding="utf-8")
    failed = command("train", "iris", "--model", '{module = "net.py:Net"}', "-o", "hurt")
    assert failed.code == 2
    assert failed.err.splitlines()[0] == f"error: {first}"
    assert failed.err.count("Traceback") == (1 if "failed" in first else 0)


def test_what_a_module_prints_does_not_spoil_the_json(command: Command, folder: Path) -> None:
    body = "print('HI'); return self.layer(x)"
    (folder / "net.py").write_text(MODULE.replace("{body}", body), encoding="utf-8")
    done = command("train", "iris", "--model", '{module = "net.py:Net"}', "--epochs", "2", "-o", "loud", "--json")
    assert done.code == 0
    assert json.loads(done.out)["epochs"] == 2
    assert "HI" in done.err
