"""What pydantic found wrong with a task, said as chainrule says it: the key, what was found, what is allowed."""

import inspect
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from chainrule.errors import Problem, did_you_mean
from chainrule.tasks.specs import Component

# What TOML calls the types of a value; the rest of pydantic's own sentence says how it tried to convert it.
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "too_short": "at least one entry",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than": ("lt", "below"),
}


def problems_of(error: ValidationError, schema: type[BaseModel]) -> list[Problem]:
    """Return one problem for each key that is wrong; the branches of a union are joined by "or".

    Where a branch of a union was wrong further inside, only that is said: a list with one wrong entry is not also
    reported for not being a single value.
    """
    found: dict[tuple[str, ...], tuple[ErrorDetails, list[str], str]] = {}
    for entry in error.errors(include_url=False):
        path, owner = _path(entry["loc"], schema)
        expected, next_step = _expected(entry, path, owner, schema)
        known = found.setdefault(tuple(path), (entry, [], next_step))
        if expected not in known[1]:
            known[1].append(expected)
    return [
        Problem(".".join(path), _shown(entry), _either(expected), next_step)
        for path, (entry, expected, next_step) in found.items()
        if not any(other[: len(path)] == path for other in found if other != path)
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


def _expected(
    entry: ErrorDetails, path: list[str], owner: type[BaseModel] | None, schema: type[BaseModel]
) -> tuple[str, str]:
    kind, context = entry["type"], entry.get("ctx", {})
    if kind == "extra_forbidden" and owner is not None:
        return "one of " + ", ".join(owner.model_fields), _where_it_belongs(path[-1], owner, schema)
    if kind == "missing":
        return "a value: the task does not work without it", ""
    if kind in ("model_type", "model_attributes_type"):
        if context.get("class_name") in (Component.__name__, "ScheduleSpec"):
            return "a name or a table with a name", ""
        return "a table", ""
    if kind == "list_type" and path == ["penalty"] and isinstance(entry["input"], Mapping):
        return "a list of tables", "Write [[penalty]], with two pairs of brackets."
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        limit = context[key]
        return f"{words} {limit:g}" if isinstance(limit, float) else f"{words} {limit}", ""
    return _TYPES.get(kind, entry["msg"].removeprefix("Input should be ").removeprefix("Value error, ")), ""


def _either(expected: list[str]) -> str:
    return (", or " if any(" or " in text for text in expected) else " or ").join(expected)


def _where_it_belongs(name: str, owner: type[BaseModel], schema: type[BaseModel]) -> str:
    """Return the table of the task that has this very key, or else the nearest key of the table it stands in."""
    tables = [key for key, field in schema.model_fields.items() if _has_key(_model_in(field.annotation), name)]
    if tables:
        return f"The key {name} belongs to the table [{tables[0]}]."
    if name in schema.model_fields:
        return f"The key {name} belongs to no table: write it above the first one."
    return did_you_mean(name, owner.model_fields)


def _has_key(model: type[BaseModel] | None, name: str) -> bool:
    return model is not None and not issubclass(model, Component) and name in model.model_fields


def _shown(entry: ErrorDetails) -> str:
    if entry["type"] == "missing":
        return "nothing"
    text = repr(entry["input"])
    return text if len(text) <= 80 else text[:77] + "..."
