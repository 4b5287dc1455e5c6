"""The data sets that come with scikit-learn. The only file that imports it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn import datasets

from chainrule.data.dataset import ColumnInfo, Kind
from chainrule.data.samples import Samples
from chainrule.data.targets import TargetSource, build_targets


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """How to load a set, what its target is called, and a sentence on its units if they need one."""

    load: Callable[[], Any]
    target: str
    kind: Kind
    note: str = ""


BUILT_IN_SETS = {
    "iris": BuiltIn(datasets.load_iris, "species", "classification"),
    "wine": BuiltIn(datasets.load_wine, "cultivar", "classification"),
    "breast_cancer": BuiltIn(datasets.load_breast_cancer, "diagnosis", "classification"),
    "digits": BuiltIn(datasets.load_digits, "digit", "classification", "Each input is a grey level from 0 to 16."),
    "diabetes": BuiltIn(
        # Scikit-learn's default scales over all rows, the held-out ones included.
        lambda: datasets.load_diabetes(scaled=False),
        "progression",
        "regression",
        "The inputs are in their own units (scikit-learn's scaled=False).",
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
