"""The network of the published map against its formula, and the offset that every step adds."""

import math

import numpy as np
import pytest
import torch

from chainrule.components.mean_field import MeanField

FUNCTIONS = {
    "tanh": lambda z: np.tanh(math.sqrt(2) * z),
    "relu": lambda z: math.sqrt(2) * np.maximum(z, 0),
    "identity": lambda z: z,
}


def made(activation="tanh", step_offset=None):
    torch.manual_seed(3)
    return MeanField(5, 7, 2, activation, step_offset).double()


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_the_output_is_the_formula(activation):
    model = made(activation)
    x = torch.randn(4, 5, dtype=torch.float64)
    w, v = (parameter.detach().numpy() for parameter in model.parameters())
    expected = np.einsum("nh,oh->no", FUNCTIONS[activation](np.einsum("ni,hi->nh", x.numpy(), w) / math.sqrt(5)), v) / 7
    np.testing.assert_allclose(model(x).detach().numpy(), expected, rtol=1e-12)


def test_weights_are_standard_normal():
    torch.manual_seed(0)
    model = MeanField(100, 200)
    weights = model.hidden_weight.detach()
    assert weights.shape == (200, 100)
    assert abs(float(weights.mean())) < 0.03
    assert abs(float(weights.std()) - 1) < 0.03


def test_the_kth_pass_in_training_uses_the_weights_plus_k_offsets():
    model, plain = made(step_offset=0.25), made()
    x = torch.randn(4, 5, dtype=torch.float64)
    for passes in range(1, 4):
        found = model(x)
        with torch.no_grad():
            plain.hidden_weight.copy_(model.hidden_weight + 0.25 * passes)
        assert torch.equal(found, plain(x))
    model.eval()
    assert torch.equal(model(x), plain(x))  # looking does not count
    assert float(model.passes) == 3


def test_without_an_offset_there_is_nothing_to_count():
    assert not list(made().buffers())
    assert [name for name, _ in made(step_offset=0.0).named_buffers()] == ["step_offset", "passes"]


def test_another_activation_is_refused():
    with pytest.raises(ValueError, match=r"^activation = 'gelu', and not 'tanh', 'relu' or 'identity'$"):
        MeanField(activation="gelu")
