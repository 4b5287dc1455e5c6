"""What a step or a run did, in numbers.

`History` is loaded when it is first used: it needs polars, which takes longer to load than a first trace to record.
"""

import importlib
from typing import TYPE_CHECKING, Any

from chainrule.trace.numbers import Held, Kept, Missing, Number, Statistics, read
from chainrule.trace.ops import Op, Phase, Source, ValueRef, rebuild, walk, where_of
from chainrule.trace.step_trace import Decision, Keep, LeftOut, ModuleNote, Recipe, Trace
from chainrule.trace.updates import Update
from chainrule.trace.values import Use, Value, ValueKind

if TYPE_CHECKING:
    from chainrule.trace.history import EPOCH, Curve, History

_OF_HISTORY = frozenset({"EPOCH", "Curve", "History"})

__all__ = [
    "EPOCH",
    "Curve",
    "Decision",
    "Held",
    "History",
    "Keep",
    "Kept",
    "LeftOut",
    "Missing",
    "ModuleNote",
    "Number",
    "Op",
    "Phase",
    "Recipe",
    "Source",
    "Statistics",
    "Trace",
    "Update",
    "Use",
    "Value",
    "ValueKind",
    "ValueRef",
    "read",
    "rebuild",
    "walk",
    "where_of",
]


def __getattr__(name: str) -> Any:
    if name not in _OF_HISTORY:
        raise AttributeError(f"module 'chainrule.trace' has no attribute '{name}'")
    return getattr(importlib.import_module("chainrule.trace.history"), name)
