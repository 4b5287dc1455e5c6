"""From target values to class ids or numbers, and how the kind of the task follows from them.

Words and booleans are classes. Integers are classes when there are at most 20 different ones and, on average, at
least two rows of each. All else is a regression. `data.kind` overrides.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.data.dataset import Kind
from chainrule.data.wording import count_of, join_names
from chainrule.errors import DataError
from chainrule.shapes import Float, Int, Tensor

MOST_INFERRED_CLASSES = 20
FEWEST_ROWS_PER_CLASS = 2


@dataclass(frozen=True, slots=True)
class TargetSource:
    """How messages name the target, and one row of it: "houses.csv, line 7, column 'price'"."""

    where: str
    place: Callable[[int], str]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The targets of all rows, and the sentence that says why they are classes or numbers."""

    kind: Kind
    values: Int[Tensor, " rows"] | Float[Tensor, "rows outputs"]
    class_names: tuple[str, ...]
    note: str


def build_targets(values: NDArray[np.generic], kind: Kind | None, source: TargetSource) -> Targets:
    """Turn target values into class ids or numbers.

    Args:
        values: (rows,) or (rows, outputs); booleans, integers, finite floats, or words as Python strings.
        kind: what the task asks for; inferred when None.
        source: how to name the target in messages.

    Raises:
        DataError: words for a regression, fractions or several columns for a classification, or one class only.
    """
    wanted, reason = (kind, "as data.kind says") if kind is not None else _infer_kind(values)
    if wanted == "regression":
        return _build_numbers(values, reason, source)
    return _build_classes(values, reason, source)


def _infer_kind(values: NDArray[np.generic]) -> tuple[Kind, str]:
    if values.ndim == 2:
        return "regression", f"because there are {values.shape[1]} targets a row"
    if values.dtype.kind == "b":
        return "classification", "because the target is boolean"
    if values.dtype.kind == "O":
        return "classification", "because the target holds words"
    if values.dtype.kind == "f":
        return "regression", "because the target holds numbers that are not of an integer type"
    different = len(np.unique(values))
    rule = f"at most {MOST_INFERRED_CLASSES} different ones and two rows of each on average"
    if different <= MOST_INFERRED_CLASSES and len(values) >= FEWEST_ROWS_PER_CLASS * different:
        return "classification", f"because the target holds {different} different integers ({rule} make classes)"
    found = f"{count_of(different, 'different integer')} in {count_of(len(values), 'row')}"
    return "regression", f"because the target holds {found} ({rule} make classes)"


def _build_numbers(values: NDArray[np.generic], reason: str, source: TargetSource) -> Targets:
    if values.dtype.kind == "O":
        raise DataError(
            what="A regression needs numbers as its target, and this one holds words.",
            where=source.place(0),
            found=repr(str(values.flat[0])),
            expected="a number in every row",
            next_step='Choose another target, or set data.kind = "classification".',
        )
    numbers = torch.from_numpy(values.astype(np.float64))
    note = f"Regression, {reason}."
    return Targets("regression", numbers.reshape(len(values), -1), (), note)


def _build_classes(values: NDArray[np.generic], reason: str, source: TargetSource) -> Targets:
    if values.ndim == 2 and values.shape[1] > 1:
        raise DataError(
            what="A classification has one target column, and this task has several.",
            where=source.where,
            found=f"{values.shape[1]} target columns",
            expected="1",
            next_step='Name one target, or set data.kind = "regression".',
        )
    values = values.reshape(-1)
    if values.dtype.kind == "f":
        values = _to_integers(values, source)
    labels, ids = np.unique(values, return_inverse=True)
    names = tuple(str(label).lower() if values.dtype.kind == "b" else str(label) for label in labels.tolist())
    if len(names) < 2:
        raise DataError(
            what="The target has one class only, so there is nothing to tell apart.",
            where=source.where,
            found=f"'{names[0]}' in all {len(values)} rows" if len(values) > 1 else f"'{names[0]}' in the only row",
            expected="at least two classes",
            next_step="Check the target column"
            + ("." if values.dtype.kind == "O" else ', or set data.kind = "regression" if it is a number.'),
        )
    note = f"Classification, {reason}: {len(names)} classes ({join_names(names)})."
    return Targets("classification", torch.from_numpy(ids.reshape(-1).astype(np.int64)), names, note)


def _to_integers(values: NDArray[np.generic], source: TargetSource) -> NDArray[np.generic]:
    """Take whole floats as class numbers; a fraction is no class."""
    numbers = values.astype(np.float64)
    fractions = np.flatnonzero((numbers != np.floor(numbers)) | (np.abs(numbers) >= 2.0**63))
    if len(fractions):
        row = int(fractions[0])
        raise DataError(
            what="A classification needs classes as its target, and this one holds fractions.",
            where=source.place(row),
            found=f"{numbers[row]:.17g}",
            expected="integers, booleans or words",
            next_step='Set data.kind = "regression", or choose another target.',
        )
    return numbers.astype(np.int64)
