import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries.again import (
    RunAgainError,
    adjoint_of,
    call_again,
    contributions_of,
    differentiate_locally,
    local_derivatives,
    upstream_of,
)
from chainrule.recorder import record
from chainrule.trace import Op, Trace, Value

from .recorded_cases import AUTOCAST, CASES, make, ops_of, trace_of

# Ops that call the user's modules: what those did stands in the trace as ops of its own.
NOT_RUN = {"CheckpointFunction"}


def runnable(trace: Trace) -> list[Op]:
    return [op for op in ops_of(trace) if op.name not in NOT_RUN]


def recorded_contributions(op: Op) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}
    for use in op.inputs:
        part = use.contribution
        if use.place != ("self",) and part is not None:
            assert isinstance(part, Tensor)
            part = part.to_dense() if part.is_sparse else part
            found[use.value] = found[use.value] + part if use.value in found else part
    return found


def largest(tensor: Tensor) -> tuple[int, ...]:
    return tuple(int(place) for place in torch.unravel_index(tensor.abs().argmax(), tensor.shape))


@pytest.mark.parametrize("name", CASES)
def test_an_op_run_again_returns_what_it_returned_to_the_bit(name: str) -> None:
    trace = trace_of(name)
    count = 0
    for op in runnable(trace):
        with torch.enable_grad():
            outputs = call_again(trace, op)
        assert len(outputs) == len(op.outputs)
        for output, again in zip(op.outputs, outputs, strict=True):
            assert torch.equal(again.detach(), trace.values[output].data), (op.name, trace.values[output].name)
            count += 1
    assert count >= 3


@pytest.mark.parametrize("name", CASES)
def test_running_again_changes_neither_generators_nor_recorded_values(name: str) -> None:
    trace = trace_of(name)
    before = [value.data.clone() if isinstance(value.data, Tensor) else None for value in trace.values]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    for op in runnable(trace):
        call_again(trace, op)
        contributions_of(trace, op)
    assert torch.equal(torch.get_rng_state(), state)
    for value, old in zip(trace.values, before, strict=True):
        assert old is None or torch.equal(value.data, old), (name, value.name)


@pytest.mark.parametrize("name", [name for name in CASES if name not in AUTOCAST])
def test_contributions_computed_again_are_the_recorded_ones(name: str) -> None:
    trace = trace_of(name)
    tolerance = 5e-16 if CASES[name].dtype is torch.float64 else 3e-7
    count = 0
    for op in runnable(trace):
        again, recorded = contributions_of(trace, op), recorded_contributions(op)
        for value in again.keys() | recorded.keys():
            expected = recorded.get(value, torch.zeros(trace.values[value].shape))
            found = again.get(value, torch.zeros_like(expected))
            found = found.to_dense() if found.is_sparse else found
            assert (found - expected).abs().max() <= tolerance * expected.abs().max(), (op.name, value)
            count += 1
    assert count >= 3


def test_contributions_under_autocast_are_those_of_each_op_though_the_recording_joins_them() -> None:
    trace = trace_of("autocast, shared layer")
    weight = trace.value("linear.weight")
    ops = [op for op in runnable(trace) if any(use.value == weight.id for use in op.inputs)]
    parts = [contributions_of(trace, op)[weight.id] for op in ops]
    assert len(parts) == 2
    assert isinstance(weight.adjoint, Tensor)
    assert (sum(parts) - weight.adjoint).abs().max() <= 2**-7 * weight.adjoint.abs().max()
    assert (parts[0] - weight.adjoint).abs().max() > 0.1 * weight.adjoint.abs().max()


@pytest.mark.parametrize("name", [name for name in CASES if name not in (*AUTOCAST, "complex numbers")])
def test_adjoints_times_local_derivatives_are_the_contributions(name: str) -> None:
    trace = trace_of(name)
    tolerance = 1e-13 if CASES[name].dtype is torch.float64 else 2e-6
    count = 0
    for op in runnable(trace):
        for number, sent in recorded_contributions(op).items():
            if trace.values[number].kind == "hidden":
                continue
            index = largest(sent)
            products = [
                upstream * derivative
                for output, derivative in local_derivatives(trace, op, number, index)
                if (upstream := upstream_of(output)) is not None
            ]
            size = max(max(float(product.abs().max()) for product in products), 1e-12)
            assert abs(sum(float(product.sum()) for product in products) - float(sent[index])) <= tolerance * size
            count += 1
    assert count >= 3


class Bag(nn.Module):
    """An op of which torch has neither a forward derivative nor a second backward one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(5, width, mode="max")

    def forward(self, x: Tensor) -> Tensor:
        return self.bag(x).square()


def test_outputs_are_differentiated_one_by_one_where_there_is_no_other_way() -> None:
    torch.manual_seed(0)
    trace = record(Bag(3).double(), torch.sum, torch.tensor([[0, 1], [2, 3]]))
    op = next(op for op in trace.ops if op.name == "embedding_bag")
    weight = trace.value("bag.weight")
    assert isinstance(weight.adjoint, Tensor)
    index = largest(weight.adjoint)
    rows, is_complete = differentiate_locally(trace, op, weight.id, index)
    (pair,) = [(value, derivative) for value, derivative in rows if value.adjoint is not None]
    assert is_complete
    assert int(pair[1].count_nonzero()) == 1
    assert float((upstream_of(pair[0]) * pair[1]).sum()) == float(weight.adjoint[index])


def test_too_many_outputs_to_differentiate_one_by_one_are_said() -> None:
    torch.manual_seed(0)
    trace = record(Bag(300).double(), torch.sum, torch.tensor([[0, 1], [2, 3]]))
    op = next(op for op in trace.ops if op.name == "embedding_bag")
    assert not differentiate_locally(trace, op, trace.value("bag.weight").id, (0, 0))[1]


def test_replaced_values_are_used_in_all_their_places() -> None:
    trace = record(nn.Linear(2, 2).double(), lambda y: (y * y).sum(), torch.ones(1, 2, dtype=torch.float64))
    op = next(op for op in trace.ops if op.name == "mul")
    (value,) = {use.value for use in op.inputs}
    (output,) = call_again(trace, op, {value: torch.tensor([[2.0, -3.0]])})
    assert output.tolist() == [[4.0, 9.0]]
    ((_, derivative),) = local_derivatives(trace, op, value, (0, 1))
    assert torch.equal(derivative, torch.tensor([[0.0, 2.0]]) * trace.values[value].data)


# -- adjoints of what autograd did not follow


def gradients_of_all(name: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the input's gradient and every parameter's, when all of them require one."""
    case, model, inputs = make(name)
    model.requires_grad_(True)
    inputs = inputs.clone().requires_grad_()
    torch.manual_seed(2)
    case.loss(
        model(inputs), case.targets.to(case.dtype) if case.targets.is_floating_point() else case.targets
    ).backward()
    assert inputs.grad is not None
    return inputs.grad, {path: part.grad for path, part in model.named_parameters() if part.grad is not None}


FOLLOWED = [
    name
    for name, case in CASES.items()
    if case.inputs.is_floating_point() and name not in AUTOCAST and "reentrant" not in name
]


@pytest.mark.parametrize("name", FOLLOWED)
def test_adjoints_on_demand_are_autograds_gradients(name: str) -> None:
    trace = trace_of(name)
    expected, parameters = gradients_of_all(name)
    assert trace.value("input").adjoint is None
    tolerance = 1e-13 if CASES[name].dtype is torch.float64 else 2e-6
    for path, gradient in {"input": expected, **parameters}.items():
        found = adjoint_of(trace, trace.value(path))
        assert found is not None, path
        assert (found - gradient).abs().max() <= tolerance * gradient.abs().max(), path


def test_frozen_values_between_the_input_and_the_loss_have_adjoints_on_demand() -> None:
    trace = trace_of("frozen and overwritten")
    frozen = trace.value("frozen.linear")
    assert not frozen.requires_grad
    found = adjoint_of(trace, frozen)
    assert found is not None
    assert found.shape == frozen.shape


def test_there_is_no_adjoint_where_no_path_leads_to_the_loss() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                scale = x.sum()
            return self.weight * scale * x.detach()

    trace = record(Cut(), torch.sum, torch.ones(2))
    assert adjoint_of(trace, trace.value("input")) is None
    trace = record(Cut(), torch.sum, torch.ones(2, dtype=torch.int64))
    assert adjoint_of(trace, trace.value("input")) is None


def test_a_view_that_was_overwritten_without_a_gradient_is_refused_and_not_left_out() -> None:
    class Stale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x: Tensor) -> Tensor:
            y = x * 3.0
            row = y[0]
            y.mul_(2)
            return self.weight * row + y[1] * self.weight

    trace = record(Stale(), torch.sum, torch.ones(2, 2))
    with pytest.raises(RunAgainError) as raised:
        adjoint_of(trace, trace.value("input"))
    assert (
        str(raised.value)
        == """\
The adjoint of input cannot be computed.
constant is a view of a value on the way that was overwritten in place, and without a gradient nothing says how they \
belong together.
Record the step with inputs and parameters that require gradients."""
    )
    followed = record(Stale(), torch.sum, torch.ones(2, 2, requires_grad=True))
    assert adjoint_of(followed, followed.value("input")).tolist() == [[6.0, 6.0], [6.0, 6.0]]


def test_without_a_backward_pass_adjoints_start_at_the_loss() -> None:
    frozen = nn.Linear(2, 1).double().requires_grad_(False)
    trace = record(frozen, torch.sum, torch.ones(3, 2, dtype=torch.float64))
    assert trace.value(trace.loss).adjoint is None
    assert adjoint_of(trace, trace.value("bias")).tolist() == [3.0]
    assert adjoint_of(trace, trace.value(trace.loss)).tolist() == 1.0


# -- loaded traces


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_a_loaded_trace_runs_ops_that_have_a_rule(name: str, tmp_path: Path) -> None:
    trace_of(name).save(tmp_path / "step.safetensors")
    trace = Trace.load(tmp_path / "step.safetensors")
    op = next(op for op in trace.ops if op.name == "linear")
    assert op.run is None
    with torch.enable_grad():
        (output,) = call_again(trace, op)
    assert torch.equal(output.detach(), trace.values[op.outputs[0]].data)


@pytest.mark.parametrize(
    "function",
    ["torch.load", "torch.save", "torch.hub.load", "os.system", "torch.Tensor.apply_", "torch.nn.functional.torch", ""],
)
def test_a_file_cannot_name_what_is_called(function: str) -> None:
    trace = trace_of("mlp")
    op = replace(next(op for op in trace.ops if op.name == "linear"), run=None, function=function)
    with pytest.raises(RunAgainError) as raised:
        call_again(trace, op)
    assert str(raised.value).startswith("The op linear of a loaded trace cannot be run again.\n")
    assert str(raised.value).endswith(
        f"""\
  found:    {function or "a function without a name"}
  expected: a function of torch that has a rule
Record the step again, and ask the trace that record() returns."""
    )


@pytest.mark.parametrize("wrong", [True, math.nan, None, "x", [1]])
def test_arguments_that_a_file_names_and_the_op_does_not_take(wrong: object) -> None:
    trace = trace_of("mlp")
    op = next(op for op in trace.ops if op.name == "linear")
    damaged = replace(op, run=None, source=None, arguments=(wrong, *op.arguments[1:]))
    with pytest.raises(RunAgainError) as raised:
        call_again(trace, damaged)
    assert (raised.value.what, raised.value.where) == ("The recorded arguments do not fit linear.", "linear in 0")
    assert raised.value.found.startswith(("TypeError: ", "AttributeError: "))
    assert raised.value.cause == "The trace file is damaged, or was changed after it was saved."


# -- errors


def error_of(trace: Trace, op: Op) -> str:
    with pytest.raises(RunAgainError) as raised:
        call_again(trace, replace(op, source=None))
    return str(raised.value)


def test_statistics_cannot_be_run_again() -> None:
    trace = record(nn.Linear(2, 1), torch.sum, torch.ones(1, 2), keep="statistics")
    assert (
        error_of(trace, trace.ops[0])
        == """\
The numbers of input are not in the trace.
  where:    linear
  found:    its statistics
  expected: the tensor itself
Record the step with keep="values" (and a larger byte_budget, if the trace has left_out)."""
    )


def test_a_tensor_that_was_overwritten_since_cannot_be_used() -> None:
    trace = record(nn.Linear(2, 1), torch.sum, torch.ones(1, 2))
    value: Value = trace.values[trace.ops[0].outputs[0]]
    assert isinstance(value.data, Tensor)
    value.data.add_(1)
    assert (
        error_of(trace, next(op for op in trace.ops if op.name == "sum"))
        == """\
The numbers of linear are not in the trace.
  where: sum
It is missing because it was overwritten in place after the recording."""
    )


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_opaque_ops_say_why_they_cannot_be_run_again() -> None:
    scripted = torch.jit.script(nn.Linear(2, 1))
    trace = record(nn.Sequential(scripted), torch.sum, torch.ones(1, 2))
    op = next(op for op in trace.ops if op.opaque)
    assert (
        error_of(trace, op)
        == """\
The op RecursiveScriptModule cannot be run again.
  where: RecursiveScriptModule in 0
It is a torch.jit module, which runs outside of Python: only what enters and leaves it is seen."""
    )


def test_a_checkpoint_is_not_called_again_because_it_runs_the_users_modules() -> None:
    trace = trace_of("reentrant checkpoint")
    op = next(op for op in trace.ops if op.name in NOT_RUN)
    assert error_of(trace, op).startswith(f"The op CheckpointFunction cannot be run again.\n  where: {op.name}")


def test_autocast_around_the_question_does_not_change_the_answer() -> None:
    trace = trace_of("mlp in float32")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for op in runnable(trace):
            for output, again in zip(op.outputs, call_again(trace, op), strict=True):
                assert torch.equal(again, trace.values[output].data)
    assert functional.linear(torch.ones(1, 1), torch.ones(1, 1)).dtype is torch.float32
