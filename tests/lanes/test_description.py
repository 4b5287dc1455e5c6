"""An objective may record another loss than the one whose gradient it follows."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from chainrule.lanes import Group, Runs, StepDescription, Varying, compile_runs


def described(objective) -> StepDescription:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    inputs = torch.randn(10, 3, dtype=torch.float64)
    data = {"inputs": inputs, "targets": inputs[:, :1] ** 2}
    return StepDescription(
        network=network,
        objective=objective,
        optimizer="SGD",
        groups=(Group(tuple(name for name, _ in network.named_parameters()), {"lr": Varying("lr", 0.1)}),),
        samples=data,
        constants={f"all_{name}": value for name, value in data.items()},
        batch_size=2,
    )


def of_batch(network, data, settings):
    return nn.functional.mse_loss(network(data["inputs"]), data["targets"])


def of_both(network, data, settings):
    with torch.no_grad():
        whole = nn.functional.mse_loss(network(data["all_inputs"]), data["all_targets"])
    return of_batch(network, data, settings), whole


def test_the_batch_moves_the_weights_and_the_whole_is_recorded():
    order = np.random.default_rng(0).integers(0, 10, (6, 2))
    runs = Runs(3, settings={"lr": np.array([0.05, 0.1, 0.3])}, order=order, keeps_losses=True, keeps_states=True)
    both = compile_runs(described(of_both)).run(runs, 6)
    batch = compile_runs(described(of_batch)).run(runs, 6)
    for name, values in batch.states.items():
        np.testing.assert_allclose(both.states[name], values, rtol=1e-13)
    moved = compile_runs(described(of_batch)).run(replace(runs, order=order[:5]), 5).states
    description = described(of_batch)
    samples, network = description.samples, description.network
    for run in range(3):  # the loss of step 5 is that of the weights after 5 updates
        for name, parameter in network.named_parameters():
            parameter.data.copy_(torch.from_numpy(moved[name][run]))
        whole = nn.functional.mse_loss(network(samples["inputs"]), samples["targets"])
        np.testing.assert_allclose(both.losses[run, 5], whole.item(), rtol=1e-13)
    assert np.abs(both.losses - batch.losses).max() > 1e-3
