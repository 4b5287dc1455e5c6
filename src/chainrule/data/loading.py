"""Load the data of a task: read, split, then encode, fill and scale as the training part says."""

from dataclasses import replace
from pathlib import Path

import torch

from chainrule.data.dataset import ColumnInfo, Dataset, Part
from chainrule.data.encoding import Encoded, encode_inputs
from chainrule.data.samples import Samples
from chainrule.data.scaling import Scaling, find_constant, fit_scaling
from chainrule.data.sources import read_samples
from chainrule.data.split import Split, split_rows
from chainrule.data.wording import count_of, join_names
from chainrule.errors import DataError
from chainrule.shapes import Int, Tensor
from chainrule.tasks.data_spec import DataSpec


def load_data(spec: DataSpec, seed: int, folder: Path | None = None) -> Dataset:
    """Read the data of a task, split them, and standardise them if asked to.

    The same spec and seed give the same tensors. The split comes first: one-hot columns, means for missing values and
    the standardisation are fitted on the training part and applied to the others.

    Args:
        spec: the task's data table.
        seed: of the split, and of data that are drawn.
        folder: what a relative path counts from; the working directory when None.

    Raises:
        DataError: the data cannot be read or used, or an option does not fit them.
    """
    samples = read_samples(spec, folder, seed)
    targets = samples.targets
    is_regression = targets.kind == "regression"
    if spec.standardise_targets and not is_regression:
        raise DataError(
            what="The targets are classes, which cannot be standardised.",
            where="data.standardise_targets",
            found="true",
            expected="false for a classification",
            next_step='Take it out, or set data.kind = "regression".',
        )
    classes = torch.zeros(len(targets.values), dtype=torch.int64) if is_regression else targets.values
    split = split_rows(classes, spec.validation, spec.test, seed)
    _require_batch(spec, len(split.training))
    encoded = encode_inputs(samples, split.training)
    training = encoded.inputs[split.training]
    input_scaling = fit_scaling(training, "data.standardise_inputs") if spec.standardise_inputs else None
    target_scaling = None
    if spec.standardise_targets:
        target_scaling = fit_scaling(targets.values[split.training], "data.standardise_targets")
    inputs = input_scaling.apply(encoded.inputs) if input_scaling else encoded.inputs
    values = target_scaling.apply(targets.values) if target_scaling else targets.values
    columns, constant_notes = _remark_on_constants(samples, encoded, training)
    notes = (
        *samples.notes,
        _describe_split(split, is_regression, seed, classes),
        *encoded.notes,
        *_describe_scaling(input_scaling, target_scaling),
        *constant_notes,
    )
    return Dataset(
        name=samples.name,
        kind=targets.kind,
        train=_take(inputs, values, split.training),
        validation=_take(inputs, values, split.validation) if spec.validation else None,
        test=_take(inputs, values, split.test) if spec.test else None,
        input_names=encoded.names,
        target_names=samples.target_names,
        class_names=targets.class_names,
        input_scaling=input_scaling,
        target_scaling=target_scaling,
        columns=columns,
        notes=notes,
    )


def _take(inputs: Tensor, targets: Tensor, rows: Int[Tensor, " part"]) -> Part:
    return Part(inputs[rows], targets[rows])


def _require_batch(spec: DataSpec, training_rows: int) -> None:
    if spec.batch_size != "full" and spec.batch_size > training_rows:
        raise DataError(
            what="The batch is larger than the training part.",
            where="data.batch_size",
            found=str(spec.batch_size),
            expected=f'1 to {training_rows}, or "full"' if training_rows > 1 else '1, or "full"',
        )


def _describe_split(split: Split, is_regression: bool, seed: int, classes: Int[Tensor, " rows"]) -> str:
    total = count_of(len(classes), "row")
    if len(split.training) == len(classes):
        return f"{total}, all for training: nothing is held out."
    parts = [f"{len(split.training)} for training"]
    parts += [f"{len(split.validation)} for validation"] if len(split.validation) else []
    parts += [f"{len(split.test)} for the test"] if len(split.test) else []
    text = f"{total}: {', '.join(parts[:-1])} and {parts[-1]}, drawn with seed {seed}"
    if is_regression:
        return f"{text}."
    held_out = torch.cat([split.validation, split.test])
    absent = int((torch.bincount(classes[held_out], minlength=int(classes.max()) + 1) == 0).sum())
    text += ", each class in proportion."
    if absent:
        verb = "has" if absent == 1 else "have"
        text += f" {count_of(absent, 'class', 'classes')} {verb} too few rows to be held out."
    return text


def _describe_scaling(input_scaling: Scaling | None, target_scaling: Scaling | None) -> tuple[str, ...]:
    scaled = [name for name, scaling in (("inputs", input_scaling), ("targets", target_scaling)) if scaling is not None]
    if not scaled:
        return ()
    how = "minus the mean, divided by the standard deviation (over N) of the training part"
    return (f"The {' and the '.join(scaled)} are standardised: {how}.",)


def _remark_on_constants(
    samples: Samples, encoded: Encoded, training: Tensor
) -> tuple[tuple[ColumnInfo, ...], tuple[str, ...]]:
    """Remark on the columns that are the same in every training row, and so teach nothing."""
    if len(training) == 1:
        return samples.columns, ()
    constant = find_constant(training)
    if not constant.any():
        return samples.columns, ()
    if constant.ndim != 1:
        count = int(constant.sum())
        features = count_of(count, "input feature is", "input features are")
        return samples.columns, (f"{features} constant in the training part.",)
    names = [name for name, is_constant in zip(encoded.names, constant.tolist(), strict=True) if is_constant]
    columns = tuple(
        replace(column, remark="constant in the training part") if column.name in names else column
        for column in samples.columns
    )
    quoted = join_names([f"'{name}'" for name in names])
    verb = "is" if len(names) == 1 else "are"
    return columns, (f"{'Columns' if len(names) > 1 else 'Column'} {quoted} {verb} constant in the training part.",)
