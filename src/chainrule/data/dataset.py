"""What training reads: the parts of a data set as tensors, and how they came about."""

from dataclasses import dataclass
from typing import Literal

from chainrule.data.scaling import Scaling
from chainrule.shapes import Float, Int, Tensor

Kind = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part of the split.

    Attributes:
        inputs: float64, one row a sample; more than two dimensions when the inputs are images or the like.
        targets: int64 class ids for a classification, float64 numbers for a regression.
    """

    inputs: Float[Tensor, "rows ..."]
    targets: Int[Tensor, " rows"] | Float[Tensor, "rows outputs"]

    def __len__(self) -> int:
        return self.inputs.shape[0]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of the source: its type as inferred, and what it is used for."""

    name: str
    type: str
    role: Literal["input", "target", "left out"]
    remark: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A data set that is read, split and scaled.

    Attributes:
        name: the name of the built-in set or of the file, or "arrays".
        kind: "classification" or "regression".
        train: the part that the parameters are fitted on; never empty.
        validation: the part held out for early stopping and schedules; None when nothing is.
        test: the part held out for the test; None when nothing is.
        input_names: one name an input feature, after one-hot; empty for inputs of more than two dimensions.
        target_names: one name for a classification, one name an output for a regression.
        class_names: the label of each class id; empty for a regression.
        input_scaling: how the inputs were standardised; None when they were not.
        target_scaling: how the targets were standardised, to undo it on predictions; None when they were not.
        columns: every column of the source, with its inferred type and its role.
        notes: sentences that state the split, the seed, the scaling, the types and what was dropped.
    """

    name: str
    kind: Kind
    train: Part
    validation: Part | None
    test: Part | None
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    class_names: tuple[str, ...]
    input_scaling: Scaling | None
    target_scaling: Scaling | None
    columns: tuple[ColumnInfo, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        sizes = ", ".join(f"{name}={len(part)}" for name, part in parts.items() if part is not None)
        return f"Dataset({self.name!r}, {self.kind}, {sizes})"
