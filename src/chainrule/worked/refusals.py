"""Why there is no program of a recorded step, as errors that say what was found and what to do."""

from chainrule.errors import ChainruleError
from chainrule.trace import Op, Trace, where_of


class WorkedExampleError(ChainruleError):
    """A recorded step of which no program of scalar assignments can be made."""


def without_formula(op: Op, reason: str, next_step: str = "") -> WorkedExampleError:
    """Return the error for an op that no formula says."""
    return WorkedExampleError(
        what=f"The worked example cannot write out {op.name}.",
        where=where_of(op),
        cause=reason,
        next_step=next_step or "A network of other layers can be written out; verify and explain work for this one.",
    )


def refuse_unfit(trace: Trace) -> None:
    """Refuse a trace that has no numbers or no loss.

    Raises:
        WorkedExampleError: it keeps statistics only, left numbers out, or its step has no loss.
    """
    if trace.keep != "values":
        raise WorkedExampleError(
            what="The worked example needs every number of the step.",
            found="a trace that keeps statistics",
            expected="a trace that keeps values",
            next_step='Record the step with keep="values".',
        )
    if trace.left_out is not None:
        raise WorkedExampleError(
            what="The worked example needs every number of the step.",
            found=f"a trace that ran out of its {trace.left_out.budget} bytes at op {trace.left_out.op}",
            expected="a trace that keeps all values",
            next_step="Record the step with a larger byte_budget, or a smaller network.",
        )
    if trace.loss is None:
        raise WorkedExampleError(
            what="The worked example begins at the loss, and this step has none.",
            found="a step that failed before its loss was known",
            expected="a step with a loss",
        )


def too_many(found: dict[str, int], most: int) -> WorkedExampleError:
    """Return the error for a network that is too large to be written out scalar by scalar."""
    parts = ", ".join(
        f"{number} {what if number > 1 else what.removesuffix('s')}" for what, number in found.items() if number
    )
    return WorkedExampleError(
        what="The network is too large to be written out number by number.",
        found=f"{sum(found.values())} numbers: {parts}",
        expected=f"at most {most}",
        next_step=(
            "Take smaller layers, or fewer samples in a batch: --data.batch_size 1. One gradient of a large network "
            "is explained with the numbers of its tensors: `chainrule explain digits output.weight 0,0`."
        ),
    )
