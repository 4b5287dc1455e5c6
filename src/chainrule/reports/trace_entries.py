"""One entry for each op, value and update of a trace."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from chainrule.documents import Entry
from chainrule.ops.update_rules import update_terms
from chainrule.reports.trace_numbers import count, name_text, named_shape, norm_of, number_text, shape_text
from chainrule.shapes import Tensor
from chainrule.trace import Number, Op, Source, Trace, Update, Use, Value, ValueRef, walk

_MOST_NAMES: Final = 6
_MOST_SENT: Final = 12
_LONGEST_ARGUMENT: Final = 40
_LONGEST_LINE: Final = 100
_MOST_EXPLAINED: Final = 250_000  # elements: the terms of a larger update take longer than a reader would wait

Fact = tuple[str, str]


def op_entry(trace: Trace, op: Op, most: int) -> Entry:
    """Return what an op took and made, its adjoints, and what each use of a value sends back.

    Args:
        trace: the op's.
        op: of any phase.
        most: tensors of at most so many elements are written out.
    """
    if op.phase == "backward" and op.of is not None and not op.recomputed:
        return _backward_entry(trace, op, trace.ops[op.of])
    made = [trace.values[number] for number in op.outputs]
    facts: list[Fact] = []
    if arguments := _arguments(op):
        facts.append(("with", arguments))
    for value in made:
        of = f" of {name_text(value)}" if len(made) > 1 else ""
        facts.append((f"value{of}", number_text(value.data, most, dtype=value.dtype)))
        if value.requires_grad:
            facts.append((f"adjoint{of}", adjoint_text(value, most)))
    facts += _sent(trace, op, most)
    facts += [("note", note) for note in _notes(trace, op)]
    flow = f"{_names([trace.values[number] for number in _taken(op)])} → {_names(made)}"
    return Entry(f"#{op.id}", op.name, flow.strip(), tuple(facts), source_text(op))


def adjoint_text(value: Value, most: int) -> str:
    """Return a value's adjoint as text, with the uses whose contributions it is the sum of."""
    if value.adjoint is None:
        return "none: the backward pass never came here"
    text = number_text(value.adjoint, most, with_norm=True)
    sending = [use for use in value.uses if use.sent]
    if len(sending) < 2:
        return text
    ops = list(dict.fromkeys(f"#{use.op}" for use in sending))
    return f"{text}\nthe sum over {len(sending)} uses, in {_listed(ops)}"


def value_entry(value: Value, most: int) -> Entry:
    """Return a value that no op made: a parameter, an input, a target, a constant."""
    facts: list[Fact] = [("value", number_text(value.data, most, dtype=value.dtype))]
    if value.requires_grad:
        facts.append(("adjoint", adjoint_text(value, most)))
    ops = list(dict.fromkeys(f"#{use.op}" for use in value.uses))
    if ops:
        facts.append(("used by", _listed(ops)))
    kind = "" if value.kind in ("parameter", "input", "target") else f" ({value.kind})"
    return Entry("", name_text(value), f"{shape_text(value.shape)} {value.dtype}{kind}".strip(), tuple(facts))


def update_entry(update: Update, most: int) -> Entry:
    """Return a parameter before and after its update, and the terms that its change is the sum of."""
    before, after, gradient = update.before, update.after, update.gradient
    shape = tuple(before.shape) if isinstance(before, Tensor) else ()
    facts: list[Fact] = [("before", number_text(before, most))]
    if gradient is None:
        facts.append(("gradient", "none, so the optimizer left the parameter alone"))
        return Entry("", update.parameter, shape_text(shape), tuple(facts))
    facts.append(("gradient", number_text(gradient, most, with_norm=True)))
    facts += _terms(update, most)
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        facts.append(("change", number_text(after - before, most, with_norm=True)))
    facts.append(("after", number_text(after, most)))
    facts += _state(update, most)
    return Entry("", update.parameter, shape_text(shape), tuple(facts))


def _terms(update: Update, most: int) -> Iterator[Fact]:
    before = update.before
    if not isinstance(before, Tensor) or count(before.shape) > _MOST_EXPLAINED:
        return
    terms = update_terms(update)
    if terms.reason:
        yield "terms", terms.reason
    for term in terms.terms:
        yield f"term {term.name}", f"{term.text} = {number_text(term.amount, most, with_norm=True)}"


def _state(update: Update, most: int) -> Iterator[Fact]:
    before = update.state_before
    for name, number in update.state_after.items():
        old: Number | None = before.get(name)
        yield f"{name} before", "none, as this is the first update" if old is None else number_text(old, most)
        yield f"{name} after", number_text(number, most)


def _backward_entry(trace: Trace, op: Op, forward: Op) -> Entry:
    """Return one line: from the adjoints of what the op made to what it sends back, in norms."""
    taken = [trace.values[number] for number in forward.outputs]
    coming = [f"∂L/∂{name_text(value)}{_norm(value.adjoint)}" for value in taken if value.kept_adjoint is not None]
    going = [f"∂L/∂{name_text(trace.values[use.value])}{_norm(use.contribution)}" for use in forward.inputs if use.sent]
    flow = f"{_listed(coming) or 'no adjoint'} → {_listed(going) or 'nothing'}"
    return Entry(f"#{op.id}", op.name, flow, (), ", ".join(dict.fromkeys(op.nodes)))


def _norm(number: Number | None) -> str:
    norm = norm_of(number)
    return "" if norm is None else f" (norm {norm:.4g})"


def source_text(op: Op) -> str:
    """Return where an op stands in the user's code, with the line itself."""
    return "" if op.source is None else line_text(op.source)


def line_text(source: Source) -> str:
    """Return a line of code with its place: "net.py:12: h = self.fc1(x)"."""
    text = source.text if len(source.text) <= _LONGEST_LINE else source.text[: _LONGEST_LINE - 1] + "…"
    return f"{source}: {text}" if text else str(source)


def _taken(op: Op) -> list[int]:
    """Return the values that an op takes, each once; not its own outputs that others of its outputs come from."""
    return list(dict.fromkeys(use.value for use in op.inputs if use.place != ("self",)))


def _sent(trace: Trace, op: Op, most: int) -> Iterator[Fact]:
    sending = [use for use in op.inputs if use.sent]
    for use in sending[:_MOST_SENT]:
        value = trace.values[use.value]
        yield f"sends back to {name_text(value)}{_place(op, use)}", number_text(use.contribution, most, with_norm=True)
    if len(sending) > _MOST_SENT:
        yield "sends back", f"to {len(sending) - _MOST_SENT} more"


def _place(op: Op, use: Use) -> str:
    """Tell the uses of one value by one op apart, by where it stands among the arguments."""
    same = [other for other in op.inputs if other.value == use.value and other.sent]
    if len(same) < 2:
        return ""
    return f" (argument {'.'.join(str(part) for part in use.place)})"


def _notes(trace: Trace, op: Op) -> Iterator[str]:
    if op.opaque:
        yield op.opaque
    if op.overwrites:
        written = ", ".join(name_text(trace.values[number]) for number in op.overwrites)
        yield f"writes over {written}"
    if op.recomputed:
        yield "run again inside the backward pass"
    if not op.gradients_on and op.phase in ("forward", "loss"):
        yield "autograd was off (no_grad)"
    if op.autocast:
        yield f"autocast to {op.autocast}"


def _arguments(op: Op) -> str:
    """Return the arguments that are no tensors, as they were written: "1, 2" or "p=0.1"."""
    shown = [_argument(leaf) for argument in op.arguments if (leaf := _plain(argument)) is not None]
    for name, argument in op.keywords.items():
        if (leaf := _plain(argument)) is not None:
            shown.append(f"{name}={_argument(leaf)}")
    return ", ".join(shown)


def _plain(argument: Any) -> Any:
    """Return an argument that holds no tensor and says something, else None."""
    leaves = [leaf for _, leaf in walk(argument)]
    is_silent = any(isinstance(leaf, ValueRef) or leaf is None or leaf is False for leaf in leaves)
    return None if is_silent else argument


def _argument(argument: Any) -> str:
    text = format(argument, ".6g") if isinstance(argument, float) else repr(argument)
    return text if len(text) <= _LONGEST_ARGUMENT else text[: _LONGEST_ARGUMENT - 1] + "…"


def _names(values: Sequence[Value]) -> str:
    return _listed([named_shape(value) for value in values])


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:_MOST_NAMES])
    return text if len(names) <= _MOST_NAMES else f"{text} and {len(names) - _MOST_NAMES} more"
