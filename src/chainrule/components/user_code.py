"""The user's own classes and functions, by "file.py:Name" or "package.module:Name"."""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from chainrule.errors import TaskError, UserModuleError, did_you_mean

_OWN_FOLDER = Path(__file__).parent.parent
_TORCH_FOLDER = Path(torch.__file__).parent
_STANDARD_LIBRARY = Path(traceback.__file__).parent
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


def load_user_object(path: str, key: str) -> Any:
    """Import what "file.py:Name" or "package.module:Name" names.

    A file is imported as Python runs a script: it may import the files beside it. A package is looked for where
    Python looks, and in the current folder.

    Args:
        path: where the object is.
        key: the task's key that holds the path, for messages.

    Raises:
        TaskError: there is no such file or name.
        UserModuleError: the file or module failed to import; carries the user's own traceback.
    """
    source, _, name = path.rpartition(":")
    if not source or not name:
        raise TaskError(
            what="The path of a class or function has two parts.",
            where=key,
            found=path,
            expected='"file.py:Name" or "package.module:Name"',
        )
    module = _module_from_file(Path(source), key) if source.endswith(".py") else _module_by_name(source, key)
    if not hasattr(module, name):
        names = [known for known, value in vars(module).items() if _is_own(value, known, module)]
        raise TaskError(
            what=f"{source} has no '{name}'.",
            where=key,
            found=name,
            expected="one of " + ", ".join(names) if names else "a class",
            next_step=did_you_mean(name, names),
        )
    return getattr(module, name)


def _is_own(value: Any, name: str, module: ModuleType) -> bool:
    """Return whether a name is a module's own class or function, and not one that it imports."""
    return not name.startswith("_") and callable(value) and getattr(value, "__module__", "") == module.__name__


def _module_from_file(path: Path, key: str) -> ModuleType:
    if not path.is_file():
        files = sorted(file.name for file in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise TaskError(
            what=f"There is no file {path.name}.",
            where=key,
            found=str(path),
            expected="a Python file",
            next_step=did_you_mean(path.name, files),
        )
    # A name of its own keeps two files of the same name apart; registered because dataclasses look it up there.
    name = f"chainrule_user_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskError(what=f"{path.name} is not a Python file.", where=key, found=str(path), expected="a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _files_beside(path.resolve().parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise user_error(f"{path.name} failed to import.", key, error) from error
    return module


@contextmanager
def _files_beside(folder: Path) -> Iterator[None]:
    """Let an import find the files of its own folder first, as they are now, and not those of another folder.

    What was imported under the same names before is put back afterwards.
    """
    beside = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    beside -= {"__main__"}
    named_alike = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in beside}
    earlier = {name: module for name, module in named_alike.items() if _is_users(getattr(module, "__file__", None))}
    for name in earlier:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.update(earlier)


def _module_by_name(name: str, key: str) -> ModuleType:
    before = list(sys.path)
    sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise user_error(f"The module {name} failed to import.", key, error) from error
    finally:
        sys.path[:] = before


def user_error(what: str, where: str, error: BaseException) -> UserModuleError:
    """Return an error that shows the user's own part of a traceback.

    Frames of chainrule, of torch and of Python's import system are left out; the last line is kept as Python prints
    it. What the error was raised from comes first, as in Python.
    """
    return UserModuleError(what=what, where=where, cause=_own_traceback(error))


def _own_traceback(error: BaseException) -> str:
    frames = own_frames(error)
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    text = "".join(["Traceback (your code, most recent call last):\n", *lines] if frames else lines).rstrip()
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is None or not own_frames(earlier):
        return text
    joint = "The error below came from it:" if error.__cause__ else "While that was handled, another error came:"
    return f"{_own_traceback(earlier)}\n\n{joint}\n\n{text}"


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the user's code, or of installed packages when it is one of them that failed."""
    frames = traceback.extract_tb(error.__traceback__)
    if users := [frame for frame in frames if _is_users(frame.filename)]:
        return users
    called_by_us = max((index + 1 for index, frame in enumerate(frames) if _is_ours(frame.filename)), default=0)
    return [frame for frame in frames[called_by_us:] if not _is_machinery(frame.filename)]


def _is_users(filename: str | None) -> bool:
    """Return whether a file holds the user's code; a cell of a notebook does, a module built into Python does not."""
    return filename is not None and not (_is_machinery(filename) or _PACKAGE_FOLDERS & set(Path(filename).parts))


def _is_ours(filename: str) -> bool:
    return Path(filename).is_relative_to(_OWN_FOLDER)


def _is_machinery(filename: str) -> bool:
    """Return whether a file belongs to chainrule, to torch or to Python itself."""
    path = Path(filename)
    if filename.startswith("<frozen") or _is_ours(filename) or path.is_relative_to(_TORCH_FOLDER):
        return True
    return path.is_relative_to(_STANDARD_LIBRARY) and not _PACKAGE_FOLDERS & set(path.parts)
