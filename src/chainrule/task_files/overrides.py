"""Keys of a task changed from outside: `--optimizer.lr .1` on the command line, {"optimizer.lr": 0.1} in Python."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from chainrule.errors import Problem, TaskError

# Where a name alone is short for a table with that name: loss = "MSELoss". A list of them holds positions.
_COMPONENT = re.compile(
    r"(loss|optimizer|schedule(\.schedulers\.\d+)*|model\.(init|bias_init)|model\.(output_)?activation(\.\d+)?)"
)
# A change inside a table that the task leaves to its default starts from that default.
_DEFAULTS: dict[str, Any] = {"optimizer": {"name": "Adam"}}

_TYPES = (bool, int, float, str, list, dict)
_BARE_POINT = re.compile(r"(?<![\w.\"'])\.(?=\d)")


def override(keys: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a task with some of them changed; what was given stays as it was.

    Args:
        keys: the tables of a task, as TOML reads them.
        changes: new values by dotted key, such as "optimizer.lr" or "penalty.0.strength". A value may be text as it
            is typed, which is read as TOML would read it.

    Raises:
        TaskError: a dotted key goes through something that is no table.
    """
    changed: Any = dict(keys)
    for key, value in changes.items():
        changed = _put(changed, key.split("."), 0, parse_value(value) if isinstance(value, str) else value)
    return dict(changed)


def parse_value(text: str) -> Any:
    """Read a value as it is typed on a command line: a number, true or false, a TOML list or table, or else text.

    Numbers may be written as Python writes them (`.1`, `1e-3`), which TOML alone would refuse. Text that looks like
    something else is text in quotes: `"5"`.
    """
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    for spelling in (text, _BARE_POINT.sub("0.", text)):
        try:
            read = tomllib.loads(f"value = {spelling}")
        except tomllib.TOMLDecodeError:
            continue
        # A date is text for a task, and a second line would be a second key.
        return read["value"] if isinstance(read["value"], _TYPES) and len(read) == 1 else text
    return text


def _put(inside: Any, path: list[str], depth: int, value: Any) -> Any:
    """Return what stands at path[:depth] with `value` put at the whole path, the branch copied on the way."""
    if depth == len(path):
        return value
    here, part = ".".join(path[:depth]), path[depth]
    if isinstance(inside, str) and _COMPONENT.fullmatch(here):
        inside = {"name": inside}
    if isinstance(inside, list | tuple):
        items = list(inside)
        index = _index(items, part, ".".join(path))
        items[index] = _put(items[index], path, depth + 1, value)
        return items
    if not isinstance(inside, Mapping):
        key, name = ".".join(path), here.rpartition(".")[2]
        problem = Problem(key, f"{name} = {inside!r}", f"a table at {here}")
        raise TaskError(what=f"There is no key '{key}' to change.", problems=(problem,))
    inner = inside.get(part)
    if inner is None:
        inner = _DEFAULTS.get(".".join(path[: depth + 1]), {})
    return {**inside, part: _put(inner, path, depth + 1, value)}


def _index(items: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        last = len(items) - 1
        allowed = "nothing: the list is empty" if not items else f"a position from 0 to {last}" if last else "0"
        raise TaskError(what=f"There is no key '{key}' to change.", problems=(Problem(key, repr(part), allowed),))
    return int(part)
