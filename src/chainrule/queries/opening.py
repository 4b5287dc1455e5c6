"""Composite ops opened: the smaller ops inside of one, with their values, adjoints and contributions.

Nothing that ran is changed, and the step is not taken again. The op's smaller version runs under a recorder of its own
on clones of the recorded inputs, and the recorded adjoints of the outputs are pulled back through it:

    y = f(x),  f = g_k ∘ … ∘ g_1        the outputs of g_k must be the recorded y
    ȳ pulled back through g_k, …, g_1   what arrives at x must be what f sent back

Both are compared, always; where they differ by more than rounding explains, the op is not opened.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from chainrule.errors import ChainruleError, UnknownNameError, nearest
from chainrule.queries.again import call_again, contributions_of, fresh_outputs, upstream_of
from chainrule.queries.calling import arguments_of
from chainrule.queries.insides import Inside, can_open, insides_of
from chainrule.queries.lowerings import Refusal
from chainrule.queries.recorded import RunAgainError, data_of, is_smooth
from chainrule.recorder import Recorder, drawn_again, random_states
from chainrule.shapes import Tensor
from chainrule.trace import Op, Trace, Use, ValueRef, rebuild, where_of

_MARGIN = 256  # times what a change of the inputs in their last digit does to the numbers
_NUDGES = 3  # one alone may change two terms that cancel in the same way
_TF32 = 2.0**-11  # the precision that a GPU may use for products of float32


def open_op(trace: Trace, op: Op | int | str) -> Trace:
    """Return the inside of a composite op: a trace of the smaller ops that it is made of.

    The inside's inputs and outputs are named as in the trace. Its outputs start with the adjoints that the op's
    outputs got from outside, and every value inside has its adjoint and its contributions. So `trace.value("x")` of
    the inside has as adjoint what this op alone sent back to x. `loss` is None, unless the op made the step's loss.

    `about` says where the smaller version comes from ("origin"), and by how much its outputs and contributions differ
    from the recorded ones, relative to the largest ("output_difference", "contribution_difference"). `notes` says the
    same in a sentence. The inside's ops can be opened in turn.

    >>> import torch
    >>> from chainrule.recorder import record
    >>> model = torch.nn.Linear(2, 1)
    >>> trace = record(model, torch.nn.functional.mse_loss, torch.ones(3, 2), torch.zeros(3, 1))
    >>> [op.name for op in open_op(trace, "linear").ops_in("forward")]
    ['t', 'matmul', 'add']

    Args:
        trace: a trace that keeps values.
        op: an op of the trace, its id, or the name of a value that it made ("encoder.self_attn.linear").

    Raises:
        UnknownNameError: the trace has no such op.
        RunAgainError: the trace does not keep a number that the op needs.
        ChainruleError: the op cannot be opened, and why; or the smaller version gives other numbers.
    """
    found = _find(trace, op)
    reason = can_open(found)
    if reason:
        raise _not_opened(found, reason)
    devices = {torch.device(value.device) for value in trace.values if not value.device.startswith("cpu")}
    with drawn_again(random_states(devices)):  # what draws numbers in here takes none of the user's
        return _open(trace, found)


def _open(trace: Trace, found: Op) -> Trace:
    leaves = {value: data_of(trace, value, asked_by=where_of(found)).detach().clone() for value in arguments_of(found)}

    def put(part: Any) -> Any:
        return leaves[part.value] if isinstance(part, ValueRef) else part

    arguments, keywords = rebuild(found.arguments, put), rebuild(dict(found.keywords), put)
    upstream, notes = _adjoints_from_outside(trace, found)
    try:
        for inside in insides_of(found, arguments, keywords):
            run = _run(trace, found, inside, upstream)
            if inside.is_certain or len([part for part in run.trace.ops if part.phase != "backward"]) > 1:
                break
        else:
            raise Refusal(f"It is one step: '{found.name}' is not made of smaller ops.")
    except Refusal as refusal:
        raise _not_opened(found, str(refusal)) from refusal.__cause__
    except ChainruleError:
        raise
    except Exception as error:  # whatever torch raises for a smaller version that it cannot run or differentiate
        raise _not_opened(found, f"Its smaller version does not run: {_said(error)}") from error
    run.trace.notes.extend(notes)
    _compare(trace, found, inside, run, upstream)
    _dress(trace, found, inside, run)
    return run.trace


@dataclass(slots=True)
class _Run:
    """One run of a smaller version.

    Attributes:
        trace: what was recorded.
        leaves: the tensors that stood for the op's inputs, by the ids of those in the outer trace.
        outputs: what it returned, by the ids of the op's outputs in the outer trace.
        inner: the ids of the inside's values for both, by those in the outer trace.
    """

    trace: Trace
    leaves: dict[int, Tensor]
    outputs: dict[int, Tensor]
    inner: dict[int, int]


def _run(trace: Trace, op: Op, inside: Inside, upstream: Mapping[int, Tensor]) -> _Run:
    """Run a smaller version under a recorder, on clones of the inputs."""
    leaves = _clones(trace, op)
    recorder = Recorder(nn.Module(), byte_budget=None)
    recorder.name({trace.values[value].name: tensor for value, tensor in leaves.items()}, "input")
    with torch.inference_mode(False), torch.enable_grad():
        inner = {value: recorder.value_of(tensor).id for value, tensor in leaves.items()}
        with recorder:
            outputs = _call(trace, op, inside.body, leaves)
            seeds = _seeds(outputs, upstream)
            inner |= {
                value: recorder.value_of(tensor).id
                for value, tensor in outputs.items()
                if value not in inner  # the very input
            }
            if seeds:
                torch.autograd.backward([tensor for tensor, _ in seeds], [adjoint for _, adjoint in seeds])
    return _Run(recorder.trace, leaves, outputs, inner)


def _clones(trace: Trace, op: Op) -> dict[int, Tensor]:
    leaves = {}
    for value in arguments_of(op):
        follows = op.gradients_on and trace.values[value].requires_grad
        leaves[value] = data_of(trace, value, asked_by=where_of(op)).detach().clone().requires_grad_(follows)
    return leaves


def _call(trace: Trace, op: Op, body: Callable[..., Any], leaves: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Call a smaller version under the circumstances of the op, and return its outputs by the op's."""
    twin = dataclasses.replace(op, run=body, overwrites=())
    try:
        made = call_again(trace, twin, leaves)
    except RunAgainError as error:
        if not op.overwrites:
            raise
        # What it wrote over was a part of another tensor, which is among its outputs.
        raise Refusal("It writes into a part of another tensor, and the smaller version does not.") from error
    outputs = {}
    for value, tensor in zip(op.outputs, made, strict=True):
        dtype = getattr(torch, trace.values[value].dtype)
        outputs[value] = tensor if tensor.dtype == dtype else tensor.to(dtype)  # autocast: a sum in float32
    return outputs


def _seeds(outputs: Mapping[int, Tensor], upstream: Mapping[int, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [
        (outputs[value], adjoint)
        for value, adjoint in upstream.items()
        if value in outputs and outputs[value].requires_grad
    ]


def _adjoints_from_outside(trace: Trace, op: Op) -> tuple[dict[int, Tensor], list[str]]:
    """Return what the op's outputs got from outside of it, and what a reader must know about it."""
    upstream: dict[int, Tensor] = {}
    for value in fresh_outputs(trace, op):
        try:
            adjoint = upstream_of(trace.values[value])
        except RunAgainError as error:
            name = trace.values[value].name
            return {}, [
                f"There are no adjoints inside, because that of {name} is not in the trace. {error.cause}".strip()
            ]
        if adjoint is not None:
            upstream[value] = adjoint.to_dense() if adjoint.layout is not torch.strided else adjoint
    if upstream:
        return upstream, []
    return {}, ["There are no adjoints inside, because no gradient came back to the op."]


# -- comparing


@dataclass(frozen=True, slots=True)
class _Difference:
    """The largest difference of an element, relative to the largest element, and of which value."""

    size: float = 0.0
    value: int = -1


def _compare(trace: Trace, op: Op, inside: Inside, run: _Run, upstream: Mapping[int, Tensor]) -> None:
    """Compare outputs and contributions with the recorded ones, and write the differences down.

    Raises:
        ChainruleError: they differ by more than rounding explains.
    """
    precision = _precision(trace, op)
    outputs = {
        value: (_shown(run, value, tensor), data_of(trace, value))
        for value, tensor in run.outputs.items()
        if isinstance(trace.values[value].data, Tensor)
    }
    sent = _sent_back(trace, op) if upstream else {}
    arrived = {value: run.trace.values[run.inner[value]].adjoint for value in run.leaves}
    contributions: dict[int, tuple[Tensor, Tensor]] = {}
    for value in dict.fromkeys((*sent, *(value for value, number in arrived.items() if isinstance(number, Tensor)))):
        number, recorded = arrived.get(value), sent.get(value)
        nothing = torch.zeros_like(run.leaves[value], requires_grad=False)
        contributions[value] = (
            number if isinstance(number, Tensor) else nothing,
            nothing if recorded is None else recorded,
        )
    found = [_largest(outputs), _largest(contributions)]
    if max(part.size for part in found) > precision ** (2 / 3):
        moved = _moved_by_rounding(trace, op, inside, upstream, precision)
        found = [_largest(pairs, scale) for pairs, scale in zip((outputs, contributions), moved, strict=True)]
        if max(part.size for part in found) > _MARGIN * precision:
            raise _differs(trace, op, inside, found[0], found[1], _MARGIN * precision)
        run.trace.notes.append(
            "The differences are those of rounding: changing the op's inputs in their last digit changes its numbers "
            "as much."
        )
    run.trace.about |= {"output_difference": found[0].size, "contribution_difference": found[1].size}


def _shown(run: _Run, value: int, tensor: Tensor) -> Tensor:
    """Return the number of an output that the inside shows; what it returned, where the inside keeps none."""
    data = run.trace.values[run.inner[value]].data
    return data if isinstance(data, Tensor) else tensor.detach()


def _sent_back(trace: Trace, op: Op) -> dict[int, Tensor]:
    """Return what the op sent back to each of its inputs, all uses of one value together."""
    if any(use.place == ("hidden",) for use in op.inputs) or any(
        trace.values[use.value].kind == "hidden" for use in op.inputs
    ):
        # Autocast casts a weight once for several ops: what each of them sent back to it is computed anew.
        return contributions_of(trace, op)
    totals: dict[int, Tensor] = {}
    for use in op.inputs:
        number = _contribution(trace, use)
        if number is not None:
            totals[use.value] = totals[use.value] + number if use.value in totals else number
    return totals


def _contribution(trace: Trace, use: Use) -> Tensor | None:
    number = use.contribution
    if use.place == ("self",) or number is None:
        return None
    if not isinstance(number, Tensor):
        raise RunAgainError(
            what=f"What the op sent back to {trace.values[use.value].name} is not in the trace.",
            expected="the tensor itself",
            next_step='Record the step with keep="values" and a larger byte_budget.',
        )
    return number.to_dense() if number.layout is not torch.strided else number


def _largest(pairs: Mapping[int, tuple[Tensor, Tensor]], scales: Mapping[int, float] | None = None) -> _Difference:
    """Return the largest difference of pairs of tensors, relative to the largest element of the second one.

    Args:
        pairs: the tensors, by the ids of values.
        scales: what to divide by instead.
    """
    worst = _Difference()
    for value, (first, second) in pairs.items():
        if first.shape != second.shape:
            return _Difference(float("inf"), value)
        difference, largest = _apart(first, second)
        scale = largest if scales is None else max(largest, scales.get(value, 0.0))
        size = 0.0 if difference == 0 else difference / scale if scale else float("inf")
        if size > worst.size:
            worst = _Difference(size, value)
    return worst


def _apart(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Return the largest difference of two tensors' elements, and the largest finite element of the second one."""
    if not second.numel():
        return 0.0, 0.0
    wide = torch.complex128 if second.is_complex() else torch.float64
    first, second = first.to(wide), second.to(wide)
    same = (first == second) | (first.isnan() & second.isnan())
    difference = (first - second).abs().masked_fill(same, 0.0).nan_to_num(nan=torch.inf, posinf=torch.inf)
    finite = second.abs().nan_to_num(nan=0.0, posinf=0.0)
    return float(difference.max()), float(finite.max())


def _precision(trace: Trace, op: Op) -> float:
    """Return the relative distance of neighbouring numbers, in the coarsest dtype that the op touched."""
    values = [trace.values[value] for value in (*arguments_of(op), *op.outputs)]
    dtypes = {value.dtype for value in values if is_smooth(value)} | ({op.autocast} if op.autocast else set())
    precision = max((torch.finfo(getattr(torch, dtype)).eps for dtype in dtypes), default=torch.finfo(torch.double).eps)
    on_device = any(value.device.startswith("cuda") for value in values)
    return max(precision, _TF32) if on_device and "float32" in dtypes else precision


def _moved_by_rounding(
    trace: Trace, op: Op, inside: Inside, upstream: Mapping[int, Tensor], precision: float
) -> tuple[dict[int, float], dict[int, float]]:
    """Return by how much outputs and contributions move when inputs and adjoints change in their last digit.

    The changes are ±precision, relative to each number. What moves is divided by precision, so it is the size of the
    terms that an output or a contribution is a sum of, which may be far above the sum itself.
    """
    signs = torch.Generator().manual_seed(0)

    def nudged(tensor: Tensor) -> Tensor:
        if not (tensor.is_floating_point() or tensor.is_complex()):
            return tensor
        sign = torch.randint(0, 2, tensor.shape, generator=signs).to(tensor.device, torch.float64) * 2 - 1
        return (tensor * (1 + precision * sign)).to(tensor.dtype)

    numbers = []
    for change in range(1 + _NUDGES):
        leaves = _clones(trace, op)
        adjoints = dict(upstream)
        if change:
            leaves = {
                value: nudged(tensor.detach()).requires_grad_(tensor.requires_grad) for value, tensor in leaves.items()
            }
            adjoints = {value: nudged(tensor) for value, tensor in upstream.items()}
        with torch.inference_mode(False), torch.enable_grad():
            outputs = _call(trace, op, inside.body, leaves)
            seeds = _seeds(outputs, adjoints)
            if seeds:
                torch.autograd.backward([tensor for tensor, _ in seeds], [adjoint for _, adjoint in seeds])
        grads = {value: leaf.grad for value, leaf in leaves.items() if leaf.grad is not None}
        numbers.append(({value: tensor.detach() for value, tensor in outputs.items()}, grads))
    (outputs_before, sent_before), *others = numbers
    return (
        _farthest(outputs_before, [outputs for outputs, _ in others], precision),
        _farthest(sent_before, [sent for _, sent in others], precision),
    )


def _farthest(
    before: Mapping[int, Tensor], others: Sequence[Mapping[int, Tensor]], precision: float
) -> dict[int, float]:
    """Return the largest distance of other numbers from those of before, in units of precision, by value."""
    return {
        value: max(_apart(other.get(value, torch.zeros_like(tensor)), tensor)[0] for other in others) / precision
        for value, tensor in before.items()
    }


# -- what a reader sees


def _dress(trace: Trace, op: Op, inside: Inside, run: _Run) -> None:
    """Give the inside the op's place in the model and its line of code, and the outer trace's names."""
    inner = run.trace
    inner.loss = run.inner.get(trace.loss) if trace.loss in op.outputs else None
    for part in inner.ops:
        part.module, part.module_class, part.call, part.source = op.module, op.module_class, op.call, op.source
        part.recomputed = op.recomputed
        part.phase = op.phase if part.phase in ("forward", "loss") else part.phase
        if isinstance(part.run, torch._ops.OpOverload):
            part.function = f"torch.ops.aten.{part.run.__name__}"
            part.name = part.run._schema.name.split("::")[1].strip("_")
    for part in inner.ops:
        if part.of is not None:
            part.name = f"{inner.ops[part.of].name} backward"
    for outside in run.leaves:
        kind = trace.values[outside].kind
        inner.values[run.inner[outside]].kind = "input" if kind in ("computed", "hidden") else kind
    _name(trace, run)
    outputs = tuple(dict.fromkeys(run.inner[value] for value in op.outputs))
    inner.modules = {
        path: dataclasses.replace(note, outputs=outputs if path == op.module else ())
        for path, note in trace.modules.items()
        if path in ("", op.module)
    }
    inner.about |= {name: value for name, value in trace.about.items() if name in ("chainrule", "torch", "model")}
    inner.about |= {"opened": where_of(op), "op": op.id, "origin": inside.origin}
    inner.notes.insert(
        0,
        f"This is the inside of {where_of(op)}, written in smaller ops by {inside.origin}. It was not run in the "
        "step, but afterwards on the recorded inputs and adjoints. Its outputs differ from the recorded ones by "
        f"{inner.about['output_difference']:.1g} of the largest, what it sends back by "
        f"{inner.about['contribution_difference']:.1g}.",
    )


def _name(trace: Trace, run: _Run) -> None:
    """Name inputs and outputs as in the outer trace, and the values between by their ops."""
    inner = run.trace
    fixed = {inside: trace.values[outside].name for outside, inside in run.inner.items()}
    taken = Counter(fixed.values())
    for value in inner.values:
        if value.id in fixed:
            value.name = fixed[value.id]
            continue
        base: str = value.kind
        if value.producer is not None:
            op = inner.ops[value.producer]
            base = f"{op.module}.{op.name}" if op.module else op.name
            base += f":{value.output}" if len(op.outputs) > 1 else ""
        taken[base] += 1
        while taken[base] > 1 and f"{base}#{taken[base]}" in taken:
            taken[base] += 1
        value.name = base if taken[base] == 1 else f"{base}#{taken[base]}"


# -- errors, and finding


def _not_opened(op: Op, reason: str) -> ChainruleError:
    return ChainruleError(
        what=f"The op {op.name} cannot be opened.",
        where=where_of(op),
        cause=reason,
        next_step="Its numbers are in the trace all the same: its inputs, its outputs, and what it sent back to each.",
    )


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _differs(
    trace: Trace, op: Op, inside: Inside, outputs: _Difference, contributions: _Difference, limit: float
) -> ChainruleError:
    parts = [
        f"{what} {trace.values[part.value].name} by {part.size:.1g} of the largest"
        for what, part in (("output", outputs), ("contribution to", contributions))
        if part.size
    ]
    cause = f"Its smaller version comes from {inside.origin}, and is not what the kernel computed here."
    if op.random_state is not None:
        cause = "It draws random numbers, and the kernel that ran draws them in another way than the smaller ops do."
    return ChainruleError(
        what=f"The smaller version of {op.name} does not give the recorded numbers, so it is not shown.",
        where=where_of(op),
        found=", ".join(parts),
        expected=f"at most {limit:.1g}, which rounding explains",
        cause=cause,
    )


def _find(trace: Trace, op: Op | int | str) -> Op:
    if isinstance(op, Op):
        return op
    if isinstance(op, int):
        if 0 <= op < len(trace.ops):
            return trace.ops[op]
        raise UnknownNameError(what=f"The trace has no op {op}.", found=str(op), expected=f"0 to {len(trace.ops) - 1}")
    named = [value for value in trace.values if value.name == op and value.producer is not None]
    if named:
        return trace.ops[named[0].producer]  # type: ignore[index]  # it has a producer
    called = [
        candidate
        for candidate in trace.ops
        if op in (f"{candidate.module}.{candidate.name}", candidate.name) and candidate.phase in ("forward", "loss")
    ]
    if len(called) == 1:
        return called[0]
    value = trace.value(op) if not called and op in trace.modules else None
    if value is not None and value.producer is not None:
        return trace.ops[value.producer]
    known = [value.name for value in trace.values if value.producer is not None]
    if called:
        known = [trace.values[candidate.outputs[0]].name for candidate in called if candidate.outputs]
    raise UnknownNameError(
        what=f"The trace has {'several ops' if called else 'no op'} '{op}'.",
        found=op,
        expected="one of " + ", ".join(known[:8] if called else nearest(op, known, 8) or known[:8]),
    )
