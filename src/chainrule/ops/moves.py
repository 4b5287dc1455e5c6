"""Rules of the ops that only move elements: views, indexing, joining, padding. Each `move` is the op itself."""
# ruff: noqa: A002, A006  # the parameters of a move bear torch's own names

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from chainrule.ops.letters import XS, K, X
from chainrule.ops.places import Arguments, Wiring, numbered, tensor_argument
from chainrule.ops.rule import OpRule, Silencer, moving
from chainrule.shapes import Tensor

Size = int | Sequence[int]


def _method(name: str) -> Callable[..., Any]:
    """A move of a tensor's method that takes numbers one by one: `x.permute(0, 2, 1)`."""

    def move(input: Tensor, *dims: Any) -> Any:
        return getattr(input, name)(*dims)

    return move


def _sized(name: str) -> Callable[..., Any]:
    def move(input: Tensor, *size: Any) -> Any:
        return getattr(input, name)(*size)

    return move


def _view(input: Tensor, *shape: Any) -> Tensor:
    return input.reshape(*shape)  # element numbers may lie in memory otherwise than the tensor does


def _same(input: Tensor, *settings: Any, **more: Any) -> Tensor:
    return input


def _squeeze(input: Tensor, dim: Any = None) -> Tensor:
    return input.squeeze() if dim is None else input.squeeze(dim)


def _like(input: Tensor, other: Tensor) -> Tensor:
    return input.reshape(other.shape)


def _split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    return torch.split(input, split_size_or_sections, dim)


def _padded(input: Tensor, pad: Sequence[int], mode: str = "constant", value: int | float | None = None) -> Tensor:
    if mode == "constant":
        return F.pad(input, list(pad))
    return F.pad(input.to(torch.float64), list(pad), mode=mode).to(torch.int64)  # exact up to 2⁵³


def _pad(output: Tensor, input: Tensor, pad: Any, mode: str = "constant", value: int | float | None = None) -> Wiring:
    places = _padded(numbered(input, 1), pad, mode).reshape(-1) - 1
    return Wiring({"input": places}, fills={"input": float(value or 0.0)})


def _cropped(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    source = tensor_argument(arguments)
    numbers = _padded(numbered(source), arguments["pad"], arguments.get("mode", "constant"))
    return ~torch.isin(numbered(source), numbers) if numbers.numel() else torch.ones(source.shape, dtype=torch.bool)


def _broadcast(*tensors: Tensor) -> Any:
    return torch.broadcast_tensors(*tensors)  # type: ignore[no-untyped-call]


def _difference(
    output: Tensor,
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Wiring:
    size, places = input.shape[dim], numbered(input)
    pairs = [places.narrow(dim, start, size - 1).reshape(-1) for start in (0, 1)]
    return Wiring({"input": torch.stack(pairs, dim=1)})


def _choose_difference(arguments: Arguments) -> OpRule:
    if arguments.get("n", 1) == 1 and arguments.get("prepend") is None and arguments.get("append") is None:
        return _DIFFERENCE
    return _HIGHER_DIFFERENCE


def _packed(input: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor]:
    return (torch._pack_padded_sequence(input, lengths, batch_first)[0],)


def _unpacked(
    output: Tensor, input: Tensor, batch_sizes: Tensor, batch_first: bool, padding_value: Any, total_length: int
) -> Wiring:
    places = torch._pad_packed_sequence(numbered(input, 1), batch_sizes, batch_first, 0, total_length)[0]
    return Wiring({"input": places.reshape(-1) - 1}, fills={"input": float(padding_value)})


_DIFFERENCE = OpRule(
    "diff",
    XS[1] - XS[0],
    {"input": XS[K]},
    _difference,
    choose=_choose_difference,
    note="x[1] is the element after x[0] along the dimension.",
)
_HIGHER_DIFFERENCE = OpRule(
    "diff", None, note="With n other than 1, and with prepend or append, it is made of several differences."
)
_LEFT_OUT = "left out by the index"
_DETACHED = "detach cuts the graph: nothing flows back through it."
_INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_CAST = OpRule("to", None, wire=None, cuts="A cast to whole numbers has no derivative.")


def _choose_cast(arguments: Arguments) -> OpRule:
    given = [*arguments.get("settings", ()), *arguments.get("more", {}).values()]
    dtypes = [value.dtype if isinstance(value, Tensor) else value for value in given]
    return _CAST if any(dtype in _INTEGERS for dtype in dtypes if isinstance(dtype, torch.dtype)) else _TO


_TO = OpRule("to", X, {"input": X}, move=_same, note="The number is rounded to the precision of its new type.")

MOVES: tuple[OpRule, ...] = (
    moving("view", _view, aliases=("_unsafe_view", "_reshape_alias")),
    moving("reshape", _view),
    moving("view_as", _like, aliases=("reshape_as",)),
    moving("flatten", lambda input, start_dim=0, end_dim=-1: input.flatten(start_dim, end_dim)),
    moving("ravel", lambda input: input.flatten()),
    moving("unflatten", lambda input, dim, sizes: input.unflatten(dim, sizes)),
    moving("permute", _method("permute")),
    moving("transpose", lambda input, dim0, dim1: input.transpose(dim0, dim1), aliases=("swapaxes", "swapdims")),
    moving("movedim", lambda input, source, destination: input.movedim(source, destination), aliases=("moveaxis",)),
    moving("t", lambda input: input.t()),
    moving("T", lambda input: input.permute(*reversed(range(input.dim())))),
    moving("mT", lambda input: input.mT, aliases=("adjoint", "mH")),
    moving("H", lambda input: input.t()),
    moving("squeeze", _squeeze),
    moving("unsqueeze", lambda input, dim: input.unsqueeze(dim)),
    moving("expand", _sized("expand")),
    moving("broadcast_to", _sized("broadcast_to")),
    moving("expand_as", lambda input, other: input.expand_as(other)),
    moving("repeat", lambda input, *repeats: input.repeat(*repeats)),
    moving("tile", _method("tile")),
    moving(
        "repeat_interleave",
        lambda input, repeats, dim=None, *, output_size=None: input.repeat_interleave(repeats, dim),
    ),
    moving("chunk", lambda input, chunks, dim=0: input.chunk(chunks, dim)),
    moving("split", _split),
    moving("split_with_sizes", lambda input, split_sizes, dim=0: input.split(split_sizes, dim)),
    moving(
        "tensor_split",
        lambda input, indices_or_sections, dim=0: torch.tensor_split(input, indices_or_sections, dim),
    ),
    moving("unbind", lambda input, dim=0: input.unbind(dim)),
    moving("narrow", lambda input, dim, start, length: input.narrow(dim, int(start), length), left_out=_LEFT_OUT),
    moving("select", lambda input, dim, index: input.select(dim, index), left_out=_LEFT_OUT),
    moving("getitem", lambda input, index: input[index], left_out=_LEFT_OUT),
    moving("index_select", lambda input, dim, index: input.index_select(dim, index), left_out=_LEFT_OUT),
    moving("gather", lambda input, dim, index, *, sparse_grad=False: input.gather(dim, index), left_out=_LEFT_OUT),
    moving("take_along_dim", lambda input, indices, dim=None: input.take_along_dim(indices, dim), left_out=_LEFT_OUT),
    moving("take", lambda input, index: input.take(index), left_out=_LEFT_OUT),
    moving("masked_select", lambda input, mask: input.masked_select(mask), left_out="left out by the mask"),
    moving(
        "cat", lambda tensors, dim=0: torch.cat(tensors, dim), argument="tensors", aliases=("concat", "concatenate")
    ),
    moving("stack", lambda tensors, dim=0: torch.stack(tensors, dim), argument="tensors"),
    moving("hstack", lambda tensors: torch.hstack(tensors), argument="tensors"),
    moving("vstack", lambda tensors: torch.vstack(tensors), argument="tensors", aliases=("row_stack",)),
    moving("broadcast_tensors", _broadcast, argument="tensors"),
    moving("meshgrid", lambda *tensors, indexing="ij": torch.meshgrid(*tensors, indexing=indexing), argument="tensors"),
    moving("dstack", lambda tensors: torch.dstack(tensors), argument="tensors"),
    moving("roll", lambda input, shifts, dims=None: input.roll(shifts, () if dims is None else dims)),
    moving("flip", _method("flip")),
    moving("fliplr", lambda input: input.fliplr()),
    moving("flipud", lambda input: input.flipud()),
    moving("rot90", lambda input, k=1, dims=(0, 1): input.rot90(k, dims)),
    OpRule(
        "pad",
        X,
        {"input": X},
        _pad,
        silencers=(Silencer("cropped", "cut off by a negative padding", "input", _cropped),),
        note="Where nothing is moved to, the output is the padding value, by default 0.",
    ),
    _DIFFERENCE,
    OpRule(
        "pad_packed_sequence",
        X,
        {"input": X},
        _unpacked,
        note="Behind the end of a sequence, the output is the padding value, by default 0.",
        others=(OpRule("pad_packed_sequence", None, cuts="The second output is lengths, which have no derivative."),),
    ),
    OpRule(
        "pack_padded_sequence",
        X,
        {"input": X},
        move=_packed,
        silencers=moving("pack_padded_sequence", _packed, left_out="behind the end of its sequence").silencers,
        others=(OpRule("pack_padded_sequence", None, cuts="The second output is counts, which have no derivative."),),
    ),
    moving("unfold", lambda input, dimension, size, step: input.unfold(dimension, size, step), left_out=_LEFT_OUT),
    moving("tril", lambda input, diagonal=0: input.tril(diagonal), left_out="above the diagonal, and set to 0"),
    moving("triu", lambda input, diagonal=0: input.triu(diagonal), left_out="below the diagonal, and set to 0"),
    moving(
        "diagonal",
        lambda input, offset=0, dim1=0, dim2=1: input.diagonal(offset, dim1, dim2),
        left_out="off the diagonal",
    ),
    moving("diag", lambda input, diagonal=0: input.diag(diagonal), left_out="off the diagonal"),
    moving("diag_embed", lambda input, offset=0, dim1=-2, dim2=-1: input.diag_embed(offset, dim1, dim2)),
    moving("pixel_shuffle", lambda input, upscale_factor: F.pixel_shuffle(input, upscale_factor)),
    moving("pixel_unshuffle", lambda input, downscale_factor: F.pixel_unshuffle(input, downscale_factor)),
    moving("contiguous", _same),
    moving("clone", _same),
    moving("alias", _same, aliases=("view_copy",)),
    moving("detach", _same, cuts=_DETACHED, aliases=("data",)),
    OpRule(
        "to",
        X,
        {"input": X},
        move=_same,
        aliases=("type", "type_as", "cpu", "cuda"),
        choose=_choose_cast,
        note=_TO.note,
    ),
    moving("float", _same, aliases=("double", "half", "bfloat16"), note=_TO.note),
)
