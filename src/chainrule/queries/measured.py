"""The numbers of a trace in a few words each: how large, how many zeros, how many not finite; every one taken once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch

from chainrule.shapes import Tensor
from chainrule.trace import Number, Op, Statistics, Trace, Use, Value


@dataclass(frozen=True, slots=True)
class Size:
    """A tensor in a few numbers.

    Attributes:
        count: how many elements it has.
        nonzero: the share that is not exactly zero, NaN and infinities among them.
        norm: the Euclidean norm of the finite elements.
        largest: the largest magnitude of the finite elements.
        lowest: the smallest of the finite elements.
        highest: the largest of the finite elements.
        nan: how many are NaN; None when it is only known how many are not finite.
        not_finite: how many are NaN or infinite.
    """

    count: int
    nonzero: float
    norm: float
    largest: float
    lowest: float
    highest: float
    nan: int | None = 0
    not_finite: int = 0

    @property
    def root_mean_square(self) -> float:
        """The norm over √n, which does not depend on how many elements there are."""
        return self.norm / math.sqrt(self.count) if self.count else 0.0


EMPTY = Size(0, 0.0, 0.0, 0.0, 0.0, 0.0)


@torch.no_grad()
def size_of(number: Number | None) -> Size | None:
    """Return the size of a tensor or of its statistics; None where there is neither."""
    if isinstance(number, Statistics):
        largest = max(abs(number.minimum), abs(number.maximum), 0.0)
        whole = 0 if number.not_finite == 0 else None
        return Size(
            number.count,
            1.0 - number.zeros,
            number.norm,
            largest,
            number.minimum,
            number.maximum,
            whole,
            number.not_finite,
        )
    if not isinstance(number, Tensor) or number.is_meta:
        return None
    count = number.numel()
    if number.is_sparse:
        number = number.coalesce().values()
    if number.is_complex():
        number = number.abs()
    elif number.dtype not in (torch.float32, torch.float64):
        number = number.to(torch.float32 if number.is_floating_point() else torch.float64)
    if number.numel() == 0:
        return Size(count, 0.0, 0.0, 0.0, 0.0, 0.0)
    lowest, highest = (part.item() for part in number.aminmax())
    nonzero = int(number.count_nonzero()) / count
    nan = not_finite = 0
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        nan = int(number.isnan().sum())
        is_finite = number.isfinite()
        not_finite = number.numel() - int(is_finite.sum())
        number = number[is_finite]
        if number.numel() == 0:
            return Size(count, nonzero, 0.0, 0.0, 0.0, 0.0, nan, not_finite)
        lowest, highest = (part.item() for part in number.aminmax())
    largest = max(abs(lowest), abs(highest))
    return Size(count, nonzero, _norm(number, largest), largest, lowest, highest, nan, not_finite)


def _norm(number: Tensor, largest: float) -> float:
    if 1e-12 < largest < 1e12 or largest == 0.0:
        return float(torch.linalg.vector_norm(number))
    return largest * float(torch.linalg.vector_norm(number.to(torch.float64) / largest))  # squares would overflow


@final
class Measured:
    """A trace, and what has been measured of it so far.

    Args:
        trace: any trace; of one that keeps statistics, these are the measurements.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._sizes: dict[tuple[object, ...], Size | None] = {}
        self._before_loss: set[int] | None = None
        self._first_dimension: int | None = None

    # -- sizes

    def data(self, value: Value) -> Size | None:
        """The size of a value."""
        return self._once(("data", value.id), lambda: value.data)

    def adjoint(self, value: Value) -> Size | None:
        """The size of a value's adjoint; None when it has none."""
        return self._once(("adjoint", value.id), lambda: value.adjoint)

    def sent(self, use: Use) -> Size | None:
        """The size of what a use sends back; None when it sends nothing."""
        value = self.trace.values[use.value]
        alone = sum(1 for other in value.uses if other.sent) == 1
        if use.sent and alone and self.adjoint(value) is not None:
            return self.adjoint(value)  # the only contribution is the adjoint
        return self._once(("sent", use.op, use.place), lambda: use.contribution)

    def above(self, op: Op) -> Size | None:
        """The size of the adjoints of all outputs of an op together; None when the backward pass never came there."""
        key = ("above", op.id)
        if key not in self._sizes:
            sizes = [size for value in self.made(op) if (size := self.adjoint(value)) is not None]
            self._sizes[key] = _together(sizes)
        return self._sizes[key]

    def _once(self, key: tuple[object, ...], read: "object") -> Size | None:
        if key not in self._sizes:
            self._sizes[key] = size_of(read())  # type: ignore[operator]
        return self._sizes[key]

    # -- structure

    def made(self, op: Op) -> list[Value]:
        """The values that an op made: its outputs but for inputs that it handed on."""
        return [self.trace.values[output] for output in op.outputs if self.trace.values[output].producer == op.id]

    def users(self, value: Value) -> list[tuple[Use, Op]]:
        """The uses of a value in forward and loss, each with its op."""
        pairs = ((use, self.trace.ops[use.op]) for use in value.uses if use.place != ("self",))
        return [(use, op) for use, op in pairs if op.phase in ("forward", "loss") or op.recomputed]

    @property
    def computing_ops(self) -> list[Op]:
        """The ops of forward and loss, in order."""
        return [op for op in self.trace.ops if op.phase in ("forward", "loss")]

    @property
    def backward_ops(self) -> list[Op]:
        """The ops whose backward ran, in the order in which it did."""
        return [self.trace.ops[op.of] for op in self.trace.ops_in("backward") if op.of is not None]

    @property
    def parameters(self) -> list[Value]:
        """The parameters that require a gradient."""
        return [value for value in self.trace.parameters if value.requires_grad]

    @property
    def ran_backward(self) -> bool:
        """Whether anything came back from the loss."""
        return self.trace.loss is not None and self.trace.values[self.trace.loss].adjoint is not None

    @property
    def before_loss(self) -> set[int]:
        """The ids of all values that the loss was computed from, along any path, itself among them."""
        if self._before_loss is None:
            self._before_loss = set() if self.trace.loss is None else self.ancestors([self.trace.loss])
        return self._before_loss

    def ancestors(self, starts: Iterable[int]) -> set[int]:
        """Return the ids of all values that some values were computed from, themselves among them."""
        found, waiting = set(), list(starts)
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            producer = self.trace.values[number].producer
            if producer is not None:
                waiting += [use.value for use in self.trace.ops[producer].inputs]
        return found

    @property
    def loss_number(self) -> float | None:
        """The loss, when it is kept."""
        if self.trace.loss is None:
            return None
        size = self.data(self.trace.values[self.trace.loss])
        return None if size is None or size.not_finite else size.highest

    @property
    def samples(self) -> int | None:
        """The number of samples of the batch: the first dimension of the first input; None when there is none."""
        if self._first_dimension is None:
            shapes = [value.shape for value in self.trace.values if value.kind == "input" and value.shape]
            self._first_dimension = shapes[0][0] if shapes else 0
        return self._first_dimension or None


def _together(sizes: list[Size]) -> Size | None:
    if len(sizes) <= 1:
        return sizes[0] if sizes else None
    count = sum(size.count for size in sizes)
    unknown = any(size.nan is None for size in sizes)
    return Size(
        count,
        sum(size.nonzero * size.count for size in sizes) / max(count, 1),
        math.hypot(*(size.norm for size in sizes)),
        max(size.largest for size in sizes),
        min(size.lowest for size in sizes),
        max(size.highest for size in sizes),
        None if unknown else sum(size.nan or 0 for size in sizes),
        sum(size.not_finite for size in sizes),
    )
