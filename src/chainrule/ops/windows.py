"""Windows that slide over the last axes of a tensor: which places each of them covers."""

import math
from collections.abc import Sequence

import torch

from chainrule.shapes import Int, Tensor

Sizes = int | Sequence[int]


def spread(sizes: Sizes, axes: int) -> tuple[int, ...]:
    """Return one size for each axis; a single one holds for all of them."""
    if isinstance(sizes, int):
        return (sizes,) * axes
    given = tuple(int(size) for size in sizes)
    return given * axes if len(given) == 1 else given


def sliding(size: int, windows: int, kernel: int, stride: int, before: int, dilation: int) -> Int[Tensor, "windows k"]:
    """Return the places 0, ..., size − 1 that windows along one axis cover: start·stride − before + k·dilation.

    Places outside are −1.
    """
    places = torch.arange(windows).unsqueeze(1) * stride - before + torch.arange(kernel) * dilation
    return torch.where((places >= 0) & (places < size), places, -1)


def spreading(
    size: int, outputs: int, kernel: int, stride: int, before: int, dilation: int
) -> Int[Tensor, "outputs k"]:
    """Return the places that each output of a transposed window takes: i with i·stride − before + k·dilation = output.

    Where no place does, it is −1.
    """
    reach = torch.arange(outputs).unsqueeze(1) + before - torch.arange(kernel) * dilation
    places = reach // stride
    return torch.where((reach % stride == 0) & (places >= 0) & (places < size), places, -1)


def adaptive(size: int, windows: int) -> Int[Tensor, "windows k"]:
    """Return the places of windows that share an axis as evenly as they can; shorter windows end with −1."""
    starts = [(number * size) // windows for number in range(windows)]
    ends = [-((-(number + 1) * size) // windows) for number in range(windows)]
    longest = max((end - start for start, end in zip(starts, ends, strict=True)), default=0)
    rows = [[*range(start, end), *[-1] * (longest - end + start)] for start, end in zip(starts, ends, strict=True)]
    return torch.tensor(rows, dtype=torch.int64).reshape(windows, longest)


def joined(axes: Sequence[Tensor], sizes: Sequence[int]) -> Int[Tensor, "windows k"]:
    """Return the places in a block of several axes, numbered row by row, from the places along each axis.

    Args:
        axes: for each axis (windows, k), with −1 outside.
        sizes: the size of each axis.

    Returns:
        All windows of the block with all their places; −1 where one of the axes is outside.
    """
    result = torch.zeros(1, 1, dtype=torch.int64)
    for places, size in zip(axes, sizes, strict=True):
        inner = places[None, :, None, :]
        outer = result[:, None, :, None]
        both = torch.where((outer < 0) | (inner < 0), -1, outer * size + inner)
        result = both.reshape(result.shape[0] * places.shape[0], result.shape[1] * places.shape[1])
    return result


def in_planes(planes: int, places: Tensor, size: int) -> Int[Tensor, "planes windows k"]:
    """Return the same places in each of several planes of `size` elements that follow one another."""
    starts = torch.arange(planes).reshape(-1, 1, 1) * size
    return torch.where(places < 0, -1, places + starts)


def plane_count(shape: Sequence[int], axes: int) -> int:
    """Return how many planes the axes before the last `axes` ones make."""
    return math.prod(shape[: len(shape) - axes])
