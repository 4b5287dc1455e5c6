"""Keyword arguments of a component, checked against its own signature before anything is built."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from chainrule.errors import Problem, did_you_mean
from chainrule.registry.components import Catalogue

_ANY_CLASS = ConfigDict(arbitrary_types_allowed=True)


def parameters_of(catalogue: Catalogue, name: str) -> dict[str, inspect.Parameter]:
    """Return the keyword arguments that a task may give to the component, by name."""
    parameters = inspect.signature(catalogue[name]).parameters
    return {
        key: parameter
        for key, parameter in parameters.items()
        if key not in catalogue.given_by_us
        and parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    }


def check_arguments(
    catalogue: Catalogue, name: str, given: Mapping[str, Any], key: str, filled_in: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[Problem]]:
    """Check arguments against the signature of a component.

    Args:
        catalogue: where the component is listed.
        name: the component.
        given: the arguments that the task gives.
        key: the task's key of the component, for messages; its arguments stand at `key`.argument.
        filled_in: required arguments that chainrule fills in when they are missing.

    Returns:
        the arguments, converted to the types of the signature (a list to a tuple, a list to a tensor), and the
        problems that were found.
    """
    allowed = parameters_of(catalogue, name)
    hints = _type_hints(catalogue[name])
    checked: dict[str, Any] = {}
    problems: list[Problem] = []
    for argument, value in given.items():
        if argument not in allowed:
            problems.append(_unknown(catalogue, name, argument, value, list(allowed), key))
            continue
        converted, expected = _convert(hints.get(argument), value)
        if expected:
            problems.append(Problem(f"{key}.{argument}", repr(value), expected))
        checked[argument] = converted
    for argument, parameter in allowed.items():
        if parameter.default is inspect.Parameter.empty and argument not in given and argument not in filled_in:
            problems.append(Problem(f"{key}.{argument}", "nothing", f"a value: {name} does not work without it"))
    return checked, problems


def _unknown(catalogue: Catalogue, name: str, argument: str, value: object, allowed: list[str], key: str) -> Problem:
    expected = f"an argument of {name}: {', '.join(allowed)}" if allowed else f"no argument: {name} takes none"
    if argument in catalogue.given_by_us:
        return Problem(f"{key}.{argument}", repr(value), expected, "chainrule sets it, or torch has deprecated it.")
    return Problem(f"{key}.{argument}", repr(value), expected, did_you_mean(argument, allowed))


def _type_hints(component: Callable[..., Any]) -> dict[str, Any]:
    target = component.__init__ if inspect.isclass(component) else component
    try:
        return typing.get_type_hints(target)
    except NameError:  # a hint that torch imports for type checkers only: its own constructor checks the value
        return {}


def _convert(hint: Any, value: Any) -> tuple[Any, str]:
    if hint is None:
        return value, ""
    if isinstance(value, list) and torch.Tensor in typing.get_args(hint):
        return torch.tensor(value, dtype=torch.float64), ""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_ANY_CLASS)
    except PydanticSchemaGenerationError:
        return value, ""
    try:
        return adapter.validate_python(value, strict=isinstance(value, bool | str)), ""
    except ValidationError:
        if callable_hint(hint) and isinstance(value, str):
            return value, ""
        return value, f"a value of type {_readable(hint)}"


def callable_hint(hint: Any) -> bool:
    """Return whether a signature asks for a function, which a task names as "file.py:function"."""
    parts = typing.get_args(hint)
    return typing.get_origin(hint) is Callable or any(callable_hint(part) for part in parts)


def _readable(hint: Any) -> str:
    if inspect.isclass(hint) and not typing.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("torch.", "").replace("<class '", "").replace("'>", "")
