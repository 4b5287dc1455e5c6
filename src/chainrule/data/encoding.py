"""Words to one-hot columns, and means in place of missing values; both fitted on the training part only."""

from dataclasses import dataclass

import torch

from chainrule.data.samples import Samples
from chainrule.data.wording import count_of, join_names
from chainrule.errors import DataError
from chainrule.shapes import Float, Int, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Inputs that are numbers throughout, the name of each column, and what was done, in sentences."""

    inputs: Float[Tensor, "rows ..."]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def encode_inputs(samples: Samples, training: Int[Tensor, " training"]) -> Encoded:
    """Replace each column of words by one column a word, and each missing value by a mean.

    A word gets a column when it stands in the training part; a row whose word does not has 0 in all of them. A
    missing value becomes the mean of its column over the training part; in the columns of a word, that is the share
    of the training rows with that word.

    Raises:
        DataError: a column with no value at all in the training part has no mean.
    """
    encoded = Encoded(samples.inputs, samples.input_names, ())
    if any(samples.words):
        encoded = _encode_words(samples, training)
    inputs, names = encoded.inputs, encoded.names
    missing = inputs.isnan()
    if not missing.any():
        return encoded
    means = inputs[training].nanmean(dim=0)
    if means.isnan().any():
        raise _no_value(samples.name, names[int(means.isnan().nonzero()[0, 0])], len(training))
    count = int(samples.inputs.isnan().sum())
    values = count_of(count, "missing value is", "missing values are")
    note = f"{values} replaced by the mean of the column over the training part."
    return Encoded(torch.where(missing, means, inputs), names, (*encoded.notes, note))


def _encode_words(samples: Samples, training: Int[Tensor, " training"]) -> Encoded:
    blocks: list[Tensor] = []
    names: list[str] = []
    notes: list[str] = []
    for column, name, words in zip(samples.inputs.T, samples.input_names, samples.words, strict=True):
        if not words:
            blocks.append(column[:, None])
            names.append(name)
            continue
        fitted = column[training]
        known = fitted[~fitted.isnan()].unique()
        if len(known) == 0:
            raise _no_value(samples.name, name, len(training))
        is_missing = column.isnan()[:, None]
        blocks.append((column[:, None] == known).to(column.dtype).masked_fill(is_missing, torch.nan))
        names += [f"{name}={words[int(code)]}" for code in known]
        unseen = [word for code, word in enumerate(words) if code not in known]
        note = f"Column '{name}' becomes {count_of(len(known), 'one-hot column')}."
        if unseen:
            note += f" Not in the training part, so 0 in all of them: {join_names(unseen)}."
        notes.append(note)
    return Encoded(torch.cat(blocks, dim=1), tuple(names), tuple(notes))


def _no_value(source: str, column: str, training_rows: int) -> DataError:
    return DataError(
        what=f"The column '{column}' has no value in the training part, so it has no mean to put in.",
        where=f"{source}, column '{column}'",
        found=f"{count_of(training_rows, 'training row')}, all without a value",
        expected="a value in at least one of them",
        next_step="Leave the column out with data.columns, or change the seed or the shares of the split.",
    )
