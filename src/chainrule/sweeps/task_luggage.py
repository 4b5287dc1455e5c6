"""The files that a task names, packed for another machine: its data, and the user's code with what lies beside it.

A task holds absolute paths; on another machine they lead nowhere. So the contents travel, and the task that is unpacked
there names its own copies. What the user's code opens by itself does not travel.
"""

import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule.task_files import with_code_replaced
from chainrule.tasks import Task

_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
_OWN = "chainrule"
_TABLES = ("data", "model", "schedule")
_DATA = "data"
_MODULES = "modules"
"""The folder of packages and modules that a task names without a path; it is where Python looks for them."""


@dataclass(frozen=True, slots=True)
class Luggage:
    """A task and its files.

    Attributes:
        task: as it is here, with the paths of this machine.
        files: path in the luggage → contents.
        places: path of this machine → path in the luggage, of each file that the task names.
    """

    task: Task
    files: Mapping[str, bytes]
    places: Mapping[str, str]


def pack(task: Task) -> Luggage:
    """Return a task with the contents of the files that it names.

    Of a file "net.py:Net" the Python files and packages beside it come along; of a module "package.module:Net" its
    package, unless it is installed.
    """
    files: dict[str, bytes] = {}
    places: dict[str, str] = {}
    for name in _files(task):
        places[name] = f"{_DATA}{len(places)}/{Path(name).name}"
        files[places[name]] = Path(name).read_bytes()
    for reference in _references(task):
        name = reference.rpartition(":")[0]
        if name.endswith(".py"):
            if name not in places and Path(name).is_file():
                folder = f"code{len(places)}"
                places[name] = f"{folder}/{Path(name).name}"
                files |= _beside(Path(name), folder)
        elif (module := _own_module(name.partition(".")[0])) is not None:
            files |= _python_files(module, _MODULES)
    return Luggage(task, files, places)


def unpack(luggage: Luggage, folder: Path) -> Task:
    """Write the files of a task into an empty folder, and return the task that names them there.

    Modules that the task names without a path are found from then on by this process.
    """
    for place, contents in luggage.files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    if (folder / _MODULES).is_dir():
        sys.path.insert(0, str(folder / _MODULES))
        importlib.invalidate_caches()

    def own(path: str) -> str:
        return str(folder / luggage.places[path]) if path in luggage.places else path

    def own_code(reference: str) -> str:
        file, _, name = reference.rpartition(":")
        return f"{own(file)}:{name}"

    task = luggage.task
    changed = {name: _replaced(getattr(task, name), own, own_code) for name in _TABLES}
    return task.model_copy(update=changed)


def _values(table: Any) -> dict[str, Any]:
    """Return what a table of a task holds, by key; nothing for a table that the task does not have."""
    if table is None:
        return {}
    return {**{name: getattr(table, name) for name in type(table).model_fields}, **(table.model_extra or {})}


def _replaced(table: Any, file: Callable[[str], str], code: Callable[[str], str]) -> Any:
    """Return a table of a task with every path of a file and every "file.py:Name" in it replaced."""
    if table is None:
        return None
    changed = {name: with_code_replaced(value, code) for name, value in _values(table).items()}
    changed |= {name: file(value) for name, value in changed.items() if isinstance(value, str)}
    return table.model_copy(update=changed)


def _files(task: Task) -> list[str]:
    """Return the files that a task names: of its data, its initial weights, or whatever else is a path there."""
    values = [value for name in _TABLES for value in _values(getattr(task, name)).values()]
    named = [value for value in values if isinstance(value, str) and Path(value).is_absolute()]
    return sorted({value for value in named if Path(value).is_file()})


def _references(task: Task) -> list[str]:
    """Return what a task names of the user's own code."""
    found = [task.model.module] if task.model.module is not None else []

    def note(reference: str) -> str:
        found.append(reference)
        return reference

    for name in _TABLES:
        for value in _values(getattr(task, name)).values():
            with_code_replaced(value, note)
    return found


def _beside(file: Path, folder: str) -> dict[str, bytes]:
    """Return a file and what it may import from its own folder."""
    found = {f"{folder}/{each.name}": each.read_bytes() for each in file.parent.glob("*.py")}
    for package in file.parent.glob("*/__init__.py"):
        found |= _python_files(package.parent, folder)
    return found


def _python_files(module: Path, folder: str) -> dict[str, bytes]:
    """Return the Python files of a package, or of a module that is one file."""
    files = sorted(module.rglob("*.py")) if module.is_dir() else [module]
    return {f"{folder}/{each.relative_to(module.parent).as_posix()}": each.read_bytes() for each in files}


def _own_module(name: str) -> Path | None:
    """Return the folder of a package, or the file of a module, that is the user's own and not installed."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded is not None else None
    if spec is None:
        before = list(sys.path)
        sys.path.append(str(Path.cwd()))
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.path[:] = before
    if spec is None or name == _OWN:
        return None
    where = spec.submodule_search_locations
    origin = Path(next(iter(where))) if where else Path(spec.origin or "")
    is_installed = bool(_PACKAGE_FOLDERS & set(origin.parts)) or origin.is_relative_to(sysconfig.get_path("stdlib"))
    return None if is_installed or not origin.exists() else origin
