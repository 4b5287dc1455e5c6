import json
from pathlib import Path

import pytest

from chainrule.task_files import example_text

from .conftest import Command

MODULE = """
import torch
from torch import nn

class Halved(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 2
    @staticmethod
    def backward(context, upstream):
        return upstream

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)
    def forward(self, x):
        return self.last(torch.tanh(Halved.apply(self.first(x))))
"""


@pytest.mark.parametrize("options", ["", "iris --step 2 --entries 20", "iris --precision float64"])
def test_the_examples_are_right(command: Command, options: str) -> None:
    shown = command("verify", *options.split())
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("Are the gradients right?\n")
    assert "Good:  Gradients are right:" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_the_result_as_json(command: Command) -> None:
    shown = command("verify", "two-two-two", "--json")
    read = json.loads(shown.out)
    assert (shown.code, read["task"], read["step"], read["is_right"]) == (0, "two-two-two", 0, True)
    assert [row["name"] for row in read["parameters"]] == ["hidden1.weight", "output.weight"]


def test_a_task_with_a_penalty_is_right(command: Command) -> None:
    """The hooks of the penalty go with the copy of the model."""
    task = example_text("iris") + '[[penalty]]\nkind = "L2"\nstrength = 0.1\nmodules = "hidden1"\n'
    Path("task.toml").write_text(task, encoding="utf-8")
    shown = command("verify", "task.toml", "--entries", "10")
    assert (shown.code, shown.err) == (0, ""), shown.out


def test_a_wrong_function_of_the_user_s_module_is_named(command: Command) -> None:
    Path("net.py").write_text(MODULE, encoding="utf-8")
    task = example_text("iris").replace('layers = [16, 3]\nactivation = "Tanh"', 'module = "net.py:Net"')
    Path("task.toml").write_text(task, encoding="utf-8")
    shown = command("verify", "task.toml", "--json")
    read = json.loads(shown.out)
    assert (shown.code, read["is_right"]) == (1, False)
    (check,) = read["functions"]
    assert (check["function"], check["backward"], check["ratio"]) == ("Halved", "net.py:9", pytest.approx(0.5))
    printed = command("verify", "task.toml")
    assert printed.code == 1
    assert "Error:  Gradients are WRONG." in printed.out


BAD = {
    "nonesuch": "error: There is no task 'nonesuch'.",
    "--entries 0": "error: At least one entry is verified.",
    "two-two-two --step -1": "error: There is no such step.",
}


@pytest.mark.parametrize("line", BAD)
def test_what_cannot_be_used_is_refused(command: Command, line: str) -> None:
    shown = command("verify", *line.split())
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.splitlines()[0] == BAD[line]
