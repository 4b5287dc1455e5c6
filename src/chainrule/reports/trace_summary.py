"""A recorded step in a few facts, as JSON has them."""

from typing import Any

from chainrule.reports.trace_numbers import count, norm_of
from chainrule.reports.trace_tree import is_inside
from chainrule.shapes import Tensor
from chainrule.trace import Number, Statistics, Trace, Value
from chainrule.trace.reduction import statistics_of

_PHASES = ("forward", "loss", "backward", "update")


def summary_dict(trace: Trace, module: str = "") -> dict[str, Any]:
    """Return what a recorded step was as JSON-able data.

    Args:
        trace: a recorded step.
        module: ops and parameters of this module alone; all when "".

    Returns:
        facts of the recording, the loss, the ops (id, name, phase, module, line, inputs and outputs by name) and for
        each parameter the norms of gradient and change.
    """
    loss = None if trace.loss is None else _number(trace.values[trace.loss].data)
    return {
        **trace.about,
        "loss_function": trace.about.get("loss"),
        "loss": loss,
        "keep": trace.keep,
        "ops_by_phase": {phase: sum(op.phase == phase for op in trace.ops) for phase in _PHASES},
        "ops": [
            {
                "id": op.id,
                "name": op.name,
                "phase": op.phase,
                "module": op.module,
                "line": "" if op.source is None else str(op.source),
                "inputs": list(dict.fromkeys(_name(trace.values[use.value]) for use in op.inputs)),
                "outputs": [_value(trace.values[number]) for number in op.outputs],
            }
            for op in trace.ops
            if is_inside(op.module, module)
        ],
        "parameters": [_value(value) for value in trace.parameters if is_inside(value.name, module)],
        "updates": [
            {
                "parameter": update.parameter,
                "gradient_norm": norm_of(update.gradient),
                "change_norm": _change(update.before, update.after),
            }
            for update in trace.updates
            if is_inside(update.parameter, module)
        ],
        "notes": list(trace.notes),
        "left_out_from_op": None if trace.left_out is None else trace.left_out.op,
    }


def _name(value: Value) -> str:
    return value.name or f"%{value.id}"


def _value(value: Value) -> dict[str, Any]:
    return {
        "id": value.id,
        "name": _name(value),
        "shape": list(value.shape),
        "elements": count(value.shape),
        "norm": norm_of(value.data),
        "adjoint_norm": norm_of(value.adjoint),
    }


def _change(before: Number | None, after: Number | None) -> float | None:
    return norm_of(after - before) if isinstance(before, Tensor) and isinstance(after, Tensor) else None


def _number(number: Number) -> float | None:
    if isinstance(number, Tensor):
        number = statistics_of(number)
    return number.mean if isinstance(number, Statistics) else None
