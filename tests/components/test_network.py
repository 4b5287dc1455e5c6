import math

import pytest
import torch
from torch import nn

from chainrule.components import SharedBiasLinear, build_network
from chainrule.errors import TaskError
from chainrule.registry import ACTIVATIONS, INITIALISERS
from chainrule.tasks import ModelSpec

F64 = torch.float64
HEAD = "The task cannot be trained as it is written.\n"


def network(inputs=2, seed=0, shape=None, dtype=F64, **keys) -> nn.Module:
    return build_network(ModelSpec(**keys), shape or (inputs,), seed, dtype)


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def refused(**keys) -> str:
    with pytest.raises(TaskError) as caught:
        network(**keys)
    return str(caught.value)


def test_layers_are_named_and_sized():
    model = network(inputs=3, layers=[5, 4, 2], activation="Tanh", output_activation="Sigmoid")
    assert shapes(model) == {
        "hidden1.weight": (5, 3),
        "hidden1.bias": (5,),
        "hidden2.weight": (4, 5),
        "hidden2.bias": (4,),
        "output.weight": (2, 4),
        "output.bias": (2,),
    }
    assert [name for name, _ in model.named_children()] == [
        "hidden1",
        "hidden1_activation",
        "hidden2",
        "hidden2_activation",
        "output",
        "output_activation",
    ]


def test_identity_is_no_module_and_samples_of_several_dimensions_are_flattened():
    model = network(shape=(2, 3, 4), layers=[1])
    assert [name for name, _ in model.named_children()] == ["flatten", "output"]
    assert model(torch.zeros(5, 2, 3, 4, dtype=F64)).shape == (5, 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_are_those_of_the_formula(dtype):
    weights = [[[0.15, 0.2], [0.25, 0.3]], [[0.4, 0.45]]]
    model = network(
        layers=[2, 1],
        activation="Sigmoid",
        output_activation="Tanh",
        weights=weights,
        biases=[[0.35, 0.1], 0.6],
        dtype=dtype,
    )
    x = [0.05, 0.1]
    hidden = [
        1 / (1 + math.exp(-(row[0] * x[0] + row[1] * x[1] + bias)))
        for row, bias in zip(weights[0], [0.35, 0.1], strict=True)
    ]
    wanted = math.tanh(0.4 * hidden[0] + 0.45 * hidden[1] + 0.6)
    found = model(torch.tensor([x], dtype=dtype))
    assert found.dtype == dtype
    assert found.item() == pytest.approx(wanted, rel=1e-14 if dtype == F64 else 1e-6)


def test_an_activation_for_each_hidden_layer():
    model = network(layers=[3, 3, 1], activation=["ReLU", {"name": "LeakyReLU", "negative_slope": 0.5}])
    assert isinstance(model.hidden1_activation, nn.ReLU)
    assert model.hidden2_activation.negative_slope == 0.5


def test_an_activation_for_each_output():
    model = network(layers=[3], output_activation=["Sigmoid", "Identity", {"name": "ELU", "alpha": 0.5}])
    inputs = torch.randn(4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    raw = model.output(inputs)
    wanted = torch.stack([raw[:, 0].sigmoid(), raw[:, 1], nn.functional.elu(raw[:, 2], alpha=0.5)], dim=1)
    assert torch.equal(model(inputs), wanted)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS.members) - {"Softmax2d"}))
def test_every_activation_works_on_the_units_of_a_layer(name):
    component = {"name": name, "threshold": 0.1, "value": 20.0} if name == "Threshold" else name
    model = network(layers=[4, 6, 2], activation=component).eval()
    inputs = torch.randn(5, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert model(inputs).shape == (5, 2)
    alone = torch.cat([model(row[None]) for row in inputs])
    torch.testing.assert_close(alone, model(inputs))  # one sample does not depend on the others
    model(inputs).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Softmin"])
def test_softmax_runs_over_the_units(name):
    found = network(layers=[3], output_activation=name)(torch.randn(4, 2, dtype=F64))
    sums = found.exp().sum(dim=1) if name == "LogSoftmax" else found.sum(dim=1)
    torch.testing.assert_close(sums, torch.ones(4, dtype=F64))


def test_glu_halves_its_layer():
    model = network(layers=[6, 4], activation="GLU", output_activation="GLU")
    assert shapes(model)["output.weight"] == (4, 3)
    assert model(torch.zeros(5, 2, dtype=F64)).shape == (5, 2)


def test_prelu_has_a_slope_that_is_trained():
    model = network(layers=[4, 1], activation={"name": "PReLU", "num_parameters": 4, "init": 0.5})
    assert shapes(model)["hidden1_activation.weight"] == (4,)
    assert model.hidden1_activation.weight.tolist() == [0.5] * 4
    assert model.hidden1_activation.weight.dtype == F64


def test_biases_on_and_off():
    assert set(shapes(network(layers=[2, 1], bias=False))) == {"hidden1.weight", "output.weight"}
    by_layer = network(layers=[2, 1], bias=[False, True], biases=[0, 0.5])
    assert set(shapes(by_layer)) == {"hidden1.weight", "output.weight", "output.bias"}
    assert by_layer.output.bias.tolist() == [0.5]


def test_conventions_of_biases():
    separate = network(layers=[3, 2], biases=[0.35, [0.6, 0.7]])
    assert separate.hidden1.bias.tolist() == [0.35] * 3
    assert separate.output.bias.tolist() == [0.6, 0.7]
    fixed = network(layers=[3, 2], biases=[0.35, 0.6], bias_convention="fixed")
    assert [name for name, p in fixed.named_parameters() if p.requires_grad] == ["hidden1.weight", "output.weight"]
    shared = network(layers=[3, 2], biases=[0.35, [0.6]], bias_convention="shared")
    assert isinstance(shared.hidden1, SharedBiasLinear)
    assert shapes(shared)["hidden1.bias"] == (1,)
    assert (shared.hidden1.bias.tolist(), shared.output.bias.tolist()) == ([0.35], [0.6])
    assert repr(shared.output) == "SharedBiasLinear(in_features=3, out_features=2, bias=shared)"


def test_a_shared_bias_gets_the_sum_of_the_gradients_of_separate_ones():
    inputs = torch.randn(4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    keys = {"layers": [3, 2], "activation": "Tanh", "biases": [0.1, -0.2]}
    separate, shared = network(**keys), network(**keys, bias_convention="shared")
    for model in (separate, shared):
        model(inputs).square().sum().backward()
    assert torch.equal(separate(inputs), shared(inputs))
    for layer in ("hidden1", "output"):
        wanted = separate.get_submodule(layer).bias.grad.sum(dim=0, keepdim=True)
        torch.testing.assert_close(shared.get_submodule(layer).bias.grad, wanted)


FITS = sorted(set(INITIALISERS.members) - {"dirac_"})
REQUIRED = {"constant_": {"val": 0.25}, "sparse_": {"sparsity": 0.5}}


@pytest.mark.parametrize("name", FITS)
def test_every_initialiser_gives_what_torch_gives(name):
    arguments = REQUIRED.get(name, {})
    model = network(layers=[5], init={"name": name, **arguments}, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = nn.Linear(2, 5, dtype=F64).weight
        INITIALISERS[name](wanted, **arguments)
    assert torch.equal(model.output.weight, wanted)


@pytest.mark.parametrize("name", ["uniform_", "normal_", "constant_", "ones_", "zeros_", "trunc_normal_"])
def test_initialisers_of_biases(name):
    model = network(layers=[4, 2], bias_init={"name": name, **REQUIRED.get(name, {})})
    fixed = {"constant_": 0.25, "ones_": 1.0, "zeros_": 0.0}
    if name in fixed:
        assert model.hidden1.bias.tolist() == [fixed[name]] * 4
    else:
        assert len(set(model.hidden1.bias.tolist())) == 4
    assert not torch.equal(network(layers=[4, 2]).hidden1.bias, model.hidden1.bias)


MISFITS = [
    ({"init": "dirac_"}, "dirac_", "model.init", (4, 2), "Only tensors with 3, 4, or 5 dimensions are supported"),
    ({"bias_init": "eye_"}, "eye_", "model.bias_init", (4,), "Only tensors with 2 dimensions are supported"),
    (
        {"bias_init": "orthogonal_"},
        "orthogonal_",
        "model.bias_init",
        (4,),
        "Only tensors with 2 or more dimensions are supported",
    ),
    (
        {"bias_init": {"name": "sparse_", "sparsity": 0.5}},
        "sparse_",
        "model.bias_init",
        (4,),
        "Only tensors with 2 dimensions are supported",
    ),
]
MISFITS += [
    (
        {"bias_init": name},
        name,
        "model.bias_init",
        (4,),
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions",
    )
    for name in ("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_")
]


@pytest.mark.parametrize(("keys", "name", "key", "shape", "says"), MISFITS)
def test_an_initialiser_that_does_not_fit(keys, name, key, shape, says):
    assert (
        refused(layers=[4, 1], **keys)
        == f"""\
The initialiser {name} does not fit.
  where: {key}
  found: a parameter of shape {shape}
torch says: {says}"""
    )


def test_arguments_that_an_initialiser_refuses():
    text = refused(layers=[4], init={"name": "uniform_", "a": 2.0, "b": 1.0})
    assert text.startswith("The initialiser uniform_ does not fit.\n  where: model.init\n")
    assert "\ntorch says: uniform_ expects to return a [from, to) range, but found from=2 > to=1" in text


WRITTEN = [
    ([[[1, 2]], [[1, 2]]], "model.weights.0", "shape (1, 2)", "shape (2, 2): 2 units, 2 inputs each"),
    ([[[1, 2], [3, 4]], [[1, 2, 3]]], "model.weights.1", "shape (1, 3)", "shape (1, 2): 1 unit, 2 inputs each"),
    ([[[1, 2], [3]], [[1, 2]]], "model.weights.0", "rows of different lengths", "shape (2, 2): 2 units, 2 inputs each"),
    ([[], [[1, 2]]], "model.weights.0", "shape (0,)", "shape (2, 2): 2 units, 2 inputs each"),
]


@pytest.mark.parametrize(("weights", "key", "found", "expected"), WRITTEN)
def test_weights_that_do_not_fit(weights, key, found, expected):
    assert (
        refused(layers=[2, 1], weights=weights)
        == f"""\
The weights that are written out do not fit the layer.
{key}
  found:    {found}
  expected: {expected}"""
    )


@pytest.mark.parametrize(
    ("keys", "found", "expected"),
    [
        ({}, "3 numbers", "one number, or 2 of them"),
        ({"bias_convention": "shared"}, "3 numbers", "one number"),
    ],
)
def test_biases_that_do_not_fit(keys, found, expected):
    assert (
        refused(layers=[2, 1], biases=[[1, 2, 3], 0], **keys)
        == f"""\
The biases that are written out do not fit the layer.
model.biases.0
  found:    {found}
  expected: {expected}"""
    )


def said(key, found, expected):
    return f"{HEAD}{key}\n  found:    {found}\n  expected: {expected}"


ACTIVATIONS_REFUSED = [
    (
        {"layers": [3, 1], "activation": "GLU"},
        said("model.activation", "GLU over a layer of 3", "an even number of units: GLU halves its layer"),
    ),
    (
        {"layers": [2], "output_activation": ["GLU", "ReLU"]},
        said("model.output_activation.0", "GLU over a layer of 1", "an even number of units: GLU halves its layer"),
    ),
    (
        {"layers": [4, 1], "activation": {"name": "GLU", "dim": 0}},
        said("model.activation", "GLU that makes (1, 4) of (2, 4)", "(2, 2): it works on the units"),
    ),
    (
        {"layers": [4, 1], "activation": ["Softmax2d"]},
        said(
            "model.activation.0",
            "Softmax2d",
            "Softmax for a layer; Softmax2d works on images (batch, channels, height, width)",
        ),
    ),
    (
        {"layers": [1], "output_activation": "Softmax"},
        said("model.output_activation", "Softmax over one unit", "a layer of several units: over one it is constant"),
    ),
    (
        {"layers": [2], "output_activation": ["ReLU", "LogSoftmax"]},
        said(
            "model.output_activation.1", "LogSoftmax over one unit", "a layer of several units: over one it is constant"
        ),
    ),
    (
        {"layers": [2], "output_activation": {"name": "Softmax", "dim": 5}},
        said(
            "model.output_activation",
            "Softmax with dim = 5",
            "what torch takes; it says: Dimension out of range (expected to be in range of [-2, 1], but got 5)",
        ),
    ),
    (
        {"layers": [4, 1], "activation": {"name": "CELU", "alpha": 0}},
        said(
            "model.activation",
            "CELU with alpha = 0",
            "what torch takes; it says: ZeroDivisionError: alpha cannot be 0 for CELU",
        ),
    ),
]


@pytest.mark.parametrize(("keys", "text"), ACTIVATIONS_REFUSED)
def test_activations_that_do_not_fit(keys, text):
    assert refused(**keys) == text


def test_a_prelu_of_another_size_is_refused_in_torchs_words():
    text = refused(layers=[4, 1], activation={"name": "PReLU", "num_parameters": 3})
    assert text.startswith(
        f"{HEAD}model.activation\n  found:    PReLU with num_parameters = 3\n  expected: what torch takes;"
    )
    assert "num_parameters = 3" in text


@pytest.mark.parametrize("keys", [{}, {"init": "normal_"}, {"activation": "RReLU"}, {"bias_convention": "shared"}])
def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone(keys):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, again, other = (network(layers=[4, 3], seed=seed, **keys) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.parameters(), network(layers=[4, 3], seed=5, **keys).parameters(), strict=True)
    )
    assert not torch.equal(first.hidden1.weight, other.hidden1.weight)


def test_an_activation_with_noise_does_not_move_the_weights():
    noisy, quiet = network(layers=[4, 3], activation="RReLU"), network(layers=[4, 3], activation="ReLU")
    assert torch.equal(noisy.output.weight, quiet.output.weight)
