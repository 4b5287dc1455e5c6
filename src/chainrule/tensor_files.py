"""Named tensors as safetensors bytes and back. The only file that knows safetensors; nothing here unpickles."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError

from chainrule.shapes import Tensor

__all__ = ["DTYPE_NAMES", "SafetensorError", "pack_tensors", "read_tensors", "unpack_tensors", "write_tensors"]


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


# How https://github.com/huggingface/safetensors#format names the types. Complex numbers go as pairs of real ones.
DTYPE_NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}


def write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as a .safetensors file, one after the other, so that no second copy of all of them is in memory.

    The same tensors give the same bytes: `safetensors.torch.save` orders metadata as its hash table happens to.

    Args:
        file: where the bytes go.
        tensors: by name, of a dtype in `DTYPE_NAMES`, on any device. Those that share memory are each written.
        metadata: text by name.
    """
    # Wide types first, so that every tensor begins at a multiple of its own element's size.
    ordered = sorted(tensors.items(), key=lambda pair: -pair[1].dtype.itemsize)
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, tensor in ordered:
        end = offset + tensor.numel() * tensor.dtype.itemsize
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in ordered:
        if tensor.numel():
            # A tensor with one element is contiguous whatever its strides are, and has no view as bytes then.
            flat = tensor.detach().cpu().contiguous().as_strided((tensor.numel(),), (1,))
            file.write(flat.view(torch.uint8).numpy().data)
