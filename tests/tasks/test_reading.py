import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import TaskError
from chainrule.task_files import example_names
from chainrule.tasks import Task, fingerprint, load_task, task_keys, task_toml

DATA = {"inputs": [[0.5, 0], [0, 1]], "targets": [0, 1]}
BASE: dict[str, Any] = {"data": DATA, "model": {"layers": [2, 1]}, "loss": "MSELoss", "optimizer": "SGD"}


def through_a_file(task: Task, folder: Path) -> Task:
    (folder / "task.toml").write_bytes(task_toml(task).encode())
    return load_task(folder / "task.toml")


finite = st.floats(-1e6, 1e6)
activations = st.sampled_from(["ReLU", "Tanh", {"name": "ELU", "alpha": 0.5}, {"name": "GELU", "approximate": "tanh"}])
schedules = st.sampled_from(
    [
        {"name": "StepLR", "step_size": 3, "per": "batch"},
        {"name": "OneCycleLR", "max_lr": 0.5},
        {"name": "ReduceLROnPlateau", "factor": 0.25},
        {
            "name": "SequentialLR",
            "schedulers": [
                {"name": "LinearLR", "total_iters": 2},
                {"name": "ChainedScheduler", "schedulers": ["ConstantLR", {"name": "ExponentialLR", "gamma": 0.5}]},
            ],
            "milestones": [2],
        },
    ]
)
penalties = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["L1", "L2", "AR"]),
        "strength": st.floats(0, 10),
        "modules": st.sampled_from(["hidden*", ["hidden1", "type:ReLU"]]),
    },
    optional={"normalisation": st.sampled_from(["sum", "mean", "per-sample"]), "time_dimension": st.integers(0, 2)},
)


@st.composite
def keys_of_tasks(draw: st.DrawFn) -> dict[str, Any]:
    layers = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    model: dict[str, Any] = {"layers": layers, "bias": draw(st.booleans() | st.just([True] * len(layers)))}
    if draw(st.booleans()):
        model["activation"] = draw(st.lists(activations, min_size=len(layers) - 1, max_size=len(layers) - 1))
    if draw(st.booleans()):
        model["output_activation"] = draw(activations)
    if draw(st.booleans()):
        model["init"] = draw(st.sampled_from(["xavier_normal_", {"name": "uniform_", "a": -1, "b": 1}]))
    elif draw(st.booleans()):
        model["weights"] = [[[draw(finite)]]] * len(layers)
    # The keys and not the task: beartype draws random numbers when it is made, which no strategy may.
    return {
        "name": draw(st.text(max_size=10)),
        "seed": draw(st.integers(0, 2**63 - 1)),
        "data": {"inputs": draw(st.lists(st.lists(finite, min_size=2, max_size=2))), "targets": draw(st.lists(finite))},
        "model": model,
        "loss": draw(st.sampled_from([None, "L1Loss", {"name": "HuberLoss", "delta": 0.5, "reduction": "sum"}])),
        "optimizer": {"name": "Adam", "lr": draw(st.floats(1e-6, 1)), "betas": [0.5, draw(st.floats(0, 0.9))]},
        "schedule": draw(st.none() | schedules),
        "penalty": draw(st.lists(penalties, max_size=2)),
        "stop": {"epochs": draw(st.integers(1, 10**6)), "tolerance": draw(st.none() | st.floats(1e-12, 1))},
        "run": {"precision": draw(st.sampled_from(["float64", "float32", "bf16"]))},
    }


@settings(max_examples=60, deadline=None)
@given(keys_of_tasks())
def test_written_and_read_again_it_is_the_same_task(tmp_path_factory, keys):
    task = Task(**keys)
    again = through_a_file(task, tmp_path_factory.mktemp("task"))
    assert again == task
    assert fingerprint(again) == fingerprint(task)
    assert task_toml(again) == task_toml(task)
    assert load_task(task) == task
    assert load_task(task_keys(task)) == task


@pytest.mark.parametrize("name", example_names())
def test_examples_written_and_read_again(name, tmp_path):
    assert through_a_file(load_task(name), tmp_path) == load_task(name)


def test_a_module_of_the_users_own_written_and_read_again(tmp_path):
    arguments = {"sizes": [1, 2], "options": {"dropout": 0.5, "name": 'say "x"'}, "deep": True}
    task = Task(data=DATA, model={"module": str(tmp_path / "net.py") + ":Net", "arguments": arguments})
    assert through_a_file(task, tmp_path) == task
    assert set(tomllib.loads(task_toml(task))["model"]) == {"module", "arguments"}


@pytest.mark.parametrize(
    "inputs",
    [
        np.array([[0.5, 0], [0, 1]]),
        torch.tensor([[0.5, 0], [0, 1]]),
        pl.DataFrame({"a": [0.5, 0.0], "b": [0.0, 1.0]}),
        ((0.5, 0.0), (0.0, 1.0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arrays_are_written_as_lists(inputs, tmp_path):
    task = Task(**BASE | {"data": {"inputs": inputs, "targets": [0, 1]}})
    assert through_a_file(task, tmp_path).data.inputs == [[0.5, 0.0], [0.0, 1.0]]
    assert fingerprint(task) == fingerprint(
        Task(**BASE | {"data": {"inputs": [[0.5, 0.0], [0.0, 1.0]], "targets": [0, 1]}})
    )


def test_a_task_comes_from_a_path_or_its_text_or_a_table_or_a_task(tmp_path):
    task = Task(**BASE)
    path = tmp_path / "task.toml"
    path.write_text(task_toml(task))
    for source in (path, str(path), BASE, task):
        assert load_task(source) == task
        assert load_task(source, {"seed": 7}) == Task(**BASE, seed=7)
    assert task.seed == 0


def test_a_byte_order_mark_does_not_count(tmp_path):
    path = tmp_path / "task.toml"
    path.write_bytes(b"\xef\xbb\xbf" + task_toml(Task(**BASE)).encode())
    assert load_task(path) == Task(**BASE)


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(
        """
        data = {source = "rows.csv", target = "y"}
        model = {module = "../net.py:Net", arguments = {layers = "a.py:b"}}
        [schedule]
        name = "SequentialLR"
        milestones = [1]
        schedulers = [
            {name = "LambdaLR", lr_lambda = "f.py:f"},
            {name = "CyclicLR", base_lr = 0, max_lr = 1, scale_fn = "/g.py:g"},
        ]
        """
    )
    monkeypatch.chdir(tmp_path)
    task = load_task("deep/er/task.toml")
    assert task.data.source == str(folder / "rows.csv")
    assert task.model.module == f"{folder / '../net.py'}:Net"
    assert task.model.arguments == {"layers": "a.py:b"}
    first, second = task.schedule.arguments["schedulers"]
    assert (first["lr_lambda"], second["scale_fn"]) == (f"{folder / 'f.py'}:f", "/g.py:g")
    monkeypatch.chdir(folder)
    assert load_task("task.toml") == task


def test_relative_paths_of_a_table_count_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = {"data": {"source": "rows.csv"}, "model": {"module": "package.net:Net"}}
    task = load_task(keys)
    assert (task.data.source, task.model.module) == (str(tmp_path / "rows.csv"), "package.net:Net")
    assert load_task({**keys, "data": {"source": "iris"}}).data.source == "iris"
    assert keys["data"] == {"source": "rows.csv"}


def test_a_path_that_begins_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    task = load_task({"data": {"source": "~/rows.csv"}, "model": {"module": "~/net.py:Net"}})
    assert (task.data.source, task.model.module) == (str(tmp_path / "rows.csv"), str(tmp_path / "net.py") + ":Net")


def failing(source: Any, folder: Path) -> str:
    with pytest.raises(TaskError) as caught:
        load_task(source)
    return str(caught.value).replace(str(folder), "FOLDER")


BUILT_IN = (
    "two-two-two, two-two-two-even, two-two-two-biased, xor, breast-cancer, diabetes, digits, iris, wine, "
    "fractal-identity, fractal-initialisation, fractal-minibatch, fractal-relu, fractal-single, fractal-tanh"
)


def test_a_file_that_is_not_there_beside_one_of_nearly_that_name(tmp_path):
    (tmp_path / "housing.toml").write_text("")
    assert (
        failing(tmp_path / "housign.toml", tmp_path)
        == f"""\
There is no task 'FOLDER/housign.toml'.
  found:    No such file or directory
  expected: a TOML file, or one of the built-in {BUILT_IN}
Did you mean 'FOLDER/housing.toml'?"""
    )


@pytest.mark.parametrize(
    ("name", "next_step"),
    [
        ("irsi", "Did you mean 'iris'?"),
        ("breast_cancer", "Did you mean 'breast-cancer'?"),
        ("no-such-folder/two-two-to", "Did you mean 'two-two-two'?"),
        ("zzzzzz", "`chainrule examples` lists the built-in tasks."),
    ],
)
def test_a_name_that_is_no_file_and_no_example(name, next_step, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        failing(name, tmp_path)
        == f"""\
There is no task '{name}'.
  found:    No such file or directory
  expected: a TOML file, or one of the built-in {BUILT_IN}
{next_step}"""
    )


def test_a_folder_and_a_run_folder(tmp_path):
    text = failing(tmp_path, tmp_path)
    assert text.startswith("There is no task 'FOLDER'.\n  found:    Is a directory\n  expected: a TOML file, or one of")
    assert text.endswith("`chainrule examples` lists the built-in tasks.")
    (tmp_path / "task.toml").write_text("")
    assert failing(tmp_path, tmp_path).endswith("\nDid you mean 'FOLDER/task.toml'?")


@pytest.mark.parametrize("text", ["lr = .5", "[optimizer\nlr = 1", "seed = 1\nseed = 2", "name = iris"])
def test_text_that_is_no_toml(text, tmp_path):
    with pytest.raises(tomllib.TOMLDecodeError) as pythons:  # whose words change with its version
        tomllib.loads(text)
    found = str(pythons.value)
    (tmp_path / "task.toml").write_text(text)
    assert (
        failing(tmp_path / "task.toml", tmp_path)
        == f"""\
The task file task.toml is not valid TOML.
  where:    FOLDER/task.toml
  found:    {found}
  expected: lines such as `lr = 0.5` under tables such as `[optimizer]`; text stands in "quotes\""""
    )


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "task.toml").write_bytes(b'name = "caf\xe9"')
    assert (
        failing(tmp_path / "task.toml", tmp_path)
        == """\
The task file task.toml is not UTF-8 text.
  where:    FOLDER/task.toml
  found:    byte 0xe9 at offset 11
  expected: a TOML file in UTF-8"""
    )


def test_an_empty_file_and_a_wrong_key_name_the_file(tmp_path):
    (tmp_path / "task.toml").write_text("lr = 0.5\n[data]\nsource = 'iris'\n[model]\nlayers = [3]")
    assert (
        failing(tmp_path / "task.toml", tmp_path)
        == """\
The task cannot be trained as it is written.
  where: FOLDER/task.toml
lr
  found:    0.5
  expected: one of name, description, seed, data, model, loss, optimizer, schedule, penalty, stop, run, map"""
    )


INDIFFERENT = {
    "name": "other",
    "description": "other",
    "stop.epochs": 7,
    "stop.tolerance": 0.5,
    "run.device": "cpu",
    "run.checkpoint_seconds": 1.0,
    "run.checkpoint_steps": 3,
    "map": {"x": "lr.0=.1,.2", "y": "lr.1=.1,.2"},
}
DECISIVE = {
    "seed": 1,
    "data.inputs": [[0.5, 0], [0, 2]],
    "data.targets": [1, 0],
    "data.kind": "regression",
    "data.test": 0.5,
    "data.validation": 0.5,
    "data.standardise_inputs": True,
    "data.batch_size": 1,
    "data.shuffle": False,
    "data.sampling": "with_replacement",
    "data.order": "order.safetensors",
    "model.layers": [3, 1],
    "model.activation": "Tanh",
    "model.activation.name": "ELU",
    "model.output_activation": "Sigmoid",
    "model.bias": False,
    "model.bias_convention": "fixed",
    "model.init": "ones_",
    "model.bias_init": "zeros_",
    "model.biases": [0, 0],
    "model.initial": "weights.safetensors",
    "loss.reduction": "sum",
    "loss": "L1Loss",
    "optimizer.lr": 0.5,
    "optimizer.name": "Adam",
    "schedule": {"name": "StepLR", "step_size": 2},
    "penalty": [{"kind": "L1", "strength": 1.0, "modules": "hidden1"}],
    "run.precision": "float64",
    "run.threads": 3,
    "run.recorded_loss": "training",
}


@pytest.mark.parametrize("key", INDIFFERENT)
def test_the_fingerprint_stays_when_the_numbers_do(key):
    assert fingerprint(load_task(BASE, {key: INDIFFERENT[key]})) == fingerprint(load_task(BASE))


def test_the_fingerprint_changes_with_everything_that_decides_the_numbers():
    prints = {key: fingerprint(load_task(BASE, {key: value})) for key, value in DECISIVE.items()}
    assert len({*prints.values(), fingerprint(load_task(BASE))}) == len(DECISIVE) + 1


def test_every_key_is_either_decisive_or_indifferent():
    keys = {
        f"{table}.{key}" if table else key
        for table in ("", "data", "model", "stop", "run")
        for key in (type(getattr(load_task(BASE), table)) if table else Task).model_fields
    }
    other_sources = {"data", "data.source", "data.target", "data.columns", "data.missing", "data.categories"}
    other_sources |= {"data.samples", "data.features"}
    untested = other_sources | {"data.standardise_targets", "model", "model.weights", "model.module", "model.arguments"}
    untested |= {"stop", "stop.steps", "stop.target_loss", "stop.patience", "stop.early_stopping", "run", "optimizer"}
    assert keys - untested == {
        key
        for key in {*DECISIVE, *INDIFFERENT}
        if not key.startswith(("loss.", "optimizer.")) and key != "model.activation.name"
    }


def task_in(folder: Path, **contents: str) -> Task:
    folder.mkdir()
    files = {
        "rows.csv": "a,y\n1,2\n",
        "net.py": "net",
        "f.py": "f",
        **{k.replace("_", "."): v for k, v in contents.items()},
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "task.toml").write_text(
        """
        data = {source = "rows.csv"}
        model = {module = "net.py:Net"}
        schedule = {name = "LambdaLR", lr_lambda = "f.py:f"}
        """
    )
    return load_task(folder / "task.toml")


def test_of_files_the_contents_count_and_not_where_they_lie(tmp_path):
    first = fingerprint(task_in(tmp_path / "first"))
    assert fingerprint(task_in(tmp_path / "second")) == first
    others = [{"rows_csv": "a,y\n1,3\n"}, {"net_py": "other"}, {"f_py": "other"}]
    prints = {fingerprint(task_in(tmp_path / str(number), **other)) for number, other in enumerate(others)}
    assert len({first, *prints}) == 4


def test_the_name_of_the_users_class_counts_too(tmp_path):
    task = task_in(tmp_path / "first")
    other = load_task(task, {"model.module": task.model.module.replace(":Net", ":Other")})
    assert fingerprint(other) != fingerprint(task)
