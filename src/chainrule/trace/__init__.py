"""What a step or a run did, in numbers."""

from chainrule.trace.history import EPOCH, Curve, History
from chainrule.trace.numbers import Held, Kept, Missing, Number, Statistics, read
from chainrule.trace.ops import Op, Phase, Source, ValueRef, rebuild, walk
from chainrule.trace.step_trace import Decision, Keep, LeftOut, ModuleNote, Recipe, Trace
from chainrule.trace.updates import Update
from chainrule.trace.values import Use, Value, ValueKind

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
]
