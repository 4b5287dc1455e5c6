"""The keys of a task as its file holds them: read, and not yet checked."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chainrule.errors import TaskError, nearest
from chainrule.task_files.examples import example_names, example_text


def keys_of(source: str | Path) -> tuple[dict[str, Any], Path, str]:
    """Return the keys of a TOML file or of a built-in example, the folder that its paths count from, and its name.

    Raises:
        TaskError: there is no such file, or it is not TOML.
    """
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
    if isinstance(data, dict):
        keys = {**keys, "data": {**data, **_files_in(data, ("source", "order"), folder)}}
    if isinstance(model, dict):
        own = _files_in(model, ("initial",), folder)
        if isinstance(module := model.get("module"), str):
            own["module"] = with_code_replaced(module, absolute)
        keys = {**keys, "model": {**model, **own}}
    if isinstance(schedule, dict):
        keys = {**keys, "schedule": with_code_replaced(schedule, absolute)}
    return keys


def _files_in(table: dict[str, Any], keys: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Return the files that a table names, counted from `folder`; a name without an ending is a built-in set."""
    named = {key: table[key] for key in keys if isinstance(table.get(key), str)}
    return {key: str(folder / Path(name).expanduser()) for key, name in named.items() if Path(name).suffix}


def with_code_replaced(value: Any, replace: Callable[[str], str]) -> Any:
    """Return a value with every "file.py:Name" inside replaced, in nested tables and lists too."""
    if isinstance(value, dict):
        return {key: with_code_replaced(inner, replace) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_code_replaced(inner, replace) for inner in value]
    return replace(value) if isinstance(value, str) and ".py:" in value else value
