"""What a kernel says about a run when its losses are not kept: numbers that are updated in each step, per run.

One record for each measure. Every measure is updated in the same steps in the same order, so that a run has the same
measure whatever runs beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.lanes.graph import Kind
from chainrule.lanes.pointwise import choose, convert, test
from chainrule.lanes.writer import Value, Writer

Slots: TypeAlias = dict[str, Value]
Numbers: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in a run a measure is updated: LLVM's names of scalars, i64 and i1."""

    step: str
    total: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for each run.

    Attributes:
        slots: what is remembered from step to step, with the first values.
        update: writes the new slots for the loss of a step.
        finish: (slots as arrays, number of steps) → the measure of each run.
    """

    slots: Mapping[str, float]
    update: Callable[[Writer, Slots, Value, Moment], Slots]
    finish: Callable[[Numbers, int], NDArray[Any]]


def is_finite(writer: Writer, value: Value) -> Value:
    """Write the test whether numbers are finite."""
    return test(writer, "olt", writer.intrinsic("fabs", value), writer.constant(float("inf")))


def _plus(writer: Writer, one: Value, other: Value) -> Value:
    return Value(writer.value(f"fadd {writer.vector} {one.name}, {other.name}"), Kind.FLOAT)


def _over(writer: Writer, one: Value, other: Value) -> Value:
    return Value(writer.value(f"fdiv {writer.vector} {one.name}, {other.name}"), Kind.FLOAT)


def _where_scalar(writer: Writer, condition: str, one: Value, other: Value) -> Value:
    kind = writer.type(one.kind)
    return Value(writer.value(f"select i1 {condition}, {kind} {one.name}, {kind} {other.name}"), one.kind)


def with_divergence(measure: Measure) -> Measure:
    """Return a measure that remembers the first step whose loss was not finite, too, in the slot `lost_at`."""

    def update(writer: Writer, slots: Slots, loss: Value, moment: Moment) -> Slots:
        new = measure.update(writer, slots, loss, moment)
        step = writer.value(f"uitofp i64 {moment.step} to {writer.element}")
        now = Value(writer.spread(step, writer.element), Kind.FLOAT)
        was_lost = test(writer, "ole", slots["lost_at"], now)
        lost = choose(writer, is_finite(writer, loss), slots["lost_at"], now)
        return new | {"lost_at": choose(writer, was_lost, slots["lost_at"], lost)}

    return Measure({**measure.slots, "lost_at": float("inf")}, update, measure.finish)


def final_loss() -> Measure:
    """Return the measure that is the loss of the last step, before its update."""
    return Measure(
        {"last": 0.0},
        lambda writer, slots, loss, moment: {"last": loss},
        lambda numbers, total: numbers["last"],
    )


def lowest_loss() -> Measure:
    """Return the measure that is the lowest loss of a run; +∞ when none was a number."""

    def update(writer: Writer, slots: Slots, loss: Value, moment: Moment) -> Slots:
        return {"lowest": choose(writer, test(writer, "olt", loss, slots["lowest"]), loss, slots["lowest"])}

    return Measure({"lowest": float("inf")}, update, lambda numbers, total: numbers["lowest"])


def steps_to(target: float) -> Measure:
    """Return the measure that is the number of updates before the loss is first at most `target`.

    It is the number of all steps for a run that does not get there.
    """

    def update(writer: Writer, slots: Slots, loss: Value, moment: Moment) -> Slots:
        there = convert(writer, test(writer, "ole", loss, writer.constant(target)), Kind.FLOAT)
        got = choose(writer, test(writer, "ogt", there, slots["there"]), there, slots["there"])
        waiting = choose(
            writer, test(writer, "oeq", got, writer.constant(0.0)), writer.constant(1.0), writer.constant(0.0)
        )
        return {"there": got, "steps": _plus(writer, slots["steps"], waiting)}

    return Measure({"there": 0.0, "steps": 0.0}, update, lambda numbers, total: numbers["steps"])


def convergence(cap: float = 1e6, window: int = 20) -> Measure:
    """Return how fast a run converges (below 0) or diverges (at least 0).

    v is the loss over that of the first step, at most `cap`, and `cap` where the loss is not finite (of the first
    step: the loss itself becomes `cap`). A run converged when the mean v of its last `window` steps is below 1; then
    the measure is −Σ v, else Σ 1/v.

    Source: the code of J. Sohl-Dickstein, "The boundary of neural network trainability is fractal",
    arXiv:2402.06184 (2024).
    """

    def update(writer: Writer, slots: Slots, loss: Value, moment: Moment) -> Slots:
        most = writer.constant(cap)
        value = choose(writer, is_finite(writer, loss), loss, most)
        is_first = writer.value(f"icmp eq i64 {moment.step}, 0")
        first = _where_scalar(writer, is_first, value, slots["first"])
        value = _over(writer, value, first)
        value = choose(writer, test(writer, "ogt", value, most), most, value)
        begin = writer.value(f"sub i64 {moment.total}, {window}")
        is_late = writer.value(f"icmp sge i64 {moment.step}, {begin}")
        late = _where_scalar(writer, is_late, value, writer.constant(0.0))
        return {
            "first": first,
            "sum": _plus(writer, slots["sum"], value),
            "inverse": _plus(writer, slots["inverse"], _over(writer, writer.constant(1.0), value)),
            "late": _plus(writer, slots["late"], late),
        }

    def finish(numbers: Numbers, total: int) -> NDArray[Any]:
        converged = numbers["late"] / min(window, max(total, 1)) < 1
        return np.where(converged, -numbers["sum"], numbers["inverse"])

    return Measure({"first": 0.0, "sum": 0.0, "inverse": 0.0, "late": 0.0}, update, finish)
