"""Keys of a task changed from outside: `--optimizer.lr .1` on the command line, {"optimizer.lr": 0.1} in Python."""

import copy
import tomllib
from collections.abc import Mapping
from typing import Any

from chainrule.errors import Problem, TaskError


def override(keys: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a task with some of them changed.

    Args:
        keys: the tables of a task, as TOML reads them.
        changes: new values by dotted key, such as "optimizer.lr" or "penalty.0.strength". A value may be text as it
            is typed, which is read as TOML would read it.

    Raises:
        TaskError: a dotted key goes through something that is no table.
    """
    changed = copy.deepcopy(keys)
    for key, value in changes.items():
        _put(changed, key, parse_value(value) if isinstance(value, str) else value)
    return changed


def parse_value(text: str) -> Any:
    """Read a value as it is typed on a command line: a number, true or false, a TOML list or table, or else text.

    Numbers may be written as Python writes them (`.1`, `1e-3`), which TOML alone would refuse.
    """
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(table: Any, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for depth, part in enumerate(path):
        if isinstance(table, list):
            table = table[_index(table, part, key)]
            continue
        inner = table.setdefault(part, {})
        if isinstance(inner, str):  # loss = "MSELoss" is short for a table with that name
            inner = table[part] = {"name": inner}
        if not isinstance(inner, dict | list):
            where = ".".join(path[: depth + 1])
            raise _not_found(key, f"{where} = {inner!r}", f"a table at {where}")
        table = inner
    if isinstance(table, list):
        table[_index(table, last, key)] = value
    else:
        table[last] = value


def _index(items: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise _not_found(key, repr(part), f"a position from 0 to {len(items) - 1}" if items else "nothing: it is empty")
    return int(part)


def _not_found(key: str, found: str, expected: str) -> TaskError:
    return TaskError(what=f"There is no key '{key}' to change.", problems=(Problem(key, found, expected),))
