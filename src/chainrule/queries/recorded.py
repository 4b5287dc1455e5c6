"""The numbers that a trace recorded, for ops that are run again."""

from typing import Final

import torch

from chainrule.errors import ChainruleError
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Op, Trace, Value, where_of


class RunAgainError(ChainruleError):
    """A recorded op that cannot be run again: a number is not there, or there is nothing to call."""


MISFITS: Final = (ArithmeticError, AttributeError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""What an op and its rule raise at arguments that they do not take, as a damaged file has them."""


def does_not_fit(op: Op, error: Exception) -> RunAgainError:
    """Return the error for an op of a loaded trace that does not take the arguments that the file says it took."""
    return RunAgainError(
        what=f"The recorded arguments do not fit {op.name}.",
        where=where_of(op),
        found=f"{type(error).__name__}: {error}",
        expected="arguments that the op takes",
        cause="The trace file is damaged, or was changed after it was saved.",
        next_step="Record the step again.",
    )


def data_of(trace: Trace, value: int, *, asked_by: str = "") -> Tensor:
    """Return the tensor that a value is.

    Raises:
        RunAgainError: the trace has only statistics of it, or nothing.
    """
    kept = trace.values[value]
    data = kept.data
    if isinstance(data, Tensor):
        return data
    raise not_kept(kept, data.reason if isinstance(data, Missing) else "", asked_by)


def not_kept(value: Value, reason: str, where: str = "") -> RunAgainError:
    """Return the error for a value whose numbers are not in the trace: `reason` is "" where there are statistics."""
    if reason:
        return RunAgainError(
            what=f"The numbers of {value.name} are not in the trace.",
            where=where,
            cause=f"It is missing because {reason}.",
        )
    return RunAgainError(
        what=f"The numbers of {value.name} are not in the trace.",
        where=where,
        found="its statistics",
        expected="the tensor itself",
        next_step='Record the step with keep="values" (and a larger byte_budget, if the trace has left_out).',
    )


def as_recorded(trace: Trace, op: Op, value: int) -> Tensor:
    """Return a value's tensor for an op that is run again; with grad mode on, it requires a gradient if it did then."""
    tensor = data_of(trace, value, asked_by=where_of(op))
    follows = torch.is_grad_enabled() and op.gradients_on and trace.values[value].requires_grad
    return tensor.detach().requires_grad_() if follows else tensor


def is_smooth(value: Value) -> bool:
    """Return whether a value's elements are numbers that can be differentiated by: no integers, no truth values."""
    return value.dtype.startswith(("float", "bfloat", "complex"))
