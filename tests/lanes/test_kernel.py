"""A kernel trains as the plain loop does, and its bits depend on nothing but the run."""

import numpy as np
import pytest
import torch
from plain_loop import plain_losses, relative_difference
from torch import nn

from chainrule.errors import ShapeError, UnknownNameError
from chainrule.lanes import Group, Runs, Shape, StepDescription, Varying, compile_runs, supervised

LR = Varying("lr", 0.5)


def half_square(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((target - prediction) ** 2).sum()


def worked_example() -> StepDescription:
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sigmoid(), nn.Linear(2, 2, bias=False), nn.Sigmoid())
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.15, 0.20], [0.25, 0.30]]))
        network[2].weight.copy_(torch.tensor([[0.40, 0.45], [0.50, 0.55]]))
    samples = {"inputs": torch.tensor([[0.05, 0.10]]), "targets": torch.tensor([[0.01, 0.99]])}
    groups = (Group(("0.weight", "2.weight"), {"lr": LR}),)
    return StepDescription(network, supervised(half_square), "SGD", groups, samples)


def layers(activation: type[nn.Module] = nn.Tanh, samples: int = 13) -> StepDescription:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(5, 11), activation(), nn.Linear(11, 7), activation(), nn.Linear(7, 3))
    data = {"inputs": torch.randn(samples, 5), "targets": torch.randn(samples, 3)}
    groups = (
        Group(("0.weight", "0.bias"), {"lr": Varying("lr.0", 0.05)}),
        Group(("2.weight", "2.bias", "4.weight", "4.bias"), {"lr": Varying("lr.1", 0.1)}),
    )
    return StepDescription(network, supervised(nn.functional.mse_loss), "SGD", groups, data)


def test_the_worked_example() -> None:
    rates = np.array([0.1, 0.5, 2.0, 30.0])
    outcome = compile_runs(worked_example()).run(Runs(4, settings={"lr": rates}), 50)
    assert outcome.losses is not None
    for losses, rate in zip(outcome.losses, rates, strict=True):
        assert relative_difference(losses, plain_losses(worked_example(), {"lr": rate}, 50)) < 1e-12
    assert not outcome.diverged.any()


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Sigmoid])
def test_layers_with_a_rate_each(activation: type[nn.Module]) -> None:
    description = layers(activation)
    settings = {"lr.0": np.array([0.01, 0.3]), "lr.1": np.array([0.2, 0.05])}
    outcome = compile_runs(description).run(Runs(2, settings=settings), 50)
    assert outcome.losses is not None
    for number, losses in enumerate(outcome.losses):
        plain = plain_losses(description, {name: values[number] for name, values in settings.items()}, 50)
        assert relative_difference(losses, plain) < 1e-12


@pytest.mark.parametrize("make", [worked_example, layers])
def test_the_bits_of_a_run_do_not_depend_on_what_runs_beside_it(make: object) -> None:
    description = make()  # type: ignore[operator]  # one of the two functions above
    rates = np.geomspace(0.01, 100.0, 19)  # the last ones diverge
    settings = {item.name: rates for item in description.varying}
    usual = compile_runs(description).run(Runs(19, settings=settings, keeps_states=True), 40)
    assert usual.losses is not None
    assert usual.states is not None
    shapes = (
        (Shape(4, 32, tile=1), Shape(16, 8, tile=5)) if description.sample_count > 1 else (Shape(2, 16), Shape(4, 32))
    )
    for shape in shapes:
        kernel = compile_runs(description, shape=shape)
        for threads in (1, 3):
            outcome = kernel.run(Runs(19, settings=settings, keeps_states=True), 40, threads=threads)
            assert np.array_equal(outcome.losses, usual.losses, equal_nan=True)
            assert all(np.array_equal(outcome.states[n], v, equal_nan=True) for n, v in usual.states.items())
        alone = kernel.run(Runs(1, settings=dict.fromkeys(settings, rates[7:8])), 40)
        assert np.array_equal(alone.losses[0], usual.losses[7])


def test_initial_values_of_each_run() -> None:
    description = layers()
    names = [name for name, _ in description.network.named_parameters()]
    rng = np.random.default_rng(2)
    first = rng.standard_normal((3, 11, 5))
    scale, offset = np.array([1.0, 0.5, 2.0]), np.array([0.0, 0.1, -0.2])
    settings = {"lr.0": np.full(3, 0.1), "lr.1": np.full(3, 0.1)}
    runs = Runs(3, {"0.weight": first}, settings, scale={"2.weight": scale}, offset={"2.weight": offset})
    outcome = compile_runs(description).run(runs, 20)
    assert outcome.losses is not None
    second = dict(description.network.named_parameters())["2.weight"].detach().double().numpy()
    assert names[0] == "0.weight"
    for run in range(3):
        initial = {"0.weight": first[run], "2.weight": second * scale[run] + offset[run]}
        plain = plain_losses(description, {"lr.0": 0.1, "lr.1": 0.1}, 20, initial=initial)
        assert relative_difference(outcome.losses[run], plain) < 1e-12


def test_float32_is_close() -> None:
    description = layers()
    settings = {"lr.0": np.array([0.1]), "lr.1": np.array([0.1])}
    single = StepDescription(
        description.network, description.objective, "SGD", description.groups, description.samples, precision="float32"
    )
    outcome = compile_runs(single).run(Runs(1, settings=settings), 50)
    assert outcome.losses is not None
    assert outcome.losses.dtype == np.float32
    assert relative_difference(outcome.losses[0], plain_losses(description, {"lr.0": 0.1, "lr.1": 0.1}, 50)) < 1e-5


def test_names_and_shapes_that_do_not_fit() -> None:
    kernel = compile_runs(worked_example())
    with pytest.raises(UnknownNameError) as unknown:
        kernel.run(Runs(2, settings={"rate": np.ones(2)}), 1)
    assert str(unknown.value) == ("There is no varying hyperparameter 'rate'.\n  found:    rate\n  expected: one of lr")
    with pytest.raises(UnknownNameError) as missing:
        kernel.run(Runs(2), 1)
    assert str(missing.value) == (
        "The hyperparameter 'lr' varies, but the runs say nothing of it.\n  expected: 2 numbers, one for each run"
    )
    with pytest.raises(ShapeError) as shape:
        kernel.run(Runs(2, {"0.weight": np.ones((3, 2))}, {"lr": np.ones(2)}), 1)
    assert str(shape.value) == (
        "The numbers given for '0.weight' have another shape.\n  found:    [3, 2]\n  expected: [2, 2] or [2, 2, 2]"
    )


class Swapped(nn.Module):
    """Each parameter's gradient is the other one, turned round: no update may see what another has written."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.tensor([[0.3, -0.2], [0.5, 0.1]]))
        self.other = nn.Parameter(torch.tensor([0.4, 0.7, -0.6, 0.2]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum() * (self.one.t().reshape(4) * self.other).sum()


def test_updates_do_not_read_what_updates_wrote() -> None:
    samples = {"inputs": torch.ones(1, 1), "targets": torch.zeros(1)}
    objective = supervised(lambda prediction, target: prediction + target.sum())
    groups = (Group(("one", "other"), {"lr": LR}),)
    description = StepDescription(Swapped(), objective, "SGD", groups, samples)
    kernel = compile_runs(description)
    assert kernel.plan.detours
    outcome = kernel.run(Runs(1, settings={"lr": np.array([0.3])}), 20)
    assert outcome.losses is not None
    assert relative_difference(outcome.losses[0], plain_losses(description, {"lr": 0.3}, 20)) < 1e-12


def test_progress_is_told_and_a_stop_is_heard() -> None:
    kernel = compile_runs(worked_example())
    told: list[int] = []
    kernel.run(Runs(200, settings={"lr": np.ones(200)}), 3, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 200

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    for threads in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            kernel.run(Runs(200, settings={"lr": np.ones(200)}), 3, threads=threads, progress=stop)
