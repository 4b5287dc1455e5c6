"""Tensors to a few numbers, as cheaply as one pass allows: this runs on every activation and gradient of a step.

Σx, Σx², minimum, maximum and the zeros are taken of pieces that stay in the processor's cache, so that memory is read
once: by machine code, or by NumPy, which says the same to the last bit (`moments`). What the first pass cannot answer
is looked at once more with care, in float64, scaled and centred:

- an element that is NaN or infinite: then the finite elements alone are looked at;
- Σx² that overflowed or is too small for float32;
- |mean| above 4 spreads, where Σx²/n − mean² would cancel: then Σ(x − c) and Σ(x − c)² are taken first, with c the mean
  that was found, and only what cancels still is looked at with care.

So the spread is within 1e-4 of itself (1e-5 on the tensors of real steps), and it is exactly 0 for a constant tensor.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy
import torch

from chainrule.shapes import Tensor
from chainrule.trace.moments import Moments, moments_of
from chainrule.trace.numbers import Statistics

Bounds = tuple[float, float]

PIECE = 1 << 19  # elements: two megabytes of float32 stay in a cache, and five calls for each weigh nothing
_EDGE = 0.01  # of the range: nearer to its end than that is saturated
_CANCELLING = 17.0  # times the variance: a mean square above it means that |mean| is more than 4 spreads
_SMALLEST_MEAN_SQUARE = 1e-30  # below it, squares of float32 (from 1e-38) are lost
_COMPRESSED = frozenset({torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc})
# What float32 holds exactly, or is summed in float32 because its own precision is lower still.
_NARROW = frozenset({torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16})


def statistics_of(tensor: Tensor, bounds: Bounds | None = None) -> Statistics:
    """Return a tensor's statistics.

    Nothing of it is recorded: not by autograd, not by modes of torch functions. float16 and bfloat16 are summed in
    float32, integers in float64. Of complex numbers it is the magnitude |z| that is described. A sparse tensor is
    described with its zeros. A tensor without numbers (on the meta device, inside `vmap`) has only a count; its other
    numbers are NaN, none of them counted as not finite.

    Args:
        tensor: any shape, dtype, layout and device; elsewhere than on the CPU, this waits for the device.
        bounds: the range of the activation that made it. The share of saturated elements is taken for ranges with two
            finite ends; it is None for others.
    """
    with torch._C.DisableTorchFunction():
        if _is_one_piece(tensor):  # most are, and the way that suits all would cost them as much again
            return _of_piece(tensor, _edges(bounds))
        with _no_gradients():
            return _now(tensor, bounds)


def reduce_many(tensors: Sequence[Tensor], bounds: Sequence[Bounds | None] | None = None) -> list[Statistics]:
    """Return the statistics of several tensors, with one transfer from each device that they lie on.

    Args:
        tensors: as for `statistics_of`.
        bounds: one for each tensor; without them, nothing counts as saturated.
    """
    return finish_reductions([start_reduction(tensor, bound) for tensor, bound in _pairs(tensors, bounds)])


@dataclass(frozen=True, slots=True)
class Reduction:
    """Statistics that may still lie on the device that computes them; the tensor itself is no longer needed.

    Attributes:
        count: how many elements the tensor has.
        bounded: whether the share of saturated elements was asked for.
        numbers: Statistics, or mean, spread, minimum, maximum, zeros, saturated and not_finite on the device.
    """

    count: int
    bounded: bool
    numbers: Statistics | Tensor


def start_reduction(tensor: Tensor, bounds: Bounds | None = None) -> Reduction:
    """Begin to take a tensor's statistics, without waiting for the device that it lies on.

    Args:
        tensor: as for `statistics_of`.
        bounds: likewise.
    """
    with torch._C.DisableTorchFunction(), _no_gradients():
        known = _known(tensor, bounds)
        edges = _edges(bounds)
        numbers = _on_device(_real(tensor.detach()), edges) if known is None else known
        return Reduction(tensor.numel(), edges is not None, numbers)


def finish_reductions(reductions: Sequence[Reduction]) -> list[Statistics]:
    """Return the statistics that were begun, with one transfer from each device."""
    by_device: dict[torch.device, list[Tensor]] = {}
    for reduction in reductions:
        if isinstance(reduction.numbers, Tensor):
            by_device.setdefault(reduction.numbers.device, []).append(reduction.numbers)
    with torch._C.DisableTorchFunction(), _no_gradients():
        rows = {device: iter(torch.stack(numbers).tolist()) for device, numbers in by_device.items()}
    return [
        _from_row(reduction, next(rows[reduction.numbers.device]))
        if isinstance(reduction.numbers, Tensor)
        else reduction.numbers
        for reduction in reductions
    ]


def _pairs(tensors: Sequence[Tensor], bounds: Sequence[Bounds | None] | None) -> Iterator[tuple[Tensor, Bounds | None]]:
    return zip(tensors, [None] * len(tensors) if bounds is None else bounds, strict=True)


class _no_gradients:  # noqa: N801  # a context, as torch.no_grad, at a third of its cost
    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)

    def __exit__(self, *_: object) -> None:
        torch._C._set_grad_enabled(self._before)


def _now(tensor: Tensor, bounds: Bounds | None) -> Statistics:
    known = _known(tensor, bounds)
    return finish_reductions([start_reduction(tensor, bounds)])[0] if known is None else known


def _known(tensor: Tensor, bounds: Bounds | None) -> Statistics | None:
    """Return what can be said without waiting for a device; None when its numbers lie on another one."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return _of_layout(tensor, bounds)
    count = tensor.numel()
    if tensor.is_meta or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return Statistics(count, math.nan, math.nan, math.nan, math.nan, math.nan)
    edges = _edges(bounds)
    if count == 0:
        return Statistics(0, math.nan, math.nan, math.nan, math.nan, 0.0, None if edges is None else 0.0)
    if not tensor.is_cpu:
        return None
    distinct = _without_repeats(tensor)
    found = _first_pass(distinct, edges)
    if distinct is tensor:
        return found
    # Shares and moments of repeated elements are those of the elements; only counts grow.
    return replace(found, count=count, not_finite=found.not_finite * (count // found.count))


def _is_one_piece(tensor: Tensor) -> bool:
    """Return whether a tensor's elements can be looked at where they lie, all at once."""
    return (
        (tensor.dtype is torch.float32 or tensor.dtype is torch.float64)
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and 0 < tensor.numel() <= PIECE
        and tensor.is_contiguous()
        and not tensor.is_neg()
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def _of_piece(tensor: Tensor, edges: Bounds | None) -> Statistics:
    count = tensor.numel()
    if count == 1 and edges is None and math.isfinite(number := tensor.item()):
        return Statistics(1, number, 0.0, number, number, float(number == 0.0))
    moments = moments_of(tensor, edges)
    found = _summary(count, moments, edges is not None)
    return _again(tensor.detach(), edges, moments) if found is None else found


def _first_pass(tensor: Tensor, edges: Bounds | None) -> Statistics:
    """Return the statistics of a tensor with distinct elements, of which there is one at least."""
    moments = _moments(tensor, edges, 0.0)
    found = _summary(tensor.numel(), moments, edges is not None)
    return _again(tensor, edges, moments) if found is None else found


def _moments(tensor: Tensor, edges: Bounds | None, shift: float) -> Moments:
    total = squares = zeros = beyond = 0.0
    minimum, maximum = math.inf, -math.inf
    for piece in _pieces(tensor):
        found = moments_of(piece, edges, shift)
        total += found[0]
        squares += found[1]
        if not math.isfinite(squares):
            break
        minimum, maximum = min(minimum, found[2]), max(maximum, found[3])
        zeros += found[4]
        beyond += found[5]
    return total, squares, minimum, maximum, zeros, beyond


def _again(tensor: Tensor, edges: Bounds | None, moments: Moments) -> Statistics:
    """Return the statistics that the first pass could not give: about the mean, or else with care."""
    count = tensor.numel()
    if math.isfinite(moments[1]) and moments[1] >= _SMALLEST_MEAN_SQUARE * count:
        is_wide = _real(tensor.detach()[:0] if tensor.dim() else tensor.detach()).dtype is torch.float64
        mean = moments[0] / count
        shift = mean if is_wide else float(numpy.float32(mean))
        found = _summary(count, _moments(tensor, edges, shift), edges is not None, shift)
        if found is not None:
            return found
    return _second_pass(tensor, edges)


def _summary(count: int, moments: Moments, has_edges: bool, shift: float = 0.0) -> Statistics | None:
    """Return the statistics from the moments about `shift`; None when they do not give them."""
    total, squares, minimum, maximum, zeros, beyond = moments
    share = beyond / count if has_edges else None
    if minimum == maximum and math.isfinite(squares):
        return Statistics(count, minimum, 0.0, minimum, maximum, zeros / count, share)
    mean, mean_square = total / count, squares / count
    variance = mean_square - mean * mean
    if not _SMALLEST_MEAN_SQUARE <= mean_square < _CANCELLING * variance:  # false when anything overflowed
        return None
    return Statistics(count, shift + mean, math.sqrt(variance), minimum, maximum, zeros / count, share)


def _second_pass(tensor: Tensor, edges: Bounds | None) -> Statistics:
    """Return the statistics of the finite elements, in float64, scaled by the largest and then centred."""
    count = tensor.numel()
    zeros = saturated = finite = 0
    minimum, maximum = math.inf, -math.inf
    for piece in _finite_pieces(tensor):
        if piece.numel():
            finite += piece.numel()
            zeros += piece.numel() - int(piece.count_nonzero().item())
            minimum, maximum = min(minimum, piece.amin().item()), max(maximum, piece.amax().item())
            if edges is not None:
                saturated += int((piece <= edges[0]).sum().item()) + int((piece >= edges[1]).sum().item())
    if edges is not None:  # an infinite element is beyond an end
        saturated += sum(int(piece.isinf().sum().item()) for piece in _pieces(tensor))
    share = None if edges is None else saturated / count
    if not finite:
        return Statistics(count, math.nan, math.nan, math.nan, math.nan, 0.0, share, count)
    if minimum == maximum:
        return Statistics(count, minimum, 0.0, minimum, maximum, zeros / count, share, count - finite)
    scale = max(abs(minimum), abs(maximum))
    mean = sum((piece / scale).sum().item() for piece in _finite_pieces(tensor)) / finite
    total = squares = 0.0
    for piece in _finite_pieces(tensor):
        centred = (piece / scale).sub_(mean)
        total += centred.sum().item()
        squares += torch.dot(centred, centred).item()
    spread = math.sqrt(max(squares / finite - (total / finite) ** 2, 0.0)) * scale
    return Statistics(count, mean * scale, spread, minimum, maximum, zeros / count, share, count - finite)


def _finite_pieces(tensor: Tensor) -> Iterator[Tensor]:
    for piece in _pieces(tensor):
        wide = piece.to(torch.float64)
        finite = wide.isfinite()
        yield wide if bool(finite.all()) else wide[finite]


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    """Yield all elements as flat tensors of float32 or float64 without gaps, in no particular order."""
    flat = _flat(tensor)
    if flat is not None:
        if flat.numel() <= PIECE:
            yield _real(flat)
        else:
            for start in range(0, flat.numel(), PIECE):
                yield _real(flat[start : start + PIECE])
        return
    # The longest strides come first, so that what lies together in memory is copied together.
    strides = tensor.stride()
    ordered = tensor.permute(sorted(range(tensor.dim()), key=lambda dim: -strides[dim]))
    row = ordered.numel() // ordered.shape[0]
    if row > PIECE:
        for part in ordered.unbind(0):
            yield from _pieces(part)
    else:
        rows = max(1, PIECE // row)
        for start in range(0, ordered.shape[0], rows):
            yield _real(ordered[start : start + rows].detach().reshape(-1).contiguous())


def _flat(tensor: Tensor) -> Tensor | None:
    """Return the tensor's memory as one dimension, when its elements fill it without gaps; the order is memory's."""
    if tensor.is_contiguous():
        return tensor.detach().view(-1)
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return None
            expected *= size
    return tensor.detach().as_strided((expected,), (1,))


def _real(part: Tensor) -> Tensor:
    """Return float32 or float64 with the same elements, for complex numbers their magnitudes."""
    dtype = part.dtype
    if dtype is torch.float32 or dtype is torch.float64:
        return part.resolve_neg() if part.is_neg() else part
    if dtype.is_complex:
        return part.to(torch.complex64).abs() if dtype is torch.complex32 else part.abs()
    if dtype in _NARROW or (dtype.is_floating_point and dtype.itemsize == 1):
        return part.to(torch.float32)
    return part.to(torch.float64)


def _without_repeats(tensor: Tensor) -> Tensor:
    """Return the tensor with every expanded dimension cut to its first element; itself when there is none."""
    if 0 not in tensor.stride():
        return tensor
    for dim, (stride, size) in enumerate(zip(tensor.stride(), tensor.shape, strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _edges(bounds: Bounds | None) -> Bounds | None:
    """Return below and above which elements are saturated; None for a range without two finite ends."""
    if bounds is None or not math.isfinite(bounds[1] - bounds[0]):
        return None
    margin = _EDGE * (bounds[1] - bounds[0])
    return bounds[0] + margin, bounds[1] - margin


def _of_layout(tensor: Tensor, bounds: Bounds | None) -> Statistics:
    """Return the statistics of a tensor that is not strided, from what it stores and the zeros that it does not."""
    if tensor.is_quantized:
        return _now(tensor.dequantize(), bounds)
    if tensor.layout is torch.jagged:
        return _now(tensor.values(), bounds)
    if tensor.layout is torch.sparse_coo:
        stored = tensor.coalesce().values()
    elif tensor.layout in _COMPRESSED:
        stored = tensor.values()
    else:
        return _now(tensor.to_dense(), bounds)
    found = _now(stored, bounds)
    count = tensor.numel()
    unstored = count - found.count
    if not unstored:
        return found
    # Zeros join: Σx and Σx² stay, their divisor grows.
    finite = found.count - found.not_finite
    share = finite / (finite + unstored)
    size = math.hypot(found.mean, found.spread) if finite else 0.0
    mean = found.mean * share if finite else 0.0
    edges = _edges(bounds)
    saturated = None
    if edges is not None:
        ends_at_zero = (edges[0] >= 0.0) + (edges[1] <= 0.0)
        saturated = ((found.saturated or 0.0) * found.count + unstored * ends_at_zero) / count
    return Statistics(
        count,
        mean,
        size * math.sqrt(max(share - (mean / size) ** 2, 0.0)) if size else 0.0,
        min(found.minimum, 0.0) if finite else 0.0,
        max(found.maximum, 0.0) if finite else 0.0,
        (found.zeros * found.count + unstored) / count,
        saturated,
        found.not_finite,
    )


def _on_device(tensor: Tensor, edges: Bounds | None) -> Tensor:
    """Return mean, spread, minimum, maximum, zeros, saturated and not_finite, as counts and without waiting.

    Whether an element is finite is not asked first, because the answer would have to come from the device: elements
    that are not are set to zero, and their share is taken out again.
    """
    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    safe = tensor.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    is_finite = safe == tensor
    finite = is_finite.sum().to(wide)
    scale = safe.abs().amax().to(wide)
    scale = torch.where(scale > 0.0, scale, 1.0)
    scaled = safe.to(wide) / scale
    mean = scaled.sum() / finite
    spread = torch.where(is_finite, scaled - mean, 0.0).square().sum().div(finite).sqrt() * scale
    numbers = [
        mean * scale,
        spread,
        torch.where(is_finite, safe, torch.inf).amin().to(wide),
        torch.where(is_finite, safe, -torch.inf).amax().to(wide),
        (tensor == 0).sum().to(wide),
        torch.zeros((), dtype=wide, device=tensor.device),
        tensor.numel() - finite,
    ]
    if edges is not None:
        numbers[5] = ((tensor <= edges[0]).sum() + (tensor >= edges[1]).sum()).to(wide)
    return torch.stack(numbers)


def _from_row(reduction: Reduction, row: list[float]) -> Statistics:
    mean, spread, minimum, maximum, zeros, saturated, not_finite = row
    count = reduction.count
    share = saturated / count if reduction.bounded else None
    if not_finite == count:
        return Statistics(count, math.nan, math.nan, math.nan, math.nan, 0.0, share, count)
    if minimum == maximum:
        mean, spread = minimum, 0.0
    return Statistics(count, mean, spread, minimum, maximum, zeros / count, share, int(not_finite))
