"""Hooks of the user's that change gradients: what the backward pass of a copy gives without them."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from chainrule.shapes import Tensor
from chainrule.verification.comparing import Comparison
from chainrule.verification.slopes import TOLERANCE
from chainrule.verification.twin import Twin

_ELSEWHERE = ("torch", "chainrule", "jaxtyping")  # packages whose lines are not the user's


@dataclass(frozen=True, slots=True)
class HookEffect:
    """Hooks that change gradients.

    Attributes:
        where: the modules or lines of code that have them.
        parameters: whose gradients change.
        explains: whether without them all wrong gradients agree with central differences.
    """

    where: str
    parameters: tuple[str, ...]
    explains: bool


class _WithoutTensorHooks(TorchFunctionMode):
    """Lets `Tensor.register_hook` register nothing on the step's tensors, and notes who called it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, None] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.register_hook:
            self.lines[_calling_line()] = None
            return func(torch.zeros((), requires_grad=True), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def hook_effects(
    twin: Twin, gradients: Mapping[str, Tensor | None], comparisons: Mapping[str, Comparison]
) -> tuple[HookEffect, ...]:
    """Return the hooks that change gradients which were found wrong.

    Args:
        twin: the model in float64.
        gradients: with the hooks.
        comparisons: what was found with the hooks.
    """
    wrong = [name for name, comparison in comparisons.items() if comparison.verdict == "wrong"]
    if not wrong:
        return ()
    found = []
    put_back = twin.drop_hooks()
    try:
        if twin.dropped:
            _, without = twin.gradients()
            changed = _changed(gradients, without)
            if changed:
                where = "backward hook of " + ", ".join(f"module '{path}'" for path in twin.dropped)
                found.append(HookEffect(where, changed, _agree(without, comparisons, wrong)))
        mode = _WithoutTensorHooks()
        _, bare = twin.gradients(lambda: mode)
    finally:
        put_back()
    changed = _changed(without if twin.dropped else gradients, bare)
    if mode.lines and changed:
        where = "tensor hook registered at " + ", ".join(mode.lines)
        found.append(HookEffect(where, changed, _agree(bare, comparisons, wrong)))
    return tuple(found)


def hooked_parameters(model: nn.Module) -> tuple[str, ...]:
    """Return the parameters that have hooks of their own."""
    return tuple(
        name
        for name, parameter in model.named_parameters()
        if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None)
    )


def _changed(one: Mapping[str, Tensor | None], other: Mapping[str, Tensor | None]) -> tuple[str, ...]:
    names = []
    for name, gradient in one.items():
        there = other[name]
        if gradient is None or there is None:
            if gradient is not there:
                names.append(name)
        elif not torch.allclose(gradient, there, rtol=TOLERANCE, atol=0.0, equal_nan=True):
            names.append(name)
    return tuple(names)


def _agree(gradients: Mapping[str, Tensor | None], comparisons: Mapping[str, Comparison], names: list[str]) -> bool:
    for name in names:
        for look in comparisons[name].entries:
            gradient = gradients[name]
            place = look.place or ()
            exact = 0.0 if gradient is None else float(gradient[place])
            if look.verdict == "wrong" and abs(exact - look.slope.value) > TOLERANCE * max(
                abs(exact), abs(look.slope.value), look.slope.floor
            ):
                return False
    return True


def _calling_line() -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_elsewhere(frame):
        frame = frame.f_back
    return "" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def _is_elsewhere(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _ELSEWHERE or frame.f_code.co_filename.startswith("<")
