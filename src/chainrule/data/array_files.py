"""Arrays in a .safetensors file: written with a run whose task was built from Python arrays, and read back exactly.

The file holds the tensors "inputs" and "targets". Words are stored as positions in a list, which stands with the
names of the columns in the file's metadata as JSON: {"class_names": [...], "input_names": [...]}.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.data.arrays import Arrays, check_arrays
from chainrule.data.wording import count_of
from chainrule.errors import DataError
from chainrule.files import write_atomically
from chainrule.tensor_files import SafetensorError, pack_tensors, read_tensors

METADATA_KEY = "chainrule"


def save_arrays(path: Path, inputs: Any, targets: Any) -> None:
    """Write inputs and targets so that `data.source` reads the same task from the file.

    Args:
        path: the .safetensors file; an older one is replaced.
        inputs: as `data.inputs` takes them.
        targets: as `data.targets` takes them; words too.

    Raises:
        DataError: the arrays cannot be used as data.
        OutputError: the file cannot be written.
    """
    arrays = check_arrays(inputs, targets)
    labels: NDArray[Any] = arrays.targets
    class_names: list[str] = []
    if labels.dtype.kind == "O":
        words, labels = np.unique(labels, return_inverse=True)
        class_names = words.tolist()
    tensors = {"inputs": torch.from_numpy(arrays.inputs), "targets": torch.from_numpy(labels)}
    metadata = json.dumps({"class_names": class_names, "input_names": list(arrays.input_names)}, ensure_ascii=False)
    write_atomically(path, pack_tensors(tensors, {METADATA_KEY: metadata}))


def read_array_file(path: Path) -> Arrays:
    """Read the inputs and targets of a .safetensors file; other tensors in it are left alone.

    Raises:
        DataError: the file is no safetensors file, lacks a tensor, or holds what `data.inputs` would refuse.
    """
    try:
        tensors, keys, metadata = read_tensors(path, ("inputs", "targets"))
    except SafetensorError as error:
        raise DataError(
            what=f"'{path.name}' is not a safetensors file, or is cut off.",
            where=str(path),
            cause=f"The reader says: {error}",
            next_step="Write it again with chainrule.data.save_arrays.",
        ) from error
    for key in ("inputs", "targets"):
        if key not in tensors:
            raise DataError(
                what=f"'{path.name}' has no tensor '{key}'.",
                where=str(path),
                found=", ".join(keys) or "no tensors",
                expected="inputs and targets",
            )
    class_names, input_names = _read_names(path, metadata)
    targets = _name_classes(tensors["targets"], class_names, path) if class_names else tensors["targets"]
    arrays = check_arrays(tensors["inputs"], targets)
    return replace(arrays, input_names=tuple(input_names))


def _read_names(path: Path, metadata: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the class names and the input names; both are empty in a file that another program wrote."""
    if METADATA_KEY not in metadata:
        return [], []
    try:
        names = json.loads(metadata[METADATA_KEY])
        return [str(name) for name in names["class_names"]], [str(name) for name in names["input_names"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, metadata[METADATA_KEY]) from error


def _name_classes(ids: torch.Tensor, class_names: list[str], path: Path) -> NDArray[Any]:
    if ids.is_floating_point() or ids.numel() == 0 or not 0 <= int(ids.min()) <= int(ids.max()) < len(class_names):
        raise _damaged(
            path, f"{count_of(len(class_names), 'class name')}, and targets that are no positions among them"
        )
    names: NDArray[Any] = np.array(class_names, dtype=object)
    return np.asarray(names[ids.numpy()])


def _damaged(path: Path, found: str) -> DataError:
    return DataError(
        what=f"The names in '{path.name}' do not fit its tensors.",
        where=str(path),
        found=found,
        expected='{"class_names": [...], "input_names": [...]} under the metadata key "' + METADATA_KEY + '"',
        next_step="Write it again with chainrule.data.save_arrays.",
    )
