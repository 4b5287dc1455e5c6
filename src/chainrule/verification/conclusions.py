"""What follows from the comparisons: findings, the cause before what it causes."""

from collections.abc import Sequence

from torch.utils.checkpoint import CheckpointFunction

from chainrule.findings import Finding
from chainrule.trace import Op, Source, Trace
from chainrule.verification.hooks import HookEffect
from chainrule.verification.results import FunctionCheck, ParameterCheck
from chainrule.verification.slopes import TOLERANCE

_SPECTRAL = (
    "It is under torch's spectral_norm, which by design takes the singular vectors u and v for constants in the "
    "backward pass; they were found by power iteration from the weight, and central differences move them with it. "
    "In eval mode they stay, and the two can be compared."
)
_PLACES = 3  # lines of code that one sentence names


def function_findings(functions: Sequence[FunctionCheck]) -> list[Finding]:
    """Return what is wrong with the Functions of the user's own; calls with the same fault are told once."""
    found: dict[tuple[str, str, str], Finding] = {}
    for check in functions:
        if check.verdict not in ("wrong", "straight-through"):
            continue
        where = ", ".join(
            part
            for part in (f"module '{check.module}'" if check.module else "", check.source, f"op {check.op}")
            if part
        )
        is_wrong = check.verdict == "wrong"
        finding = Finding(
            code="wrong-custom-backward" if is_wrong else "straight-through",
            severity="error" if is_wrong else "warning",
            claim=f"{_told(check)} {check.reason}"
            if is_wrong
            else f"The backward of {check.function} differs by design? {check.reason}",
            where=where,
            evidence={}
            if check.argument is None
            else {"entry": check.where, "recorded": check.recorded, "true": check.true},
            remedy=f"Correct {check.function}.backward" + (f" ({check.backward})." if check.backward else ".")
            if is_wrong
            else "If it is meant, read the errors below as its effect.",
        )
        found.setdefault((check.function, check.source, check.reason), finding)
    return list(found.values())


def _told(check: FunctionCheck) -> str:
    if check.argument is None:
        return f"The backward of {check.function} changes what does not belong to it."
    return f"The backward of {check.function} does not give the derivative of its forward."


def hook_findings(effects: Sequence[HookEffect]) -> list[Finding]:
    """Return which hooks change gradients."""
    return [
        Finding(
            code="hook-changes-gradient",
            severity="error",
            claim="A hook changes gradients in the backward pass, so that they are not the derivatives of the loss.",
            where=effect.where,
            evidence={"parameters": ", ".join(effect.parameters)},
            remedy="Without it the gradients agree with central differences."
            if effect.explains
            else "Without it the gradients still differ from central differences: there is another cause too.",
        )
        for effect in effects
    ]


def parameter_findings(
    trace: Trace, rows: Sequence[ParameterCheck], has_cause: bool, constants: Sequence[str] = ()
) -> list[Finding]:
    """Return what is wrong with the parameters' gradients, and what could not be told.

    Args:
        trace: the recorded step.
        rows: its parameters.
        has_cause: whether a cause was found already.
        constants: parameters under a spectral norm, whose singular vectors torch takes for constants.
    """
    found = []
    remedy = "See the first finding." if has_cause else _cuts(trace)
    for row in rows:
        if row.verdict == "wrong":
            found.append(
                Finding(
                    code="wrong-gradient",
                    severity="error",
                    claim=f"The gradient of {row.name} is not the derivative of the loss.",
                    where=row.where if row.where != row.name else f"{row.name}, along a random direction",
                    evidence={
                        "gradient": row.gradient,
                        "central difference": row.difference,
                        "relative error": row.worst,
                        "tolerance": TOLERANCE,
                    },
                    remedy=_SPECTRAL if row.name in constants else remedy,
                )
            )
        elif row.verdict in ("unclear", "kink"):
            found.append(
                Finding(
                    code="gradient-not-resolved",
                    severity="warning",
                    claim=f"Central differences cannot tell whether the gradient of {row.name} is right."
                    if row.verdict == "unclear"
                    else f"Every entry of {row.name} that was looked at is at a kink, where there is no derivative.",
                    where=row.name,
                    evidence={},
                    remedy="Verify a step with other inputs or weights, or look at more entries.",
                )
            )
    return found


def recorded_findings(rows: Sequence[ParameterCheck], reason: str, hooked: Sequence[str]) -> list[Finding]:
    """Return where the recorded numbers are not those of the backward pass taken again.

    Args:
        rows: the parameters.
        reason: why the recorded numbers could not be compared; empty when they were.
        hooked: parameters with hooks of their own.
    """
    found = []
    if reason:
        found.append(
            Finding(
                code="recorded-not-compared",
                severity="warning",
                claim=f"The recorded numbers could not be held against the backward pass: {reason}.",
                where="loss",
                evidence={},
                remedy="Seed everything that the step draws from, and record it again.",
            )
        )
    missing = [row.name for row in rows if row.recorded == "not compared"]
    if missing and not reason:
        found.append(
            Finding(
                code="recorded-not-compared",
                severity="warning",
                claim="The derivation was checked, but the trace does not hold the recorded gradient of "
                f"{', '.join(missing)}: it was not compared.",
                where=missing[0],
                evidence={"parameters": len(missing)},
                remedy='Record the step with keep="values" and a larger byte_budget, and verify before gradients are '
                "written over.",
            )
        )
    for row in rows:
        if row.recorded != "differs":
            continue
        own = row.name in hooked
        found.append(
            Finding(
                code="hook-changes-gradient" if own else "recorded-gradient-differs",
                severity="error",
                claim=f"The recorded gradient of {row.name} is not what the backward pass gives again.",
                where=row.name,
                evidence={"distance": row.distance},
                remedy="The parameter has a hook (register_hook), which changes its gradient."
                if own
                else "Its dtype or device computes too coarsely, or something changed the gradient.",
            )
        )
    return found


def _cuts(trace: Trace) -> str:
    """Name the lines where values are taken out of the graph: the loss depends on them, and gradients do not know."""
    lines = dict.fromkeys(
        _line(op.source, op) for op in trace.ops if op.phase in ("forward", "loss") and _is_cut(trace, op)
    )
    if not lines and any(map(is_reentrant, trace.ops)):
        return "The step has a reentrant checkpoint: with use_reentrant=False the ops inside of it can be checked."
    if not lines:
        return "See `why` for the path of this gradient."
    return (
        f"Values are taken out of the graph at {', '.join(list(lines)[:_PLACES])}: the loss depends on parameters "
        "through them, and the gradient leaves that out, by design or not."
    )


def is_reentrant(op: Op) -> bool:
    """Return whether an op is a checkpoint whose inside is not recorded, torch.utils.checkpoint(use_reentrant=True)."""
    return getattr(op.run, "__self__", None) is CheckpointFunction


def _is_cut(trace: Trace, op: Op) -> bool:
    takes = any(trace.values[use.value].requires_grad for use in op.inputs)
    makes = any(trace.values[output].requires_grad for output in op.outputs)
    floats = any(trace.values[output].dtype.startswith(("float", "bfloat")) for output in op.outputs)
    return takes and floats and not makes


def _line(source: Source | None, op: Op) -> str:
    return f"{source} ({op.name})" if source is not None else op.name
