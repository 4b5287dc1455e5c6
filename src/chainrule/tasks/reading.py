"""A task from a TOML file, a built-in name or a table, and back to TOML."""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from chainrule.errors import TaskError, nearest
from chainrule.tasks.examples import example_names, example_text
from chainrule.tasks.overrides import override
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
    if str(source) in example_names():
        return tomllib.loads(example_text(str(source))), Path.cwd(), f"built-in example {source}"
    path = Path(source)
    return _parse(_read(path), path), path.resolve().parent, str(path)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskError(
            what=f"The task file {path.name} is not UTF-8 text.",
            where=str(path),
            found=f"byte 0x{error.object[error.start]:02x} at offset {error.start}",
            expected="a TOML file in UTF-8",
        ) from None
    except OSError as error:
        raise _no_such_task(path, error.strerror or str(error)) from None


def _no_such_task(path: Path, reason: str) -> TaskError:
    if (path / "task.toml").is_file():  # a run folder: the task as it was run lies in it
        close = [str(path / "task.toml")]
    else:
        files = sorted(str(file) for file in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        close = nearest(str(path), files, count=1) or nearest(path.name, example_names(), count=1)
    return TaskError(
        what=f"There is no task '{path}'.",
        found=reason,
        expected="a TOML file, or one of the built-in " + ", ".join(example_names()),
        next_step=f"Did you mean '{close[0]}'?" if close else "`chainrule examples` lists the built-in tasks.",
    )


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TaskError(
            what=f"The task file {path.name} is not valid TOML.",
            where=str(path),
            found=str(error),
            expected='lines such as `lr = 0.5` under tables such as `[optimizer]`; text stands in "quotes"',
        ) from None


def absolute_paths(keys: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the keys of a task with the paths of its data and of the user's code counted from `folder`."""

    def absolute(reference: str) -> str:
        file, _, name = reference.rpartition(":")
        return f"{folder / Path(file).expanduser()}:{name}"

    data, model, schedule = keys.get("data"), keys.get("model"), keys.get("schedule")
    if isinstance(data, dict) and isinstance(source := data.get("source"), str) and Path(source).suffix:
        keys = {**keys, "data": {**data, "source": str(folder / Path(source).expanduser())}}
    if isinstance(model, dict) and isinstance(module := model.get("module"), str):
        keys = {**keys, "model": {**model, "module": _replace_code(module, absolute)}}
    if isinstance(schedule, dict):
        keys = {**keys, "schedule": _replace_code(schedule, absolute)}
    return keys


def _replace_code(value: Any, replace: Callable[[str], str]) -> Any:
    """Return a value with every "file.py:Name" inside replaced, in nested tables and lists too."""
    if isinstance(value, dict):
        return {key: _replace_code(inner, replace) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace_code(inner, replace) for inner in value]
    return replace(value) if isinstance(value, str) and ".py:" in value else value


def task_keys(task: Task) -> dict[str, Any]:
    """Return the keys of a task as TOML would hold them, defaults written out; what is not given is left out."""
    keys = task.model_dump(exclude_none=True)
    if task.model.module is not None:  # a module of the user's own has no layers, so their defaults say nothing
        keys["model"] = {"module": task.model.module, "arguments": task.model.arguments}
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

    The name, the description, the stop rule, the device and how often checkpoints are written do not count. Of the
    data file and of the files of the user's code the contents count, not where they lie.
    """
    keys = _plain(task_keys(task))
    decisive = {key: value for key, value in keys.items() if key not in {"name", "description", "stop"}}
    decisive["run"] = {"precision": task.run.precision, "threads": task.run.threads}
    if (source := task.data.source) is not None and Path(source).is_file():
        decisive["data"] = {**decisive["data"], "source": _contents(source)}

    def by_contents(reference: str) -> str:
        file, _, name = reference.rpartition(":")
        return f"{_contents(file)}:{name}" if Path(file).is_file() else reference

    for key in ("model", "schedule"):
        if key in decisive:
            decisive[key] = _replace_code(decisive[key], by_contents)
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _contents(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
