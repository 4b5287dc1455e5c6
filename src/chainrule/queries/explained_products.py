"""The products that one gradient is the sum of: for each op that takes the value, adjoints times local derivatives."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch

from chainrule.ops import argument_name, bind, rule_of
from chainrule.queries.again import (
    Adjoints,
    Index,
    RunAgainError,
    differentiate_locally,
    fresh_outputs,
    not_kept,
    upstream_of,
)
from chainrule.queries.recorded import MISFITS, does_not_fit
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Op, Trace, Use, Value

_NO_FORMULA = "chainrule has no formula for this op; its numbers come from running it again."
_INSIDE = "Inside this op, another of its outputs is computed from it."


@dataclass(frozen=True, slots=True)
class Product:
    """An output element with its adjoint and its local derivative."""

    value: Value
    index: Index
    adjoint: float
    derivative: float

    @property
    def number(self) -> float:
        """Adjoint times local derivative."""
        return self.adjoint * self.derivative


@dataclass(frozen=True, slots=True)
class UseProducts:
    """All products along one op, of which the largest are known one by one.

    Attributes:
        op: the op.
        contribution: what comes back along it.
        largest: the largest products, largest first.
        total: the sum of all products.
        count: how many are not zero.
        by_sample: their sums by sample; None where the batch cannot be told.
        note: why there are no products.
        reached: how many elements of what the op made have a local derivative that is not zero.
        arrived: how many of those have an adjoint that is not zero.
    """

    op: Op
    contribution: float
    largest: tuple[Product, ...] = ()
    total: float = 0.0
    count: int = 0
    by_sample: Tensor | None = None
    note: str = ""
    reached: int = 0
    arrived: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where one gradient comes from.

    Attributes:
        taken_apart: the uses that send most back, with their products.
        others: what the other uses send back.
    """

    taken_apart: tuple[UseProducts, ...]
    others: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """The elements of an output that the asked element reaches, with their adjoints and local derivatives."""

    value: Value
    places: Tensor
    adjoints: Tensor
    derivatives: Tensor
    products: Tensor

    @classmethod
    def of(cls, value: Value, adjoint: Tensor, derivative: Tensor, with_zeros: bool = False) -> "_Row":
        """Return the elements whose local derivative is not zero; mostly a few, of outputs that may be large.

        Args:
            value: the output.
            adjoint: its adjoint.
            derivative: its local derivatives.
            with_zeros: whether elements whose adjoint is not finite are among them too, where the derivative is 0.
        """
        dense = adjoint.to_dense() if adjoint.is_sparse else adjoint
        reached = derivative != 0
        if with_zeros:
            reached |= ~torch.isfinite(dense)
        places = reached.reshape(-1).nonzero().reshape(-1)
        derivatives = derivative.reshape(-1)[places]
        at = torch.unravel_index(places, value.shape) if value.shape else ()
        adjoints = dense[at] if at else dense.reshape(-1)[places]
        return cls(value, places, adjoints, derivatives, adjoints * derivatives)


@final
class ChainRule:
    """The chain rule on one trace: each asked element is taken apart once, and remembered.

    Args:
        trace: a trace that keeps values.
        top: how many products of a use, and how many uses of a value, are known one by one.
    """

    def __init__(self, trace: Trace, top: int) -> None:
        self.trace = trace
        self.adjoints = Adjoints(trace)
        self._top = top
        self._known: dict[tuple[int, Index], Sources] = {}

    def adjoint(self, value: Value) -> Tensor | None:
        """Return what comes back to a value from outside of the op that made it."""
        return self.adjoints.of(value) if value.adjoint is None else upstream_of(value)

    def sources(self, value: Value, index: Index) -> Sources:
        """Return the products that ∂L/∂value[index] is the sum of, without what stays inside the op that made it."""
        key = (value.id, index)
        if key not in self._known:
            self._known[key] = self._find(value, index)
        return self._known[key]

    def inside(self, value: Value, index: Index) -> UseProducts | None:
        """Return what comes back to an output from another output of the same op; None when nothing does."""
        parts = [use for use in value.uses if use.place == ("self",) and use.sent]
        if not parts or value.producer is None:
            return None
        sent = sum((_at(_sent(value, use), index) for use in parts), 0.0)
        return UseProducts(self.trace.ops[value.producer], sent, note=_INSIDE)

    def is_end(self, value: Value) -> bool:
        """Return whether a path ends here: at the loss, and at what only the loss is computed from."""
        if value.id == self.trace.loss:
            return True
        made_in_loss = value.producer is not None and self.trace.ops[value.producer].phase == "loss"
        return made_in_loss or all(op.phase == "loss" for op in self.users_of(value))

    def users_of(self, value: Value) -> list[Op]:
        """Return the ops that send something back to a value."""
        return [op for op, _ in self._users(value)]

    # -- the uses of a value

    def _find(self, value: Value, index: Index) -> Sources:
        users = self._users(value)
        if all(sent is not None for _, sent in users):
            known = [(op, _at(sent, index)) for op, sent in users if sent is not None]
            known.sort(key=lambda pair: -_size(pair[1]))
            parts = [self._take_apart(op, value, index, number) for op, number in known[: self._top]]
            return Sources(tuple(parts), tuple(number for _, number in known[self._top :]))
        parts = [self._take_apart(op, value, index, None) for op, _ in users]
        parts.sort(key=lambda part: -_size(part.contribution))
        return Sources(tuple(parts[: self._top]), tuple(part.contribution for part in parts[self._top :]))

    def _users(self, value: Value) -> list[tuple[Op, Tensor | None]]:
        """Return the ops that send something back to a value, with what they send where the trace tells it apart."""
        uses = [use for use in value.uses if use.place != ("self",)]
        ops = self.trace.ops
        if value.adjoint is None or self._is_cast_once(value, uses):
            reached = dict.fromkeys([use.op for use in uses] + self.adjoints.writers_of(value))
            return [(ops[number], None) for number in reached if self._leads_on(ops[number])]
        sent: dict[int, Tensor] = {}
        for use in uses:
            if use.sent:
                part = _sent(value, use)
                sent[use.op] = sent[use.op] + part if use.op in sent else part
        return [(ops[number], part) for number, part in sent.items()]

    def _is_cast_once(self, value: Value, uses: Iterable[Use]) -> bool:
        """Return whether autocast cast a value in one op and other ops took that cast.

        The recorded contributions then say that all of it came back along the first op.
        """
        inner = (self.trace.values[each.value] for use in uses for each in self.trace.ops[use.op].inputs)
        return any(each.kind == "hidden" and each.shape == value.shape for each in inner)

    def _leads_on(self, op: Op) -> bool:
        if not op.gradients_on or op.phase not in ("forward", "loss"):
            return False
        return any(self.adjoint(self.trace.values[output]) is not None for output in fresh_outputs(self.trace, op))

    # -- the products along one use

    def _take_apart(self, op: Op, value: Value, index: Index, recorded: float | None) -> UseProducts:
        try:
            rows, is_complete = differentiate_locally(self.trace, op, value.id, index)
        except RunAgainError as error:
            why = " ".join(part for part in (error.what, error.cause) if part)
            return UseProducts(op, math.nan if recorded is None else recorded, note=why)
        pairs = [(output, adjoint, row) for output, row in rows if (adjoint := self.adjoint(output)) is not None]
        found = [_Row.of(*pair) for pair in pairs]
        if recorded is not None and math.isnan(recorded) and all(row.products.isfinite().all() for row in found):
            # 0 · NaN is NaN, in a matrix product; a ReLU that is flat leaves the product out.
            found = [_Row.of(*pair, with_zeros=True) for pair in pairs]
        if any(row.products.is_complex() for row in found):
            contribution = math.nan if recorded is None else recorded
            return UseProducts(op, contribution, note="Complex numbers are not taken apart.")
        total = sum((row.products.sum(dtype=torch.float64).item() for row in found), 0.0)
        contribution = total if recorded is None else recorded
        return UseProducts(
            op=op,
            contribution=contribution,
            largest=self._largest(found),
            total=total if is_complete else contribution,
            count=sum(int(torch.count_nonzero(row.products)) for row in found),
            by_sample=self._by_sample(found) if is_complete else None,
            reached=sum(len(row.places) for row in found),
            arrived=sum(int(torch.count_nonzero(row.adjoints)) for row in found),
        )

    def _largest(self, found: list[_Row]) -> tuple[Product, ...]:
        largest = []
        for row in found:
            sizes = row.products.abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
            for number in sizes.topk(min(self._top, sizes.numel())).indices.tolist():
                if row.products[number] != 0:
                    index = _unravelled(int(row.places[number]), row.value.shape)
                    largest.append(
                        Product(row.value, index, row.adjoints[number].item(), row.derivatives[number].item())
                    )
        largest.sort(key=lambda product: -_size(product.number))
        return tuple(largest[: self._top])

    # -- samples

    @cached_property
    def batch(self) -> int | None:
        """How many samples the batch has; None where inputs and targets do not agree on it, or for one sample."""
        shapes = [value.shape for value in self.trace.values if value.kind in ("input", "target")]
        sizes = {shape[0] for shape in shapes if shape}
        return next(iter(sizes)) if len(sizes) == 1 and sizes != {1} else None

    @cached_property
    def _of_inputs(self) -> set[int]:
        """The ids of the values that depend on an input."""
        found = {value.id for value in self.trace.values if value.kind == "input"}
        for op in self.trace.ops:
            if op.phase in ("forward", "loss") and any(use.value in found for use in op.inputs):
                found.update(op.outputs)
        return found

    def _by_sample(self, found: list[_Row]) -> Tensor | None:
        if self.batch is None or not found:
            return None
        if any(row.value.id not in self._of_inputs or row.value.shape[:1] != (self.batch,) for row in found):
            return None
        shares = torch.zeros(self.batch, dtype=torch.float64)
        for row in found:
            samples = row.places // max(math.prod(row.value.shape[1:]), 1)
            shares.index_add_(0, samples.cpu(), row.products.to("cpu", torch.float64))
        return shares


def formula_of(trace: Trace, op: Op, value: Value) -> tuple[str, str, str]:
    """Return an op's formula, its derivative by the argument that a value is, and a note where there is none."""
    rule = rule_of(op)
    if rule is None:
        return "", "", op.opaque or _NO_FORMULA
    try:
        rule = rule.chosen(bind(op, lambda number: trace.values[number].data))
    except MISFITS as error:
        if op.run is not None:
            raise
        return "", "", does_not_fit(op, error).what
    place = next((use.place for use in op.inputs if use.value == value.id), ("hidden",))
    argument = argument_name(op, place).partition("[")[0]
    if rule.formula is None:
        return "", "", _NO_FORMULA
    if argument not in rule.slots:
        return rule.text(), "", ""
    return rule.text(), rule.school_text(argument) or rule.derivative_text(argument), ""


def _sent(value: Value, use: Use) -> Tensor:
    part = use.contribution
    if isinstance(part, Tensor):
        return part
    raise not_kept(value, part.reason if isinstance(part, Missing) else "")


def _at(tensor: Tensor, index: Index) -> float:
    return float((tensor.to_dense() if tensor.is_sparse else tensor)[index].item())


def _size(number: float) -> float:
    """Return a size to sort by; NaN counts as the largest, because it decides the sum."""
    return float("inf") if number != number else abs(number)


def _unravelled(place: int, shape: tuple[int, ...]) -> Index:
    index = []
    for size in reversed(shape):
        index.append(place % size)
        place //= size
    return tuple(reversed(index))
