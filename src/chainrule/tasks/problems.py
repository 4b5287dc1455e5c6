"""What pydantic found wrong with a task, said as chainrule says it: the key, what was found, what is allowed."""

import inspect
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from chainrule.errors import Problem, did_you_mean


def problems_of(error: ValidationError, schema: type[BaseModel]) -> list[Problem]:
    """Return one problem for each key that is wrong; the branches of a union are joined by "or"."""
    found: dict[str, tuple[str, list[str], str]] = {}
    for entry in error.errors(include_url=False):
        path, owner = _path(entry["loc"], schema)
        key = ".".join(path)
        value = _shown(entry["input"])
        expected, next_step = _expected(entry["type"], entry["msg"], path[-1], owner)
        if entry["type"] == "missing":
            value = "nothing"
        known = found.setdefault(key, (value, [], next_step))
        if expected not in known[1]:
            known[1].append(expected)
    return [
        Problem(key, value, " or ".join(expected), next_step) for key, (value, expected, next_step) in found.items()
    ]


def _path(location: tuple[int | str, ...], schema: type[BaseModel]) -> tuple[list[str], type[BaseModel] | None]:
    """Follow a pydantic location through the schema; parts that only name a union's branch are left out."""
    path: list[str] = []
    owner: type[BaseModel] | None = schema
    model: type[BaseModel] | None = schema
    for part in location:
        if isinstance(part, int):
            path.append(str(part))
        elif model is not None and part in model.model_fields:
            path.append(part)
            owner = model
            model = _model_in(model.model_fields[part].annotation)
        elif model is not None and part == location[-1] and not _names_a_branch(part):
            path.append(part)
            owner = model
    return path, owner


def _names_a_branch(part: str) -> bool:
    return any(sign in part for sign in "[(-") or part in {"str", "bool", "int", "float", "Component"}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((model for part in typing.get_args(annotation) if (model := _model_in(part))), None)


def _expected(kind: str, message: str, name: str, owner: type[BaseModel] | None) -> tuple[str, str]:
    if kind == "extra_forbidden" and owner is not None:
        keys = list(owner.model_fields)
        return "one of " + ", ".join(keys), did_you_mean(name, keys)
    if kind == "missing":
        return "a value: the task does not work without it", ""
    text = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return text[:1].lower() + text[1:] if text != message else message, ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
