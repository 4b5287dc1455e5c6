"""Named tensors as safetensors bytes and back. The only file that knows safetensors; nothing here unpickles."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from safetensors import SafetensorError

from chainrule.shapes import Tensor

__all__ = ["SafetensorError", "pack_tensors", "read_tensors", "unpack_tensors"]


def pack_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return tensors as the bytes of a .safetensors file.

    Args:
        tensors: by name, on any device. Tied weights share memory, which the format refuses, so each gets a copy.
        metadata: text by name.
    """
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(copies, None if metadata is None else dict(metadata))


def unpack_tensors(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file's bytes.

    Raises:
        SafetensorError: the bytes are no safetensors file, or are cut off.
    """
    return safetensors.torch.load(data)


def read_tensors(path: Path, wanted: Iterable[str]) -> tuple[dict[str, Tensor], list[str], dict[str, str]]:
    """Return the wanted tensors that a file has, the names of all that it has, and its metadata.

    Raises:
        SafetensorError: the file is no safetensors file, or is cut off.
    """
    with safetensors.safe_open(str(path), framework="pt") as file:
        names = sorted(file.keys())
        return {name: file.get_tensor(name) for name in wanted if name in names}, names, dict(file.metadata() or {})
