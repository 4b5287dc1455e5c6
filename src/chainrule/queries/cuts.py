"""Why a value has no gradient at all: where the path from it to the loss is cut, or why there is none.

Autograd's path ends at an op that takes a value with a gradient and makes one without: `detach`, anything inside
`no_grad`, ops whose result is whole numbers or truth values. Where no recorded op joins a value to the loss, it left
torch (`.item()`, `.numpy()`), or what was computed of it was not used.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from chainrule.findings import Finding
from chainrule.ops import rule_of
from chainrule.queries.measured import Measured
from chainrule.queries.recorded import is_smooth
from chainrule.queries.saying import Evidence, Severity, call_of, evidence_of, line_of, name_of, names, where_of
from chainrule.shapes import Tensor
from chainrule.trace import Decision, Op, Value

_DETACHING = frozenset({"detach", "detach_", "data", "data ="})
_NUMBERS = frozenset({"item", "tolist", "numpy", "float", "int", "complex", "array", "dlpack", "index"})
_COPYING = frozenset({"tensor", "as_tensor", "asarray"})
_POSITIONS = frozenset({"argmax", "argmin", "argsort", "multinomial", "one_hot"})

_WITH_WEIGHTS = frozenset(
    {f"{kind}{sizes}d" for kind in ("Conv", "ConvTranspose", "BatchNorm") for sizes in (1, 2, 3)}
    | {"Linear", "Bilinear", "Embedding", "LayerNorm", "GroupNorm", "RMSNorm", "LSTM", "GRU", "RNN"}
)
_NOT_FOLLOWED = "not-followed"
_FEW = 2  # numbers: fewer can be equal by chance
_NEVER_MEANT = frozenset({"left-torch", "not-differentiable", "nothing-returned"})  # others can be on purpose


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the way from a value to the loss ends for a gradient.

    Attributes:
        code: the finding's code.
        op: the op that cuts it, or the last one that it reaches; None where there is no op.
        decision: where it left torch.
        cause: what happens there, as a sentence without its full stop.
        remedy: what to do, as a sentence.
        block: the id of the first op of the block that cuts it, where one block holds several ops.
    """

    code: str
    op: Op | None
    decision: Decision | None
    cause: str
    remedy: str
    block: int | None = None

    @property
    def place(self) -> object:
        """What gaps of several parameters have in common when they are one."""
        if self.decision is not None:
            return self.code, str(self.decision.source), self.decision.what
        if self.block is not None:
            return self.code, self.block
        return self.code, None if self.op is None else self.op.id


def gaps_of(measured: Measured, value: Value) -> list[Gap]:
    """Return why the loss sends no gradient to a value, the cut nearest to the loss first."""
    if not value.requires_grad and value.kind == "parameter":
        return [_frozen(value)]
    if not value.requires_grad:
        return [_not_followed(measured, value)]
    if not measured.users(value):
        return [_unused(name_of(value))]
    reached, cutting = _follow(measured, value)
    through = [(op, made) for op, made in cutting if made.id in measured.before_loss]
    if through:
        return [_cut(measured, op, made) for op, made in sorted(through, key=lambda pair: -pair[0].id)]
    left = _left_torch(measured, reached)
    if left:
        return left
    if measured.trace.loss in reached:
        return [_nothing_returned(measured, reached)]
    return [_unreached(measured, reached, cutting)]


def explain_gaps(measured: Measured, values: Iterable[Value]) -> list[Finding]:
    """Return one finding for each gap, with all values that it leaves without a gradient."""
    grouped: dict[object, tuple[Gap, list[Value]]] = {}
    for value in values:
        for gap in gaps_of(measured, value)[:1]:
            grouped.setdefault(gap.place, (gap, []))[1].append(value)
    findings = []
    for gap, found in grouped.values():
        inside = gap.code == "no-grad" and all(_is_only_used_without(measured, value) for value in found)
        findings.append(_finding(measured, gap, [name_of(value) for value in found], is_meant=inside))
    return findings


def _is_only_used_without(measured: Measured, value: Value) -> bool:
    """Whether every op that takes a parameter ran with gradients switched off, as those of a target network do."""
    return value.kind == "parameter" and not any(op.gradients_on for _, op in measured.users(value))


def unused_parameters(measured: Measured, name: str | None = None) -> list[Finding]:
    """Return a finding about the parameters that no op took at all, as far as the model is still there to ask.

    Args:
        measured: the trace.
        name: the one that is asked about; all unless it is said.
    """
    recipe = measured.trace.recipe
    if recipe is None:
        return _idle_modules(measured) if name is None else []
    known = {value.name for value in measured.trace.values}
    named = recipe.model.named_parameters()
    missing = [found for found, parameter in named if found not in known and parameter.requires_grad]
    missing = [found for found in missing if name in (None, found)]
    return [_finding(measured, _unused(missing[0]), missing)] if missing else []


def _idle_modules(measured: Measured) -> list[Finding]:
    """Return a note on the layers that were not called: without the model, their parameters cannot be asked."""
    trace = measured.trace
    ran = {op.module for op in trace.ops}
    idle = [path for path, note in trace.modules.items() if note.class_name in _WITH_WEIGHTS and not note.outputs]
    idle = [path for path in idle if not any(one == path or one.startswith(f"{path}.") for one in ran)]
    if not idle:
        return []
    many = len(idle) > 1
    claim = f"{names(idle)} {'were' if many else 'was'} not called in this step, so "
    claim += f"{'their' if many else 'its'} parameters get no gradient."
    remedy = "Call it in forward, or remove it."
    return [Finding("unused", "note", claim, names(idle), {"modules": len(idle)}, remedy)]


def _follow(measured: Measured, value: Value) -> tuple[set[int], list[tuple[Op, Value]]]:
    """Return the values that data of a value flow to, and the ops (with what they made) where its gradient ends."""
    reached, waiting = {value.id}, [value]
    cutting: list[tuple[Op, Value]] = []
    while waiting:
        current = waiting.pop()
        for _, op in measured.users(current):
            for made in measured.made(op):
                if current.requires_grad and not made.requires_grad:
                    cutting.append((op, made))
                if made.id not in reached:
                    reached.add(made.id)
                    waiting.append(made)
    return reached, cutting


def _frozen(value: Value) -> Gap:
    return Gap(
        "frozen",
        None,
        None,
        "requires_grad is False, so autograd leaves it out",
        f"If it is to learn, set requires_grad before the step: model.get_parameter('{name_of(value)}')"
        ".requires_grad_(True).",
    )


def _not_followed(measured: Measured, value: Value) -> Gap:
    """Say why autograd follows a value that is no parameter not: it was made so, or given so."""
    op = None if value.producer is None else measured.trace.ops[value.producer]
    if op is not None and any(measured.trace.values[use.value].requires_grad for use in op.inputs):
        gap = _cut(measured, op, value)
        return Gap(_NOT_FOLLOWED, op, None, gap.cause, "")
    if not is_smooth(value):
        kind = "truth values" if value.dtype == "bool" else "whole numbers"
        return Gap(_NOT_FOLLOWED, None, None, f"{kind} have no gradient", "")
    return Gap(
        _NOT_FOLLOWED,
        None,
        None,
        "requires_grad is False, so autograd did not follow it",
        "chainrule.explain computes it on demand.",
    )


def _unused(name: str) -> Gap:
    return Gap(
        "unused",
        None,
        None,
        "unused by every op of this step",
        f"Call the module that holds {name} in forward, or remove it.",
    )


def _cut(measured: Measured, op: Op, made: Value) -> Gap:
    if op.name in _COPYING:
        return Gap(
            "detached",
            op,
            None,
            f"{call_of(op)} copies numbers without their history, so no gradient goes back through it",
            f"Use the tensor itself, or torch.stack of several, instead of torch.{op.name}.",
        )
    if op.name in _DETACHING:
        return Gap(
            "detached",
            op,
            None,
            f"{call_of(op)} hands the numbers on without their history, so no gradient goes back through it",
            f"Remove .{op.name.removesuffix(' =')}{'' if op.name.startswith('data') else '()'} there "
            "if the gradient is to go through.",
        )
    if not op.gradients_on:
        return Gap(
            "no-grad",
            op,
            None,
            f"{call_of(op)} ran while gradients were switched off (torch.no_grad), so autograd did not follow it",
            "Move this line out of the torch.no_grad() block (or decorator) if the gradient is to go through.",
            _block_of(measured, op),
        )
    if op.opaque:
        return Gap(
            "not-differentiable",
            op,
            None,
            f"{call_of(op)} marks its output as one that has no gradient",
            "Look for mark_non_differentiable in its forward.",
        )
    return Gap("not-differentiable", op, None, f"{call_of(op)} {_why_no_derivative(op, made)}", _instead_of(op, made))


def _block_of(measured: Measured, op: Op) -> int:
    """Return the id of the first of the ops before one that ran with gradients switched off as it did."""
    ops, first = measured.trace.ops, op.id
    while first > 0 and not ops[first - 1].gradients_on and ops[first - 1].phase == op.phase:
        first -= 1
    return first


def _why_no_derivative(op: Op, made: Value) -> str:
    rule = rule_of(op)
    if rule is not None and rule.cuts:
        return f"lets nothing through: {rule.cuts.removesuffix('.')}"
    if not is_smooth(made):
        kind = "truth values" if made.dtype == "bool" else f"whole numbers ({made.dtype})"
        return f"makes {kind}, so it has no derivative"
    return "has no derivative in PyTorch"


def _instead_of(op: Op, made: Value) -> str:
    if op.name in _POSITIONS:
        return "Use softmax of the scores in its place, or torch.nn.functional.gumbel_softmax(hard=True)."
    if made.dtype == "bool":
        return "A condition can choose between values that have gradients, but cannot itself be learnt through."
    return "Keep the value as a floating-point number on its way to the loss."


def _left_torch(measured: Measured, reached: set[int]) -> list[Gap]:
    decisions = [one for one in measured.trace.decisions if one.value in reached and one.what in _NUMBERS]
    gaps: dict[object, Gap] = {}
    for decision in decisions:
        value = measured.trace.values[decision.value]
        producer = None if value.producer is None else measured.trace.ops[value.producer]
        line = f" ({decision.source})" if decision.source else ""
        gap = Gap(
            "left-torch",
            producer,
            decision,
            f"{name_of(value)} leaves torch by .{decision.what}(){line}; what is computed from it afterwards has no "
            "history",
            "Compute on with torch tensors on the way to the loss; .item() and .numpy() are for looking.",
        )
        gaps.setdefault(gap.place, gap)
    return list(gaps.values())


def _unreached(measured: Measured, reached: set[int], cutting: list[tuple[Op, Value]]) -> Gap:
    copied = _made_a_leaf(measured, reached)
    if copied is not None:
        value, taker = copied
        return Gap(
            "detached",
            taker,
            None,
            f"{call_of(taker)} takes a new leaf with the numbers of {name_of(value)}, such as nn.Parameter(...) makes, "
            "and a leaf has no history",
            "Use the tensor itself; make parameters in __init__, not in forward.",
        )
    last = max(reached)
    producer = measured.trace.values[last].producer
    op = None if producer is None else measured.trace.ops[producer]
    if cutting:  # it is cut as well, on its way to nowhere
        op = cutting[0][0]
    made = f"; the last op on the way is {call_of(op)}" if op is not None else ""
    return Gap(
        "unreached",
        op,
        None,
        f"nothing that is computed from there reaches the loss{made}",
        "Use the result in what the loss is computed from, or remove the computation.",
    )


def _made_a_leaf(measured: Measured, reached: set[int]) -> tuple[Value, Op] | None:
    """Return the value whose numbers a leaf on the way to the loss holds, with the op that takes that leaf."""
    values = [measured.trace.values[number] for number in reached]
    for leaf in measured.trace.values:
        data = leaf.data
        if leaf.kind != "constant" or not leaf.requires_grad or leaf.id not in measured.before_loss:
            continue
        users = measured.users(leaf)
        if not isinstance(data, Tensor) or data.numel() < _FEW or not users:
            continue
        for value in values:
            if value.shape != leaf.shape or value.dtype != leaf.dtype or value.producer is None:
                continue
            number = value.data
            if isinstance(number, Tensor) and torch.equal(number, data):
                return value, users[0][1]
    return None


def _nothing_returned(measured: Measured, reached: set[int]) -> Gap:
    """Name the op that took a value with a gradient, had an adjoint, and sent nothing back."""
    ops = {op.id: op for number in reached for use, op in measured.users(measured.trace.values[number]) if not use.sent}
    silent = [op for op in ops.values() if measured.above(op) is not None]
    custom = [op for op in silent if op.opaque]
    for op in sorted(custom or silent, key=lambda one: -one.id):
        return Gap(
            "nothing-returned",
            op,
            None,
            f"the backward of {call_of(op)} returned None",
            "Return its gradient from the backward of the Function." if op.opaque else "",
        )
    return Gap("no-backward", None, None, "no backward pass came there", "Call loss.backward() inside the recording.")


def _finding(measured: Measured, gap: Gap, found: list[str], *, is_meant: bool = False) -> Finding:
    claim = f"{names(found)} {'get' if len(found) > 1 else 'gets'} no gradient: {gap.cause}."
    evidence: Evidence = {} if gap.op is None else evidence_of(gap.op)
    where = names(found) if gap.op is None else where_of(gap.op)
    if gap.decision is not None:
        evidence["op"] = gap.decision.what
        if gap.decision.result is not None:
            evidence["number"] = gap.decision.result
        where = line_of(gap.decision.source) or where
    severity = _severity(measured, gap)
    if is_meant and severity == "warning":
        severity = "note"
    return Finding(gap.code, severity, claim, where, {**evidence, "values": len(found)}, gap.remedy)


def _severity(measured: Measured, gap: Gap) -> Severity:
    if not measured.ran_backward and measured.trace.loss is not None:
        return "note" if gap.code == _NOT_FOLLOWED else "error"  # nothing can learn
    if gap.code in ("frozen", _NOT_FOLLOWED):
        return "note"
    return "error" if gap.code in _NEVER_MEANT else "warning"
