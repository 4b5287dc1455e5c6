"""What a lowering is: a function of torch written in smaller ones, and when it does not hold.

A lowering computes what the kernel computes, with the derivative that the kernel has, ties and masks included. It is
run under a recorder, so each torch function that it calls becomes an op of the inside. What a reader need not see
(index tensors, masks that follow from sizes) is made under `unseen()` and stands in the inside as a constant.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

Real = int | float  # torch takes either where it asks for a float


def never(*_arguments: Any, **_keywords: Any) -> str:
    """Say that nothing speaks against a lowering, whatever the arguments."""
    return ""


@dataclass(frozen=True, slots=True)
class Lowering:
    """How one op is made of smaller ones.

    Attributes:
        functions: the full names of the functions of torch that it stands for, as `Op.function` has them; or the
            op's name, for a function without a public home. They all take the arguments that `body` takes.
        body: the smaller version.
        refuses: called with the arguments, where anything may stand for a tensor; returns why such a call cannot be
            opened, as a sentence, or "".
    """

    functions: tuple[str, ...]
    body: Callable[..., Any]
    refuses: Callable[..., str] = never


class Refusal(Exception):  # noqa: N818  # it is no error yet: `open_op` makes one of it
    """A lowering does not hold for these numbers; the reason is a sentence."""


def unseen() -> AbstractContextManager[Any]:
    """Return a context in which what runs is not recorded."""
    context: AbstractContextManager[Any] = torch._C.DisableTorchFunction()
    return context
