import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import polars
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from chainrule.tasks import load_task
from chainrule.training import train

from .conftest import Command

KEYS = [
    "task", "folder", "stopped", "epochs", "steps", "convention", "device", "parameters", "train", "gradient_check",
    "findings", "notes", "seconds",
]  # fmt: skip


def refuse(token: str) -> float:
    raise ValueError(f"{token} is no JSON")


def strict(text: str) -> dict[str, Any]:
    assert text.count("\n") == 1
    data: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return data


def test_the_result_as_json_and_nothing_else_on_standard_output(command: Command) -> None:
    done = command("train", "two-two-two", "-o", "run", "--json")
    result = strict(done.out)
    assert done.code == 0
    assert list(result) == KEYS
    run = train(load_task("two-two-two"))
    assert result["train"]["loss"] == run.evaluations["train"].loss
    assert (result["folder"], result["steps"], result["parameters"]) == ("run", 100, 8)
    assert result["gradient_check"]["is_right"] is True
    assert result["findings"] == []
    assert "1 Initialise" in done.err
    assert done.err.rstrip().endswith("Report: run/report.html")


def test_a_diverged_run_ends_with_1_and_its_json_is_valid(command: Command) -> None:
    tokens = ["--loss", "HalfSumOfSquares", "--optimizer", '{name = "SGD", lr = 1000.0}']
    done = command("train", "diabetes", *tokens, "-o", "run", "--json", "-q")
    result = strict(done.out)
    assert done.code == 1
    assert result["train"]["loss"] is None
    assert result["stopped"] == "the loss is no longer finite"
    assert [finding["severity"] for finding in result["findings"]] == ["error"]
    assert Path("run/report.html").is_file()


def test_an_error_as_json(command: Command) -> None:
    failed = command("train", "irsi", "--json")
    assert failed.code == 2
    result = strict(failed.out)
    assert result["kind"] == "TaskError"
    assert failed.err == f"error: {result['error']}\n"


def test_quiet_prints_only_the_result(command: Command) -> None:
    done = command("train", "xor", "-o", "run", "-q")
    lines = done.out.split("\n")
    assert lines[1].startswith("Stopped after ")
    assert "Initialise" not in done.out


def test_nothing_named_trains_the_worked_example_and_says_what_comes_next(command: Command) -> None:
    done = command("train", "-o", "run")
    lines = done.out.rstrip().splitlines()
    assert lines[0] == "chainrule · two-two-two"
    assert lines[-1] == "Next, data of your own: chainrule examples --write iris my-task.toml"
    assert "Next," not in command("train", "two-two-two", "-o", "other").out


FIRST_UPDATE = """\
The first update, step by step
──────────────────────────────

1 Initialise

name   is       value
─────────────────────
i1     input     0.05
i2     input      0.1
t1     target    0.01
t2     target    0.99
w1     weight    0.15
w2     weight     0.2
w3     weight    0.25
w4     weight     0.3
w5     weight     0.4
w6     weight    0.45
w7     weight     0.5
w8     weight    0.55

2 Forward

name   is                         value
───────────────────────────────────────
h1     w1·i1 + w2·i2             0.0275
h2     w3·i1 + w4·i2             0.0425
a_h1   σ(h1)               0.5068745668
a_h2   σ(h2)                0.510623401
o1     w5·a_h1 + w6·a_h2   0.4325303572
o2     w7·a_h1 + w8·a_h2   0.5342801539
a_o1   σ(o1)               0.6064777322
a_o2   σ(o2)               0.6304808355

3 Loss

    E = ½ Σ (t − a)², the sum over samples and outputs

name      is                        value
─────────────────────────────────────────
E1        ½ (t1 − a_o1)²     0.1778928425
E2        ½ (t2 − a_o2)²    0.06462701484
E_total   the sum of them    0.2425198573

4 Gradients

gradient             value
──────────────────────────
∂E/∂a_o1      0.5964777322
∂E/∂a_o2     -0.3595191645
∂E/∂o1        0.1423568623
∂E/∂o2      -0.08375888805
∂E/∂a_h1      0.0150633009
∂E/∂a_h2     0.01799319961
∂E/∂h1      0.003765113339
∂E/∂h2      0.004496269252
∂E/∂w5       0.07215707291
∂E/∂w6       0.07269074519
∂E/∂w7      -0.04245525009
∂E/∂w8      -0.04276924828
∂E/∂w1     0.0001882556669
∂E/∂w2     0.0003765113339
∂E/∂w3     0.0002248134626
∂E/∂w4     0.0004496269252

5 Update

    w ← w − η ∂E/∂w with η = 0.5

name   before             ∂E/∂w          after       change
───────────────────────────────────────────────────────────
w1       0.15   0.0001882556669   0.1499058722   -9.413e-05
w2        0.2   0.0003765113339   0.1998117443   -0.0001883
w3       0.25   0.0002248134626   0.2498875933   -0.0001124
w4        0.3   0.0004496269252   0.2997751865   -0.0002248
w5        0.4     0.07215707291   0.3639214635     -0.03608
w6       0.45     0.07269074519   0.4136546274     -0.03635
w7        0.5    -0.04245525009    0.521227625      0.02123
w8       0.55    -0.04276924828   0.5713846241      0.02138

6 Repeat

Steps 2 to 5 again, until 100 updates are done.
"""


def test_the_first_update_of_the_worked_example_on_the_terminal(command: Command) -> None:
    out = command("train", "two-two-two", "-o", "run").out
    assert FIRST_UPDATE in "\n".join(line.rstrip() for line in out.splitlines())


def test_the_opening_uses_the_width_that_there_is(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "seed        0, for the split, the initial weights and the order of the samples"
    monkeypatch.setenv("COLUMNS", "120")
    assert line in [text.rstrip() for text in command("train", "iris", "-o", "wide").out.splitlines()]
    monkeypatch.setenv("COLUMNS", "40")
    narrow = command("train", "iris", "-o", "narrow").out
    assert max(len(text) for text in narrow.splitlines()) <= 40


def test_resuming_takes_no_task_and_no_other_folder(command: Command) -> None:
    assert command("train", "xor", "-o", "run", "-q").code == 0
    assert (
        command("train", "xor", "--resume", "run").err
        == """\
error: --resume takes the task from the run's folder.
  found:    xor
  expected: no TASK beside --resume
"""
    )
    assert (
        command("train", "--resume", "run", "-o", "other").err
        == """\
error: --resume goes on in its own folder.
  found:    --output other
  expected: no --output
"""
    )


def test_a_run_that_goes_on_says_where_it_does(command: Command) -> None:
    first = command("train", "two-two-two", "-o", "run", "--stop.epochs", "50", "--json")
    second = command("train", "--resume", "run", "--stop.epochs", "100", "--json")
    assert "Going on after update 50." in second.err
    whole = command("train", "two-two-two", "-o", "whole", "--json")
    assert strict(second.out)["train"] == strict(whole.out)["train"] != strict(first.out)["train"]


def test_tensorboard_reads_back_every_number(command: Command) -> None:
    assert command("train", "iris", "--stop.epochs", "3", "--tensorboard", "-o", "run").code == 0
    events = EventAccumulator("run/tensorboard", size_guidance={"scalars": 0}).Reload()
    table = polars.read_parquet("run/metrics.parquet")
    names = set(table["name"])
    assert set(events.Tags()["scalars"]) == names
    assert {"loss", "lr", "epoch/loss"} <= names
    for name in names:
        rows = table.filter(polars.col("name") == name).sort("step")
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == rows["step"].to_list()
        for scalar, value in zip(scalars, rows["value"], strict=True):
            assert math.isclose(scalar.value, value, rel_tol=1e-6, abs_tol=1e-30)  # event files hold float32


def test_tensorboard_that_is_not_installed_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(name: str, package: str | None = None) -> ModuleType:
        raise ImportError("No module named 'tensorboard'")

    monkeypatch.delitem(sys.modules, "chainrule.training.tensorboard", raising=False)
    monkeypatch.setattr(importlib, "import_module", blocked)
    failed = command("train", "xor", "--tensorboard", "-o", "run")
    assert failed.code == 2
    assert (
        failed.err
        == """\
error: TensorBoard is not installed.
  found: No module named 'tensorboard'
Install it with: pip install tensorboard
"""
    )
    assert not Path("run").exists()
