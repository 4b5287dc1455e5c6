"""In which module of the model an op runs: a stack that torch's own module hooks keep."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as module_hooks
from torch.utils.hooks import RemovableHandle


class ModuleStack:
    """The modules that are running, the innermost last.

    The hooks are torch's global ones, so nothing is written onto the user's modules; they are there between `enter`
    and `leave` only.

    Args:
        paths: the path of every known module, by the module itself.
        is_on: whether the recorder looks on here and now: torch's hooks run on every thread.
        unknown: returns what to call a module that is not known and that no other module calls.
        called: told a module and its positional inputs before its forward pass.
        returned: told a module, its path and its output after its forward pass, while it is still the innermost;
            output is None when it failed.
    """

    def __init__(
        self,
        paths: dict[nn.Module, str],
        is_on: Callable[[], bool],
        unknown: Callable[[nn.Module], str],
        called: Callable[[nn.Module, tuple[Any, ...]], None],
        returned: Callable[[nn.Module, str, Any], None],
    ) -> None:
        self._paths = paths
        self._is_on = is_on
        self._unknown = unknown
        self._called = called
        self._returned = returned
        self._calls: dict[str, int] = {}
        self._stack: list[tuple[nn.Module, str, str, int]] = []
        self._handles: list[RemovableHandle] = []

    @property
    def current(self) -> tuple[str, str, int]:
        """The path, class and call number of the innermost module; ("", "", 0) outside of every module."""
        return self._stack[-1][1:] if self._stack else ("", "", 0)

    @property
    def depth(self) -> int:
        """How many modules are running."""
        return len(self._stack)

    def enter(self) -> None:
        """Begin to look on."""
        # torch.compile traces these hooks with the modules inside of a compiled one; there they must be nothing to it.
        # They are lambdas, because it would trace whatever wraps a function, too.
        compiling = torch.compiler.is_compiling
        before = lambda module, inputs: None if compiling() else self._before(module, inputs)  # noqa: E731
        after = lambda module, inputs, out: None if compiling() else self._after(module, out)  # noqa: E731
        self._handles.append(module_hooks.register_module_forward_pre_hook(before))
        self._handles.append(module_hooks.register_module_forward_hook(after, always_call=True))

    def leave(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._stack.clear()

    def _before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not self._is_on():
            return
        name = type(module).__name__
        path = self._paths.get(module)
        if path is None:
            path = f"({name})" if self._stack else self._unknown(module)
        call = self._calls.get(path, 0)
        self._calls[path] = call + 1
        self._stack.append((module, path, name, call))
        self._called(module, inputs)

    def _after(self, module: nn.Module, output: Any) -> None:
        # A module whose own pre-hook failed was never entered; one that failed inside may leave others behind it.
        if not self._is_on() or not any(running is module for running, *_ in self._stack):
            return
        while self._stack[-1][0] is not module:
            self._stack.pop()
        self._returned(module, self._stack[-1][1], output)  # what is found out now about its ops belongs to it
        self._stack.pop()
