"""Compiled parts of a model, which run as they are: what is inside of them is not Python any more.

A module that torch.compile has wrapped runs its compiled code, with the recorder set aside, and is one opaque op. A
function that torch.compile has wrapped cannot be told from outside, so it runs its own Python instead; the trace
notes it. Were the recorder on while torch.compile traces, it would be traced and compiled itself.
"""

import sys
import warnings
from contextlib import AbstractContextManager

import torch
from torch import nn

from chainrule.recorder.standing_aside import StandingAside

_DYNAMO = "torch._dynamo"  # imported by torch.compile; importing it here would cost seconds


def why_opaque(module: nn.Module) -> str:
    """Return why the inside of a module cannot be recorded; "" when it can."""
    if isinstance(module, torch.jit.ScriptModule):
        return "It is a torch.jit module, which runs outside of Python: only what enters and leaves it is seen."
    dynamo = sys.modules.get(_DYNAMO)
    if dynamo is not None and isinstance(module, dynamo.OptimizedModule):
        return (
            "It is a module that torch.compile has compiled: only what enters and leaves it is seen. "
            "Record the module that was given to torch.compile to see its inside."
        )
    return ""


class CompiledModules:
    """Sets the recorder aside while a compiled module runs.

    Args:
        aside: sets the recorder aside.
    """

    def __init__(self, aside: StandingAside) -> None:
        self._aside = aside
        self._eager: AbstractContextManager[None] | None = None
        self._quiet: AbstractContextManager[object] | None = None
        self._running: list[nn.Module] = []
        self.set_aside = False

    def begin(self) -> None:
        """Begin a recording."""
        if _DYNAMO in sys.modules:
            # torch warns that global module hooks run twice for a compiled module. Ours know that.
            self._quiet = warnings.catch_warnings()
            self._quiet.__enter__()
            warnings.filterwarnings("ignore", message="Using `torch.compile\\(module\\)` when there are global hooks")
        self.enter()

    def end(self) -> None:
        """End a recording."""
        self.leave()
        if self._quiet is not None:
            self._quiet.__exit__(None, None, None)
            self._quiet = None

    def enter(self) -> None:
        """Let functions that torch.compile has wrapped run their own Python."""
        if _DYNAMO in sys.modules:
            self._eager = torch.compiler.set_stance("force_eager")

    def leave(self) -> None:
        """Let them run compiled again."""
        if self._eager is not None:
            self._eager.__exit__(None, None, None)
            self._eager = None

    def called(self, module: nn.Module) -> None:
        """A module begins: when it is compiled, nothing is recorded until it returns."""
        if why_opaque(module):
            if not self._running:
                self.leave()
                self._aside.begin()
                self.set_aside = True
            self._running.append(module)

    def returned(self, module: nn.Module) -> None:
        """A module has returned."""
        if self._running and self._running[-1] is module:
            self._running.pop()
            if not self._running:
                self._aside.end()
                self.enter()
                self.set_aside = False
