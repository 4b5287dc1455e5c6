"""Why a gradient is zero, or next to zero: the cut, where an adjoint that is not zero comes to an op and none leaves.

The walk goes from a value up to the loss, along the values whose adjoints are zero, to the first op that has a
non-zero adjoint above it. Ops that pass on the zeros of a cut above them are not accused.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from chainrule.findings import Finding
from chainrule.queries.causes import Cause, cause_of, is_bounded
from chainrule.queries.measured import EMPTY, Measured
from chainrule.queries.saying import call_of, evidence_of, name_of, names, number, where_of
from chainrule.shapes import Tensor
from chainrule.trace import Op, Use, Value

FAINT = 1e-4  # an activation that lets less than this share of an adjoint's norm through is called saturated
TINY = 1e-6  # a gradient below this share of the step's largest one is called tiny
CANCELLED = 1e-5  # a sum below this share of its terms' sizes is rounding
LEARNT = 1e-3  # with a loss below it, small gradients are what is wanted


@dataclass(frozen=True, slots=True)
class Cut:
    """An op that a gradient comes to and does not leave.

    Attributes:
        op: the op.
        use: its use of the value that gets nothing.
        cause: why.
    """

    op: Op
    use: Use
    cause: Cause


def is_zero(measured: Measured, value: Value) -> bool:
    """Whether a value has an adjoint, and all of it is exactly zero."""
    size = measured.adjoint(value)
    return size is not None and size.count > 0 and size.nonzero == 0 and size.not_finite == 0


def cuts_of(measured: Measured, value: Value) -> list[Cut]:
    """Return the ops that keep the gradient from a value whose adjoint is exactly zero, the nearest to the loss first.

    Empty when no op does: then the contributions of several uses cancel.
    """
    found: dict[int, Cut] = {}
    seen, waiting = {value.id}, [value]
    while waiting:
        for use, op in measured.users(waiting.pop()):
            above = measured.above(op)
            if above is None or op.id in found:
                continue
            if above.nonzero > 0:
                if (measured.sent(use) or EMPTY).nonzero == 0:
                    found[op.id] = Cut(op, use, cause_of(measured, op, use, is_exact=True))
                continue
            for made in measured.made(op):
                if made.id not in seen and measured.adjoint(made) is not None:
                    seen.add(made.id)
                    waiting.append(made)
    return sorted(found.values(), key=lambda cut: -cut.op.id)


def explain_zeros(measured: Measured, values: Iterable[Value]) -> list[Finding]:
    """Return one finding for each op that sends exactly zero to some of these values, and names them all."""
    grouped: dict[int, tuple[Cut, list[Value]]] = {}
    cancelled: dict[int, list[Value]] = {}
    beside: dict[int, tuple[Cut, list[Value]]] = {}
    for value in values:
        cuts = cuts_of(measured, value)
        if not cuts:
            cancelled.setdefault(_cancelling_value(measured, value).id, []).append(value)
        for cut in cuts[:1]:
            grouped.setdefault(cut.op.id, (cut, []))[1].append(value)
        for cut in cuts[1:]:
            beside.setdefault(cut.op.id, (cut, []))[1].append(value)
    alike: dict[object, list[tuple[Cut, list[Value]]]] = {}
    for cut, found in grouped.values():
        key = (cut.op.name, cut.op.module_class, cut.cause.code, cut.cause.severity) if cut.op.module else cut.op.id
        alike.setdefault(key, []).append((cut, found))
    findings = [_zero_finding(measured, group) for group in alike.values()]
    findings += [_beside(measured, *group) for key, group in beside.items() if key not in grouped]
    return findings + [_cancelled(measured.trace.values[place], group) for place, group in cancelled.items()]


def explain_saturation(measured: Measured) -> list[Finding]:
    """Return a finding for each activation that lets through almost nothing, but not exactly nothing, of an adjoint."""
    findings = []
    loss = measured.loss_number
    for op in measured.computing_ops:
        above = measured.above(op)
        if above is None or above.norm == 0 or above.not_finite or not is_bounded(op.name) or not op.inputs:
            continue
        use = op.inputs[0]
        below = measured.sent(use)
        if below is None or below.norm == 0 or below.not_finite or below.norm > FAINT * above.norm:
            continue
        cause = cause_of(measured, op, use, is_exact=False)
        share = below.norm / above.norm
        claim = (
            f"{call_of(op)} lets almost nothing of the gradient through, {share:.2g} of its norm, "
            f"though not exactly 0: {cause.words}."
        )
        evidence = evidence_of(op, share_let_through=number(share), threshold=FAINT) | cause.evidence
        is_learnt = loss is not None and abs(loss) <= LEARNT
        findings.append(
            Finding(cause.code, "note" if is_learnt else "warning", claim, where_of(op), evidence, cause.remedy)
        )
    return findings


def cancelling_parameters(measured: Measured, values: Iterable[Value]) -> list[Finding]:
    """Return a note on the biases whose gradient is rounding only: a sum over samples whose terms cancel."""
    without_effect: dict[int, tuple[Op, list[str]]] = {}
    for value in values:
        op = cancelling_op(measured, value)
        if op is not None:
            without_effect.setdefault(op.id, (op, []))[1].append(name_of(value))
    if not without_effect:
        return []
    ops = [op for op, _ in without_effect.values()]
    found = [name for _, group in without_effect.values() for name in group]
    many = len(found) > 1
    claim = (
        f"{names(found)} {'have' if many else 'has'} no effect on the loss: the adjoints that {call_of(ops[0])} sums "
        "up over the batch cancel, and rounding is left."
    )
    remedy = (
        "What follows takes a constant away again (a normalisation subtracts the mean, softmax ignores a shift). "
        "Such a bias can be left out: bias=False."
    )
    return [Finding("no-effect", "note", claim, where_of(ops[0]), evidence_of(ops[0], parameters=len(found)), remedy)]


def cancelling_op(measured: Measured, value: Value) -> Op | None:
    """Return the op in which the terms of a parameter's gradient cancel; None when they do not."""
    ops = [op for use, op in measured.users(value) if use.sent]
    below, count = measured.adjoint(value), max(math.prod(value.shape), 1)
    if not ops or below is None or below.norm == 0.0 or len(value.shape) > 1:
        return None
    made = [made[0] for op in ops if (made := measured.made(op))]
    above = [size for one in made if (size := measured.adjoint(one)) is not None]
    if len(above) < len(ops) or any(size.count <= count for size in above):
        return None
    adjoints = [adjoint for one in made if isinstance(adjoint := one.adjoint, Tensor)]
    if len(adjoints) < len(ops):
        return ops[0] if below.norm <= CANCELLED * math.hypot(*(size.norm for size in above)) else None
    terms = sum(float(adjoint.abs().sum()) for adjoint in adjoints)
    return ops[0] if below.largest <= CANCELLED * terms / count else None


def _zero_finding(measured: Measured, group: list[tuple[Cut, list[Value]]]) -> Finding:
    """Return the finding about a cut, or about several of one kind (the same op in modules of one class)."""
    cut, several = group[0][0], len(group) > 1
    found = [name_of(value) for _, values in group for value in values]
    of = "The gradient" if len(found) == 1 else "The gradients"
    claim = f"{of} of {names(found)} {'is' if len(found) == 1 else 'are'} exactly zero: {call_of(cut.op)} "
    claim += f"and {len(group) - 1} more of its kind let" if several else "lets"
    claim += f" nothing through{_on_all(measured, cut)}, because {cut.cause.words}."
    above = measured.above(cut.op) or EMPTY
    evidence = evidence_of(cut.op, values=len(found), norm_above=number(above.norm), norm_below=0.0)
    evidence |= {"ops": len(group)} if several else {}
    return Finding(
        cut.cause.code, cut.cause.severity, claim, where_of(cut.op), evidence | cut.cause.evidence, cut.cause.remedy
    )


def _on_all(measured: Measured, cut: Cut) -> str:
    samples, shape = measured.samples, measured.trace.values[cut.use.value].shape
    if cut.cause.code in ("dead-units", "saturated") and samples and samples > 1 and shape[:1] == (samples,):
        return f" on all {samples} samples"
    return ""


def _beside(measured: Measured, cut: Cut, values: list[Value]) -> Finding:
    found = names([name_of(value) for value in values])
    claim = (
        f"Another path to {found} is cut as well: {call_of(cut.op)} lets nothing through, because {cut.cause.words}."
    )
    evidence = evidence_of(cut.op, values=len(values)) | cut.cause.evidence
    return Finding(cut.cause.code, "note", claim, where_of(cut.op), evidence, cut.cause.remedy)


def _cancelling_value(measured: Measured, value: Value) -> Value:
    """Return the first value on the way up of which the uses send back something, though its adjoint is zero."""
    seen, waiting = {value.id}, [value]
    for current in waiting:
        users = measured.users(current)
        if any((measured.sent(use) or EMPTY).nonzero > 0 for use, _ in users):
            return current
        for made in (made for _, op in users for made in measured.made(op)):
            if made.id not in seen and is_zero(measured, made):
                seen.add(made.id)
                waiting.append(made)
    return value


def _cancelled(place: Value, values: list[Value]) -> Finding:
    found = [name_of(value) for value in values]
    claim = (
        f"The gradient{'' if len(found) == 1 else 's'} of {names(found)} {'is' if len(found) == 1 else 'are'} exactly "
        f"zero: what the {len(place.uses)} uses of {name_of(place)} send back cancels, though the terms are not zero."
    )
    remedy = "The loss does not depend on this number where it stands; look at what is subtracted from what."
    return Finding("cancelled", "warning", claim, name_of(place), {"values": len(found)}, remedy)
