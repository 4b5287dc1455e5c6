"""Recorded ops called again, alone, on what they were given.

Ops that wrote over an argument get a clone of it; where that argument was a view, a clone of all the memory that it
is a view of.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from chainrule.ops import rule_for
from chainrule.queries.recorded import MISFITS, RunAgainError, as_recorded, does_not_fit
from chainrule.queries.written_views import VIEW_AGAIN, base_of_view, view_again
from chainrule.recorder import drawn_again
from chainrule.recorder.functions import facts_of
from chainrule.shapes import Tensor
from chainrule.trace import Op, Trace, ValueRef, rebuild, walk, where_of

_HOMES: tuple[tuple[str, Any], ...] = (
    ("torch.nn.functional.", torch.nn.functional),
    ("torch.Tensor.", torch.Tensor),
    ("torch.", torch),
)
# Functions that call the user's modules, which may write to their buffers: what they did stands in the trace itself.
_RUN_USER_CODE = frozenset({"torch.utils.checkpoint.CheckpointFunction"})


def call_again(trace: Trace, op: Op, replaced: Mapping[int, Tensor] | None = None) -> tuple[Tensor, ...]:
    """Run a recorded op again on its recorded inputs.

    The step's own tensors are not touched, and the generators stand afterwards where they stood before. With grad mode
    on, the inputs require gradients as they did when they were recorded, so that torch chooses the same kernels; the
    outputs are then bit for bit the recorded ones.

    Args:
        trace: a trace that keeps values.
        op: an op of its forward or loss phase, or one that was computed again in the backward phase.
        replaced: tensors to put in the place of recorded values, by the values' ids; used as they are.

    Returns:
        One tensor for each of `op.outputs`, in that order.

    Raises:
        RunAgainError: a value is missing or kept as statistics; the op is opaque; or the trace was loaded and the op
            has no rule, so that its function is not among those that a file may name, or does not take the arguments
            that the file names.
    """
    try:
        return _called_again(trace, op, replaced or {})
    except MISFITS as error:
        if op.run is not None:
            raise
        raise does_not_fit(op, error) from error


def _called_again(trace: Trace, op: Op, replaced: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
    if op.name == VIEW_AGAIN:
        return (view_again(trace, op, replaced),)
    function = function_of(op)
    written = _written_over(op, function)
    given = {value: _given(trace, op, value, replaced, value in written) for value in arguments_of(op)}
    outputs = _run(trace, op, function, given)
    if len(outputs) < len(op.outputs) and op.overwrites:
        # What was written over was a view: what it is a view of has changed with it.
        bases = [base_of_view(trace, op, output, replaced) for output in op.outputs[len(outputs) :]]
        given |= {written: view for written, view, _ in bases}
        outputs = _run(trace, op, function, given, [base for _, _, base in bases])
    if len(outputs) != len(op.outputs):
        raise RunAgainError(
            what=f"The op {op.name} did not return what it returned before.",
            where=where_of(op),
            found=f"{len(outputs)} tensors",
            expected=f"{len(op.outputs)} tensors",
        )
    return tuple(outputs)


def function_of(op: Op) -> Callable[..., Any]:
    """Return what to call to run an op again.

    In a trace that was loaded it is looked up by name, among functions of torch that have a rule and nowhere else: a
    file from a stranger must not be able to call anything.

    Raises:
        RunAgainError: there is nothing to call.
    """
    if op.run is not None and op.function not in _RUN_USER_CODE:
        return op.run
    if op.opaque:
        raise RunAgainError(what=f"The op {op.name} cannot be run again.", where=where_of(op), cause=op.opaque)
    for prefix, home in _HOMES:
        name = op.function.removeprefix(prefix)
        if not op.function.startswith(prefix):
            continue
        own, _, accessor = name.partition(".")
        if accessor in ("", "__get__") and own.isidentifier() and rule_for(own.strip("_")) is not None:
            found = getattr(getattr(home, own, None), accessor) if accessor else getattr(home, own, None)
            if callable(found):
                return found  # type: ignore[no-any-return]  # checked on the line before
        break
    raise RunAgainError(
        what=f"The op {op.name} of a loaded trace cannot be run again.",
        where=where_of(op),
        found=op.function or "a function without a name",
        expected="a function of torch that has a rule",
        next_step="Record the step again, and ask the trace that record() returns.",
    )


def _run(
    trace: Trace, op: Op, function: Callable[..., Any], given: Mapping[int, Tensor], bases: Collection[Tensor] = ()
) -> list[Tensor]:
    """Call an op's function and return what it made, what it wrote over, and what that was a view of."""

    def put(part: Any) -> Any:
        return given[part.value] if isinstance(part, ValueRef) else part

    arguments, keywords = rebuild(op.arguments, put), rebuild(dict(op.keywords), put)
    with _circumstances(trace, op):
        result = function(*arguments, **keywords)
    made = [part for _, part in walk(result) if isinstance(part, Tensor)]
    made += [given[value] for value in op.overwrites]
    made += bases
    return list({id(tensor): tensor for tensor in made}.values())


@contextmanager
def _circumstances(trace: Trace, op: Op) -> Iterator[None]:
    """Put back what an op ran under: grad mode off, autocast, the state of the generator that it drew from."""
    tensors = [trace.values[value] for value in arguments_of(op)]
    device = torch.device(tensors[0].device if tensors else op.keywords.get("device") or "cpu")
    generator = op.keywords.get("generator")
    with ExitStack() as stack:
        if not op.gradients_on:
            stack.enter_context(torch.no_grad())
        if op.autocast:
            dtype = getattr(torch, op.autocast)
            stack.enter_context(torch.autocast(device.type, dtype=dtype, cache_enabled=False))
        elif torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        if op.random_state is not None and isinstance(generator, torch.Generator):
            stack.callback(generator.set_state, generator.get_state())
            generator.set_state(op.random_state)
        elif op.random_state is not None:
            stack.enter_context(drawn_again({str(device): op.random_state}))
        yield


def arguments_of(op: Op) -> list[int]:
    """Return the ids of the values among an op's arguments, each once."""
    leaves = (part for structure in (op.arguments, dict(op.keywords)) for _, part in walk(structure))
    return list(dict.fromkeys(part.value for part in leaves if isinstance(part, ValueRef)))


def _given(trace: Trace, op: Op, value: int, replaced: Mapping[int, Tensor], is_written_over: bool) -> Tensor:
    tensor = replaced.get(value)
    if tensor is None:
        tensor = as_recorded(trace, op, value)
    return tensor.clone() if is_written_over else tensor


def _written_over(op: Op, function: Callable[..., Any]) -> set[int]:
    """Return the ids of the values that an op wrote over, or may: batch norm's statistics change without a trace."""
    targets = facts_of(function).written_over(op.arguments, op.keywords)
    return {part.value for _, part in walk(targets) if isinstance(part, ValueRef)} | set(op.overwrites)
