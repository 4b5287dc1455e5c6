"""Every key of a task that is wrong: the whole text of what is said."""

import copy
import pickle
from typing import Any

import pytest

from chainrule.errors import TaskError
from chainrule.registry import LOSSES
from chainrule.tasks import Component, ScheduleSpec, Task
from chainrule.tasks.data_spec import DataSpec

HEAD = "The task cannot be trained as it is written.\n"


def right() -> dict[str, Any]:
    return {
        "data": {"inputs": [[0, 0], [0, 1]], "targets": [0, 1]},
        "model": {"layers": [2, 1]},
        "loss": "BCEWithLogitsLoss",
        "optimizer": {"name": "SGD", "lr": 0.5},
    }


def with_key(key: str, value: Any) -> dict[str, Any]:
    keys = copy.deepcopy(right())
    table: Any = keys
    *path, last = key.split(".")
    for part in path:
        table = table.setdefault(part, {})
    table[last] = value
    return keys


def text_of(keys: dict[str, Any]) -> str:
    with pytest.raises(TaskError) as caught:
        Task(**keys)
    assert str(caught.value).startswith(HEAD)
    return str(caught.value).removeprefix(HEAD)


def test_the_task_that_the_others_are_made_from_is_right():
    assert Task(**right()).optimizer.arguments == {"lr": 0.5}


# key, what is given, the key that is named when it is another, what is allowed
WRONG_TYPES = [
    ("name", 3, "", "text"),
    ("seed", -1, "", "at least 0"),
    ("seed", 1.5, "", "a whole number"),
    ("seed", True, "", "a whole number"),
    ("seed", "1", "", "a whole number"),
    ("seed", 2**63, "", "below 9223372036854775808"),
    ("data", 3, "", "a table"),
    ("data.source", 3, "", "text"),
    ("data.target", 5, "", "text or a list"),
    ("data.target", ["a", 2], "data.target.1", "text"),
    ("data.columns", "a", "", "a list"),
    ("data.kind", "reg", "", "'classification' or 'regression'"),
    ("data.missing", "ignore", "", "'refuse', 'drop' or 'mean'"),
    ("data.categories", "onehot", "", "'refuse' or 'one-hot'"),
    ("data.test", 1.0, "", "below 1"),
    ("data.test", -0.25, "", "at least 0"),
    ("data.test", "a fifth", "", "a number"),
    ("data.validation", True, "", "a number"),
    ("data.validation", float("nan"), "", "below 1"),
    ("data.batch_size", 0, "", "at least 1 or 'full'"),
    ("data.batch_size", "half", "", "a whole number or 'full'"),
    ("data.batch_size", 2.5, "", "a whole number or 'full'"),
    ("data.shuffle", "maybe", "", "true or false"),
    ("model", None, "", "a table"),
    ("model.layers", 3, "", "a list"),
    ("model.layers", [], "", "at least one entry"),
    ("model.layers", [2, 0], "model.layers.1", "at least 1"),
    ("model.layers", [2.5, 1], "model.layers.0", "a whole number"),
    ("model.layers", [True, 1], "model.layers.0", "a whole number"),
    ("model.layers", ["2", 1], "model.layers.0", "a whole number"),
    ("model.activation", 3, "", "a name or a table with a name, or a list"),
    ("model.activation", ["ReLU", 3], "model.activation.1", "a name or a table with a name"),
    ("model.bias", "sometimes", "", "true or false, or a list"),
    ("model.bias", [True, 3], "model.bias.1", "true or false"),
    ("model.bias_convention", "sharde", "", "'separate', 'shared' or 'fixed'"),
    ("model.init", 3, "", "a name or a table with a name"),
    ("model.weights", 3, "", "a list"),
    ("model.weights", [[1]], "model.weights.0.0", "a list"),
    ("model.weights", [[[1, "a"]]], "model.weights.0.0.1", "a number"),
    ("model.weights", [[[1, float("inf")]]], "model.weights.0.0.1", "a finite number"),
    ("model.biases", ["a"], "model.biases.0", "a number or a list"),
    ("model.biases", [[1, "b"], 2], "model.biases.0.1", "a number"),
    ("model.module", 3, "", "text"),
    ("model.arguments", 3, "", "a table"),
    ("loss", 3, "", "a name or a table with a name"),
    ("loss", {"name": 3}, "loss.name", "text"),
    ("optimizer", ["SGD"], "", "a name or a table with a name"),
    ("schedule", 3, "", "a name or a table with a name"),
    ("schedule", {"name": "StepLR", "step_size": 1, "per": "day"}, "schedule.per", "'epoch' or 'batch'"),
    ("stop", 3, "", "a table"),
    ("stop.epochs", 0, "", "at least 1"),
    ("stop.epochs", True, "", "a whole number"),
    ("stop.steps", 1.5, "", "a whole number"),
    ("stop.target_loss", "low", "", "a number"),
    ("stop.target_loss", float("nan"), "", "a finite number"),
    ("stop.tolerance", 0, "", "above 0"),
    ("stop.tolerance", float("inf"), "", "a finite number"),
    ("stop.patience", 0, "", "at least 1"),
    ("stop.early_stopping", 0, "", "at least 1"),
    ("run", [1], "", "a table"),
    ("run.device", "gpu", "", "'auto', 'cpu', 'cuda' or 'mps'"),
    ("run.precision", "fp32", "", "'float64', 'float32' or 'bf16'"),
    ("run.checkpoint_seconds", 0, "", "above 0"),
    ("run.checkpoint_steps", 0, "", "at least 1"),
    ("penalty", [{"kind": "L3", "strength": 1, "modules": "a"}], "penalty.0.kind", "'L1', 'L2', 'AR' or 'TAR'"),
    ("penalty", [{"kind": "L1", "strength": -1, "modules": "a"}], "penalty.0.strength", "at least 0"),
    ("penalty", [{"kind": "L1", "strength": True, "modules": "a"}], "penalty.0.strength", "a number"),
    ("penalty", [{"kind": "L1", "strength": 1, "modules": 3}], "penalty.0.modules", "text or a list"),
    (
        "penalty",
        [{"kind": "L1", "strength": 1, "modules": []}],
        "penalty.0.modules",
        "at least one pattern, and none of them empty, such as 'hidden.*' or 'type:ReLU'",
    ),
]


@pytest.mark.parametrize(("key", "value", "named", "expected"), WRONG_TYPES)
def test_wrong_types_and_ranges(key, value, named, expected):
    found: Any = value
    for part in (named or key).split(".")[len(key.split(".")) :]:
        found = found[int(part) if isinstance(found, list) else part]
    assert text_of(with_key(key, value)) == f"{named or key}\n  found:    {found!r}\n  expected: {expected}"


@pytest.mark.parametrize("table", ["data", "model", "stop", "run"])
def test_every_table_lists_its_keys_when_one_is_unknown(table):
    keys = ", ".join(type(getattr(Task(**right()), table)).model_fields)
    assert text_of(with_key(f"{table}.zzz", 1)) == f"{table}.zzz\n  found:    1\n  expected: one of {keys}"


UNKNOWN = [
    (
        "sead",
        "sead\n  found:    1\n  expected: one of name, description, seed, data, model, loss, optimizer, schedule, "
        "penalty, stop, run, map\n  Did you mean 'seed'?",
    ),
    (
        "epochs",
        "epochs\n  found:    1\n  expected: one of name, description, seed, data, model, loss, optimizer, schedule, "
        "penalty, stop, run, map\n  The key epochs belongs to the table [stop].",
    ),
    (
        "stop.seed",
        "stop.seed\n  found:    1\n  expected: one of epochs, steps, target_loss, tolerance, patience, early_stopping"
        "\n  The key seed belongs to no table: write it above the first one.",
    ),
    (
        "run.batch_size",
        "run.batch_size\n  found:    1\n"
        "  expected: one of device, precision, checkpoint_seconds, checkpoint_steps, threads, recorded_loss"
        "\n  The key batch_size belongs to the table [data].",
    ),
    (
        "data.bacth_size",
        "data.bacth_size\n  found:    1\n  expected: one of " + ", ".join(DataSpec.model_fields) + "\n  Did you mean "
        "'batch_size'?",
    ),
]


@pytest.mark.parametrize(("key", "text"), UNKNOWN)
def test_unknown_keys(key, text):
    assert text_of(with_key(key, 1)) == text


def test_a_penalty_with_a_misspelt_key():
    assert (
        text_of(with_key("penalty", [{"kind": "L1", "strenth": 1, "modules": "a"}]))
        == """\
penalty.0.strength
  found:    nothing
  expected: a value: the task does not work without it
penalty.0.strenth
  found:    1
  expected: one of kind, strength, modules, normalisation, time_dimension
  Did you mean 'strength'?"""
    )


def test_one_penalty_written_as_a_table():
    assert (
        text_of(with_key("penalty", {"kind": "L1", "strength": 1.0, "modules": "a"}))
        == """\
penalty
  found:    {'kind': 'L1', 'strength': 1.0, 'modules': 'a'}
  expected: a list of tables
  Write [[penalty]], with two pairs of brackets."""
    )


def test_what_is_missing():
    assert (
        text_of({"loss": "MSELoss", "optimizer": {"lr": 0.1}})
        == """\
data
  found:    nothing
  expected: a value: the task does not work without it
model
  found:    nothing
  expected: a value: the task does not work without it
optimizer.name
  found:    nothing
  expected: a value: the task does not work without it"""
    )


def test_a_component_without_a_name():
    assert (
        text_of(with_key("model.activation", {"nme": "ELU"}))
        == """\
model.activation.name
  found:    nothing
  expected: a value: the task does not work without it"""
    )


def test_several_problems_at_once_each_once_and_in_order():
    keys = with_key("seed", -1)
    keys["model"] |= {"layers": [0, 1], "activation": ["Relu", 3]}
    keys["stop"] = {"epohcs": 3}
    assert (
        text_of(keys)
        == """\
seed
  found:    -1
  expected: at least 0
model.layers.0
  found:    0
  expected: at least 1
model.activation.1
  found:    3
  expected: a name or a table with a name
stop.epohcs
  found:    3
  expected: one of epochs, steps, target_loss, tolerance, patience, early_stopping
  Did you mean 'epochs'?"""
    )


def test_a_long_value_is_cut():
    assert (
        text_of(with_key("name", list(range(100)))).splitlines()[1]
        == "  found:    " + repr(list(range(100)))[:77] + "..."
    )


@pytest.mark.parametrize("written", ["mseloss", "MSELOSS", "mse-loss", "MSE_Loss"])
@pytest.mark.parametrize("form", [str, lambda name: {"name": name}, lambda name: Component(name=name)])
def test_names_are_spelt_as_torch_does_however_they_are_given(written, form):
    task = Task(**with_key("loss", form(written)))
    assert task.loss == Component(name="MSELoss")
    assert task.loss.name in LOSSES.members


def test_components_may_be_given_as_objects():
    task = Task(**with_key("schedule", ScheduleSpec(name="steplr", step_size=3, per="batch")))
    assert (task.schedule.name, task.schedule.per, task.schedule.arguments) == ("StepLR", "batch", {"step_size": 3})


def test_nested_schedulers_are_spelt_as_torch_does_and_may_be_names_alone():
    nested = {
        "name": "sequentiallr",
        "schedulers": ["linearlr", {"name": "exponentiallr", "gamma": 0.9}],
        "milestones": [2],
    }
    task = Task(**with_key("schedule", nested))
    assert task.schedule.arguments["schedulers"] == [{"name": "LinearLR"}, {"name": "ExponentialLR", "gamma": 0.9}]


def test_is_frozen_and_pickles():
    task = Task(**right())
    with pytest.raises(ValueError, match="frozen"):
        task.seed = 3
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301


def test_a_map_names_a_key_and_values_for_each_side():
    sides = {"x": "lr.0=log:1e-3:1e6", "y": "lr.1=log:1e-3:1e6"}
    found = Task(**with_key("map", sides)).map
    assert found is not None
    assert (found.x, found.y, found.measure) == (sides["x"], sides["y"], None)


@pytest.mark.parametrize("side", ["lr.0", "=log:1:2", "lr.0=", ""])
def test_a_side_of_a_map_without_a_key_or_values_is_refused(side: str):
    assert text_of(with_key("map", {"x": side, "y": "lr.1=.1,.2"})) == (
        f"map.x\n  found:    {side!r}\n  expected: a key and its values, such as 'lr.0=log:1e-3:1e6'"
    )
