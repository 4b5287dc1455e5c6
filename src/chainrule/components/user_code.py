"""The user's own classes and functions, by "file.py:Name" or "package.module:Name"."""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from chainrule.errors import TaskError, UserModuleError, did_you_mean

_OWN_FOLDER = str(Path(__file__).resolve().parent.parent)


def load_user_object(path: str, key: str) -> Any:
    """Import what "file.py:Name" or "package.module:Name" names.

    Args:
        path: where the object is.
        key: the task's key that holds the path, for messages.

    Raises:
        TaskError: there is no such file or name.
        UserModuleError: the file or module failed to import; carries the user's own traceback.
    """
    source, _, name = path.rpartition(":")
    module = _module_from_file(Path(source), key) if source.endswith(".py") else _module_by_name(source, key)
    if not hasattr(module, name):
        names = [known for known in vars(module) if not known.startswith("_")]
        raise TaskError(
            what=f"{source} has no '{name}'.",
            where=key,
            found=name,
            expected="one of " + ", ".join(names) if names else "a class",
            next_step=did_you_mean(name, names),
        )
    return getattr(module, name)


def _module_from_file(path: Path, key: str) -> ModuleType:
    if not path.is_file():
        raise TaskError(what=f"There is no file {path.name}.", where=key, found=str(path), expected="a Python file")
    # A name of its own keeps two files of the same name apart; registered because dataclasses look it up there.
    name = f"chainrule_user_{path.stem}_{abs(hash(str(path.resolve()))):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskError(what=f"{path.name} is not a Python file.", where=key, found=str(path), expected="a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise user_error(f"{path.name} failed to import.", key, error) from error
    return module


def _module_by_name(name: str, key: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise user_error(f"The module {name} failed to import.", key, error) from error


def user_error(what: str, where: str, error: Exception) -> UserModuleError:
    """Return an error that shows the user's own part of a traceback.

    Frames of chainrule, of torch and of Python's import system are left out; the last line is kept as Python prints
    it.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    text = "".join(["Traceback (your code, most recent call last):\n", *lines]) if frames else "".join(lines)
    return UserModuleError(what=what, where=where, cause=text.rstrip())


def _is_users(filename: str) -> bool:
    inside_packages = any(part in filename for part in ("site-packages", "dist-packages", "<frozen importlib"))
    own = filename.startswith(_OWN_FOLDER)
    standard_library = str(Path(traceback.__file__).parent)
    return not (inside_packages or own or filename.startswith(standard_library))
