"""Which samples each update takes, from a file: the batches of another run, or of another program."""

from pathlib import Path

import torch

from chainrule.errors import DataError
from chainrule.shapes import Int, Tensor
from chainrule.tensor_files import SafetensorError, read_tensors

_KEY = "data.order"


def read_order(path: Path, samples: int) -> Int[Tensor, "updates batch"]:
    """Return which rows of the training part each update takes.

    Args:
        path: a .safetensors file with the tensor `rows`, whole numbers of shape (updates, samples of an update).
        samples: of the training part; rows count from 0 to below it, and may come several times.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    try:
        tensors, names, _ = read_tensors(path, ("rows",))
    except (OSError, SafetensorError) as error:
        raise DataError(
            what="The order of the samples cannot be read.",
            where=_KEY,
            found=str(path),
            expected="a .safetensors file",
            cause=f"The reader says: {error}",
        ) from error
    if "rows" not in tensors:
        raise _refused(path, f"the tensors {', '.join(names)}" if names else "no tensors", "the tensor rows")
    rows = tensors["rows"]
    if rows.is_floating_point() or rows.dtype == torch.bool or rows.dim() != 2 or rows.numel() == 0:
        found = f"{str(rows.dtype).removeprefix('torch.')} of shape {tuple(rows.shape)}"
        raise _refused(path, found, "whole numbers of shape (updates, samples of an update)")
    rows = rows.to(torch.int64)
    low, high = int(rows.min()), int(rows.max())
    if low < 0 or high >= samples:
        raise _refused(path, f"rows from {low} to {high}", f"rows from 0 to {samples - 1}, those of the training part")
    return rows


def _refused(path: Path, found: str, expected: str) -> DataError:
    return DataError(
        what=f"'{path.name}' does not say which samples each update takes.", where=_KEY, found=found, expected=expected
    )
