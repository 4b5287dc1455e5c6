import copy
import tomllib

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import TaskError
from chainrule.task_files import override, parse_value
from chainrule.tasks import Task, load_task

KEYS = {
    "name": "a",
    "data": {"inputs": [[0, 0], [0, 1]], "targets": [0, 1]},
    "model": {"layers": [2, 1], "activation": ["ELU", {"name": "Tanh"}], "init": "ones_"},
    "loss": "MSELoss",
    "penalty": [{"kind": "L1", "strength": 1.0, "modules": "a"}],
    "schedule": {"name": "SequentialLR", "schedulers": ["LinearLR"], "milestones": []},
    "empty": [],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("1_000", 1000),
        ("0x10", 16),
        (".1", 0.1),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("inf", float("inf")),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("Adam", "Adam"),
        ("two-two-two", "two-two-two"),
        ("net.py:Net", "net.py:Net"),
        ("", ""),
        ('"5"', "5"),
        ("'5'", "5"),
        ('"say \\"x\\""', 'say "x"'),
        ("it's", "it's"),
        ("[1, 2]", [1, 2]),
        ("[.9, .999]", [0.9, 0.999]),
        ("[1e-3, -.5]", [1e-3, -0.5]),
        ('["a.5", "b"]', ["a.5", "b"]),
        ("[[1, 2], [3]]", [[1, 2], [3]]),
        ("[1, 2", "[1, 2"),
        ('{name = "SGD", lr = .5}', {"name": "SGD", "lr": 0.5}),
        ("2024-01-01", "2024-01-01"),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_values_as_they_are_typed(text, value):
    read = parse_value(text)
    assert (type(read), read) == (type(value), value)


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_toml_writes_is_read_back(value):
    written = tomli_w.dumps({"value": [value]}).removeprefix("value = ").strip()
    assert parse_value(written) == tomllib.loads(f"value = {written}")["value"] == [value]


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({"seed": "3"}, "seed", 3),
        ({"run.precision": "float64"}, "run.precision", "float64"),
        ({"loss": "L1Loss"}, "loss", "L1Loss"),
        ({"loss.reduction": "sum"}, "loss", {"name": "MSELoss", "reduction": "sum"}),
        ({"optimizer.lr": ".1"}, "optimizer", {"name": "Adam", "lr": 0.1}),
        ({"optimizer.name": "SGD"}, "optimizer", {"name": "SGD"}),
        ({"optimizer": '{name = "SGD", lr = 1}'}, "optimizer", {"name": "SGD", "lr": 1}),
        ({"model.layers.0": "8"}, "model.layers", [8, 1]),
        ({"model.layers": "[8, 8]"}, "model.layers", [8, 8]),
        ({"model.activation.0.alpha": "2"}, "model.activation.0", {"name": "ELU", "alpha": 2}),
        ({"model.activation.1": "ReLU"}, "model.activation", ["ELU", "ReLU"]),
        ({"model.init.gain": "2"}, "model.init", {"name": "ones_", "gain": 2}),
        ({"penalty.0.strength": 0.5}, "penalty.0.strength", 0.5),
        ({"schedule.schedulers.0.total_iters": 2}, "schedule.schedulers.0", {"name": "LinearLR", "total_iters": 2}),
        ({"data.inputs.1.0": 7}, "data.inputs", [[0, 0], [7, 1]]),
    ],
)
def test_changes(changes, path, value):
    before = copy.deepcopy(KEYS)
    changed = override(KEYS, changes)
    found = changed
    for part in path.split("."):
        found = found[int(part) if isinstance(found, list) else part]
    assert found == value
    assert before == KEYS
    top = path.partition(".")[0]
    assert {key: changed[key] for key in changed if key != top} == {key: KEYS[key] for key in KEYS if key != top}


def test_later_changes_see_earlier_ones():
    changed = override(KEYS, {"optimizer.name": "SGD", "optimizer.lr": "1", "optimizer.momentum": ".9"})
    assert changed["optimizer"] == {"name": "SGD", "lr": 1, "momentum": 0.9}


def test_the_optimizer_that_changes_start_from_is_the_tasks_default():
    keys = {"data": KEYS["data"], "model": {"layers": [1]}}
    default = Task(**keys).optimizer
    assert load_task(keys, {"optimizer.lr": "0.5"}).optimizer == default.model_copy(update={"lr": 0.5})


def test_arrays_are_not_copied():
    inputs = np.zeros((3, 2))
    assert override({"data": {"inputs": inputs}}, {"data.test": "0.5"})["data"]["inputs"] is inputs


@pytest.mark.parametrize(
    ("key", "found", "expected"),
    [
        ("name.first", "name = 'a'", "a table at name"),
        ("model.layers.0.size", "0 = 2", "a table at model.layers.0"),
        ("model.layers.x", "'x'", "a position from 0 to 1"),
        ("model.layers.2", "'2'", "a position from 0 to 1"),
        ("model.layers.-1", "'-1'", "a position from 0 to 1"),
        ("penalty.1.strength", "'1'", "0"),
        ("penalty.strength", "'strength'", "0"),
        ("empty.0", "'0'", "nothing: the list is empty"),
    ],
)
def test_a_key_that_leads_nowhere(key, found, expected):
    with pytest.raises(TaskError) as caught:
        override(KEYS, {key: 1})
    assert (
        str(caught.value)
        == f"""\
There is no key '{key}' to change.
{key}
  found:    {found}
  expected: {expected}"""
    )


def test_a_misspelt_key_is_reported_with_the_task():
    with pytest.raises(TaskError) as caught:
        load_task("xor", {"stop.epohcs": "5", "optimzer.lr": "1"})
    assert (
        str(caught.value)
        == """\
The task cannot be trained as it is written.
  where: built-in example xor
stop.epohcs
  found:    5
  expected: one of epochs, steps, target_loss, tolerance, patience, early_stopping
  Did you mean 'epochs'?
optimzer
  found:    {'lr': 1}
  expected: one of name, description, seed, data, model, loss, optimizer, schedule, penalty, stop, run, map
  Did you mean 'optimizer'?"""
    )
