"""Python functions of torch with a torch function mode on inside of them."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

ASKS = frozenset(("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"))


def opened(function: FunctionType, **replaced: Callable[..., Any]) -> Callable[..., Any]:
    """Return a Python function of torch whose own question "is somebody looking on?" is answered by no.

    torch hands such a function to the mode and runs it with the mode off. This one's mode stays on while it runs, and
    sees the functions that it calls, but not the function itself.

    Args:
        function: the function; it stays as it is.
        replaced: what else it calls, by the names that it knows them by.
    """
    names = dict(function.__globals__) | dict.fromkeys(ASKS, _no) | replaced
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _no(*_args: object, **_kwargs: object) -> bool:
    return False
