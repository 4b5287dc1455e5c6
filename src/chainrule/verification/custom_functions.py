"""The user's own torch.autograd.Functions, one by one: is the backward of each the derivative of its forward?

The loss of a wrong step says that something is wrong. To say what, each recorded call is taken by itself: with x its
recorded inputs and v the recorded adjoints of its outputs, its backward must send ∂/∂x ⟨v, forward(x)⟩, and that is
measured by central differences in float64. A second time v is drawn at random, because adjoints that are all equal
hide a transposed one; the backward is run once more after another call of the same class, because what it keeps
outside of its context is then another call's; and once more with the generator in another state, as it is in a step,
because a mask that is drawn again is then another one.
"""

import math
import os
from dataclasses import replace
from typing import Any

import torch

from chainrule.recorder import drawn_again, random_states
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Op, Statistics, Trace, ValueRef, rebuild, walk
from chainrule.verification.branches import Branches, BranchWatch
from chainrule.verification.comparing import Comparison, Look, Plan, Surface, compare
from chainrule.verification.recorded import unit_of
from chainrule.verification.results import FunctionCheck
from chainrule.verification.widening import WIDE, InFloat64, run_backward

_DRAWS = (
    "It draws random numbers in its backward, which are not those of its forward: it sends something else for every "
    "state of the generator (keep what the forward drew with ctx.save_for_backward)."
)
_WRITES_UPSTREAM = (
    "It writes over the gradient that it is given, which is not its own: "
    "autograd may hand the same tensor to other ops."
)
_VIEW_NAMES = """
chunk data detach diagonal expand flatten getitem movedim narrow permute real reshape select split squeeze swapaxes T t
transpose unbind unflatten unfold unsqueeze view view_as
"""
_VIEWS = frozenset(_VIEW_NAMES.split())
_DRAWN = 97  # so many random numbers come between forward and backward
_SAME_RATIO = 1e-5
_SAME_WORK = 1e3  # times the unit of rounding: what a recorded contribution may differ from a recomputed one


def check_functions(trace: Trace, plan: Plan) -> tuple[FunctionCheck, ...]:
    """Check every call of a Function of the user's own that the trace holds.

    Args:
        trace: a recorded one, with tensors.
        plan: how many entries to look at, in each call.
    """
    return tuple(_check_op(trace, op, plan) for op in trace.ops if is_custom(op))


def is_custom(op: Op) -> bool:
    """Return whether an op is a call of a torch.autograd.Function of the user's own."""
    owner = getattr(op.run, "__self__", None)
    is_function = isinstance(owner, type) and issubclass(owner, torch.autograd.Function)
    return is_function and not owner.__module__.startswith("torch.")


class _Call:
    """A recorded call in float64, to be taken again as often as asked.

    Attributes:
        leaves: the inputs that want a gradient, by the number of the argument.
        adjoints: the recorded ones of its outputs.
    """

    def __init__(self, trace: Trace, op: Op) -> None:
        self._apply: Any = op.run
        self._arguments = rebuild(op.arguments, lambda part: _wide(_data(trace, part)))
        self.is_complete = not any(isinstance(part, Statistics | Missing) for _, part in walk(self._arguments))
        self.leaves: dict[str, Tensor] = {}
        for number, part in enumerate(op.arguments):
            data = self._arguments[number]
            is_wanted = isinstance(part, ValueRef) and trace.values[part.value].requires_grad
            if is_wanted and isinstance(data, Tensor) and data.is_floating_point():
                self.leaves[str(number)] = data.clone().requires_grad_()
        self.adjoints = [_wide(trace.values[output].adjoint) for output in op.outputs]
        devices = {part.device for part in self._arguments if isinstance(part, Tensor)}
        self._states = random_states(device for device in devices if device.type != "cpu")
        self.draws = False
        self.writes_upstream = False

    def outputs(self) -> list[Tensor]:
        """Return the floating point outputs of a call with the leaves, each time with the same random numbers."""
        arguments = tuple(
            self.leaves[str(number)].clone()  # a copy: a Function may write over what it gets
            if str(number) in self.leaves
            else part.clone()
            if isinstance(part, Tensor)
            else part
            for number, part in enumerate(self._arguments)
        )
        with drawn_again(self._states), InFloat64(), torch.enable_grad():
            result = self._apply(*arguments)
            now = random_states(())["cpu"]
        self.draws = self.draws or not torch.equal(now, self._states["cpu"])
        parts = result if isinstance(result, tuple) else (result,)
        return [part for part in parts if isinstance(part, Tensor) and part.is_floating_point()]

    def value(self, upstream: list[Tensor]) -> Tensor:
        """Return ⟨upstream, outputs⟩."""
        pairs = zip(self.outputs(), upstream, strict=True)
        return torch.stack([(output.detach().double() * adjoint).sum() for output, adjoint in pairs]).sum()

    def gradients(
        self, upstream: list[Tensor], is_late: bool = False, is_redrawn: bool = False
    ) -> dict[str, Tensor | None]:
        """Return what its backward sends to every leaf.

        Args:
            upstream: the adjoints of its outputs.
            is_late: whether another call of the same class, with other inputs, comes before the backward.
            is_redrawn: whether random numbers were drawn since the forward, as in a step; otherwise the backward starts
                with the generators in the state that the forward started with.
        """
        outputs = self.outputs()
        if is_late:
            before = {name: leaf.detach().clone() for name, leaf in self.leaves.items()}
            for leaf in self.leaves.values():
                leaf.data.mul_(0.5).add_(0.125)
            self.outputs()
            for name, leaf in self.leaves.items():
                leaf.data.copy_(before[name])
        for leaf in self.leaves.values():
            leaf.grad = None
        pairs = [(output, adjoint) for output, adjoint in zip(outputs, upstream, strict=True) if output.requires_grad]
        given = [adjoint.clone() for _, adjoint in pairs]  # a copy: a backward may write over what it gets
        with drawn_again(self._states), InFloat64():
            if is_redrawn:
                for name in self._states:
                    torch.rand(_DRAWN, device=name)
            run_backward([output for output, _ in pairs], given)
        changed = [one for one, (_, adjoint) in zip(given, pairs, strict=True) if not torch.equal(one, adjoint)]
        self.writes_upstream = self.writes_upstream or any(not bool(one.isnan().any()) for one in changed)
        found = {name: leaf.grad for name, leaf in self.leaves.items()}
        for leaf in self.leaves.values():
            leaf.grad = None
        return found

    def recorded_upstream(self, outputs: list[Tensor]) -> list[Tensor] | None:
        """Return the recorded adjoints, when there is one for each output and they are not all zero."""
        found = [each for each in self.adjoints if isinstance(each, Tensor)]
        if [each.shape for each in found] != [output.shape for output in outputs]:
            return None
        return found if all(bool(each.isfinite().all()) for each in found) and any(map(torch.any, found)) else None


def _check_op(trace: Trace, op: Op, plan: Plan) -> FunctionCheck:
    source = "" if op.source is None else str(op.source)
    base = FunctionCheck(op.name, op.module, source, _place_of_backward(op), op.id, "right")
    call = _Call(trace, op)
    if not call.is_complete:
        reason = "The trace does not have the tensors that it was called with."
        return replace(base, verdict="not checked", reason=reason)
    if not call.leaves:
        return replace(base, reason="No input of it requires a gradient.")
    try:
        outputs = call.outputs()
    except Exception as error:  # whatever a body that was not written for float64 raises
        return replace(base, verdict="not checked", reason=f"Its forward does not run in float64: {_said(error)}.")
    drawn = _random_upstream(outputs, plan.seed)
    recorded = call.recorded_upstream(outputs)
    try:
        for upstream in [drawn] if recorded is None else [recorded, drawn]:
            surface = _surface(call, upstream, base.function)
            wrong = [each for each in compare(surface, plan).values() if each.verdict == "wrong"]
            if wrong:
                found = _wrong(base, surface, max(wrong, key=_error), plan)
                return found if _redrawn(base, call, drawn) is None else replace(found, verdict="wrong", reason=_DRAWS)
        if call.writes_upstream:
            return replace(base, verdict="wrong", reason=_WRITES_UPSTREAM)
        stale = _redrawn(base, call, drawn) or _stale(base, call, drawn)
        if stale is None and recorded is not None and not call.draws:
            stale = _other_than_recorded(base, trace, op, call.gradients(recorded))
    except Exception as error:
        return replace(base, verdict="not checked", reason=f"Its backward does not run in float64: {_said(error)}.")
    return base if stale is None else stale


def _surface(call: _Call, upstream: list[Tensor], name: str) -> Surface:
    def value() -> float:
        return float(call.value(upstream))

    def watched() -> tuple[float, Branches | None]:
        watch = BranchWatch(lambda: name)
        with watch:
            number = value()
        return number, watch.branches

    pairs = zip(call.outputs(), upstream, strict=True)
    size = sum(float((output.detach() * adjoint).abs().sum()) for output, adjoint in pairs)
    return Surface(call.leaves, value, watched, lambda: call.gradients(upstream), size)


def _wrong(base: FunctionCheck, surface: Surface, comparison: Comparison, plan: Plan) -> FunctionCheck:
    look = comparison.worst
    assert look is not None  # noqa: S101  # a wrong comparison has one
    looks = [each for each in comparison.entries if each.verdict in ("right", "wrong")]
    ratio = _ratio(looks)
    place = "" if look.place is None else f"[{', '.join(map(str, look.place))}]" if look.place else ""
    check = replace(
        base,
        verdict="wrong",
        argument=int(comparison.name),
        where=f"input {comparison.name}{place}",
        recorded=look.gradient,
        true=look.slope.value,
        ratio=ratio,
    )
    if comparison.is_none:
        return replace(check, reason="It returns None for an input that its output depends on.")
    if all(each.slope.value == 0 for each in looks) and not math.isnan(look.gradient):
        return _flat(check, surface, comparison)
    if _is_transposed(comparison):
        return replace(check, reason="It is the transpose of what it should be.")
    return replace(check, reason=_reason(ratio, looks))


def _reason(ratio: float, looks: list[Look]) -> str:
    if math.isnan(ratio):
        wrong = [look for look in looks if look.verdict == "wrong"]
        if any(not math.isfinite(look.gradient) for look in wrong):
            return "It is not finite where the derivative is."
        return f"{len(wrong)} of the {len(looks)} entries that were looked at are wrong, not all by the same factor."
    if ratio == 0:
        return "It sends nothing to an input that its output depends on."
    if abs(ratio + 1) < _SAME_RATIO:
        return "Its sign is flipped."
    sign = " and its sign is flipped" if ratio < 0 else ""
    factor = abs(ratio)
    if factor > 1:
        by = f"{factor:.6g} times too large" if factor > 1.001 else f"too large by {factor - 1:.1e} of itself"
    else:
        by = f"{1 / factor:.6g} times too small" if factor < 0.999 else f"too small by {1 - factor:.1e} of itself"
    return f"It is {by}{sign}, at every entry that was looked at."


def _ratio(looks: list[Look]) -> float:
    """Return gradient / difference when it is one number; NaN when it is not."""
    largest = max((abs(look.slope.value) for look in looks), default=0.0)
    pairs = [(look.gradient, look.slope.value) for look in looks if abs(look.slope.value) > 1e-3 * largest]
    ratios = [gradient / value for gradient, value in pairs]
    if not ratios or not all(map(math.isfinite, ratios)):
        return math.nan
    middle = sorted(ratios)[len(ratios) // 2]
    spread = max(abs(ratio - middle) for ratio in ratios)
    is_off = abs(middle - 1) > 10 * spread
    return middle if len(ratios) > 1 and spread <= _SAME_RATIO * max(abs(middle), 1.0) and is_off else math.nan


def _is_transposed(comparison: Comparison) -> bool:
    shape = comparison.shape
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2 or comparison.checked != comparison.count:
        return False
    numbers = {look.place: look for look in comparison.entries if look.place is not None}
    size = max(abs(look.slope.value) for look in numbers.values())
    return all(
        abs(look.gradient - numbers[place[1], place[0]].slope.value) <= _SAME_RATIO * size
        for place, look in numbers.items()
    )


def _flat(check: FunctionCheck, surface: Surface, comparison: Comparison) -> FunctionCheck:
    """Tell a staircase, whose derivative is 0 almost everywhere, from an output that does not depend on the input."""
    tensor = surface.tensors[comparison.name]
    before = tensor.clone()
    tensor.mul_(3).add_(0.7)
    depends = surface.evaluate() != surface.value
    tensor.copy_(before)
    if not depends:
        return replace(check, reason="Its output does not depend on this input, and yet a gradient is sent to it.")
    reason = (
        "The derivative of its forward is 0 almost everywhere, and its backward sends something else: a "
        "straight-through estimator or a surrogate gradient, which differs from the derivative by design."
    )
    return replace(check, verdict="straight-through", reason=reason)


def _redrawn(base: FunctionCheck, call: _Call, upstream: list[Tensor]) -> FunctionCheck | None:
    """Return what is wrong when the backward sends something else for another state of the generators."""
    fresh, again = call.gradients(upstream), call.gradients(upstream)
    if any(_differ(again[name], right) for name, right in fresh.items()):
        return None  # it is never the same, whatever the generators
    other = call.gradients(upstream, is_redrawn=True)
    for name, right in fresh.items():
        sent = other[name]
        if right is not None and _differ(sent, right):
            return _unequal(base, name, torch.zeros_like(right) if sent is None else sent, right, _DRAWS)
    return None


def _differ(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is not other
    return not torch.equal(one.nan_to_num(), other.nan_to_num())


def _stale(base: FunctionCheck, call: _Call, upstream: list[Tensor]) -> FunctionCheck | None:
    """Return what is wrong when the backward sends something else after another call of the same class."""
    late, fresh = call.gradients(upstream, is_late=True), call.gradients(upstream)
    for name, right in fresh.items():
        sent = late[name]
        if right is not None and (sent is None or not torch.equal(sent, right)):
            reason = (
                "It keeps what its backward needs outside of its context (on the class, or in a global): after another "
                "call, the backward works with that call's numbers."
            )
            return _unequal(base, name, torch.zeros_like(right) if sent is None else sent, right, reason)
    return None


def _other_than_recorded(
    base: FunctionCheck, trace: Trace, op: Op, again: dict[str, Tensor | None]
) -> FunctionCheck | None:
    """Return what is wrong when the recorded backward sent something else than it does for the recorded inputs."""
    unit = unit_of(trace)
    for use in op.inputs:
        right = again.get(str(use.place[0])) if len(use.place) == 1 else None
        sent = use.contribution
        if not isinstance(sent, Tensor) or right is None:
            continue
        sent = sent.detach().to(right)
        if float((sent - right).norm()) > _SAME_WORK * unit * max(float(right.norm()), float(sent.norm())):
            reason = "Taken by itself in float64 it is right, but in the step it sent something else"
            if _is_written_over(trace, op):
                reason += (
                    ": what it had saved was changed between forward and backward (keep tensors with "
                    "ctx.save_for_backward, which notices that)."
                )
            else:
                apart = float((sent - right).norm()) / max(float(right.norm()), float(sent.norm()))
                reason += (
                    f": it differs by {apart:.1g} of its norm, which is more than rounding in {_dtype(trace, op)}."
                )
            return _unequal(base, str(use.place[0]), sent, right, reason)
    return None


def _is_written_over(trace: Trace, op: Op) -> bool:
    """Return whether something that the op took or made was written over after it, or a view of that."""
    own = {use.value for use in op.inputs} | set(op.outputs)
    for other in trace.ops[op.id + 1 :]:
        if not own.isdisjoint(other.overwrites):
            return True
        if other.name in _VIEWS and any(use.value in own for use in other.inputs):
            own |= set(other.outputs)
    return False


def _dtype(trace: Trace, op: Op) -> str:
    return trace.values[op.outputs[0]].dtype if op.outputs else "the recorded dtype"


def _unequal(base: FunctionCheck, name: str, sent: Tensor, right: Tensor, reason: str) -> FunctionCheck:
    index = int((sent - right).abs().argmax())
    place = [int(each) for each in torch.unravel_index(torch.tensor(index), right.shape)]
    return replace(
        base,
        verdict="wrong",
        argument=int(name),
        where=f"input {name}" + (f"[{', '.join(map(str, place))}]" if place else ""),
        recorded=float(sent.reshape(-1)[index]),
        true=float(right.reshape(-1)[index]),
        reason=reason,
    )


def _random_upstream(outputs: list[Tensor], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(part.shape, generator=generator, dtype=torch.float64).to(part.device) for part in outputs]


def _error(comparison: Comparison) -> float:
    return comparison.worst.error if comparison.worst is not None else 0.0


def _place_of_backward(op: Op) -> str:
    code = getattr(getattr(getattr(op.run, "__self__", None), "backward", None), "__code__", None)
    return "" if code is None else f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"


def _data(trace: Trace, part: Any) -> Any:
    return trace.values[part.value].data if isinstance(part, ValueRef) else part


def _wide(part: Any) -> Any:
    return part.detach().to(WIDE.get(part.dtype, part.dtype)).clone() if isinstance(part, Tensor) else part


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
