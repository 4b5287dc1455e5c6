"""The ops of a recorded step on which its loss depends, each with its rule and its arguments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chainrule.ops import OpRule, bind, rule_of
from chainrule.ops.dropout import draw_mask
from chainrule.ops.without_formula import OPENED
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Op, Trace, Value, ValueRef, walk
from chainrule.worked.refusals import WorkedExampleError, without_formula

VIEW_AGAIN = "view again"  # what the recorder calls a view of a tensor that was written over
_WRITTEN_OUT = "Write the layer out in the module, with linear, sigmoid, tanh, softmax and their like."
_MASKED_BY = {"scaled_dot_product_attention": "dropout_mask"}
_MISFITS = (ArithmeticError, AttributeError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One op that ran, as its rule takes it.

    Attributes:
        op: the op.
        rule: its rule, chosen for the arguments.
        arguments: by torch's names, with the recorded tensors.
        references: the same with the ids of the values (`ValueRef`) in place of the tensors.
    """

    op: Op
    rule: OpRule
    arguments: Mapping[str, Any]
    references: Mapping[str, Any]

    def values(self, argument: str) -> tuple[int, ...]:
        """Return the ids of the values that an argument is: one, or those of a list one after the other."""
        return tuple(leaf.value for _, leaf in walk(self.reference(argument)) if isinstance(leaf, ValueRef))

    def reference(self, argument: str) -> Any:
        """Return an argument, where "operands[1]" is the second of the list "operands"."""
        if argument in self.references:
            return self.references[argument]
        whole, _, number = argument.removesuffix("]").partition("[")
        return self.references[whole][int(number)]


def is_number(value: Value) -> bool:
    """Return whether a value's elements are numbers that formulas can take: no indices, no truth values."""
    return value.dtype.startswith(("float", "bfloat"))


def cuts_off(op: Op) -> bool:
    """Return whether an op's outputs are constants to the formulas: drawn at random, made, or places and choices."""
    rule = rule_of(op)
    return rule is not None and rule.formula is None and rule.move is None and bool(rule.cuts)


def needed_ops(trace: Trace) -> list[Op]:
    """Return the ops of forward pass and loss on whose numbers the loss depends, in the order in which they ran."""
    assert trace.loss is not None  # noqa: S101  # refused before
    needed, found = {trace.loss}, []
    for op in reversed(trace.ops):
        if op.phase not in ("forward", "loss") or op.recomputed:
            continue
        made = [output for output in op.outputs if output in needed and trace.values[output].producer == op.id]
        if not made or not any(is_number(trace.values[output]) for output in made):
            continue
        found.append(op)
        if not cuts_off(op):
            needed |= set(taken_by(op))
    return found[::-1]


def taken_by(op: Op) -> list[int]:
    """Return the ids of all values that an op takes, each once."""
    leaves = (leaf for part in (op.arguments, dict(op.keywords)) for _, leaf in walk(part))
    arguments = [leaf.value for leaf in leaves if isinstance(leaf, ValueRef)]
    return list(dict.fromkeys([*arguments, *(use.value for use in op.inputs)]))


def data_of(trace: Trace, value: int) -> Tensor:
    """Return the recorded tensor of a value.

    Raises:
        WorkedExampleError: it is not in the trace.
    """
    kept = trace.values[value]
    if isinstance(kept.data, Tensor):
        return kept.data.detach()
    reason = kept.data.reason if isinstance(kept.data, Missing) else "only statistics of it were kept"
    raise WorkedExampleError(
        what=f"The numbers of {kept.name} are not in the trace.",
        cause=f"It is missing because {reason}.",
        next_step="Record the step again, and take its worked example before the next step.",
    )


def call_of(trace: Trace, op: Op) -> Call:
    """Return an op with its rule and arguments.

    Raises:
        WorkedExampleError: it has no formula; the message says why.
    """
    _refuse_unseen(trace, op)
    rule = rule_of(op)
    if rule is None:
        raise without_formula(op, "There is no formula for it.")
    if rule.formula is None and rule.move is None and rule.choose is None and not rule.cuts:
        raise without_formula(op, rule.note, _WRITTEN_OUT if rule.note == OPENED else "")
    try:
        arguments = bind(op, lambda value: data_of(trace, value))
        if op.random_state is not None:
            arguments |= _drawn(op, arguments)
        chosen = rule.chosen(arguments)
    except _MISFITS as error:
        raise without_formula(op, f"Its rule does not take the recorded arguments: {error}.") from error
    if chosen.formula is None and chosen.move is None and not chosen.cuts:
        raise without_formula(op, chosen.note or "There is no formula for it.")
    return Call(op, chosen, arguments, bind(op, ValueRef))


def _drawn(op: Op, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mask that a dropout drew, drawn again from the recorded state of the generator."""
    assert op.random_state is not None  # noqa: S101  # asked before
    name = op.name.removesuffix("_")
    if "dropout" not in name and not arguments.get("dropout_p"):
        return {}
    return {_MASKED_BY.get(name, "mask"): draw_mask(name, arguments, op.random_state)}


def _refuse_unseen(trace: Trace, op: Op) -> None:
    if op.name == VIEW_AGAIN or (op.overwrites and any(use.place == ("hidden",) for use in op.inputs)):
        raise without_formula(
            op,
            "It belongs to a view of a tensor that was written over in place.",
            "Write the module without operations in place.",
        )
    if op.opaque:
        raise without_formula(op, op.opaque)
    if op.autocast:
        raise without_formula(
            op, f"Autocast computed it in {op.autocast}.", "Record the step without autocast, best in float64."
        )
    if any(use.place == ("hidden",) for use in op.inputs):
        raise without_formula(op, "It takes a tensor that was made inside of another op.")
    is_complex = [trace.values[value] for value in taken_by(op) if trace.values[value].dtype.startswith("complex")]
    if is_complex:
        raise without_formula(op, f"{is_complex[0].name} is complex, and the formulas are for real numbers.")


def floats_of(trace: Trace, ids: tuple[int, ...]) -> Iterator[Value]:
    """Yield those of some values that are numbers."""
    return (trace.values[value] for value in ids if is_number(trace.values[value]))
