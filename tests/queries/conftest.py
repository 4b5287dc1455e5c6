"""Calls recorded and opened ops checked, for the tests of what opens ops."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chainrule.recorder import Recorder
from chainrule.trace import Trace


@pytest.fixture(name="recorded")
def _recorded() -> Callable[..., Trace]:
    """Record one call with random adjoints of its outputs."""
    return record_call


@pytest.fixture(name="check")
def _check() -> Callable[[Trace, Trace], None]:
    """Hold an inside to the op that it is the inside of."""
    return check_inside


def record_call(call: Callable[..., Any], tensors: tuple[Tensor, ...]) -> Trace:
    """Record one call with random adjoints of its outputs; every float among the tensors requires a gradient."""
    leaves = [part.clone().requires_grad_(part.is_floating_point()) for part in tensors]
    recorder = Recorder(nn.Module())
    recorder.name({f"x{number}": leaf for number, leaf in enumerate(leaves)}, "input")
    torch.manual_seed(1)
    draws = torch.Generator().manual_seed(20)
    with recorder:
        made = call(*leaves)
        made = made if isinstance(made, tuple) else (made,)
        outputs = [part for part in made if isinstance(part, Tensor) and part.requires_grad]
        with torch._C.DisableTorchFunction():
            adjoints = [torch.randn(part.shape, generator=draws, dtype=part.dtype) for part in outputs]
        torch.autograd.backward(outputs, adjoints)
    return recorder.trace


def largest_violation(trace: Trace) -> float:
    """Return by how much the sum over uses differs from the adjoint, over all values, relative to the largest term."""
    worst = 0.0
    for value in trace.values:
        sent = [use.contribution for use in value.uses]
        terms = [part for part in sent if isinstance(part, Tensor)]
        if terms and isinstance(value.adjoint, Tensor):
            largest = max(float(part.abs().max()) for part in terms) if value.adjoint.numel() else 0.0
            total = torch.stack(terms).sum(0)
            start = value.adjoint if value.id not in _outputs(trace) else total
            worst = max(worst, float((total - start).abs().max()) / largest if largest else 0.0)
    return worst


def _outputs(trace: Trace) -> tuple[int, ...]:
    return tuple(number for note in trace.modules.values() for number in note.outputs)


def check_inside(outer: Trace, inner: Trace) -> None:
    assert inner.about["output_difference"] <= 1e-12
    assert inner.about["contribution_difference"] <= 1e-10
    assert largest_violation(inner) <= 1e-14
    op = outer.ops[int(inner.about["op"])]
    for use in op.inputs:  # independently of what `open_op` compares
        value = outer.values[use.value]
        if not value.requires_grad or use.place in (("self",), ("hidden",)):
            continue
        same = inner.value(value.name)
        sent = [part.contribution for part in op.inputs if part.value == use.value and part.place != ("self",)]
        total = sum(part for part in sent if isinstance(part, Tensor))
        if isinstance(total, Tensor):
            torch.testing.assert_close(same.adjoint, total, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(same.data, value.data, rtol=0, atol=0)
    for number in op.outputs:
        made = outer.values[number]
        if made.name:
            torch.testing.assert_close(inner.value(made.name).data, made.data, rtol=1e-12, atol=1e-13)
