"""A trace stays as it is while training goes on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.errors import ChainruleError
from chainrule.recorder import Recorder, record, step
from chainrule.recorder.recording import COPIED_BYTES
from chainrule.trace import Kept, Missing, Trace, read


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def _batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 3, generator=generator), torch.randint(0, 2, (8,), generator=generator)


def _numbers(trace: Trace) -> list[Tensor]:
    kept: list[Kept | None] = []
    for value in trace.values:
        kept += [value.kept, value.kept_adjoint, *(part for use in value.uses for part in use.sent)]
    for update in trace.updates:
        kept += [update.kept_before, update.kept_after, update.kept_gradient]
        kept += [*update.kept_state_before.values(), *update.kept_state_after.values()]
    numbers = [read(each) for each in kept if each is not None]
    assert all(isinstance(number, Tensor) for number in numbers)
    return [number.clone() for number in numbers if isinstance(number, Tensor)]


def _train_on(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    inputs, targets = _batch()
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()


def _record_again(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    record(model, functional.cross_entropy, *_batch(), optimizer)


def _overwrite_gradients(model: nn.Module, _: torch.optim.Optimizer) -> None:
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad.data.fill_(7.0)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    model.zero_grad(set_to_none=False)


def _overwrite_inputs(model: nn.Module, _: torch.optim.Optimizer) -> None:
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.zero_()


@pytest.mark.parametrize("go_on", [_train_on, _record_again, _overwrite_gradients, _overwrite_inputs])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_what_happens_afterwards_changes_no_number(
    go_on: Callable[[nn.Module, torch.optim.Optimizer], None], kind: type[torch.optim.Optimizer]
) -> None:
    model = _model()
    optimizer = kind(model.parameters(), lr=0.1)  # type: ignore[call-arg]
    trace = record(model, functional.cross_entropy, *_batch(), optimizer)
    before = _numbers(trace)
    go_on(model, optimizer)
    for earlier, later in zip(before, _numbers(trace), strict=True):
        assert torch.equal(earlier, later)


def test_the_state_after_a_large_update_is_missing_once_it_is_overwritten() -> None:
    side = int((COPIED_BYTES / 4 / 2) ** 0.5) + 1  # parameter and gradient together are above the limit
    model = nn.Linear(side, side, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trace = record(model, lambda output: output.sum(), torch.ones(1, side), optimizer=optimizer)
    assert isinstance(trace.updates[0].after, Tensor)
    optimizer.step()
    assert trace.updates[0].after == Missing("it was overwritten in place after the recording")
    assert isinstance(trace.updates[0].before, Tensor)


def test_an_update_names_its_parameter_though_the_forward_pass_wrote_over_it() -> None:
    class Clipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.1, 0.5, 0.9]))

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.weight.clamp_(0.2, 0.8)
            return x * self.weight

    model = Clipped()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trace = record(model, lambda output: output.sum(), torch.ones(1, 3), optimizer=optimizer)
    assert [update.parameter for update in trace.updates] == ["weight"]
    assert torch.equal(torch.as_tensor(trace.value("weight").adjoint), torch.ones(3))


def test_an_update_of_another_models_parameters_has_a_name_that_resolves() -> None:
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    with Recorder(model) as recorder:
        (model(torch.ones(1, 2)) + other(torch.ones(1, 2))).sum().backward()
        optimizer.step()
    for update in recorder.trace.updates:
        assert recorder.trace.value(update.parameter).id == update.value


def test_what_is_no_optimizer_is_refused() -> None:
    with pytest.raises(ChainruleError) as caught:
        step._check(nn.Linear(2, 1), None, "values", None, torch.optim.Adam)
    assert str(caught.value) == (
        "An optimizer is made for the model's parameters before the step.\n"
        "  found:    Adam\n"
        "  expected: an instance of a class of torch.optim, or None for no update\n"
        "For example: torch.optim.SGD(model.parameters(), lr=0.1)"
    )
