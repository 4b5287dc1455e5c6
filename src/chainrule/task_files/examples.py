"""The built-in tasks: TOML files with comments, to run by name and to edit."""

import tomllib
from importlib import resources

from chainrule.errors import TaskError

_FOLDER = resources.files("chainrule.task_files") / "library"


def example_names() -> tuple[str, ...]:
    """Return the names of the built-in tasks: the worked examples, the data sets, the tasks for maps."""
    names = {entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")}
    worked = [name for name in ("two-two-two", "two-two-two-even", "two-two-two-biased", "xor") if name in names]
    maps = {name for name in names if is_for_maps(name)}
    return (*worked, *sorted(names - maps - set(worked)), *sorted(maps))


def is_for_maps(name: str) -> bool:
    """Return whether a built-in task is one of the published map, which nobody trains for its own sake."""
    return name.startswith("fractal-")


def example_text(name: str) -> str:
    """Return the TOML of a built-in task, comments included.

    Raises:
        TaskError: no built-in task has that name; says which are near.
    """
    if name not in example_names():
        raise TaskError.unknown_name("built-in task", name, example_names())
    return (_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def example_description(name: str) -> str:
    """Return what a built-in task says about itself, in one sentence."""
    return str(tomllib.loads(example_text(name))["description"])
