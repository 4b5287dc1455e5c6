"""Programs of recorded steps: what they compute is what autograd and torch's optimizers compute."""

import copy

import numpy as np
import pytest
import torch

from chainrule.programs import Evaluator, Program
from chainrule.recorder import record
from chainrule.shapes import Tensor
from chainrule.trace import Trace
from chainrule.worked import program_of

from .networks import NETWORKS, Network


def recorded(network: Network) -> tuple[Trace, dict[str, Tensor], dict[str, Tensor]]:
    """Record a step; also return autograd's gradients and the parameters afterwards, from an unrecorded twin."""
    torch.manual_seed(7)
    model = network.model().double()
    optimizer = network.optimizer(model)

    def step() -> None:
        optimizer.zero_grad()
        network.loss(model(network.inputs), network.targets).backward()
        optimizer.step()

    for _ in range(network.steps):
        step()
    state, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(model.state_dict())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        trace = record(model, network.loss, network.inputs, network.targets, optimizer)
        trace.about["step"] = network.steps
    model.load_state_dict(weights)
    twin = network.optimizer(model)
    twin.load_state_dict(state)
    optimizer = twin
    torch.manual_seed(1)
    step()
    gradients = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
    return trace, gradients, {name: each.detach().clone() for name, each in model.named_parameters()}


def element(tensors: dict[str, Tensor], origin: str) -> float:
    path, _, place = origin.removesuffix("]").partition("[")
    return float(tensors[path][tuple(int(index) for index in place.split(","))] if place else tensors[path])


@pytest.mark.parametrize("name", NETWORKS)
def test_lines_compute_what_torch_computes(name: str) -> None:
    trace, gradients, after = recorded(NETWORKS[name])
    program = program_of(trace)
    computed = Evaluator(program)({})
    checked = 0
    for parameter in program.parameters:
        origin = program.quantities[parameter].origin
        for found, wanted in ((f"∂E/∂{parameter}", gradients), (program.updated[parameter], after)):
            exact = element(wanted, origin)
            assert np.isclose(computed[found], exact, rtol=1e-12, atol=1e-15), found
            assert program.quantities[found].value == exact
            checked += 1
    assert checked == 2 * sum(gradient.numel() for gradient in gradients.values())
    assert computed[program.loss] == pytest.approx(trace.values[trace.loss].data.item(), rel=1e-13)
    assert_values_agree(program, computed)


def assert_values_agree(program: Program, computed: dict[str, np.ndarray]) -> None:
    for name, quantity in program.quantities.items():
        assert np.isclose(quantity.value, computed[name], rtol=1e-11, atol=1e-14), name
