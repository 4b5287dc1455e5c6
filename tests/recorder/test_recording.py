"""The Recorder: blocks of any code, phases, accumulation, hooks, transforms, one recorder in another."""

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from recorder_checks import batch, lawless, names, network, op_named, step, what_torch_holds
from torch import Tensor, nn
from unusual_models import Around

from chainrule.errors import ChainruleError
from chainrule.recorder import Recorder, record
from chainrule.trace import Missing, Statistics, Trace

mse = nn.functional.mse_loss
CREATED = (
    "torch.autograd.grad ran inside the step. What it computed with create_graph=True was made by autograd's engine, "
    "so it stands in the trace as ops without a formula."
)
WRAPPED = "it is a batched or differentiated tensor inside torch.func, which has no numbers of its own"


def _recorded(take: Callable[[nn.Sequential, Tensor, Tensor], Any]) -> tuple[Trace, nn.Sequential]:
    """Record what `take` does with the network, check that it is what it does without, and return the trace."""
    inputs, targets = batch()
    model, twin = network(), network()
    take(model, inputs, targets)
    before = what_torch_holds()
    with Recorder(twin) as recorder:
        take(twin, inputs, targets)
    assert what_torch_holds() == before
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(parameter, other)
        assert (parameter.grad is None) == (other.grad is None)
        assert parameter.grad is None or torch.equal(parameter.grad, other.grad)
    return recorder.trace, twin


def _adjoints_are_gradients(trace: Trace, model: nn.Module) -> bool:
    return all(
        torch.equal(trace.value(name).adjoint, parameter.grad)  # type: ignore[arg-type]
        for name, parameter in model.named_parameters()
    )


def test_names_phases_and_modules() -> None:
    model = network()
    trace = record(model, mse, *batch(), torch.optim.SGD(model.parameters(), lr=0.1))
    assert [(op.name, op.phase, op.module, op.module_class) for op in trace.ops] == [
        ("linear", "forward", "0", "Linear"),
        ("tanh", "forward", "1", "Tanh"),
        ("linear", "forward", "2", "Linear"),
        ("mse_loss", "loss", "", ""),
        ("mse_loss backward", "backward", "", ""),
        ("linear backward", "backward", "2", "Linear"),
        ("tanh backward", "backward", "1", "Tanh"),
        ("linear backward", "backward", "0", "Linear"),
        ("SGD", "update", "", ""),
    ]
    assert [op.of for op in trace.ops_in("backward")] == [3, 2, 1, 0]
    assert [op.id for op in trace.ops] == list(range(9))
    assert [value.id for value in trace.values] == list(range(len(trace.values)))


def test_a_loss_inside_the_model_is_forward() -> None:
    model = Around(lambda self, x: self.linear(x).pow(2).mean())
    assert names(record(model, None, torch.ones(1, 4)), "forward") == ["linear", "pow", "mean"]
    assert names(record(model, None, torch.ones(1, 4)), "loss") == []


def test_gradients_of_two_passes_add_up() -> None:
    def accumulate(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        for scale in (1, 2):
            mse(model(inputs * scale), targets).backward()

    trace, model = _recorded(accumulate)
    assert lawless(trace) == []
    assert _adjoints_are_gradients(trace, model)


def test_the_same_graph_twice() -> None:
    def twice(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        loss = mse(model(inputs), targets)
        loss.backward(retain_graph=True)
        loss.backward()

    trace, model = _recorded(twice)
    assert lawless(trace) == []
    assert _adjoints_are_gradients(trace, model)
    assert names(trace, "backward") == ["mse_loss backward", "linear backward", "tanh backward", "linear backward"]


def test_gradients_are_clipped() -> None:
    def clip(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        mse(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        torch.optim.SGD(model.parameters(), lr=0.1).step()

    trace, model = _recorded(clip)
    assert lawless(trace) == []
    for update in trace.updates:
        adjoint = trace.value(update.parameter).adjoint  # as it arrived, before it was clipped
        assert isinstance(adjoint, Tensor)
        assert isinstance(update.gradient, Tensor)
        assert adjoint.norm() > update.gradient.norm()
        assert torch.equal(update.gradient, dict(model.named_parameters())[update.parameter].grad)
    assert {op.phase for op in trace.ops if op.name.startswith("foreach")} == {"update"}


def test_gradients_of_some_parameters_only() -> None:
    trace, _ = _recorded(lambda model, x, y: mse(model(x), y).backward(inputs=[model[0].weight]))
    assert lawless(trace) == []
    assert [value.name for value in trace.parameters if value.adjoint is not None] == ["0.weight"]


def test_two_losses_at_once() -> None:
    def backward(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        output = model(inputs)
        torch.autograd.backward([output.sum(), output.pow(2).sum()])

    trace, model = _recorded(backward)
    assert lawless(trace) == []
    assert _adjoints_are_gradients(trace, model)
    assert names(trace, "forward", "loss") == ["linear", "tanh", "linear", "sum", "pow", "sum"]
    assert trace.values[trace.loss or 0].name == "sum"


def test_an_update_by_hand_and_another_step() -> None:
    def train(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        for _ in range(2):
            model.zero_grad()
            mse(model(inputs), targets).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad

    trace, _ = _recorded(train)
    assert lawless(trace) == []
    assert names(trace, "update") == ["mul", "sub_"] * 8
    first = trace.value("0.weight")
    assert isinstance(first.data, Tensor)
    assert torch.equal(first.data, network()[0].weight)


def test_two_steps_of_an_optimizer() -> None:
    def train(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            mse(model(inputs), targets).backward()
            optimizer.step()

    trace, model = _recorded(train)
    assert lawless(trace) == []
    assert [value.name for value in trace.parameters][4:] == [f"{name}#2" for name, _ in model.named_parameters()]
    second = trace.value("2.bias#2")
    assert torch.equal(second.adjoint, model[2].bias.grad)  # type: ignore[arg-type]
    assert torch.equal(trace.updates[3].after, trace.updates[7].before)  # type: ignore[arg-type]


def test_a_scaled_loss() -> None:
    def train(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
        scaler.scale(mse(model(inputs), targets)).backward()
        scaler.step(optimizer)
        scaler.update()

    trace, _ = _recorded(train)
    assert lawless(trace) == []
    assert trace.values[trace.loss or 0].name == "mul"
    assert "SGD" in names(trace, "update")


def test_a_gradient_penalty() -> None:
    def penalty(self: Any, x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        output = self.linear(x).tanh().sum()
        (gradient,) = torch.autograd.grad(output, x, create_graph=True)
        return output + (gradient.norm() - 1) ** 2

    trace = record(Around(penalty), None, batch()[0])
    assert lawless(trace) == []
    assert trace.notes == [CREATED]
    assert [op.opaque.split(":")[0] for op in trace.ops if op.opaque] == ["Nothing was seen to be called"]


@pytest.mark.parametrize("in_place", [False, True])
def test_hooks_of_the_users_are_noted(in_place: bool) -> None:
    def double(adjoint: Tensor) -> Tensor | None:
        if in_place:
            adjoint.mul_(2)
            return None
        return adjoint * 2

    def forward(self: Any, x: Tensor) -> Tensor:
        hidden = self.linear(x)
        hidden.register_hook(double)
        return hidden.tanh().sum()

    trace = record(Around(forward), None, batch()[0])
    assert trace.notes == [
        "Hooks of the user's run on the gradient of linear.linear. What they change is in the adjoint, and not in the "
        "contributions that add up to it."
    ]
    hidden = trace.value("linear.linear")
    (use,) = hidden.uses
    assert isinstance(use.contribution, Tensor)
    assert torch.equal(hidden.adjoint, use.contribution * 2)  # type: ignore[arg-type]
    assert lawless(trace) == ["linear.linear"]


def test_full_backward_hooks_are_ops() -> None:
    model = nn.Sequential(network(), nn.Tanh())
    model[0].register_full_backward_hook(lambda module, given, arrived: (given[0] * 2,))
    inputs, targets = batch()
    trace = record(model, mse, inputs.requires_grad_(), targets)
    assert lawless(trace) == []
    assert names(trace, "forward").count("BackwardHookFunction") == 2


def test_an_optimizer_inside_of_the_backward_pass() -> None:
    def train(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        for parameter in model.parameters():
            optimizer = torch.optim.SGD([parameter], lr=0.1)
            parameter.register_post_accumulate_grad_hook(lambda _, optimizer=optimizer: optimizer.step())
        mse(model(inputs), targets).backward()

    trace, _ = _recorded(train)
    assert lawless(trace) == []
    assert [update.parameter for update in trace.updates] == ["2.bias", "2.weight", "0.bias", "0.weight"]


def test_an_optimizer_that_calls_another_one() -> None:
    class Outer(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            inner.step()
            return super().step(closure)

    model = network()
    inner = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs, targets = batch()
    with Recorder(model) as recorder:
        mse(model(inputs), targets).backward()
        Outer(model.parameters(), lr=0.1).step()
    assert names(recorder.trace, "update") == ["Outer"]
    assert all(torch.equal(update.after, model.get_parameter(update.parameter)) for update in recorder.trace.updates)


TRANSFORMS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "vmap": lambda self, x: torch.vmap(lambda row: self.linear(row).tanh())(x),
    "grad": lambda self, x: torch.func.grad(lambda z: self.linear(z).tanh().sum())(x),
    "jvp": lambda self, x: torch.func.jvp(lambda z: self.linear(z).tanh(), (x,), (x,))[1],
    "jacrev": lambda self, x: torch.func.jacrev(lambda z: self.linear(z).tanh())(x[0]),
    "hessian": lambda self, x: torch.func.hessian(lambda z: self.linear(z).tanh().sum())(x[0]),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_transforms_of_torch_func_are_missing_with_a_reason(name: str) -> None:
    torch.manual_seed(0)
    model = Around(TRANSFORMS[name])
    twin = copy.deepcopy(model)
    loss = model(batch()[0]).pow(2).sum()
    loss.backward()
    trace = record(twin, lambda output: output.pow(2).sum(), batch()[0])
    assert torch.equal(trace.values[trace.loss or 0].data, loss)  # type: ignore[arg-type]
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is None if other.grad is None else torch.equal(parameter.grad, other.grad)
    assert lawless(trace) == []
    reasons = {value.data.reason for value in trace.values if isinstance(value.data, Missing)}
    assert WRAPPED in reasons
    for value in trace.values:
        assert not isinstance(value.data, Tensor) or not torch._C._functorch.is_functorch_wrapped_tensor(value.data)


def test_one_recorder_in_another() -> None:
    model = network()
    inputs, targets = batch()
    with Recorder(model) as outer, Recorder(model) as inner:
        mse(model(inputs), targets).backward()
    assert names(outer.trace) == names(inner.trace)
    assert [(op.phase, op.module) for op in outer.trace.ops] == [(op.phase, op.module) for op in inner.trace.ops]
    assert outer.trace.loss == inner.trace.loss
    for trace in (outer.trace, inner.trace):
        assert lawless(trace) == []
        assert _adjoints_are_gradients(trace, model)


def test_record_inside_of_a_recorded_model() -> None:
    inside: list[Trace] = []
    inner, inputs, targets = network(), *batch()

    def forward(self: Any, x: Tensor) -> Tensor:
        inside.append(record(inner, mse, inputs, targets))
        return self.linear(x).sum()

    trace = record(Around(forward), None, batch()[0])
    assert names(inside[0]) == names(record(network(), mse, *batch()))
    assert lawless(inside[0]) == lawless(trace) == []
    assert names(trace, "forward") == ["linear", "tanh", "linear", "mse_loss", "linear", "sum"]


def test_a_recorder_records_once() -> None:
    recorder = Recorder(network())
    with recorder:
        pass
    before = what_torch_holds()
    with pytest.raises(ChainruleError) as caught, recorder:
        pass
    assert str(caught.value) == (
        "A Recorder records one block of code, and this one has done so.\n"
        "Make another one: `with Recorder(model) as recorder:`"
    )
    assert what_torch_holds() == before


def test_a_copy_of_the_model_is_unknown() -> None:
    model = network()
    twin = copy.deepcopy(model)
    inputs, targets = batch()
    with Recorder(model) as recorder:
        mse(twin(inputs), targets).backward()
    trace = recorder.trace
    assert [op.module for op in trace.ops_in("forward")][:3] == ["(Linear)", "(Tanh)", "(Linear)"]
    assert trace.parameters == []
    assert trace.values[0].name == "constant"
    assert lawless(trace) == []


def test_decisions_have_values_and_lines() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(2.0))

        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 1:
                x = x * self.gain.item()
            x.tolist()
            return x.sum() * self.gain

    trace = record(Deciding(), None, torch.ones(3))
    assert [(each.what, trace.values[each.value].name, each.result) for each in trace.decisions] == [
        ("bool", "gt", True),
        ("item", "gain", 2.0),
        ("tolist", "mul", None),
    ]
    assert [each.source.text for each in trace.decisions if each.source] == [
        "if x.sum() > 1:",
        "x = x * self.gain.item()",
        "x.tolist()",
    ]


def test_later_steps_of_the_users_change_no_value() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Linear(5, 1))
    optimizer = torch.optim.Adam(model.parameters())
    trace = record(model, mse, *batch(), optimizer)
    values = [value.data.clone() for value in trace.values if isinstance(value.data, Tensor)]
    adjoints = [value.adjoint.clone() for value in trace.values if isinstance(value.adjoint, Tensor)]
    assert len(values) == len(trace.values)
    for _ in range(2):
        step(model, optimizer)
    for value, before in zip(trace.values, values, strict=True):
        assert isinstance(value.data, Tensor), value.name
        assert torch.equal(value.data, before), value.name
    after = [value.adjoint for value in trace.values if value.adjoint is not None]
    assert all(torch.equal(one, other) for one, other in zip(after, adjoints, strict=True))  # type: ignore[arg-type]


def test_a_trace_is_freed_when_it_is_dropped() -> None:
    model = network()
    gc.collect()
    gc.disable()
    try:
        trace = record(model, mse, *batch(), torch.optim.Adam(model.parameters()))
        tensors = [weakref.ref(value.data) for value in trace.values if isinstance(value.data, Tensor)]
        adjoints = [weakref.ref(value.adjoint) for value in trace.values if isinstance(value.adjoint, Tensor)]
        assert len(tensors) + len(adjoints) > 15
        del trace
        assert [reference() for reference in tensors + adjoints] == [None] * len(tensors + adjoints)
    finally:
        gc.enable()


@pytest.mark.parametrize("depth", [2, 8])
def test_statistics_keep_no_tensor_alive(depth: int) -> None:
    model = nn.Sequential(*[layer for _ in range(depth) for layer in (nn.Linear(8, 8), nn.ReLU())])
    made: list[weakref.ref[Tensor]] = []
    for module in model:
        module.register_forward_hook(lambda module, inputs, output: made.append(weakref.ref(output)))
    trace = record(model, torch.sum, torch.ones(2, 8), keep="statistics")
    assert len(made) == 2 * depth
    assert [reference() for reference in made] == [None] * len(made)
    assert all(isinstance(value.data, Statistics) for value in trace.values)


def test_what_is_written_by_code_that_nobody_sees_is_missing() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        hidden = self.linear(x)
        return hidden.sum()

    inputs = torch.ones(2, 4)
    trace = record(Around(forward), None, inputs)
    value = trace.value("linear.linear")
    assert isinstance(value.data, Tensor)
    value.data.add_(1)  # after the recording there is nobody to copy it first
    assert value.data == Missing("it was overwritten in place after the recording")


def test_the_arguments_of_an_op() -> None:
    trace = record(Around(lambda self, x: torch.cat([x, self.linear(x)], dim=1).sum()), None, torch.ones(2, 4))
    joined = op_named(trace, "cat")
    assert [(trace.values[use.value].name, use.place) for use in joined.inputs] == [
        ("input", (0, 0)),
        ("linear.linear", (0, 1)),
    ]
    assert joined.function == "torch.cat"
    assert dict(joined.keywords) == {"dim": 1}
    assert joined.source is not None
    assert joined.source.function == "<lambda>"
