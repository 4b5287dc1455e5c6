"""Updates: each parameter, its state and its group, before and after."""

import torch
from recorder_checks import batch, network
from torch import Tensor, nn

from chainrule.recorder import Recorder, record

mse = nn.functional.mse_loss


def test_groups_have_their_own_settings() -> None:
    model = network()
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[2].parameters()}], lr=0.1
    )
    updates = record(model, mse, *batch(), optimizer).updates
    assert [(update.parameter, update.hyperparameters["lr"]) for update in updates] == [
        ("0.weight", 0.5), ("0.bias", 0.5), ("2.weight", 0.1), ("2.bias", 0.1),
    ]  # fmt: skip
    assert all("params" not in update.hyperparameters for update in updates)


def test_a_parameter_without_a_gradient_is_left_alone() -> None:
    model = network()
    model[0].requires_grad_(requires_grad=False)
    trace = record(model, mse, *batch(), torch.optim.Adam(model.parameters()))
    frozen = trace.updates[0]
    assert (frozen.parameter, frozen.gradient, frozen.state_after) == ("0.weight", None, {})
    assert torch.equal(frozen.before, frozen.after)  # type: ignore[arg-type]


def test_state_before_and_after() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    assert record(model, mse, *batch(), optimizer).updates[0].state_before == {}
    update = record(model, mse, *batch(), optimizer).updates[0]
    assert update.state_before["step"] == 1
    assert update.state_after["step"] == 2
    before, after = update.state_before["exp_avg"], update.state_after["exp_avg"]
    assert isinstance(before, Tensor)
    assert isinstance(update.gradient, Tensor)
    assert torch.allclose(after, 0.9 * before + 0.1 * update.gradient)  # type: ignore[arg-type]


def test_a_sparse_gradient() -> None:
    model = nn.Embedding(5, 2, sparse=True)
    trace = record(model, torch.sum, torch.tensor([1, 1]), None, torch.optim.SGD(model.parameters(), lr=1.0))
    update = trace.updates[0]
    assert torch.equal(update.after, model.weight)  # type: ignore[arg-type]
    assert torch.allclose(update.before - update.after, update.gradient.to_dense())  # type: ignore[operator, union-attr]


def test_a_parameter_of_another_model() -> None:
    model, other = network(), nn.Linear(4, 1)
    inputs, targets = batch()
    with Recorder(model) as recorder:
        (mse(model(inputs), targets) + other(inputs).sum()).backward()
        torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1).step()
    assert len(recorder.trace.updates) == 6
    assert len({update.parameter for update in recorder.trace.updates}) == 6
