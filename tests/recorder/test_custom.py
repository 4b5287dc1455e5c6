"""Calls of the user's own Functions: one op each, with its arguments, outputs, line and module."""

from typing import Any

import pytest
import torch
from recorder_checks import batch, lawless, names, op_named
from torch import Tensor, nn
from unusual_models import Around, Doubled, Odd, Outer, Pair, Rounded, Split

from chainrule.recorder import record
from chainrule.trace import ValueRef


def test_arguments_and_outputs() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        first, second, _ = Pair.apply(self.linear(x), 3, "name", self.linear.weight)
        return second.sum() * first.sum()  # the second one is met first

    trace = record(Around(forward), None, batch()[0])
    op = op_named(trace, "Pair")
    linear, weight = trace.value("linear.linear"), trace.value("linear.weight")
    assert op.arguments == (ValueRef(linear.id), 3, "name", ValueRef(weight.id))
    assert [trace.values[value].output for value in op.outputs] == [0, 1]
    assert [trace.values[value].shape for value in op.outputs] == [(3, 4), (4, 4)]
    assert op.opaque == (
        "It is a torch.autograd.Function of the user's own (Pair), with a backward that is written by hand."
    )
    assert op.source is not None
    assert op.source.function == "forward"
    assert lawless(trace) == []


def test_the_module_that_called_it() -> None:
    class Activation(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Odd.apply(x)

    trace = record(nn.Sequential(nn.Linear(4, 4), Activation()), torch.sum, batch()[0])
    op = op_named(trace, "Odd")
    assert (op.module, op.module_class) == ("1", "Activation")


@pytest.mark.parametrize("function", [Odd, Outer, Doubled, Rounded, lambda x: Split.apply(x, 2.0)])
def test_a_call_is_one_op(function: Any) -> None:
    apply = getattr(function, "apply", function)
    trace = record(Around(lambda self, x: apply(self.linear(x)).sum()), None, batch()[0])
    name = getattr(function, "__name__", "")
    assert names(trace, "forward") == ["linear", "Split" if name == "<lambda>" else name, "sum"]
    assert lawless(trace) == []


def test_a_call_that_no_gradient_passes_is_an_op_all_the_same() -> None:
    trace = record(Around(lambda self, x: self.linear(Rounded.apply(x)).sum()), None, batch()[0])
    op = op_named(trace, "Rounded")
    assert [trace.values[use.value].name for use in op.inputs] == ["input"]
    assert [value.name for value in trace.values if value.kind == "constant"] == []


def test_what_it_writes_over_is_kept_from_before() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return Doubled.apply(self.linear(x)).sum()

    trace = record(Around(forward), None, batch()[0])
    op = op_named(trace, "Doubled")
    before, after = trace.value("linear.linear").data, trace.values[op.outputs[0]].data
    assert torch.equal(before * 2, after)  # type: ignore[operator, arg-type]
