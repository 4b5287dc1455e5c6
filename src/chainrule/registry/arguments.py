"""Keyword arguments of a component, checked against its own signature before anything is built."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError

from chainrule.errors import Problem, did_you_mean
from chainrule.registry.components import Catalogue

_ANY_CLASS = ConfigDict(arbitrary_types_allowed=True)

# Names that torch's schedulers import for type checkers only. What they iterate over, a task writes as a list.
_FOR_TYPE_CHECKERS = {"Callable": Callable, "Iterable": list, "Sequence": list}

# Arguments whose hint is `str` although torch takes only these words, and some of them only when the training runs.
_CLOSED_WORDS: dict[tuple[str, str], Any] = {
    ("GELU", "approximate"): typing.Literal["none", "tanh"],
    ("LBFGS", "line_search_fn"): typing.Literal["strong_wolfe"] | None,
    ("Muon", "adjust_lr_fn"): typing.Literal["original", "match_rms_adamw"] | None,
}

_IN_WORDS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    torch.Tensor: "a list of numbers",
}


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
    hints = _type_hints(catalogue[name], catalogue.canonical(name))
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


def _type_hints(component: Callable[..., Any], name: str) -> dict[str, Any]:
    target = component.__init__ if inspect.isclass(component) else component
    try:
        hints = typing.get_type_hints(target, localns=_FOR_TYPE_CHECKERS)
    except NameError:  # a name that a later torch imports for type checkers only: its constructor checks the values
        hints = {}
    return hints | {argument: words for (owner, argument), words in _CLOSED_WORDS.items() if owner == name}


def _convert(hint: Any, value: Any) -> tuple[Any, str]:
    if hint is None:
        return value, ""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list) and _wants_tensor(hint):
        return _tensor(value)
    if _wants_function(hint) and _names_functions(value):
        return value, ""
    adapter: TypeAdapter[Any] = TypeAdapter(hint, config=_ANY_CLASS)
    try:
        return adapter.validate_python(value, strict=isinstance(value, bool | str)), ""
    except ValidationError:
        return value, type_in_words(hint)


def _wants_tensor(hint: Any) -> bool:
    parts = typing.get_args(hint)
    return torch.Tensor in parts and float not in parts


def _tensor(values: list[Any]) -> tuple[Any, str]:
    try:
        return torch.tensor(values, dtype=torch.float64), ""
    except (TypeError, ValueError):  # words, or rows of different lengths
        return values, type_in_words(torch.Tensor)


def _wants_function(hint: Any) -> bool:
    return typing.get_origin(hint) is Callable or any(_wants_function(part) for part in typing.get_args(hint))


def _names_functions(value: Any) -> bool:
    """Return whether a value is "file.py:function", as a task names a function, or a list of such texts."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(inner, str) and _names_functions(inner) for inner in value)
    return isinstance(value, str) and ":" in value


def type_in_words(hint: Any) -> str:
    """Return what a type hint of torch allows, in the words of someone who writes TOML: "a number", "2 numbers"."""
    if hint in _IN_WORDS:
        return _IN_WORDS[hint]
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return _either([repr(part) for part in parts])
    if origin is tuple:
        return f"{len(parts)} numbers"
    if origin is list and parts[0] in _IN_WORDS:
        return "a list of " + type_in_words(parts[0]).removeprefix("a ") + "s"
    if _wants_function(hint):
        return 'a function, as "file.py:function"'
    if not parts:
        return f"a {hint.__name__}"
    # What a tensor may be, a number may be too; and what is not wanted is left out rather than written as None.
    wanted = [part for part in parts if part is not type(None) and not (part is torch.Tensor and float in parts)]
    return _either([type_in_words(part) for part in wanted])


def _either(words: list[str]) -> str:
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
