"""The `[data]` table of a task: which data, which column is the target, how they are split and scaled."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from chainrule.tasks.numbers import Count, Share

SCIKIT_LEARN_SETS = ("iris", "wine", "breast_cancer", "digits", "diabetes")


class DataSpec(BaseModel):
    """Which data a task trains on.

    Exactly one of `source` and `inputs`/`targets` is given.

    Attributes:
        source: a built-in scikit-learn set, "gaussian" for numbers drawn at random, or the path of a .csv, .parquet or
            .safetensors file (relative paths count from the folder of the task file).
        inputs: the input rows written out: a list of lists, a NumPy array, a tensor or a data frame, shape (N, ...).
        targets: the target of each row: class labels (N,) or numbers (N,) or (N, D).
        target: the target column of a file, or several for a regression with several outputs.
        columns: the input columns of a file; all others than the target when not given.
        kind: "classification" or "regression"; inferred from the target when not given.
        missing: what to do with a row that has a missing value: refuse the file, drop the row, or put in the mean of
            the training part.
        categories: what to do with an input column of words: refuse the file, or one column per word (one-hot).
        test: the share of the rows that is held out for the test, in [0, 1).
        validation: the share of the rows that is held out for early stopping and plateau schedules, in [0, 1).
        standardise_inputs: subtract the mean and divide by the standard deviation of the training part.
        standardise_targets: the same for the targets of a regression.
        batch_size: samples per update, or "full" for all of them.
        shuffle: a new seeded order of the training samples in every epoch.
        sampling: "in_turn", so that every training sample comes once in an epoch; or "with_replacement": each place of
            a batch is drawn from all training samples, by the seed.
        order: a .safetensors file that says which training samples each update takes: the tensor `rows` (updates,
            batch_size) of whole numbers from 0. There are no more updates than it has rows.
        samples: of the source "gaussian": how many; 100 when not given.
        features: of the source "gaussian": how many numbers an input has; 16 when not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    source: str | None = None
    inputs: Any = None
    targets: Any = None
    target: str | list[str] | None = None
    columns: list[str] | None = None
    kind: Literal["classification", "regression"] | None = None
    missing: Literal["refuse", "drop", "mean"] = "refuse"
    categories: Literal["refuse", "one-hot"] = "refuse"
    test: Share = 0.0
    validation: Share = 0.0
    standardise_inputs: bool = False
    standardise_targets: bool = False
    batch_size: Count | Literal["full"] = "full"
    shuffle: bool = True
    sampling: Literal["in_turn", "with_replacement"] = "in_turn"
    order: str | None = None
    samples: Count | None = None
    features: Count | None = None
