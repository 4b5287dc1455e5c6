"""Every number of a sampled step, worked out again by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule.data import load_data
from chainrule.errors import UserModuleError
from chainrule.shapes import Tensor
from chainrule.tasks import Task
from chainrule.training import observing, train
from chainrule.training.devices import placement
from chainrule.training.observing import RunObserver
from chainrule.training.six_steps import initialise, repeat
from chainrule.training.statistics import sample_interval

Make = Callable[..., Task]
FLOAT64 = {"device": "cpu", "precision": "float64"}


def norm(tensor: Tensor) -> float:
    return tensor.detach().square().sum().sqrt().item()


@pytest.mark.parametrize("activation", ["Tanh", "ReLU", "Sigmoid"])
def test_every_number_of_the_first_step(small_task: Make, activation: str) -> None:
    """By hand: the layers as matrices, the derivatives as formulas, the gradients by autograd on one expression."""
    penalty = [
        {"kind": "L2", "strength": 0.3, "modules": "hidden1_activation", "normalisation": "mean"},
        {"kind": "L1", "strength": 0.2, "modules": "output", "normalisation": "sum"},
    ]
    task = small_task(
        model={"layers": [4, 1], "activation": activation},
        data={"batch_size": "full"},
        penalty=penalty,
        loss="MSELoss",
        run=FLOAT64,
        stop={"epochs": 1},
    )
    run = train(task)
    with placement("cpu", "float64") as place:
        state = initialise(task, place, load_data(task.data, task.seed))
    x, t = state.batches.inputs, state.batches.targets
    weights = {name: parameter.detach().clone().requires_grad_() for name, parameter in state.model.named_parameters()}
    z = x @ weights["hidden1.weight"].T + weights["hidden1.bias"]
    a = getattr(torch, activation.lower())(z)
    slope = {"Tanh": 1 - a**2, "ReLU": (z > 0).double(), "Sigmoid": a * (1 - a)}[activation]
    output = a @ weights["output.weight"].T + weights["output.bias"]
    loss = (t - output).square().mean()
    first, second = 0.3 * a.square().mean(), 0.2 * output.abs().sum()

    def gradients(value: Tensor) -> dict[str, Tensor]:
        found = torch.autograd.grad(value, list(weights.values()), retain_graph=True)
        return dict(zip(weights, found, strict=True))

    of_loss, of_penalty, of_all = gradients(loss), gradients(first + second), gradients(loss + first + second)
    labels = list(run.state.parts)[1:]
    wanted = {
        "loss": (loss + first + second).item(),
        "lr": 0.05,
        "data_loss": loss.item(),
        f"penalty/{labels[0]}": first.item(),
        f"penalty/{labels[1]}": second.item(),
        "activation_mean/hidden1_activation": a.mean().item(),
        "activation_spread/hidden1_activation": ((a - a.mean()) ** 2).mean().sqrt().item(),
        "zeros/hidden1_activation": (a == 0).double().mean().item(),
        "saturated/hidden1_activation": (slope.abs() < 0.01).double().mean().item(),
    }
    for name, weight in weights.items():
        wanted[f"gradient_norm/{name}"] = norm(of_all[name])
        wanted[f"update_ratio/{name}"] = norm(0.05 * of_all[name]) / norm(weight)
        wanted[f"penalty_gradient_ratio/{name}"] = norm(of_penalty[name]) / norm(of_loss[name])
    found = {name: run.history[name].values[0] for name in run.history if 0 in run.history[name].steps}
    assert found == pytest.approx(wanted, rel=1e-12)
    assert (wanted["zeros/hidden1_activation"] > 0) == (activation == "ReLU")


def test_saturation_counts_small_derivatives(small_task: Make) -> None:
    """Of tanh at 0, 3 and −3 the derivatives are 1, .0099 and .0099; of tanh at 2.9 it is .0121."""
    task = small_task(
        model={"layers": [1, 1], "bias": False, "weights": [[[1.0]], [[1.0]]], "activation": "Tanh"},
        data={"inputs": [[0.0], [3.0], [-3.0], [2.9]], "targets": [[0.0], [0.1], [0.2], [0.3]], "batch_size": "full"},
        run=FLOAT64,
    )
    run = train(task)
    assert run.history["saturated/hidden1_activation"].values[0] == 0.5
    assert run.history["zeros/hidden1_activation"].values[0] == 0.25


def test_an_activation_in_place_has_no_saturation(small_task: Make, tmp_path: Path) -> None:
    (tmp_path / "in_place.py").write_text(
        "from torch import nn\n\n\ndef build():\n    return nn.Sequential(nn.Linear(3, 1), nn.ReLU(inplace=True))\n"
    )
    run = train(small_task(model={"module": f"{tmp_path}/in_place.py:build"}))
    assert "zeros/1" in run.history
    assert "saturated/1" not in run.history


def test_a_module_without_activations_shows_its_layers(small_task: Make) -> None:
    run = train(small_task(model={"layers": [4, 1], "activation": "Identity"}))
    names = sorted(name for name in run.history if name.startswith("activation_mean/"))
    assert names == ["activation_mean/hidden1", "activation_mean/output"]


@pytest.mark.parametrize(("steps", "interval"), [(1, 1), (20, 1), (21, 2), (1000, 50), (1001, 51)])
def test_at_most_twenty_samples(steps: int, interval: int) -> None:
    assert sample_interval(steps) == interval
    assert -(-steps // interval) <= 20


FAILING = """
from torch import nn


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.activation, self.calls = nn.Linear(3, 1), nn.Tanh(), 0

    def forward(self, x):
        self.calls += self.training
        y = self.activation(self.layer(x))
        if self.calls == 3:
            raise ValueError("the third time")
        return y
"""


def test_hooks_are_gone_after_an_error_in_forward(
    small_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.setattr(observing, "sample_interval", lambda steps: 1)
    task = small_task(
        model={"module": f"{tmp_path}/failing.py:Failing"},
        penalty=[{"kind": "L1", "strength": 0.1, "modules": "activation"}],
    )
    with placement("cpu", "float32") as place:
        state = initialise(task, place, load_data(task.data, task.seed))
        observer = RunObserver(state, (), None, None)
        with pytest.raises(UserModuleError, match="the third time"):
            repeat(state, observer)
        assert state.model.get_submodule("activation")._forward_hooks
        observer.close()
        assert state.penalties is not None
        state.penalties.remove()
    assert not any(module._forward_hooks for module in state.model.modules())


def test_sparse_gradients_are_left_out(small_task: Make, tmp_path: Path) -> None:
    (tmp_path / "embedded.py").write_text(
        "from torch import nn\n\n\nclass Embedded(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.table, self.tanh, self.last = nn.Embedding(4, 3, sparse=True), nn.Tanh(), nn.Linear(3, 1)\n\n"
        "    def forward(self, x):\n        return self.last(self.tanh(self.table((x.abs() * 3.99).long()).sum(1)))\n"
    )
    run = train(small_task(model={"module": f"{tmp_path}/embedded.py:Embedded"}, optimizer={"name": "SGD", "lr": 0.1}))
    assert "gradient_norm/last.weight" in run.history
    assert "gradient_norm/table.weight" not in run.history
    assert run.trajectory is not None
    assert run.trajectory.gradients[0].abs().sum() > 0
    assert isinstance(run.model.get_submodule("table"), nn.Embedding)
