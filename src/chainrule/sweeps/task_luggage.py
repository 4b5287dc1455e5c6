"""The files that a task names, packed for another machine: its data, and the user's code with the files beside it.

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
    source = task.data.source
    if source is not None and Path(source).is_file():
        places[source] = f"{_DATA}/{Path(source).name}"
        files[places[source]] = Path(source).read_bytes()
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
    changed: dict[str, Any] = {"model": _with_code(task.model, own_code)}
    if task.data.source is not None:
        changed["data"] = task.data.model_copy(update={"source": own(task.data.source)})
    if task.schedule is not None:
        changed["schedule"] = _with_code(task.schedule, own_code)
    return task.model_copy(update=changed)


def _with_code(table: Any, replace: Callable[[str], str]) -> Any:
    """Return a table of a task with every "file.py:Name" in it replaced."""
    values = {**{name: getattr(table, name) for name in type(table).model_fields}, **(table.model_extra or {})}
    return table.model_copy(update={name: with_code_replaced(value, replace) for name, value in values.items()})


def _references(task: Task) -> list[str]:
    """Return what a task names of the user's own code."""
    found = [task.model.module] if task.model.module is not None else []

    def note(reference: str) -> str:
        found.append(reference)
        return reference

    for table in (task.model, task.schedule):
        if table is not None:
            _with_code(table, note)
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
