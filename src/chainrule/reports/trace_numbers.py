"""Numbers of a trace as text: written out where they are few, else in a few numbers of them."""

from collections.abc import Sequence
from typing import Final

import torch

from chainrule.shapes import Tensor
from chainrule.trace import Missing, Number, Statistics, Trace, Value
from chainrule.trace.reduction import statistics_of

FEW: Final = 4
"""Tensors of so many elements are written out in any trace."""
SMALL: Final = 64
"""A trace none of whose tensors has more elements than this is written out whole."""


def written_out(trace: Trace) -> int:
    """Return up to how many elements the tensors of a trace are written out."""
    return SMALL if all(count(value.shape) <= SMALL for value in trace.values) else FEW


def count(shape: Sequence[int]) -> int:
    """Return how many elements a shape has."""
    total = 1
    for length in shape:
        total *= length
    return total


def number_text(number: Number | None, most: int, *, with_norm: bool = False, dtype: str = "") -> str:
    """Return a number as text.

    Args:
        number: a tensor, statistics, or the reason why it is missing.
        most: a tensor of at most so many elements is written out.
        with_norm: also give the Euclidean norm, as is usual for gradients.
        dtype: of the tensor that statistics are of, such as "int64"; that of a tensor is known.
    """
    if number is None:
        return "none"
    if isinstance(number, Missing):
        return f"missing because {number.reason}"
    if isinstance(number, Statistics):
        return _counted_text(number) if _is_whole(dtype) else statistics_text(number, with_norm=with_norm)
    if number.numel() <= most and number.device.type != "meta":
        return elements_text(number)
    return number_text(statistics_of(number), most, with_norm=with_norm, dtype=str(number.dtype).removeprefix("torch."))


def _is_whole(dtype: str) -> bool:
    return dtype.startswith(("int", "uint"))


def _counted_text(statistics: Statistics) -> str:
    """Return what there is to say of whole numbers: classes and places have no mean."""
    if not statistics.count:
        return "no elements"
    return f"{statistics.count:,} whole numbers, from {statistics.minimum:.0f} to {statistics.maximum:.0f}"


def elements_text(tensor: Tensor) -> str:
    """Return every element of a tensor, in brackets as Python writes nested lists; a large one row by row."""
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dim() < 2 or tensor.numel() <= FEW:
        return _nested(tensor.detach().tolist())
    return _rows(tensor.detach().tolist(), "")


def _rows(part: list[object], indent: str) -> str:
    """Return nested lists with each innermost list on a line of its own."""
    inner = indent + " "
    lines = [_rows(each, inner) if isinstance(each, list) and _holds_lists(each) else _nested(each) for each in part]
    return "[" + f",\n{inner}".join(lines) + "]"


def _holds_lists(part: list[object]) -> bool:
    return bool(part) and isinstance(part[0], list)


def _nested(part: object) -> str:
    if isinstance(part, list):
        return "[" + ", ".join(_nested(inner) for inner in part) + "]"
    return format(part, ".6g") if isinstance(part, float | complex) else str(part)


def statistics_text(statistics: Statistics, *, with_norm: bool = False) -> str:
    """Return statistics as one line: mean ± spread, least, largest, and what else is to be seen."""
    if statistics.count == 0:
        return "no elements"
    if statistics.not_finite >= statistics.count:
        return f"{statistics.count:,} elements, none of them finite" if statistics.count > 1 else "not finite"
    if statistics.count == 1:
        return f"{statistics.mean:.6g}"
    parts = [
        f"mean {statistics.mean:.4g} ± {statistics.spread:.4g}",
        f"from {statistics.minimum:.4g} to {statistics.maximum:.4g}",
    ]
    if with_norm:
        parts.insert(0, f"norm {statistics.norm:.4g}")
    if statistics.zeros:
        parts.append(f"{share_text(statistics.zeros)} zero")
    if statistics.saturated:
        parts.append(f"{share_text(statistics.saturated)} saturated")
    if statistics.not_finite:
        parts.append(f"{statistics.not_finite:,} not finite")
    return ", ".join(parts)


def share_text(share: float) -> str:
    """Return a share in per cent; neither nothing nor everything is made of nearly."""
    if 0 < share < 0.001:
        return "below 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.3g} %"


def norm_of(number: Number | None) -> float | None:
    """Return the Euclidean norm; infinite when an element is not finite, None when there is nothing to take it of."""
    if number is None or isinstance(number, Missing):
        return None
    statistics = number if isinstance(number, Statistics) else statistics_of(number)
    return float("inf") if statistics.not_finite else statistics.norm


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape in brackets; nothing for a single number."""
    return f"[{', '.join(str(length) for length in shape)}]" if shape else ""


def name_text(value: Value) -> str:
    """Return what a value is called; one without a name is called by its id."""
    return value.name or f"%{value.id}"


def named_shape(value: Value) -> str:
    """Return a value's name and shape."""
    return f"{name_text(value)} {shape_text(value.shape)}".rstrip()
