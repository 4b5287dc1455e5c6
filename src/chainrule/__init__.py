"""chainrule makes backpropagation in PyTorch visible, checkable and steerable.

The names below are loaded when they are first used, so that `import chainrule` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.errors import ChainruleError
    from chainrule.penalties import ActivationPenalty
    from chainrule.registry import HalfSumOfSquares
    from chainrule.tasks import Task, load_task
    from chainrule.training import Run, train

__version__ = "0.1.0"

_HOMES = {
    "ActivationPenalty": "chainrule.penalties",
    "ChainruleError": "chainrule.errors",
    "HalfSumOfSquares": "chainrule.registry",
    "Run": "chainrule.training",
    "Task": "chainrule.tasks",
    "load_task": "chainrule.tasks",
    "train": "chainrule.training",
}

__all__ = [
    "ActivationPenalty",
    "ChainruleError",
    "HalfSumOfSquares",
    "Run",
    "Task",
    "__version__",
    "load_task",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chainrule' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
