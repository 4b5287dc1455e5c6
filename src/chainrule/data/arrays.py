"""Inputs and targets that are written out in Python: lists, NumPy arrays, tensors, data frames.

Data frames are read through NumPy's protocol, so any library's frame works. Nothing is missing in an array: NaN, inf
and None are refused with their index, whatever `data.missing` says.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.data.array_values import place, read_labels, read_numbers
from chainrule.data.dataset import ColumnInfo, Kind
from chainrule.data.samples import Samples
from chainrule.data.targets import TargetSource, build_targets
from chainrule.errors import DataError

TYPE_NAMES = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "O": "text"}


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Inputs and targets as NumPy arrays that are checked, but not yet classes or numbers.

    Attributes:
        inputs: float64, (rows, ...).
        targets: booleans, integers, floats or words, (rows,) or (rows, outputs).
        input_names: the column names of a frame; empty when there are none.
        input_type: "integer", "number" or "boolean", as it was before it became float64.
        notes: sentences on how they were read.
    """

    inputs: NDArray[np.float64]
    targets: NDArray[np.generic]
    input_names: tuple[str, ...]
    input_type: str
    notes: tuple[str, ...]


def check_arrays(inputs: Any, targets: Any) -> Arrays:
    """Turn lists, arrays, tensors or frames into arrays of the same number of rows, all numbers finite.

    Raises:
        DataError: ragged lists, no rows, words among the inputs, NaN, inf or None, or numbers of rows that differ.
    """
    _require_both(inputs, targets)
    raw = read_numbers(inputs, "inputs")
    numbers = raw.astype(np.float64)
    labels = _check_targets(targets)
    if len(labels) != len(numbers):
        raise DataError(
            what="The inputs and the targets differ in their number of rows.",
            where="data.inputs and data.targets",
            found=f"{len(numbers)} inputs and {len(labels)} targets",
            expected="one target for each input",
        )
    notes = []
    if raw.dtype.kind in "iu" and max(-int(raw.min()), int(raw.max())) > 2**53:
        notes.append("The inputs hold integers beyond 2^53, which float64 rounds.")
    if numbers.ndim == 1:
        numbers = numbers[:, None]
        notes.append("The inputs have one dimension, so each number is a row with one feature.")
    return Arrays(numbers, labels, _column_names(inputs, numbers), TYPE_NAMES[raw.dtype.kind], tuple(notes))


def build_samples(arrays: Arrays, kind: Kind | None, name: str) -> Samples:
    """Decide between classes and numbers, and name the columns: x1, x2, … and y, where a frame does not name them."""
    source = TargetSource("data.targets", lambda row: place("targets", (row,)))
    targets = build_targets(arrays.targets, kind, source)
    outputs = targets.values.shape[1] if targets.kind == "regression" else 1
    target_names = ("y",) if outputs == 1 else tuple(f"y{position + 1}" for position in range(outputs))
    target_type = TYPE_NAMES[arrays.targets.dtype.kind]
    target_columns = tuple(ColumnInfo(target, target_type, "target") for target in target_names)
    inputs = torch.from_numpy(arrays.inputs)
    if inputs.ndim == 2:
        names = arrays.input_names or tuple(f"x{position + 1}" for position in range(inputs.shape[1]))
        columns = tuple(ColumnInfo(column, arrays.input_type, "input") for column in names)
    else:
        names = ()
        shape = " × ".join(str(size) for size in inputs.shape[1:])
        columns = (ColumnInfo("inputs", arrays.input_type, "input", f"{shape} a row"),)
    return Samples(name, inputs, targets, names, target_names, columns + target_columns, (*arrays.notes, targets.note))


def _require_both(inputs: Any, targets: Any) -> None:
    for missing, given, value in (("inputs", "targets", inputs), ("targets", "inputs", targets)):
        if value is None:
            raise DataError(
                what=f"The task gives {given} and no {missing}.",
                where=f"data.{missing}",
                expected=f"{missing}, as many rows as {given}",
            )


def _check_targets(targets: Any) -> NDArray[np.generic]:
    labels = read_labels(targets, "targets")
    if labels.ndim > 2:
        raise DataError(
            what="The targets have more than two dimensions.",
            where="data.targets",
            found=f"shape {labels.shape}",
            expected="shape (rows,) or (rows, outputs)",
        )
    if labels.dtype.kind == "f":
        return labels.astype(np.float64)
    # [[0], [1]] is one label a row, as workbooks and toy examples write it.
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64) if int(labels.max()) < 2**63 else labels.astype(np.float64)
    return labels


def _column_names(inputs: Any, numbers: NDArray[np.float64]) -> tuple[str, ...]:
    columns = tuple(str(column) for column in getattr(inputs, "columns", ()))
    return columns if numbers.ndim == 2 and len(columns) == numbers.shape[1] else ()
