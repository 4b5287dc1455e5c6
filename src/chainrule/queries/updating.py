"""Parameters that have a gradient and stay where they are all the same: in no optimizer, or at a learning rate of 0."""

import torch

from chainrule.findings import Finding
from chainrule.queries.measured import Measured
from chainrule.queries.saying import name_of, names
from chainrule.shapes import Tensor
from chainrule.trace import Update, Value


def explain_updates(measured: Measured) -> list[Finding]:
    """Return notes on the parameters with a gradient that the update of the step left alone; none without an update."""
    trace = measured.trace
    if not trace.updates:
        return []
    updates = {update.value: update for update in trace.updates}
    moving = [value for value in measured.parameters if (size := measured.adjoint(value)) and size.nonzero > 0]
    held = {update.parameter for update in trace.updates}
    left_out = [value for value in moving if name_of(value).partition("#")[0] not in held]  # "w#2" is w moved before
    still = [value for value in moving if value.id in updates and _is_unchanged(updates[value.id])]
    findings = []
    if left_out:
        claim = f"{_have(left_out)} a gradient, but no optimizer that made a step here holds "
        claim += "it." if len(left_out) == 1 else "them."
        remedy = "If they are to learn, give them to the optimizer: its class(model.parameters(), ...)."
        findings.append(_note("not-in-optimizer", left_out, claim, remedy))
    if still:
        frozen = all(updates[value.id].hyperparameters.get("lr") == 0 for value in still)
        claim = f"{_have(still)} a gradient, but the update did not change "
        claim += "it" if len(still) == 1 else "them"
        claim += ": the learning rate is 0." if frozen else "."
        remedy = "Raise the learning rate, unless a warm-up is to begin at 0."
        if not frozen:
            remedy = "Look at the learning rate: the step may be below the spacing of the parameter's dtype."
        findings.append(_note("not-changed", still, claim, remedy))
    return findings


def _is_unchanged(update: Update) -> bool:
    before, after = update.before, update.after
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return torch.equal(before, after)
    return update.hyperparameters.get("lr") == 0


def _have(values: list[Value]) -> str:
    return f"{names([name_of(value) for value in values])} {'has' if len(values) == 1 else 'have'}"


def _note(code: str, values: list[Value], claim: str, remedy: str) -> Finding:
    where = names([name_of(value) for value in values])
    return Finding(code, "note", claim, where, {"values": len(values)}, remedy)
