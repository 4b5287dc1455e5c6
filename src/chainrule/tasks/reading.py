"""A task from a TOML file, a built-in name or a table, and back to TOML."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from chainrule.errors import TaskError
from chainrule.task_files import absolute_paths, keys_of, override, with_code_replaced
from chainrule.tasks.task import Task


def load_task(source: str | Path | Mapping[str, Any] | Task, changes: Mapping[str, Any] | None = None) -> Task:
    """Return a task from the path of a TOML file, the name of a built-in example, a table or a task.

    Paths inside a file count from the folder of that file; the task that comes back holds them as absolute paths.

    Args:
        source: what to read.
        changes: values that take the place of the task's own, by dotted key.

    Raises:
        TaskError: the file cannot be read, or something in it is wrong.
    """
    keys, folder, where = _keys_of(source)
    try:
        return Task(**absolute_paths(override(keys, changes or {}), folder))
    except TaskError as error:
        error.where = error.where or where
        raise


def _keys_of(source: str | Path | Mapping[str, Any] | Task) -> tuple[dict[str, Any], Path, str]:
    if isinstance(source, Task):
        return task_keys(source), Path.cwd(), ""
    if isinstance(source, Mapping):
        return dict(source), Path.cwd(), ""
    return keys_of(source)


def task_keys(task: Task) -> dict[str, Any]:
    """Return the keys of a task as TOML would hold them, defaults written out; what is not given is left out."""
    keys = task.model_dump(exclude_none=True)
    if task.model.module is not None:  # a module of the user's own has no layers, so their defaults say nothing
        kept = ("module", "arguments", "initial")
        keys["model"] = {key: value for key, value in keys["model"].items() if key in kept}
    return keys


def task_toml(task: Task) -> str:
    """Return the TOML of a task, with every default written out, so that it can be run again as it was run."""
    return tomli_w.dumps(_plain(task_keys(task)))


def _plain(value: Any) -> Any:
    """Return data as TOML can hold it: arrays and data frames become lists."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return np.asarray(value).tolist() if hasattr(value, "__array__") else value


def fingerprint(task: Task) -> str:
    """Return a digest of everything that decides the numbers of a run.

    The name, the description, the stop rule, the map, the device and how often checkpoints are written do not count.
    Of the data file and of the files of the user's code the contents count, not where they lie.
    """
    keys = _plain(task_keys(task))
    decisive = {key: value for key, value in keys.items() if key not in {"name", "description", "stop", "map"}}
    decisive["run"] = {key: keys["run"].get(key) for key in ("precision", "threads", "recorded_loss")}
    for table, key in (("data", "source"), ("data", "order"), ("model", "initial")):
        if (path := decisive[table].get(key)) is not None and Path(path).is_file():
            decisive[table] = {**decisive[table], key: _contents(path)}

    def by_contents(reference: str) -> str:
        file, _, name = reference.rpartition(":")
        return f"{_contents(file)}:{name}" if Path(file).is_file() else reference

    for key in ("model", "schedule"):
        if key in decisive:
            decisive[key] = with_code_replaced(decisive[key], by_contents)
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _contents(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
