"""The law of a recording, on every kind of model: contributions add up to autograd's gradient, and nothing changes.

The step that is recorded and the bare one start from the same model and generator, so their results must be the same
bits: loss, gradients, parameters and buffers after the update, and the generators.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recorder_models import CASES, Case
from summing import check_sums, dense
from torch import Tensor, nn

from chainrule.recorder import record
from chainrule.trace import Missing, Statistics, Trace, Value

# torch's own: of torch.jit, and of what torch.compile looks at while it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]
NAMES = sorted(CASES)


def _optimizer(model: nn.Module, name: str) -> torch.optim.Optimizer:
    if "sparse" in name:
        return torch.optim.SGD(model.parameters(), lr=0.01)
    return torch.optim.AdamW(model.parameters(), lr=0.01)


def _fresh(inputs: Any) -> Any:
    if isinstance(inputs, Tensor) and inputs.requires_grad:
        return inputs.detach().clone().requires_grad_()
    return inputs


def _bare(case: Case, model: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    inputs = _fresh(case.inputs)
    with case.context():
        optimizer.zero_grad()
        output = model(**inputs) if isinstance(inputs, dict) else model(inputs)
        loss = output["loss"] if case.loss is None else case.loss(output, case.targets)
        loss.backward()
        optimizer.step()
    return loss.detach()


def _recorded(case: Case, model: nn.Module, optimizer: torch.optim.Optimizer, **settings: Any) -> Trace:
    with case.context():
        return record(model, case.loss, _fresh(case.inputs), case.targets, optimizer, **settings)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _ends(trace: Trace) -> list[Value]:
    """Return the values with an adjoint that nothing sent back: where a backward pass begins."""
    return [
        value
        for value in trace.values
        if value.adjoint is not None and not any(use.contribution is not None for use in value.uses)
    ]


def test_contributions_add_up_to_the_gradient(name: str) -> None:
    case = CASES[name]
    model = case.make()
    torch.manual_seed(7)
    trace = _recorded(case, model, _optimizer(model, name))
    sums = check_sums(trace)
    assert sums.wrong == []
    assert sums.checked >= 3
    assert sums.exact >= 0.75 * sums.checked
    ends = 2 if name == "checkpoint, reentrant" else 1  # its inner backward pass begins at its own output
    assert len(_ends(trace)) == ends
    assert trace.loss in [value.id for value in _ends(trace)]
    for parameter in trace.parameters:
        gradient = dict(model.named_parameters())[parameter.name].grad
        if gradient is None:
            assert parameter.adjoint is None
        else:
            assert isinstance(parameter.adjoint, Tensor)
            assert torch.equal(dense(parameter.adjoint), dense(gradient))


@pytest.mark.parametrize("keep", ["values", "statistics"])
def test_a_recorded_step_is_the_bare_step(name: str, keep: Any) -> None:
    case = CASES[name]
    results: list[tuple[Tensor, nn.Module, Tensor]] = []
    takes: tuple[Callable[..., Any], ...] = (_bare, lambda *step: _recorded(*step, keep=keep))
    for take in takes:
        model = case.make()
        torch.manual_seed(7)
        found = take(case, model, _optimizer(model, name))
        loss = found if isinstance(found, Tensor) else found.values[found.loss].data
        results.append((loss, model, torch.get_rng_state()))
    (loss, model, state), (recorded_loss, recorded_model, recorded_state) = results
    if isinstance(recorded_loss, Statistics):
        assert recorded_loss.mean == loss.item()
    else:
        assert torch.equal(recorded_loss, loss)
    assert torch.equal(state, recorded_state)
    for (key, entry), other in zip(model.state_dict().items(), recorded_model.state_dict().values(), strict=True):
        assert torch.equal(entry, other), key
    for (key, parameter), other in zip(model.named_parameters(), recorded_model.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None), key
        assert parameter.grad is None or torch.equal(dense(parameter.grad), dense(other.grad)), key


def test_every_number_is_there_when_the_step_is_over(name: str) -> None:
    case = CASES[name]
    model = case.make()
    torch.manual_seed(7)
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    trace = _recorded(case, model, _optimizer(model, name))
    missing = [value.name for value in trace.values if isinstance(value.data, Missing) and value.kind != "hidden"]
    assert missing == []
    for parameter in trace.parameters:
        assert isinstance(parameter.data, Tensor)
        assert torch.equal(parameter.data, before[parameter.name])


def test_statistics_are_those_of_the_values(name: str) -> None:
    case = CASES[name]
    traces = []
    for keep in ("values", "statistics"):
        model = case.make()
        torch.manual_seed(7)
        traces.append(_recorded(case, model, _optimizer(model, name), keep=keep))
    values, statistics = traces
    assert [op.name for op in values.ops] == [op.name for op in statistics.ops]
    assert [value.name for value in values.values] == [value.name for value in statistics.values]
    for value, summary in zip(values.values, statistics.values, strict=True):
        if value.producer is not None and values.ops[value.producer].name.startswith("empty"):
            continue  # memory that nothing has been written to
        for number, numbers in ((value.data, summary.data), (value.adjoint, summary.adjoint)):
            assert isinstance(number, Tensor) == isinstance(numbers, Statistics)
            if isinstance(number, Tensor) and isinstance(numbers, Statistics) and number.numel():
                wide = dense(number)
                wide = (wide.abs() if wide.is_complex() else wide).double()
                finite = wide[wide.isfinite()]
                assert numbers.count == wide.numel()
                assert numbers.not_finite == wide.numel() - finite.numel()
                assert numbers.zeros == (wide == 0).double().mean().item()
                if finite.numel():
                    largest = finite.abs().max().item() or 1.0
                    mean = (finite / largest).mean().item() * largest
                    assert numbers.mean == pytest.approx(mean, rel=1e-4, abs=1e-5 * largest)
                    assert numbers.maximum == finite.max().item()
