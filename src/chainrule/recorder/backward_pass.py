"""The backward pass with a torch function mode on while it runs.

torch hands `Tensor.backward` to the mode and runs it with the mode off. But a checkpoint computes its part of the
forward pass again inside of it, and that is to be seen.
"""

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import _make_grads

from chainrule.recorder.open_functions import opened


def run_backward(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Run `Tensor.backward` or `torch.autograd.backward` under the modes that are on."""
    run = _of_tensor if function is Tensor.backward else _OPENED
    run(*args, **kwargs)


def _make_quietly(*args: Any, **kwargs: Any) -> Any:
    with torch._C.DisableTorchFunction():  # the 1 at the loss would be an op in the user's name
        return _make_grads(*args, **kwargs)


_OPENED = opened(cast(FunctionType, torch.autograd.backward), _make_grads=_make_quietly)


def _of_tensor(
    loss: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: bool = False, inputs: Any = None
) -> None:
    _OPENED(loss, gradient, retain_graph, create_graph, inputs=inputs)
