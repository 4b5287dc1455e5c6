"""chainrule makes backpropagation in PyTorch visible, checkable and steerable.

The names below are loaded when they are first used, so that `import chainrule` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainrule.errors import ChainruleError
    from chainrule.penalties import ActivationPenalty
    from chainrule.probes import ActivationChoice, compare_activations, find_lr
    from chainrule.queries import explain, open_op, why
    from chainrule.recorder import Recorder, record
    from chainrule.registry import HalfSumOfSquares
    from chainrule.sweeps import Map, Sweep, map_runs, sweep
    from chainrule.tasks import Task, load_task
    from chainrule.trace import Trace
    from chainrule.training import Run, train
    from chainrule.verification import verify

__version__ = "0.1.0"

_HOMES = {
    "ActivationChoice": "chainrule.probes",
    "ActivationPenalty": "chainrule.penalties",
    "ChainruleError": "chainrule.errors",
    "HalfSumOfSquares": "chainrule.registry",
    "Map": "chainrule.sweeps",
    "Recorder": "chainrule.recorder",
    "Run": "chainrule.training",
    "Sweep": "chainrule.sweeps",
    "Task": "chainrule.tasks",
    "Trace": "chainrule.trace",
    "compare_activations": "chainrule.probes",
    "explain": "chainrule.queries",
    "find_lr": "chainrule.probes",
    "load_task": "chainrule.tasks",
    "map_runs": "chainrule.sweeps",
    "open_op": "chainrule.queries",
    "record": "chainrule.recorder",
    "sweep": "chainrule.sweeps",
    "train": "chainrule.training",
    "verify": "chainrule.verification",
    "why": "chainrule.queries",
}

__all__ = [
    "ActivationChoice",
    "ActivationPenalty",
    "ChainruleError",
    "HalfSumOfSquares",
    "Map",
    "Recorder",
    "Run",
    "Sweep",
    "Task",
    "Trace",
    "__version__",
    "compare_activations",
    "explain",
    "find_lr",
    "load_task",
    "map_runs",
    "open_op",
    "record",
    "sweep",
    "train",
    "verify",
    "why",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chainrule' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
