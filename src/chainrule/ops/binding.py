"""The arguments of a recorded op by torch's names."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from chainrule.ops.lookup import rule_for
from chainrule.ops.rule import OpRule
from chainrule.trace import Op, ValueRef, rebuild, walk

_OTHER_NAMES = {"axis": "dim", "keepdims": "keepdim", "self": "input", "A": "x"}
_TWO_TENSORS = {"max": "maximum", "min": "minimum"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Stands for what stood at a place of the arguments."""

    place: tuple[int | str, ...]


def rule_of(op: Op) -> OpRule | None:
    """Return the rule of a recorded op, or None when there is none.

    It is `rule_for(op.name)`, but for names that stand for different ops: `max` of two tensors is `maximum`,
    `torch.nn.functional.unfold` is not `Tensor.unfold`, and `torch.embedding` takes its table first.
    """
    second = op.arguments[1] if len(op.arguments) > 1 else op.keywords.get("other")
    if op.name in _TWO_TENSORS and isinstance(second, ValueRef):
        return rule_for(_TWO_TENSORS[op.name])
    if op.name == "where" and len(op.arguments) + len(op.keywords) == 1:
        return rule_for("nonzero")
    if op.name == "unfold" and op.function.startswith("torch.nn.functional"):
        return rule_for("im2col")
    if op.name == "norm" and op.function.startswith("torch.linalg"):
        return rule_for("linalg_norm")
    if op.name == "embedding" and op.function.startswith("torch.") and not op.function.startswith("torch.nn."):
        return rule_for("torch.embedding")
    return rule_for(op.name)


def bind(op: Op, read: Callable[[int], Any]) -> dict[str, Any]:
    """Return the arguments of a recorded op by name, as `OpRule` takes them.

    Args:
        op: the op. Names and defaults are those of its rule, or of torch's own signature where there is no rule.
        read: from the id of a value to what shall stand in its place.
    """

    def change(leaf: Any) -> Any:
        return read(leaf.value) if isinstance(leaf, ValueRef) else leaf

    named = _named(op, op.arguments, op.keywords)
    return {name: rebuild(value, change) for name, value in named.items()}


def argument_name(op: Op, place: tuple[int | str, ...]) -> str:
    """Return what the argument at a use's place is called: "weight", "input", "tensors[1]", "mask".

    Args:
        op: the op.
        place: the `place` of one of its uses.
    """
    if place in (("self",), ("hidden",)):
        return str(place[0])
    arguments = tuple(_marked(value, (number,)) for number, value in enumerate(op.arguments))
    keywords = {name: _marked(value, (name,)) for name, value in op.keywords.items()}
    for where, leaf in walk(_named(op, arguments, keywords)):
        if isinstance(leaf, _Place) and leaf.place == place:
            return str(where[0]) + "".join(f"[{part}]" for part in where[1:])
    return "".join([str(place[0]), *(f"[{part}]" for part in place[1:])])


def _marked(value: Any, place: tuple[int | str, ...]) -> Any:
    if isinstance(value, tuple | list):
        return [_marked(part, (*place, number)) for number, part in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: _marked(part, (*place, key)) for key, part in value.items()}
    return _Place(place)


def _named(op: Op, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> dict[str, Any]:
    rule = rule_of(op)
    if rule is not None and rule.parameters:
        found = _bound(rule.parameters, arguments, keywords)
        if found is not None:
            return found
    documented = _documented().get(op.function, ())
    found = _bound(documented, arguments, keywords) if documented else None
    if found is not None:
        found.pop("out", None)
        return found
    return {"input" if number == 0 else f"argument {number}": value for number, value in enumerate(arguments)} | dict(
        keywords
    )


def _bound(
    parameters: tuple[inspect.Parameter, ...], arguments: tuple[Any, ...], keywords: Mapping[str, Any]
) -> dict[str, Any] | None:
    names = {parameter.name for parameter in parameters}
    variadic = next((parameter.name for parameter in parameters if parameter.kind is parameter.VAR_POSITIONAL), None)
    given = {name if name in names else _OTHER_NAMES.get(name, name): value for name, value in keywords.items()}
    given.pop("out", None)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    positional = list(arguments)
    if variadic is not None and not takes_any:
        loose = [name for name in given if name not in names or name == variadic]
        if len(loose) == 1:  # permute(dims=(0, 2, 1))
            value = given.pop(loose[0])
            positional += [given.pop("input")] if "input" in given else []
            positional.append(value)
    try:
        bound = inspect.Signature(list(parameters)).bind(*positional, **given)
    except TypeError:
        return None
    bound.apply_defaults()
    result = dict(bound.arguments)
    if variadic is not None:
        several = result[variadic]
        if len(several) == 1 and isinstance(several[0], tuple | list):  # view((2, 3)) is view(2, 3)
            result[variadic] = tuple(several[0])
    return result


@cache
def _documented() -> dict[str, tuple[inspect.Parameter, ...]]:
    """Torch's own signatures, by the full name of the function; made when first needed."""
    signatures = {}
    for function, stand_in in torch.overrides.get_testing_overrides().items():
        name = torch.overrides.resolve_name(function)
        if name is None:
            continue
        parameters = tuple(inspect.signature(stand_in).parameters.values())
        if parameters and parameters[0].name == "self":
            parameters = (parameters[0].replace(name="input"), *parameters[1:])
        signatures[name] = signatures[name.replace("torch.functional.", "torch.")] = parameters
    return signatures
