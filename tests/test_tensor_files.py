"""What is written tensor by tensor is what the library of the format reads."""

import tempfile

import pytest
import safetensors.torch
import torch

from chainrule.tensor_files import DTYPE_NAMES, pack_tensors, unpack_tensors, write_tensors


def written(tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> bytes:
    with tempfile.TemporaryFile() as file:
        write_tensors(file, tensors, metadata or {})
        file.seek(0)
        return file.read()


def random_bytes(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel() * dtype.itemsize
    drawn = torch.randint(0, 256, (count,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return (drawn % 2 if dtype is torch.bool else drawn).view(dtype).view(shape)


@pytest.mark.parametrize("dtype", DTYPE_NAMES, ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (4, 0)])
def test_the_library_reads_every_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = random_bytes(dtype, *shape)
    read = unpack_tensors(written({"x": tensor, "y": tensor}))
    for found in read.values():
        assert (found.dtype, found.shape) == (dtype, tensor.shape)
        assert found.reshape(-1).view(torch.uint8).tolist() == tensor.reshape(-1).view(torch.uint8).tolist()


def test_it_is_what_the_library_writes() -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.arange(4, dtype=torch.int16), "c": torch.ones(2, 3)}
    assert unpack_tensors(written(tensors)).keys() == tensors.keys()
    single = {"a": torch.arange(3.0)}
    assert written(single, {"format": "x"}) == pack_tensors(single, {"format": "x"})


def test_views_are_written_as_they_look() -> None:
    base = torch.arange(12.0).view(3, 4)
    views = {"t": base.t(), "column": base[:, 1], "expanded": base[0, 2].expand(5), "same": base}
    views["one"] = base.as_strided((1, 1), (7, 0), 3)
    read = unpack_tensors(written(views))
    assert all(torch.equal(read[name], view) for name, view in views.items())


def test_every_tensor_begins_at_a_multiple_of_its_element() -> None:
    tensors = {str(n): random_bytes(dtype, 2 * n + 1) for n, dtype in enumerate(DTYPE_NAMES)}
    data = written(tensors)
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = safetensors.deserialize(data)
    assert len(header) == len(tensors)
    offset = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: -tensor.dtype.itemsize):
        assert offset % tensor.dtype.itemsize == 0
        offset += tensor.nbytes
    assert len(data) == 8 + length + offset


def test_nothing_at_all() -> None:
    assert unpack_tensors(written({})) == {}
