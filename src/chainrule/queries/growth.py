"""Why a gradient is huge or tiny: the path from the loss to it, op by op, with the factor of each.

The gain of an op on the path is |contribution| / |adjoint|, of Euclidean norms: what it multiplies the norm by on the
way back. Along one path the gains multiply to |gradient| / |adjoint of the loss|, so the ops with the largest product
of gains (or the smallest) are the cause: one op, or one that stands on the path many times.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from chainrule.findings import Finding
from chainrule.queries.causes import is_bounded, is_recurrent
from chainrule.queries.measured import Measured, Size
from chainrule.queries.saying import Evidence, Severity, call_of, evidence_of, name_of, names, number, where_of
from chainrule.queries.zeros import LEARNT, TINY, cancelling_op
from chainrule.shapes import Tensor
from chainrule.trace import Op, Use, Value

HUGE = 1e4  # times the root mean square of the parameter itself
_SMALLEST_PARAMETER = 0.03  # a parameter that begins at 0 is measured as if it were this large
_OFTEN = 3  # an op that stands so often on a path is a repetition
_MUCH = 1e3  # a factor, in one go or by repetition, that is worth an accusation
_BEYOND = 1.01  # times the bound: rounding
_WIDEST = 1024  # matrices up to this size have their spectral norm computed
_STEEP = frozenset(
    {
        "div",
        "truediv",
        "rdiv",
        "sqrt",
        "rsqrt",
        "log",
        "log2",
        "log10",
        "log1p",
        "pow",
        "reciprocal",
        "norm",
        "vector_norm",
        "normalize",
    }
)
_LOSSES = ("_loss", "cross_entropy", "binary_cross_entropy", "kl_div")


@dataclass(frozen=True, slots=True)
class PathStep:
    """One op on the way back from the loss to a value.

    Attributes:
        op: the id of the op.
        name: its name.
        module: the module that it ran in.
        line: where it stands in the code, as "net.py:12".
        value: the name of the value that it sends to.
        above: the norm of the adjoint that comes to it.
        below: the norm of what it sends on.
    """

    op: int
    name: str
    module: str
    line: str
    value: str
    above: float
    below: float

    @property
    def gain(self) -> float:
        """What it multiplies the norm by; NaN where nothing comes to it."""
        return self.below / self.above if self.above else math.nan


@dataclass(frozen=True, slots=True)
class Repeated:
    """An op that stands on a path several times: the same line of one module, or of modules of one class."""

    steps: tuple[PathStep, ...]

    @property
    def gain(self) -> float:
        """The geometric mean of the gains."""
        return math.exp(self.total / len(self.steps))

    @property
    def total(self) -> float:
        """The logarithm of the product of the gains."""
        return sum(math.log(step.gain) for step in self.steps if step.gain > 0)

    @property
    def text(self) -> str:
        """Say it: "linear in h ×3.0, 29 times"."""
        modules = list(dict.fromkeys(step.module for step in self.steps if step.module))
        place = f" in {names(modules, 3)}" if modules else ""
        times = f", {len(self.steps)} times" if len(self.steps) > 1 else ""
        return f"{self.steps[0].name}{place} ×{self.gain:.3g}{times}"


def path_of(measured: Measured, value: Value) -> tuple[PathStep, ...]:
    """Return the path from the loss to a value along the largest contributions, beginning at the loss."""
    steps: list[PathStep] = []
    current: Value | None = value
    while current is not None and current.id != measured.trace.loss and len(steps) < len(measured.trace.ops):
        best: tuple[float, Use, Op] | None = None
        for use, op in measured.users(current):
            sent, above = measured.sent(use), measured.above(op)
            if sent is not None and above is not None and (best is None or sent.norm > best[0]):
                best = sent.norm, use, op
        if best is None:
            break
        norm, _, op = best
        above = measured.above(op)
        line = str(op.source) if op.source else ""
        steps.append(PathStep(op.id, op.name, op.module, line, name_of(current), above.norm if above else 0.0, norm))
        made = [one for one in measured.made(op) if measured.adjoint(one) is not None]
        current = max(made, key=lambda one: _norm(measured.adjoint(one)), default=None)
    return tuple(reversed(steps))


def repetitions(measured: Measured, path: Sequence[PathStep]) -> list[Repeated]:
    """Return the ops of a path in groups, each group once: by line and module, or by class where that is often."""
    ops = measured.trace.ops
    by_module: dict[tuple[str, ...], list[PathStep]] = {}
    by_class: dict[tuple[str, ...], list[PathStep]] = {}
    for step in path:
        if step.gain > 0 and math.isfinite(step.gain):
            by_module.setdefault((step.name, step.module, step.line), []).append(step)
    for (name, module, line), steps in by_module.items():
        often = len(steps) >= _OFTEN
        key = (name, module, line) if often else (name, ops[steps[0].op].module_class)
        by_class.setdefault(key, []).extend(steps)
    return [Repeated(tuple(steps)) for steps in by_class.values()]


def is_huge(measured: Measured, value: Value) -> bool:
    """Whether a parameter's gradient is more than ten thousand times as large as the parameter."""
    gradient, own = measured.adjoint(value), measured.data(value)
    if gradient is None or own is None or gradient.not_finite:
        return False
    return gradient.root_mean_square > HUGE * max(own.root_mean_square, _SMALLEST_PARAMETER)


def tiny_parameters(measured: Measured, values: Sequence[Value]) -> list[Value]:
    """Return the parameters whose gradients are not zero, but below a millionth of the step's largest one."""
    sizes = {value.id: size for value in values if (size := measured.adjoint(value)) is not None}
    largest = max((size.largest for size in sizes.values()), default=0.0)
    return [value for value in values if value.id in sizes and 0.0 < sizes[value.id].largest < TINY * largest]


def explain_growth(measured: Measured, values: Sequence[Value]) -> list[Finding]:
    """Return why the gradients of these values are as large as they are: one finding, about the largest for its size.

    It is a note unless the gradient is huge.
    """
    if not values:
        return []
    worst, path = _worst(measured, values)
    gradient = measured.adjoint(worst)
    if not path or gradient is None:
        return []
    code, op, words, remedy, evidence = _cause_of_growth(measured, path)
    others = f" (and {len(values) - 1} more {'is' if len(values) == 2 else 'are'} huge)" if len(values) > 1 else ""
    is_grave = is_huge(measured, worst)
    size = f"is huge, with a norm of {gradient.norm:.3g}{others}" if is_grave else f"has a norm of {gradient.norm:.3g}"
    claim = f"The gradient of {name_of(worst)} {size}: {words}."
    numbers = evidence_of(op, norm=number(gradient.norm), values=len(values), threshold=HUGE) | evidence
    return [Finding(code, "warning" if is_grave else "note", claim, where_of(op), numbers, remedy if is_grave else "")]


def explain_vanishing(measured: Measured, values: Sequence[Value]) -> list[Finding]:
    """Return why the gradients of these values are tiny: one finding, about the smallest of them."""
    if not values:
        return []
    worst = min(values, key=lambda value: _norm(measured.adjoint(value)))
    path = path_of(measured, worst)
    gradient = measured.adjoint(worst)
    if not path or gradient is None:
        return []
    groups = sorted(repetitions(measured, path), key=lambda group: group.total)
    told = [group for group in groups if group.total < math.log(0.1)][:3] or groups[:1]
    if not told:
        return []
    smallest = min(told[0].steps, key=lambda step: step.gain)
    op = measured.trace.ops[smallest.op]
    found = names([name_of(value) for value in values])
    claim = (
        f"The gradient{'' if len(values) == 1 else 's'} of {found} {'is' if len(values) == 1 else 'are'} tiny (norm of "
        f"{name_of(worst)}: {gradient.norm:.3g}): on the way back from the loss it is multiplied by less than 1 again "
        f"and again: {'; '.join(group.text for group in told)}."
    )
    remedy = "Add residual connections or a normalisation between the layers"
    remedy += ", or use ReLU: the slope of a sigmoid is at most ¼." if is_bounded(op.name) else ", or larger weights."
    loss = measured.loss_number
    evidence = evidence_of(
        op, norm=number(gradient.norm), gain=number(told[0].gain), times=len(told[0].steps), threshold=TINY
    )
    severity: Severity = "note" if loss is not None and abs(loss) <= LEARNT else "warning"
    return [Finding("vanishing", severity, claim, where_of(op), evidence, remedy)]


def without_effect(measured: Measured, value: Value) -> bool:
    """Whether a gradient is small because its terms cancel."""
    return cancelling_op(measured, value) is not None


def _norm(size: Size | None) -> float:
    return 0.0 if size is None else size.norm


def _worst(measured: Measured, values: Sequence[Value]) -> tuple[Value, tuple[PathStep, ...]]:
    """Return the value to tell of: the one whose path grows most by repetition, else the one that is largest.

    Where weights explode, what the last layers are given is huge as well, and their own gradients with it.
    """
    paths = {value.id: path_of(measured, value) for value in values}

    def repeated(value: Value) -> float:
        groups = [group for group in repetitions(measured, paths[value.id]) if len(group.steps) >= _OFTEN]
        return max((group.total for group in groups), default=0.0)

    worst = max(values, key=repeated)
    if repeated(worst) < math.log(_MUCH):
        worst = max(values, key=lambda value: _rate(measured, value))
    return worst, paths[worst.id]


def _rate(measured: Measured, value: Value) -> float:
    gradient, own = measured.adjoint(value), measured.data(value)
    if gradient is None:
        return 0.0
    return gradient.root_mean_square / max(own.root_mean_square if own else 0.0, _SMALLEST_PARAMETER)


def _cause_of_growth(measured: Measured, path: Sequence[PathStep]) -> tuple[str, Op, str, str, Evidence]:
    groups = sorted(repetitions(measured, path), key=lambda group: -group.total)
    often = [group for group in groups if len(group.steps) >= _OFTEN and group.total >= math.log(_MUCH)]
    if often:
        top = often[0]
        op = measured.trace.ops[max(top.steps, key=lambda step: step.gain).op]
        told = [group.text for group in groups if group.total > math.log(10)][:3] or [top.text]
        words = f"on the way back from the loss it is multiplied again and again: {'; '.join(told)}"
        evidence: Evidence = {"gain": number(top.gain), "times": len(top.steps)}
        evidence |= _spectral(measured, op)
        remedy = (
            "Make the weights smaller (orthogonal_ with gain 1 for a recurrence, xavier or kaiming for a stack), put a "
            "normalisation between, or clip the gradient with torch.nn.utils.clip_grad_norm_."
        )
        return "exploding", op, words, remedy, evidence
    step = max((one for one in path if one.gain > 0), key=lambda one: one.gain, default=path[-1])
    op = measured.trace.ops[step.op]
    code, why, remedy = _single(measured, op, step)
    words = f"the largest factor on the way back is ×{step.gain:.3g}, by {call_of(op)}{why}"
    numbers: Evidence = {"gain": number(step.gain)}
    return code, op, words, remedy, numbers | _spectral(measured, op)


def _single(measured: Measured, op: Op, step: PathStep) -> tuple[str, str, str]:
    """Return code, cause and remedy of one op that multiplies a gradient by much."""
    plain = op.name.rstrip("_").removeprefix("r")
    inputs = [measured.trace.values[use.value] for use in op.inputs]
    if is_recurrent(op.name):
        return (
            "exploding",
            ", which multiplies by its recurrent weights at every step of the sequence",
            "Clip the gradient with torch.nn.utils.clip_grad_norm_, initialise the recurrent weights (weight_hh) by "
            "orthogonal_, or make the sequence shorter.",
        )
    if any(value.kind == "parameter" and name_of(value) == step.value for value in inputs):
        others = [value for value in inputs if value.kind != "parameter"]
        largest = max((size.largest for value in others if (size := measured.data(value))), default=0.0)
        name = name_of(others[0]) if others else "its input"
        sizes_of_others = [size.norm for value in others if (size := measured.data(value)) is not None]
        if sizes_of_others and step.gain > _BEYOND * max(sizes_of_others):  # |adjointᵀ·input| ≤ |adjoint|·|input|
            return "large-factor", f", more than its input, {name}, explains", "Look at what this op multiplies by."
        return (
            "large-input",
            f", which multiplies the adjoint by its input, and {name} is as large as {largest:.3g}",
            "Scale what comes in to about 1: standardise the data, or normalise between the layers.",
        )
    if op.phase == "loss" or any(part in plain for part in _LOSSES):
        sizes = [(name_of(value), size) for value in inputs if (size := measured.data(value)) is not None]
        ranges = " and ".join(f"{name} from {size.lowest:.3g} to {size.highest:.3g}" for name, size in sizes)
        summed = op.keywords.get("reduction") == "sum" or plain == "sum"
        return (
            "large-error",
            f"{', which sums over the batch' if summed else ''} ({ranges})",
            "Average the loss instead of summing it, and scale targets and predictions to about 1.",
        )
    if plain in _STEEP:
        sizes_of_all = [measured.data(value) for value in inputs]
        near = min((min(abs(size.lowest), abs(size.highest)) for size in sizes_of_all if size), default=0.0)
        return (
            "steep",
            f", which is steep near 0, and its input comes as near as {near:.3g}",
            "Keep its input away from 0: add a small number, or clamp it.",
        )
    largest = max((size.largest for value in inputs[1:] if (size := measured.data(value))), default=0.0)
    return "large-factor", f" (what it multiplies by is as large as {largest:.3g})", "Make this factor smaller."


@torch.no_grad()
def _spectral(measured: Measured, op: Op) -> Evidence:
    """Return the largest factor that the op's weight can multiply a vector by, where it is a matrix and not wide."""
    for use in op.inputs:
        value = measured.trace.values[use.value]
        data = value.data
        if is_recurrent(op.name) and "weight_hh" not in name_of(value):
            continue
        if value.kind == "parameter" and isinstance(data, Tensor) and data.dim() == 2 and max(data.shape) <= _WIDEST:
            norm = float(torch.linalg.matrix_norm(data.detach().to(torch.float64), 2))
            return {f"spectral norm of {name_of(value)}": number(norm)}
    return {}
