"""Loss and metric of a part, against scikit-learn and against the loss itself."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, r2_score
from torch import nn

from chainrule.components import build_objective
from chainrule.errors import UserModuleError
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.tasks.specs import Component
from chainrule.training import evaluation, train
from chainrule.training.evaluation import evaluate, evaluating, metric

Make = Callable[..., Task]


@pytest.mark.parametrize("columns", [1, 3])
def test_r_squared_is_that_of_scikit_learn(columns: int) -> None:
    """For several outputs it is one number over all of them: the variance-weighted mean."""
    draw = torch.Generator().manual_seed(columns)
    truth = torch.randn(40, columns, generator=draw, dtype=torch.float64) * torch.arange(1, columns + 1)
    prediction = truth + torch.randn(40, columns, generator=draw, dtype=torch.float64)
    objective = build_objective(Component(name="MSELoss"), 0, columns, columns)
    name, value = metric(objective, prediction, truth)
    assert name == "R²"
    assert value == pytest.approx(r2_score(truth, prediction, multioutput="variance_weighted"), rel=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
def test_accuracy_is_that_of_scikit_learn(classes: int) -> None:
    draw = torch.Generator().manual_seed(classes)
    prediction = torch.randn(50, classes, generator=draw)
    truth = torch.randint(classes, (50,), generator=draw)
    objective = build_objective(Component(name="CrossEntropyLoss"), classes, 0, classes)
    assert metric(objective, prediction, truth) == ("accuracy", accuracy_score(truth, prediction.argmax(dim=1)))


@pytest.mark.parametrize("truth", [[[3.0]], [[2.0], [2.0], [2.0]]])
def test_r_squared_of_what_does_not_vary_is_left_out(truth: list[list[float]]) -> None:
    objective = build_objective(Component(name="MSELoss"), 0, 1, 1)
    name, value = metric(objective, torch.zeros(len(truth), 1), torch.tensor(truth))
    assert name == ""
    assert value != value


@pytest.mark.parametrize("rows_at_once", [1, 7, 23, 100])
def test_pieces_make_the_same_whole(small_task: Make, monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    run = train(small_task(classes=3, run={"device": "cpu", "precision": "float64"}))
    state, part = run.state, run.data.train
    arguments = (state.model, state.objective, state.batches.inputs, state.batches.targets, part.targets)
    whole = evaluate(*arguments)
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", rows_at_once)
    pieces = evaluate(*arguments)
    assert torch.allclose(pieces.predictions, whole.predictions, rtol=1e-13)
    assert (pieces.loss, pieces.metric) == (pytest.approx(whole.loss, rel=1e-13), whole.metric)


def test_penalties_are_no_part_of_an_evaluation(small_task: Make) -> None:
    keys: dict[str, Any] = {"loss": "MSELoss", "data": {"batch_size": "full"}}
    run = train(small_task(penalty=[{"kind": "L2", "strength": 1.0, "modules": "hidden1_activation"}], **keys))
    predictions = run.evaluations["train"].predictions
    wanted = nn.functional.mse_loss(predictions, run.state.batches.targets)
    assert run.evaluations["train"].loss == pytest.approx(wanted.item(), rel=1e-6)
    assert run.history["loss"].values[-1] > run.evaluations["train"].loss * 1.05


class Merging(nn.Module):
    """Has its own way to change its mode, as adapters do that merge their weights for inference."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.frozen, self.merged = nn.Linear(1, 1), nn.BatchNorm1d(1), False
        self.train()
        self.frozen.eval()

    def train(self, mode: bool = True) -> "Merging":
        self.merged = not mode
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        if not self.merged:
            raise ValueError("not merged")
        return self.frozen(self.inner(x))  # type: ignore[no-any-return]


def test_the_mode_of_every_module_is_put_back() -> None:
    model = Merging()
    with evaluating(model):
        assert model.merged
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert not model.merged
    assert [module.training for module in model.modules()] == [True, True, False]
    assert torch.is_grad_enabled()


def test_the_mode_is_put_back_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 1))
    objective = build_objective(Component(name="MSELoss"), 0, 1, 1)
    with pytest.raises(UserModuleError):
        evaluate(model, objective, torch.ones(3, 5), torch.ones(3, 1), torch.ones(3, 1))
    assert all(module.training for module in model.modules())


def test_an_evaluation_moves_no_running_statistics(small_task: Make, noisy: str) -> None:
    run = train(small_task(model={"module": f"{noisy}:Noisy"}, data={"batch_size": 6}))
    before = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
    run.model.train()
    state = run.state
    evaluate(state.model, state.objective, state.batches.inputs, state.batches.targets, run.data.train.targets)
    assert all(torch.equal(buffer, before[name]) for name, buffer in run.model.named_buffers())
