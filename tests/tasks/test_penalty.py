"""A [[penalty]] of a task file, from the text to the modules that it chooses."""

import pytest
import torch

from chainrule.components import build_network
from chainrule.errors import UnknownNameError
from chainrule.penalties import attach_penalties
from chainrule.tasks import load_task

TEXT = """
data = {source = "iris"}
model = {layers = [4, 3], activation = "Tanh"}

[[penalty]]
kind = "L2"
strength = 0.5
modules = "hidden*_activation"

[[penalty]]
kind = "L1"
strength = 0.25
modules = ["type:Tanh", "output"]
normalisation = "mean"
"""


def test_penalties_of_a_file_choose_their_modules(tmp_path):
    (tmp_path / "task.toml").write_text(TEXT)
    task = load_task(tmp_path / "task.toml", {"penalty.0.strength": ".125"})
    model = build_network(task.model, (4,), 0, torch.float64)
    assert [(spec.kind, spec.strength, spec.normalisation) for spec in task.penalty] == [
        ("L2", 0.125, "per-sample"),
        ("L1", 0.25, "mean"),
    ]
    attached = attach_penalties(model, task.penalty)
    model(torch.zeros(2, 4, dtype=torch.float64))
    attached.remove()


def test_a_pattern_that_matches_no_module(tmp_path):
    (tmp_path / "task.toml").write_text(TEXT.replace("hidden*_activation", "hiden1"))
    task = load_task(tmp_path / "task.toml")
    model = build_network(task.model, (4,), 0, torch.float64)
    with pytest.raises(UnknownNameError) as caught:
        attach_penalties(model, task.penalty)
    assert (
        str(caught.value)
        == """\
No module of the model matches 'hiden1'.
  where:    penalty L2 on hiden1
  found:    hiden1
  expected: a pattern that matches one of hidden1, hidden1_activation, output
Did you mean 'hidden1'?"""
    )
