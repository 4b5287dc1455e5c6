"""Recorded ops run again: local derivatives, contributions, adjoints on demand.

Nothing here knows a formula. An op is run again as it was recorded (its arguments, its autocast dtype, its generator's
state), and autograd differentiates that one call:

    local derivative   ∂y[j]/∂x[i] for every j      one forward-mode product with the unit vector i
    contribution       Σⱼ adjoint(y[j]) · ∂y[j]/∂x   one reverse-mode product with the recorded adjoints
"""

import importlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import final

import torch
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from chainrule.queries.calling import arguments_of, call_again, function_of
from chainrule.queries.recorded import RunAgainError, data_of, is_smooth, not_kept
from chainrule.queries.written_views import formers, memory_of
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Op, Trace, Value, where_of

__all__ = [
    "Adjoints",
    "Index",
    "RunAgainError",
    "adjoint_of",
    "call_again",
    "contributions_of",
    "data_of",
    "differentiate_locally",
    "fresh_outputs",
    "function_of",
    "local_derivatives",
    "not_kept",
    "pull_back",
    "upstream_of",
]

Index = tuple[int, ...]

_ROWS = 256  # outputs that are differentiated one by one, when there is no other way


def fresh_outputs(trace: Trace, op: Op) -> dict[int, int]:
    """Return the position of every output that the op made and autograd could follow, by the value's id.

    An argument that an op returned as it is (`contiguous()` of a contiguous tensor) is not among them.
    """
    return {
        value: position
        for position, value in enumerate(op.outputs)
        if trace.values[value].producer == op.id and is_smooth(trace.values[value])
    }


def upstream_of(value: Value) -> Tensor | None:
    """Return the part of an output's recorded adjoint that came from outside of the op that made it.

    Where one output of an op is computed from another one (the state of an LSTM cell), the other one's adjoint holds
    what came back inside the op; it is taken off.

    Raises:
        RunAgainError: the trace has only statistics of it.
    """
    adjoint = value.adjoint
    if adjoint is None:
        return None
    if not isinstance(adjoint, Tensor):
        raise not_kept(value, adjoint.reason if isinstance(adjoint, Missing) else "")
    for use in value.uses:
        if use.place == ("self",):
            inside = use.contribution
            if isinstance(inside, Tensor):
                adjoint = adjoint - inside
    return adjoint


def local_derivatives(trace: Trace, op: Op, value: int, index: Index) -> list[tuple[Value, Tensor]]:
    """Differentiate every output element of an op by one element of one of its inputs.

    All uses that the op makes of the value are taken together: for `x * x` the result is 2x.

    It is one product in forward mode. Ops that draw random numbers, the user's own
    autograd.Functions and ops that torch cannot differentiate forwards are differentiated backwards twice, with fused
    kernels off. Where that is impossible too, the 256 output elements with the largest adjoints are differentiated one
    by one, and the others stay 0.

    Args:
        trace: a trace that keeps values.
        op: an op of it.
        value: the id of one of its inputs.
        index: an element of it, one number for each dimension.

    Returns:
        For every output that the op made: its value, and ∂output/∂value[index] of its shape.

    Raises:
        RunAgainError: the op cannot be run again.
    """
    return differentiate_locally(trace, op, value, index)[0]


def differentiate_locally(trace: Trace, op: Op, value: int, index: Index) -> tuple[list[tuple[Value, Tensor]], bool]:
    """Return `local_derivatives`, and whether they are those of all output elements.

    Raises:
        RunAgainError: the op cannot be run again, or not differentiated alone.
    """
    tensor = data_of(trace, value, asked_by=where_of(op))
    fresh = fresh_outputs(trace, op)
    if not fresh:
        return [], True
    made = [trace.values[output] for output in fresh]

    def run(given: Tensor) -> tuple[Tensor, ...]:
        outputs = call_again(trace, op, {value: given})
        return tuple(outputs[position] for position in fresh.values())

    direction = torch.zeros_like(tensor)
    direction[index] = 1
    if op.random_state is None and not op.opaque:  # forward mode would draw another dropout mask
        try:
            return list(zip(made, _forwards(run, tensor, direction), strict=True)), True
        except (RuntimeError, RunAgainError):
            pass  # no forward derivative is written for the op; NotImplementedError is one of these
    try:
        return list(zip(made, _backwards_twice(run, tensor, direction), strict=True)), True
    except (RuntimeError, RunAgainError):
        pass  # its backward pass cannot be differentiated: numpy, or a kernel without a second derivative
    try:
        found, is_complete = _one_by_one(run, tensor, index, made)
    except RuntimeError as error:
        raise _not_differentiable(op, error) from error
    return list(zip(made, found, strict=True)), is_complete


def contributions_of(trace: Trace, op: Op) -> dict[int, Tensor]:
    """Compute what an op sends back to each of its inputs, from the recorded adjoints of its outputs.

    Returns:
        By the id of the value: Σ over the op's uses of it. Values that require no gradient are left out.

    Raises:
        RunAgainError: the op cannot be run again, or an adjoint is kept as statistics.
    """
    upstream = {}
    for output in fresh_outputs(trace, op):
        adjoint = upstream_of(trace.values[output])
        if adjoint is not None:
            upstream[output] = adjoint
    wanted = [value for value in _inputs(trace, op) if trace.values[value].requires_grad]
    return pull_back(trace, op, upstream, wanted)


def pull_back(trace: Trace, op: Op, upstream: Mapping[int, Tensor], wanted: Collection[int]) -> dict[int, Tensor]:
    """Pull adjoints of an op's outputs back to some of its inputs, by one reverse-mode product.

    Args:
        trace: a trace that keeps values.
        op: an op of it.
        upstream: the adjoints, by the ids of the outputs.
        wanted: the ids of inputs.

    Returns:
        What each input gets, by its id; inputs that get nothing are left out.

    Raises:
        RunAgainError: the op cannot be run again.
    """
    if not upstream or not wanted or not op.gradients_on:
        return {}
    leaves = {value: data_of(trace, value, asked_by=where_of(op)).detach().requires_grad_() for value in wanted}
    with torch.enable_grad():
        outputs = call_again(trace, op, leaves)
    pairs = [
        (outputs[position], upstream[value])
        for value, position in fresh_outputs(trace, op).items()
        if value in upstream and outputs[position].requires_grad
    ]
    if not pairs:
        return {}
    results, adjoints = zip(*pairs, strict=True)
    try:
        found = torch.autograd.grad(results, list(leaves.values()), adjoints, allow_unused=True)
    except RuntimeError as error:
        raise _not_differentiable(op, error) from error
    return {value: gradient for value, gradient in zip(leaves, found, strict=True) if gradient is not None}


@final
class Adjoints:
    """The adjoint of any value of a trace: the recorded one, or one computed on demand and remembered.

    Autograd follows no value that needs no gradient: an input, a frozen parameter, and what is computed of them alone.
    Their adjoints are pulled back, op by op, from the recorded ones.

    Args:
        trace: a trace that keeps values.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._computed: dict[int, Tensor | None] = {}
        self._written_through: dict[int, list[int]] | None = None

    def of(self, value: Value) -> Tensor | None:
        """Return ∂loss/∂value, of the value's shape; None when no path leads from it to the loss.

        Raises:
            RunAgainError: it is kept as statistics, or an op on the way cannot be run again.
        """
        recorded = value.adjoint
        if isinstance(recorded, Tensor):
            return recorded
        if recorded is not None:
            raise not_kept(value, recorded.reason if isinstance(recorded, Missing) else "")
        if not self._is_open(value):
            return None
        if value.id not in self._computed:
            self._compute(value)
        return self._computed[value.id]

    def _is_open(self, value: Value) -> bool:
        """Return whether an adjoint may exist that autograd has not computed."""
        loss = self._trace.loss
        if loss is None or not is_smooth(value) or value.kind == "hidden":
            return False
        return not value.requires_grad or self._trace.values[loss].adjoint is None

    def _compute(self, value: Value) -> None:
        trace = self._trace
        if value.id == trace.loss:
            self._computed[value.id] = torch.ones_like(data_of(trace, value.id))
            return
        open_values, ops = self._ahead_of(value)
        self._refuse_stale_views(value, open_values)
        totals: dict[int, Tensor] = {}
        for number in sorted(ops, reverse=True):  # ops stand in the order in which they ran
            op = trace.ops[number]
            upstream = {}
            for output in fresh_outputs(trace, op):
                known = trace.values[output]
                adjoint = totals.get(output) if output in open_values else self._outside(known)
                if adjoint is not None:
                    upstream[output] = adjoint
            wanted = [taken for taken in _inputs(trace, op) if taken in open_values]
            for taken, part in pull_back(trace, op, upstream, wanted).items():
                totals[taken] = totals[taken] + part if taken in totals else part
        for number in open_values:
            self._computed[number] = totals.get(number)

    def _refuse_stale_views(self, value: Value, open_values: set[int]) -> None:
        """Refuse a way that leads through a view of what was overwritten: without autograd, nothing joins the two."""
        values = self._trace.values
        tensors = [values[number].data for number in open_values if values[number].producer is not None]
        memories = {memory_of(tensor) for tensor in tensors if isinstance(tensor, Tensor)}
        for other in values:
            is_loose = other.kind == "constant" and other.producer is None and isinstance(other.data, Tensor)
            if is_loose and isinstance(other.data, Tensor) and memory_of(other.data) in memories:
                raise RunAgainError(
                    what=f"The adjoint of {value.name} cannot be computed.",
                    cause=f"{other.name} is a view of a value on the way that was overwritten in place, and without a "
                    "gradient nothing says how they belong together.",
                    next_step="Record the step with inputs and parameters that require gradients.",
                )

    def _outside(self, value: Value) -> Tensor | None:
        if value.id in self._computed:
            return self._computed[value.id]
        if value.id == self._trace.loss and value.adjoint is None:
            return torch.ones_like(data_of(self._trace, value.id))
        return upstream_of(value)

    def _ahead_of(self, value: Value) -> tuple[set[int], set[int]]:
        """Return the values without a known adjoint that depend on a value, itself among them, and the ops there."""
        open_values, ops = {value.id}, set()
        waiting = [value]
        while waiting:
            current = waiting.pop()
            users = [use.op for use in current.uses] + self.writers_of(current)
            for number in users:
                op = self._trace.ops[number]
                if number in ops or not op.gradients_on or op.phase in ("backward", "update"):
                    continue
                ops.add(number)
                for output in op.outputs:
                    made = self._trace.values[output]
                    is_known = output in open_values or output in self._computed or output == self._trace.loss
                    if made.producer == number and made.adjoint is None and not is_known and self._is_open(made):
                        open_values.add(output)
                        waiting.append(made)
        return open_values, ops

    def writers_of(self, value: Value) -> list[int]:
        """Return the ids of the ops that wrote over a value through a view of it."""
        return self._writers().get(value.id, [])

    def _writers(self) -> dict[int, list[int]]:
        """Return the ops that wrote over a value through a view of it, by the value's id."""
        if self._written_through is None:
            self._written_through = {}
            for op in self._trace.ops:
                if op.overwrites and op.phase in ("forward", "loss"):
                    for former in formers(self._trace, op):
                        self._written_through.setdefault(former, []).append(op.id)
        return self._written_through


def adjoint_of(trace: Trace, value: Value) -> Tensor | None:
    """Return ∂loss/∂value: the recorded adjoint, or one computed on demand where autograd did not follow the value.

    To ask for several, keep one `Adjoints`: it remembers what it has computed.

    Raises:
        RunAgainError: it is kept as statistics, or an op on the way cannot be run again.
    """
    return Adjoints(trace).of(value)


def _inputs(trace: Trace, op: Op) -> list[int]:
    """Return the ids of all values that an op takes and autograd can follow, each once."""
    taken = [*arguments_of(op), *(use.value for use in op.inputs if use.place == ("hidden",)), *formers(trace, op)]
    values = (trace.values[value] for value in dict.fromkeys(taken))
    return [value.id for value in values if is_smooth(value) and value.kind != "hidden"]


# -- three ways to a local derivative


def _forwards(run: Callable[[Tensor], tuple[Tensor, ...]], tensor: Tensor, direction: Tensor) -> tuple[Tensor, ...]:
    """Return ∂outputs/∂x · direction, carried along with the values."""
    _load_forward_formulas()
    with torch.no_grad(), forward_ad.dual_level():
        outputs = run(forward_ad.make_dual(tensor.detach(), direction))  # type: ignore[no-untyped-call]
        pairs = [forward_ad.unpack_dual(output) for output in outputs]  # type: ignore[no-untyped-call]
    return tuple(torch.zeros_like(pair.primal) if pair.tangent is None else pair.tangent for pair in pairs)


@cache
def _load_forward_formulas() -> None:
    """Load the formulas that torch compiles when forward mode is first used, without its remark that it does so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def _backwards_twice(
    run: Callable[[Tensor], tuple[Tensor, ...]], tensor: Tensor, direction: Tensor
) -> tuple[Tensor, ...]:
    """Return ∂outputs/∂x · direction: the backward pass is linear in the adjoint, and its own derivative is wanted."""
    with torch.enable_grad(), _plain_kernels():
        leaf = tensor.detach().requires_grad_()
        outputs = run(leaf)
        adjoints = [torch.zeros_like(output, requires_grad=True) for output in outputs]
        pairs = [pair for pair in zip(outputs, adjoints, strict=True) if pair[0].requires_grad]
        if not pairs:
            return tuple(torch.zeros_like(output) for output in outputs)
        (sent,) = torch.autograd.grad(
            [output for output, _ in pairs],
            leaf,
            [adjoint for _, adjoint in pairs],
            create_graph=True,
        )
        found = torch.autograd.grad(sent, adjoints, direction.to(sent.dtype), allow_unused=True)
    return tuple(
        torch.zeros_like(output) if part is None else part.detach() for output, part in zip(outputs, found, strict=True)
    )


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Set aside kernels whose backward pass has no derivative: fused attention, and oneDNN's LSTM."""
    before = torch.backends.mkldnn.set_flags(False)  # type: ignore[no-untyped-call]
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mkldnn.set_flags(before[0])  # type: ignore[no-untyped-call]


def _one_by_one(
    run: Callable[[Tensor], tuple[Tensor, ...]], tensor: Tensor, index: Index, made: list[Value]
) -> tuple[tuple[Tensor, ...], bool]:
    """Return the derivatives of the outputs with the largest adjoints, one backward pass for each; and if they are all.

    Outputs whose adjoint is 0 are left out, which changes no product.
    """
    with torch.enable_grad():
        leaf = tensor.detach().requires_grad_()
        outputs = run(leaf)
    found = []
    is_complete = True
    for output, value in zip(outputs, made, strict=True):
        derivative = torch.zeros_like(output, requires_grad=False).detach()
        adjoint = value.adjoint
        weight = adjoint.abs().reshape(-1) if isinstance(adjoint, Tensor) else torch.ones(output.numel())
        if output.requires_grad:
            is_complete = is_complete and int(torch.count_nonzero(weight)) <= _ROWS
            for place in weight.topk(min(_ROWS, weight.numel())).indices.tolist():
                if weight[place] == 0:
                    break
                (row,) = torch.autograd.grad(output.reshape(-1)[place], leaf, retain_graph=True, allow_unused=True)
                if row is not None:
                    derivative.reshape(-1)[place] = row.to_dense()[index] if row.is_sparse else row[index]
        found.append(derivative)
    return tuple(found), is_complete


def _not_differentiable(op: Op, error: RuntimeError) -> RunAgainError:
    return RunAgainError(
        what=f"The op {op.name} cannot be differentiated on its own.", where=where_of(op), cause=str(error)
    )
