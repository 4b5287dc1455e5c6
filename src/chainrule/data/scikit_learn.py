"""The data sets that come with scikit-learn. The only file that talks to it.

It is imported when a set is loaded: with SciPy that takes more than a second, for which no other task should wait.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from chainrule.data.dataset import ColumnInfo, Kind
from chainrule.data.samples import Samples
from chainrule.data.targets import TargetSource, build_targets


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The function that loads a set and its options, what its target is called, and a sentence on its units."""

    loader: str
    target: str
    kind: Kind
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Return what scikit-learn's function returns."""
        return getattr(importlib.import_module("sklearn.datasets"), self.loader)(**self.options)


BUILT_IN_SETS = {
    "iris": BuiltIn("load_iris", "species", "classification"),
    "wine": BuiltIn("load_wine", "cultivar", "classification"),
    "breast_cancer": BuiltIn("load_breast_cancer", "diagnosis", "classification"),
    "digits": BuiltIn("load_digits", "digit", "classification", "Each input is a grey level from 0 to 16."),
    "diabetes": BuiltIn(
        "load_diabetes",
        "progression",
        "regression",
        "The inputs are in their own units (scikit-learn's scaled=False).",
        {"scaled": False},  # the default scales over all rows, the held-out ones included
    ),
}


def load_built_in(name: str, kind: Kind | None) -> Samples:
    """Load a built-in set, all of its rows in scikit-learn's order."""
    built_in = BUILT_IN_SETS[name]
    bunch = built_in.load()
    labels: np.ndarray[Any, Any] = np.asarray(bunch.target)
    source = TargetSource(f"{name}, '{built_in.target}'", lambda row: f"{name}, row {row + 1}, '{built_in.target}'")
    targets = build_targets(labels, kind or built_in.kind, source)
    if targets.kind == built_in.kind == "classification":
        class_names = tuple(str(label) for label in bunch.target_names)
        targets = replace(targets, class_names=class_names)
    targets = replace(targets, note=_describe(targets.kind, kind, len(targets.class_names)))
    names = tuple(str(feature) for feature in bunch.feature_names)
    columns = (*(ColumnInfo(feature, "number", "input") for feature in names), _target_column(built_in))
    notes = tuple(note for note in (built_in.note, targets.note) if note)
    inputs = torch.from_numpy(np.asarray(bunch.data, dtype=np.float64).copy())
    return Samples(name, inputs, targets, names, (built_in.target,), columns, notes)


def _target_column(built_in: BuiltIn) -> ColumnInfo:
    return ColumnInfo(built_in.target, "text" if built_in.kind == "classification" else "number", "target")


def _describe(kind: Kind, asked: Kind | None, classes: int) -> str:
    reason = "as data.kind says" if asked is not None else "as the set is known"
    return f"Regression, {reason}." if kind == "regression" else f"Classification, {reason}: {classes} classes."
