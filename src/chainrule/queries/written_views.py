"""Views of memory that an op wrote over: what they are views of has changed with them.

The tensors of a trace still lie in memory as they did (a snapshot copies all of it), so which part of what a view is
can be read from them. A loaded trace does not keep it.
"""

from collections.abc import Mapping

import torch

from chainrule.queries.recorded import RunAgainError, as_recorded, data_of
from chainrule.shapes import Tensor
from chainrule.trace import Op, Trace, where_of

VIEW_AGAIN = "view again"  # what the recorder calls a view of a tensor that was written over


def view_again(trace: Trace, op: Op, replaced: Mapping[int, Tensor]) -> Tensor:
    """Return the view that autograd made anew after what it is a view of had been written over."""
    (output,) = op.outputs
    bases = [use.value for use in op.inputs]
    view = data_of(trace, output, asked_by=where_of(op))
    if len(bases) == 1 and op.run is None:
        base = data_of(trace, bases[0], asked_by=where_of(op))
        if memory_of(base) == memory_of(view) and base.dtype == view.dtype:
            given = replaced.get(bases[0])
            return _viewed(op, as_recorded(trace, op, bases[0]) if given is None else given, base, view)
    raise RunAgainError(what=f"The op {op.name} cannot be run again.", where=where_of(op), cause=op.opaque)


def base_of_view(trace: Trace, op: Op, output: int, replaced: Mapping[int, Tensor]) -> tuple[int, Tensor, Tensor]:
    """Return which argument was a view of an output before it was written over, as a view, and what it is a view of."""
    after = data_of(trace, output, asked_by=where_of(op))
    for written in op.overwrites:
        view = data_of(trace, written, asked_by=where_of(op))
        if (
            op.run is None
            or view.dtype != after.dtype
            or view.untyped_storage().nbytes() < after.untyped_storage().nbytes()
        ):
            continue
        before = torch.empty(0, dtype=after.dtype, device=after.device)
        before.set_(view.untyped_storage(), after.storage_offset(), after.size(), after.stride())
        former = _former_of(trace, op, view, after)
        given: Tensor | None = None
        if former is not None:
            given = replaced.get(former)
            given = as_recorded(trace, op, former) if given is None else given
        base = (before if given is None else given).clone()
        if base.stride() == before.stride():
            return written, _viewed(op, base, before, view), base
    raise RunAgainError(
        what=f"The op {op.name} cannot be run again.",
        where=where_of(op),
        cause="It wrote into a view, and what that was a view of is not known here (a loaded trace does not keep it).",
    )


def _viewed(op: Op, base: Tensor, like: Tensor, view: Tensor) -> Tensor:
    """Return the part of a base that a view is of another tensor with the same layout."""
    offset = view.storage_offset() - like.storage_offset() + base.storage_offset()
    if base.stride() != like.stride() or offset < 0:
        raise RunAgainError(
            what=f"The op {op.name} cannot be run again.", where=where_of(op), cause="Its memory moved."
        )
    return base.as_strided(view.size(), view.stride(), offset)


def formers(trace: Trace, op: Op) -> list[int]:
    """Return the ids of the values that an op wrote over through views of them."""
    if not op.overwrites or op.run is None:
        return []
    found = []
    for written in op.overwrites:
        view = trace.values[written].data
        for output in op.outputs:
            after = trace.values[output].data
            if isinstance(view, Tensor) and isinstance(after, Tensor) and trace.values[output].producer == op.id:
                former = _former_of(trace, op, view, after)
                if former is not None and former not in op.overwrites and former not in found:
                    found.append(former)
    return found


def _former_of(trace: Trace, op: Op, view: Tensor, after: Tensor) -> int | None:
    """Return the id of the newest value before an op that lies in a view's memory as an output of the op does."""
    for number in range(min(op.outputs) - 1, -1, -1):
        data = trace.values[number].data
        if (
            isinstance(data, Tensor)
            and data.layout is torch.strided
            and memory_of(data) == memory_of(view)
            and data.storage_offset() == after.storage_offset()
            and data.size() == after.size()
            and data.stride() == after.stride()
            and data.dtype == after.dtype
        ):
            return number
    return None


def memory_of(tensor: Tensor) -> int:
    """Return a number for the memory that a tensor lies in, while it lives; 0 for tensors that are not strided."""
    if tensor.layout is not torch.strided:
        return 0
    return int(tensor.untyped_storage()._cdata)
