"""A trace comes back from its file field by field; a file that is no trace says so and does nothing else."""

import dataclasses
import json
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from chainrule.errors import OutputError, TraceFileError
from chainrule.trace import Held, Missing, Statistics, Trace, ValueRef, read
from chainrule.trace.arguments import Unstorable

from .traces import plain_trace, product_trace


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


def bits(tensor: torch.Tensor) -> tuple[object, ...]:
    """Everything that can be told of a tensor's elements, NaN and minus zero included."""
    dense = tensor.detach().to_dense().resolve_conj().resolve_neg().contiguous()
    flat = dense.as_strided((dense.numel(),), (1,))  # bytes want the stride 1, one element may have another
    return (str(dense.dtype), tuple(dense.shape), flat.view(torch.uint8).numpy().tobytes())


def plain(thing: object) -> Any:
    """The same as tuples, text and numbers that `==` compares, without what a file does not hold."""
    if isinstance(thing, Held):
        return plain(thing.read())
    if isinstance(thing, torch.Tensor):
        return bits(thing)
    if dataclasses.is_dataclass(thing):
        left_out = {"run", "recipe"}
        fields = [field.name for field in dataclasses.fields(thing) if field.name not in left_out]
        return (type(thing).__name__, *((name, plain(getattr(thing, name))) for name in fields))
    if isinstance(thing, dict):
        return {key: plain(part) for key, part in thing.items()}
    if isinstance(thing, tuple | list):
        return (type(thing).__name__, *map(plain, thing))
    return repr(thing) if isinstance(thing, float) else thing


def saved(trace: Trace, folder: Path, name: str = "step.trace") -> Path:
    path = folder / name
    trace.save(path)
    return path


def assert_comes_back(trace: Trace, folder: Path) -> Trace:
    path = saved(trace, folder)
    loaded = Trace.load(path)
    assert plain(loaded) == plain(trace)
    assert saved(loaded, folder, "again.trace").read_bytes() == path.read_bytes()
    return loaded


def test_every_field_comes_back(tmp_path: Path) -> None:
    trace = product_trace()
    loaded = assert_comes_back(trace, tmp_path)
    assert loaded.recipe is None
    assert all(op.run is None for op in loaded.ops)
    assert list(loaded.modules) == list(trace.modules)
    assert list(loaded.about.items()) == list(trace.about.items())


def test_a_use_is_the_same_one_in_its_op_and_its_value(tmp_path: Path) -> None:
    loaded = Trace.load(saved(product_trace(), tmp_path))
    assert loaded.ops[0].inputs[0] is loaded.values[0].uses[0]
    assert loaded.ops[2].inputs[1] is loaded.values[4].uses[1]


def test_the_same_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    assert len({saved(product_trace(), tmp_path).read_bytes() for _ in range(5)}) == 1


def test_an_empty_trace(tmp_path: Path) -> None:
    assert_comes_back(Trace([], [], [], None, {}, "statistics"), tmp_path)


def test_a_path_may_be_text_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "step.trace"
    product_trace().save(str(path))
    assert Trace.load(str(path)).loss == 5
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Cannot write step\.trace\."):
        product_trace().save(tmp_path / "file" / "step.trace")


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


TENSORS = {
    "no dimensions": torch.tensor(3.5),
    "empty": torch.empty(2, 0, 3),
    "bool": torch.tensor([True, False]),
    "uint8": torch.arange(256, dtype=torch.uint8),
    "int8": torch.arange(-128, 128, dtype=torch.int8),
    "int16": torch.tensor([-32768, 32767], dtype=torch.int16),
    "int32": torch.tensor([-(2**31)], dtype=torch.int32),
    "int64": torch.tensor([[-(2**63), 2**63 - 1]]),
    "uint16": torch.tensor([65535], dtype=torch.uint16),
    "uint64": torch.tensor([2**63], dtype=torch.uint64),
    "float16": torch.tensor([1e-7, 65504.0, math.inf]).half(),
    "bfloat16": torch.tensor([1e-40, 3e38, math.nan]).bfloat16(),
    "float8": torch.tensor([0.5, 448.0]).to(torch.float8_e4m3fn),
    "float64": torch.tensor([5e-324, -0.0, math.nan, -math.inf], dtype=torch.float64),
    "complex64": torch.complex(normal(3), normal(3)),
    "complex128": torch.complex(normal(3), normal(3)).to(torch.complex128),
    "complex number": torch.tensor(1 + 2j),
    "conjugate": torch.complex(normal(3), normal(3)).conj(),
    "negative bit": torch.complex(normal(3), normal(3)).conj().imag,
    "real part": torch.complex(normal(3), normal(3)).real,
    "transposed": normal(3, 4).t(),
    "channels last": normal(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "every second": normal(10)[::2],
    "one column of many": normal(100, 50)[:, 3],
    "expanded": torch.tensor([1.0, 2.0]).expand(5, 2),
    "overlapping": normal(8).as_strided((4, 3), (1, 1)),
    "one element, strange strides": normal(40).as_strided((1, 1), (7, 0), 3),
    "parameter": torch.nn.Parameter(normal(2, 2)),
    "result": torch.nn.Parameter(normal(2)) * 2,
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_every_kind_come_back_bit_by_bit(name: str, tmp_path: Path) -> None:
    loaded = assert_comes_back(plain_trace(TENSORS[name]), tmp_path)
    found = read(loaded.values[0].kept)
    assert isinstance(found, torch.Tensor)
    assert not found.requires_grad
    assert type(found) is torch.Tensor


def test_all_of_them_in_one_file(tmp_path: Path) -> None:
    assert_comes_back(plain_trace(*TENSORS.values()), tmp_path)


def test_sparse_tensors_are_stored_with_their_zeros_and_a_note_says_so(tmp_path: Path) -> None:
    sparse = torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse()
    path = saved(plain_trace(sparse), tmp_path)
    loaded = Trace.load(path)
    assert torch.equal(loaded.values[0].data, sparse.to_dense())
    assert loaded.notes == ["v0 was sparse; it is stored with its zeros."]
    assert saved(loaded, tmp_path, "again").read_bytes() == path.read_bytes()


def test_what_has_no_numbers_is_missing_and_says_why(tmp_path: Path) -> None:
    loaded = Trace.load(saved(plain_trace(torch.empty(3, device="meta")), tmp_path))
    assert loaded.values[0].data == Missing("it had no numbers of its own when the trace was saved")


def test_what_was_overwritten_is_missing(tmp_path: Path) -> None:
    tensor = torch.ones(3)
    trace = plain_trace(tensor)
    tensor.zero_()
    loaded = Trace.load(saved(trace, tmp_path))
    assert loaded.values[0].data == Missing("it was overwritten in place after the recording")


def blocks_of(path: Path) -> dict[str, torch.Tensor]:
    tensors = safetensors.torch.load_file(path)
    del tensors["trace"]
    return tensors


def test_memory_that_is_shared_is_stored_once(tmp_path: Path) -> None:
    qkv = normal(4, 6, 30)
    heads = [part.view(4, 6, 2, 5).transpose(1, 2) for part in qkv.split(10, dim=-1)]
    path = saved(plain_trace(qkv, *heads, *qkv.split(10, dim=-1), qkv.view(24, 30), qkv, qkv.mT), tmp_path)
    assert [tuple(block.shape) for block in blocks_of(path).values()] == [(720,)]
    loaded = Trace.load(path)
    memory = {value.data.untyped_storage().data_ptr() for value in loaded.values}
    assert len(memory) == 1
    assert_comes_back(plain_trace(qkv, *heads), tmp_path)


def test_memory_that_nothing_looks_at_is_not_stored(tmp_path: Path) -> None:
    big = normal(1000, 50)
    path = saved(plain_trace(big[:, 3], big[10], big[20:22]), tmp_path)
    assert sorted(block.numel() for block in blocks_of(path).values()) == [50, 100, 1000]
    apart = saved(plain_trace(big[10], big[20:22]), tmp_path)
    assert sorted(block.numel() for block in blocks_of(apart).values()) == [50, 100]


views = some.lists(
    some.tuples(some.integers(0, 30), some.lists(some.integers(0, 4), max_size=3), some.permutations(range(3))),
    min_size=1,
    max_size=6,
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(views, some.lists(some.integers(0, 8), min_size=3, max_size=3))
def test_any_views_of_one_memory_come_back(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[Any], strides: list[int]
) -> None:
    memory = normal(200)
    tensors = [
        memory.as_strided(sizes, [strides[place] for place in order[: len(sizes)]], offset)
        for offset, sizes, order in chosen
    ]
    assert_comes_back(plain_trace(*tensors), tmp_path_factory.mktemp("views"))


class Pair(NamedTuple):
    first: int
    second: float


class Loud:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def with_argument(argument: object) -> Trace:
    trace = product_trace()
    trace.ops[0].arguments = (argument,)
    return trace


ARGUMENTS = [
    None,
    True,
    0,
    2**200,
    -1.5,
    math.inf,
    -0.0,
    "text \n ünicode ∂ \x00",
    1e400j,
    (),
    [],
    {},
    [(1, [2, {"a": (3,)}])],
    {"value": 3, 1: 2, None: 4, (1, 2): [5]},
    slice(1, None, ValueRef(2)),
    ...,
    torch.Size([1, 2]),
    torch.float8_e5m2,
    torch.device("cuda", 1),
    torch.sparse_coo,
    torch.channels_last,
    ValueRef(3),
]


@pytest.mark.parametrize("argument", ARGUMENTS, ids=repr)
def test_arguments_come_back(argument: object, tmp_path: Path) -> None:
    loaded = assert_comes_back(with_argument(argument), tmp_path)
    (found,) = loaded.ops[0].arguments
    assert type(found) is type(argument)
    assert found == argument


def test_a_tensor_among_the_arguments(tmp_path: Path) -> None:
    assert_comes_back(with_argument([torch.tensor([1.0, math.nan])]), tmp_path)


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        (Pair(1, math.inf), (1, math.inf)),
        ({1, 2}, Unstorable("{1, 2}")),
        (math.sin, Unstorable("<built-in function sin>")),
        (Loud(), Unstorable("<Loud>")),
        (b"bytes", Unstorable("b'bytes'")),
        (lambda: 0, Unstorable("<function <lambda>>")),
        (2**600, Unstorable(str(2**600))),
        (torch.Generator(), Unstorable("<torch._C.Generator object>")),
        (Unstorable("x" * 600), Unstorable("x" * 600)),
    ],
    ids=lambda part: "",
)
def test_what_a_file_cannot_hold_is_kept_as_text(argument: object, found: object, tmp_path: Path) -> None:
    path = saved(with_argument(argument), tmp_path)
    loaded = Trace.load(path)
    assert loaded.ops[0].arguments == (found,)
    assert repr(loaded.ops[0].arguments[0]) == (found.text if isinstance(found, Unstorable) else repr(found))
    assert saved(loaded, tmp_path, "again").read_bytes() == path.read_bytes()


def test_arguments_may_be_nested_deeply(tmp_path: Path) -> None:
    argument: Any = 1
    for depth in range(1000):
        argument = ({"a": argument},) if depth % 2 else [argument]
    path = saved(with_argument(argument), tmp_path)
    found = Trace.load(path).ops[0].arguments[0]
    depth = 0
    while not isinstance(found, Unstorable):
        found = next(iter(found.values())) if isinstance(found, dict) else found[0]
        depth += 1
    assert depth == 30


leaves = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(),
    some.text(),
    some.complex_numbers(allow_nan=False),
    some.builds(ValueRef, some.integers(0, 8)),
    some.sampled_from([torch.float32, torch.int64, ..., torch.device("cpu"), slice(None), slice(1, 2, -1)]),
)
structures = some.recursive(
    leaves,
    lambda inner: some.one_of(
        some.lists(inner, max_size=3),
        some.lists(inner, max_size=3).map(tuple),
        some.dictionaries(some.one_of(some.text(max_size=3), some.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(structures)
def test_any_arguments_come_back(tmp_path_factory: pytest.TempPathFactory, argument: object) -> None:
    assert_comes_back(with_argument(argument), tmp_path_factory.mktemp("arguments"))


def test_text_that_is_no_unicode_does_not_stop_saving(tmp_path: Path) -> None:
    trace = product_trace()
    trace.notes.append("a name \udcff of a file")
    assert Trace.load(saved(trace, tmp_path)).notes[-1] == "a name ? of a file"


# What is no trace


def changed(path: Path, change: Any) -> Path:
    """Write the file again with its JSON changed."""
    tensors = safetensors.torch.load(path.read_bytes())
    record = json.loads(tensors["trace"].numpy().tobytes())
    text = change(record)
    text = json.dumps(record) if text is None else text
    tensors["trace"] = torch.tensor(list(text.encode()), dtype=torch.uint8)
    path.write_bytes(safetensors.torch.save(tensors))
    return path


def setting(*place: str | int, to: object) -> Any:
    def change(record: Any) -> None:
        for part in place[:-1]:
            record = record[part]
        record[place[-1]] = to

    return change


DAMAGES = [
    (setting("loss", to=9), "loss: 9", "0 to 8"),
    (setting("loss", to=-1), "loss: -1", "0 to 8"),
    (setting("loss", to="5"), "loss: Input should be a valid integer", "the fields of a trace"),
    (setting("keep", to="all"), "keep: Input should be 'values' or 'statistics'", "the fields of a trace"),
    (setting("more", to=1), "more: Unexpected keyword argument", "the fields of a trace"),
    (setting("ops", 0, "phase", to="x"), None, "the fields of a trace"),
    (setting("ops", 0, "inputs", to=[99]), "ops.0.inputs: 99", "0 to 5"),
    (setting("ops", 0, "outputs", to=[9]), "ops.0.outputs: 9", "0 to 8"),
    (setting("ops", 0, "overwrites", to=[-2]), "ops.0.overwrites: -2", "0 to 8"),
    (setting("ops", 0, "source", to=1), "ops.0.source: 1", "0 to 0"),
    (setting("ops", 0, "of", to=5), "ops.0.of: 5", "0 to 4"),
    (setting("ops", 0, "random_state", to=99), "a tensor: 99", "0 to 13"),
    (setting("values", 0, "producer", to=5), "values.0.producer: 5", "0 to 4"),
    (setting("values", 0, "uses", to=[6]), "values.0.uses: 6", "0 to 5"),
    (setting("values", 0, "kept", to=99), "a tensor: 99", "0 to 13"),
    (setting("values", 0, "kept", to=[1, 2]), None, "the fields of a trace"),
    (setting("values", 0, "shape", to=[2]), "values.0.kept: a tensor of shape [1]", "shape [2]"),
    (setting("values", 5, "adjoint", to=0), "values.5.adjoint: a tensor of shape [1]", "shape []"),
    (setting("values", 0, "dtype", to="float64"), "values.0.kept: a tensor of float32", "float64"),
    (setting("uses", 0, "value", to=9), "uses.0.value: 9", "0 to 8"),
    (setting("uses", 0, "op", to=5), "uses.0.op: 5", "0 to 4"),
    (setting("uses", 0, "sent", to=[14]), "a tensor: 14", "0 to 13"),
    (setting("updates", 0, "value", to=9), "updates.0.value: 9", "0 to 8"),
    (setting("updates", 0, "op", to=5), "updates.0.op: 5", "0 to 4"),
    (setting("decisions", 0, "value", to=9), "decisions.0.value: 9", "0 to 8"),
    (setting("decisions", 0, "result", to="one"), "decisions.0.result: str", "a number, or nothing"),
    (setting("modules", "", "outputs", to=[9]), "modules..outputs: 9", "0 to 8"),
    (setting("about", "torch", to=[1]), "about.torch: list", "text or a number"),
    (setting("tensors", 0, "block", to=99), "a tensor in block 99", None),
    (setting("tensors", 0, "block", to=-1), "a tensor in block -1", None),
    (setting("tensors", 0, "dtype", to="float6"), "a tensor of dtype 'float6'", None),
    (setting("tensors", 0, "dtype", to="int32"), "a block of float32 and shape [1] for a tensor of int32", None),
    (setting("tensors", 0, "dtype", to="complex64"), "a block of float32 and shape [1] for a tensor of complex64",
     "one dimension, of the same dtype"),
    (setting("tensors", 0, "shape", to=[2]), "a tensor of shape [2] at element 0 of a block of 1", None),
    (setting("tensors", 0, "shape", to=[10**30]), "a tensor of shape [1" + "0" * 30 + "] and strides [1]", None),
    (setting("tensors", 0, "shape", to=[-1]), "a tensor of shape [-1] and strides [1]", None),
    (setting("tensors", 0, "offset", to=1), "a tensor of shape [1] at element 1 of a block of 1", None),
    (setting("tensors", 0, "offset", to=-1), None, None),
    (setting("tensors", 0, "strides", to=[]), "a tensor of shape [1] and strides []", None),
    (setting("tensors", 0, to={"block": 0, "dtype": "float32", "shape": [1 << 40], "strides": [0], "offset": 0}),
     "a tensor of shape [1099511627776] and strides [0]", "elements at places of their own"),
    (setting("tensors", 0, to={"block": 0, "dtype": "float32", "shape": [1] * 99, "strides": [1] * 99, "offset": 0}),
     None, "as many sizes as strides, from 0"),
    (setting("tensors", 0, "shape", to=[0, 2**40, 2**40]), None, None),
    (setting("ops", 0, "arguments", to=[{"value": 9}]), "an argument {'value': 9}", None),
    (setting("ops", 0, "arguments", to=[{"value": True}]), "an argument {'value': True}", None),
    (setting("ops", 0, "arguments", to=[{"tensor": 99}]), "a tensor: 99", None),
    (setting("ops", 0, "arguments", to=[{"tensor": "a"}]), "an argument {'tensor': 'a'}", None),
    (setting("ops", 0, "arguments", to=[{"eval": "1"}]), "an argument {'eval': '1'}", None),
    (setting("ops", 0, "arguments", to=[{"tuple": 1}]), "an argument {'tuple': 1}", None),
    (setting("ops", 0, "arguments", to=[{"dict": [[1]]}]), "an argument {'dict': [[1]]}", None),
    (setting("ops", 0, "arguments", to=[{"dict": [[[1], 2]]}]), "an argument {'dict': [[[1], 2]]}", None),
    (setting("ops", 0, "arguments", to=[{"slice": [1]}]), "an argument {'slice': [1]}", None),
    (setting("ops", 0, "arguments", to=[{"size": [1.5]}]), "an argument {'size': [1.5]}", None),
    (setting("ops", 0, "arguments", to=[{"size": [2**70]}]), None, None),
    (setting("ops", 0, "arguments", to=[{"float": "much"}]), "an argument {'float': 'much'}", None),
    (setting("ops", 0, "arguments", to=[{"complex": [1, 2]}]), "an argument {'complex': [1, 2]}", None),
    (setting("ops", 0, "arguments", to=[{"dtype": "os"}]), "an argument {'dtype': 'os'}", None),
    (setting("ops", 0, "arguments", to=[{"device": "moon"}]), "an argument {'device': 'moon'}", None),
    (setting("ops", 0, "arguments", to=[{}]), "an argument {}", None),
    (setting("ops", 0, "arguments", to=[{"tuple": [], "dict": []}]), None, None),
    (lambda record: '{"format": "chainrule trace", "version": 1}', "keep: Field required", None),
    (lambda record: "[" * 100_000, None, None),
    (lambda record: '{"format": "chainrule trace", "version": 1, "about": ' + '{"a":' * 100_000, None, None),
    (lambda record: "", None, None),
    (lambda record: "no JSON", None, None),
    (lambda record: "null", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("change", "found", "expected"), DAMAGES)
def test_a_file_that_contradicts_itself_is_refused(
    change: Any, found: str | None, expected: str | None, tmp_path: Path
) -> None:
    path = changed(saved(product_trace(), tmp_path), change)
    with pytest.raises(TraceFileError) as caught:
        Trace.load(path)
    error = caught.value
    assert error.what == "The trace file is damaged."
    assert error.where == str(path)
    if found is not None:
        assert error.found == found
    if expected is not None:
        assert error.expected == expected


def test_another_version_says_so(tmp_path: Path) -> None:
    path = changed(saved(product_trace(), tmp_path), setting("version", to=2))
    with pytest.raises(TraceFileError) as caught:
        Trace.load(path)
    assert str(caught.value) == (
        "The trace file is of another version.\n"
        f"  where:    {path}\n"
        "  found:    version 2\n"
        "  expected: version 1\n"
        "Load it with a newer chainrule."
    )
    with pytest.raises(TraceFileError, match="Record the step again with this chainrule"):
        Trace.load(changed(path, setting("version", to=0)))


def test_a_file_of_something_else_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors.torch.save({"weight": torch.ones(2)}))
    with pytest.raises(TraceFileError) as caught:
        Trace.load(path)
    assert str(caught.value) == (
        "This is not a trace file.\n"
        f"  where:    {path}\n"
        "  found:    a .safetensors file of something else\n"
        "  expected: a file that Trace.save has written\n"
        "Copies and downloads that were interrupted look like this too."
    )
    other = changed(saved(product_trace(), tmp_path), setting("format", to="a chess game"))
    with pytest.raises(TraceFileError, match=r"a file of the format 'a chess game'"):
        Trace.load(other)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x00" * 100, b"\xff" * 100, struct.pack("<Q", 2**40) + b"{}"]
)
def test_a_file_of_other_bytes_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "step.trace"
    path.write_bytes(content)
    with pytest.raises(
        TraceFileError, match=r"^This is not a trace file\.\n  where:    .*\n  found:    a file that is not"
    ):
        Trace.load(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(TraceFileError) as caught:
        Trace.load(tmp_path / "none.trace")
    assert str(caught.value) == (
        "The trace file cannot be read.\n"
        f"  where: {tmp_path / 'none.trace'}\n"
        "  found: No such file or directory"
    )  # fmt: skip
    with pytest.raises(TraceFileError, match="Is a directory"):
        Trace.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_says_so(share: float, tmp_path: Path) -> None:
    path = saved(product_trace(), tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(TraceFileError, match="This is not a trace file"):
        Trace.load(path)


def test_a_block_that_is_not_there(tmp_path: Path) -> None:
    path = saved(product_trace(), tmp_path)
    tensors = safetensors.torch.load(path.read_bytes())
    del tensors["3"]
    path.write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(TraceFileError) as caught:
        Trace.load(path)
    assert (caught.value.found, caught.value.expected) == (
        f"{len(tensors) - 1} blocks, without block 3",
        "blocks numbered from 0",
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(product_trace(), tmp_path_factory.mktemp("good")).read_bytes()


edits = some.lists(
    some.tuples(some.integers(0, 10**6), some.integers(0, 255), some.sampled_from(["set", "insert", "delete", "swap"])),
    min_size=1,
    max_size=6,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(edits)
def test_corrupted_bytes_give_a_trace_or_our_error(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, str]]
) -> None:
    data = bytearray(good)
    for place, byte, what in changes:
        place %= len(data)
        if what == "set":
            data[place] = byte
        elif what == "insert":
            data.insert(place, byte)
        elif what == "delete":
            del data[place]
        else:
            data[place], data[byte] = data[byte], data[place]
    path = tmp_path_factory.mktemp("bad") / "step.trace"
    path.write_bytes(data)
    try:
        trace = Trace.load(path)
    except TraceFileError as error:
        where = error.where
    else:
        where = str(path)
        assert len(trace.values) == 9
    assert where == str(path)


digits = some.sampled_from('0123456789-.e"[]{}:,ntaf')


@settings(derandomize=True, deadline=None, max_examples=200)
@given(some.integers(0, 10**6), digits)
def test_corrupted_json_gives_a_trace_or_our_error(
    good: bytes, tmp_path_factory: pytest.TempPathFactory, place: int, letter: str
) -> None:
    start = good.index(b'{"format":')
    place = start + place % (len(good) - start)
    path = tmp_path_factory.mktemp("bad") / "step.trace"
    path.write_bytes(good[:place] + letter.encode() + good[place + 1 :])
    where = str(path)
    try:
        Trace.load(path)
    except TraceFileError as error:
        where = error.where
    assert where == str(path)


def test_the_file_is_the_one_that_the_library_writes(tmp_path: Path) -> None:
    path = saved(product_trace(), tmp_path)
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"format": "chainrule trace"}
        keys = set(file.keys())
    assert keys == {str(number) for number in range(len(keys) - 1)} | {"trace"}


def test_statistics_come_back(tmp_path: Path) -> None:
    trace = product_trace()
    for statistics in (
        Statistics(3, math.nan, math.nan, math.nan, math.nan, 0.0, None, 3),
        Statistics(3, -math.inf, 1e-300, 5e-324, 1.7976931348623157e308, 1 / 3, 0.5, 0),
    ):
        trace.values[0].kept = statistics
        assert_comes_back(trace, tmp_path)
