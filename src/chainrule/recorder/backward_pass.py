"""The backward pass with a torch function mode on while it runs.

torch hands `Tensor.backward` to the mode and runs it with the mode off. But a checkpoint computes its part of the
forward pass again inside of it, and that is to be seen.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def run_backward(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Run `Tensor.backward` or `torch.autograd.backward` under the modes that are on."""
    run = _of_tensor if function is Tensor.backward else _OPENED
    run(*args, **kwargs)


def _opened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a torch function whose own question "is there a mode?" is answered by no.

    The modes stay on while it runs, and see the functions that it calls, but not the function itself.
    """
    names = dict(function.__globals__)
    for name in ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"):
        if name in names:
            names[name] = _no
    make_gradients = names["_make_grads"]

    def make_quietly(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():  # the 1 at the loss would be an op in the user's name
            return make_gradients(*args, **kwargs)

    names["_make_grads"] = make_quietly
    opened = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    opened.__kwdefaults__ = function.__kwdefaults__
    return opened


def _no(*_args: object, **_kwargs: object) -> bool:
    return False


_OPENED = _opened(torch.autograd.backward)


def _of_tensor(
    loss: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None
) -> None:
    _OPENED(loss, gradient, retain_graph, create_graph, inputs=inputs)
