import pytest
import torch
from torch import nn

from chainrule.components import build_network, build_optimizer
from chainrule.errors import TaskError
from chainrule.registry import OPTIMIZERS
from chainrule.tasks import Component, ModelSpec

HEAD = "The task cannot be trained as it is written.\n"
INPUTS = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
TARGETS = torch.tensor([[0.0], [1], [1], [0]], dtype=torch.float64)
# A rate of its own where the common one would go too fast or too slowly.
RATES = {"LBFGS": 0.5, "Adadelta": 5.0, "SGD": 0.5, "ASGD": 0.5, "Adagrad": 0.1}


def network(**keys) -> nn.Module:
    spec = ModelSpec(**{"layers": [4, 1], "activation": "Tanh", **keys})
    return build_network(spec, (2,), 0, torch.float64)


class Lookup(nn.Module):
    """A value for each of the four inputs, with the sparse gradients that SparseAdam wants."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 1, sparse=True, dtype=torch.float64)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.table((2 * inputs[:, 0] + inputs[:, 1]).long())


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses: list[float] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(INPUTS), TARGETS)
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(closure().item())
        optimizer.step(closure)
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS.members)
@pytest.mark.parametrize("by_name_alone", [True, False])
def test_every_optimizer_takes_steps_that_lower_the_loss(name, by_name_alone):
    model = Lookup() if name == "SparseAdam" else network(bias=name != "Muon")
    arguments = {} if by_name_alone else {"lr": RATES.get(name, 0.02)}
    optimizer = build_optimizer(Component(name=name, **arguments), model)
    before = {key: value.clone() for key, value in model.named_parameters()}
    losses = train(model, optimizer, 40)
    assert type(optimizer) is OPTIMIZERS[name]
    assert losses[-1] < losses[0]
    assert not by_name_alone or optimizer.defaults["lr"] == OPTIMIZERS[name](model.parameters()).defaults["lr"]
    assert all(not torch.equal(before[key], value) for key, value in model.named_parameters())


def test_arguments_reach_the_optimizer_in_the_types_it_wants():
    optimizer = build_optimizer(Component(name="Adam", lr=0.5, betas=[0.5, 0.75], amsgrad=True), network())
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (0.5, (0.5, 0.75))
    assert optimizer.defaults["amsgrad"] is True


def test_parameters_that_are_held_are_not_given_to_it():
    model = network(biases=[0.1, 0.2], bias_convention="fixed")
    optimizer = build_optimizer(Component(name="AdamW", lr=0.1), model)
    train(model, optimizer, 5)
    assert [group["params"] for group in optimizer.param_groups] == [[model.hidden1.weight, model.output.weight]]
    assert model.hidden1.bias.tolist() == [0.1] * 4
    assert model.output.bias.tolist() == [0.2]


def refused(model: nn.Module, name: str, **arguments) -> str:
    with pytest.raises(TaskError) as caught:
        build_optimizer(Component(name=name, **arguments), model)
    return str(caught.value).removeprefix(HEAD)


def test_nothing_to_train():
    assert (
        refused(network().requires_grad_(False), "SGD", lr=0.1)
        == """\
model
  found:    no parameter that is trained
  expected: at least one weight with requires_grad"""
    )
    assert refused(nn.Identity(), "SGD").startswith("model\n  found:    no parameter that is trained")


def test_muon_wants_matrices():
    assert (
        refused(network(), "Muon", lr=0.1)
        == """\
optimizer.name
  found:    parameters that are no matrices: hidden1.bias (4,), output.bias (1,)
  expected: matrices only, for Muon: set model.bias = false, or take AdamW"""
    )


def test_sparse_adam_wants_sparse_gradients():
    assert (
        refused(network(), "SparseAdam")
        == """\
optimizer.name
  found:    SparseAdam
  expected: Adam: SparseAdam wants the sparse gradients of an embedding"""
    )


@pytest.mark.parametrize(
    ("name", "arguments", "found", "says"),
    [
        ("SGD", {"lr": -1.0}, "lr = -1.0", "Invalid learning rate: -1.0"),
        ("SGD", {"lr": 0.1, "momentum": -0.5}, "lr = 0.1, momentum = -0.5", "Invalid momentum value: -0.5"),
        (
            "SGD",
            {"lr": 0.1, "nesterov": True},
            "lr = 0.1, nesterov = True",
            "Nesterov momentum requires a momentum and zero dampening",
        ),
        ("Adam", {"betas": [0.9, 1.0]}, "betas = [0.9, 1.0]", "Invalid beta parameter at index 1: 1.0"),
        ("RMSprop", {"alpha": -1.0}, "alpha = -1.0", "Invalid alpha value: -1.0"),
    ],
)
def test_what_torch_refuses_in_its_own_words(name, arguments, found, says):
    assert (
        refused(network(), name, **arguments)
        == f"""\
optimizer
  found:    {found}
  expected: what torch takes; it says: {says}"""
    )
