import pytest
import torch

from chainrule.activations import activation_names, describe
from chainrule.activations.lookup import exact
from chainrule.errors import ChainruleError, UnknownNameError

NAMES = (
    "CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, LogSigmoid, LogSoftmax, Mish, "
    "PReLU, ReLU, ReLU6, RReLU, SELU, Sigmoid, SiLU, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, "
    "Tanh, Tanhshrink, Threshold"
)


@pytest.mark.parametrize("name", activation_names())
def test_a_name_is_found_in_any_spelling_of_case(name: str) -> None:
    assert describe(name.lower()) == describe(name.upper()) == describe(name)


@pytest.mark.parametrize("name", ["leaky_relu", "Leaky-ReLU", "leakyrelu"])
def test_underscores_do_not_matter(name: str) -> None:
    assert describe(name).name == "LeakyReLU"


def test_defaults_are_torchs() -> None:
    assert describe("LeakyReLU").arguments == (("negative_slope", torch.nn.LeakyReLU().negative_slope),)
    assert dict(describe("Softplus").arguments) == {"beta": 1.0, "threshold": 20.0}
    assert describe("GELU").arguments == (("approximate", torch.nn.GELU().approximate),)


def test_simple_fractions_are_exact_and_others_keep_their_float() -> None:
    assert [str(exact(number)) for number in (1 / 3, 0.25, 2.0, 0.01)] == ["1/3", "1/4", "2", "1/100"]
    assert float(exact(0.123456789012345678)) == 0.123456789012345678


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        describe("SoftPlush")
    assert (
        str(caught.value)
        == f"""There is no activation 'SoftPlush'.
  found:    SoftPlush
  expected: one of {NAMES}
Did you mean 'Softplus'?"""
    )


def test_unknown_argument() -> None:
    with pytest.raises(UnknownNameError) as caught:
        describe("rrelu", slower=0.1)
    assert (
        str(caught.value)
        == """The formula of RReLU has no argument 'slower'.
  where:    RReLU
  found:    slower
  expected: one of lower, upper
Did you mean 'lower'?"""
    )


def test_an_argument_where_there_is_none() -> None:
    for name in ("Tanh", "Softmax"):
        with pytest.raises(UnknownNameError) as caught:
            describe(name, dim=1)
        assert (
            str(caught.value)
            == f"""The formula of {name} has no argument 'dim'.
  where:    {name}
  found:    dim
  expected: no argument"""
        )


def test_unknown_choice() -> None:
    with pytest.raises(UnknownNameError) as caught:
        describe("GELU", approximate="tan")
    assert (
        str(caught.value)
        == """There is no value of approximate 'tan'.
  where:    GELU
  found:    tan
  expected: one of none, tanh
Did you mean 'tanh'?"""
    )


@pytest.mark.parametrize(("value", "shown"), [("0.2", "'0.2'"), (float("nan"), "nan"), (True, "True")])
def test_a_value_that_is_no_number(value: float | str, shown: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        describe("ELU", alpha=value)
    assert (
        str(caught.value)
        == f"""The argument 'alpha' of ELU is no finite number.
  where:    ELU
  found:    {shown}
  expected: a number such as 0.5"""
    )


@pytest.mark.parametrize(
    ("name", "arguments", "found", "expected"),
    [
        ("Hardtanh", {"min_val": 2}, "min_val = 2, max_val = 1", "min_val < max_val"),
        ("RReLU", {"lower": 0.5, "upper": 0.25}, "lower = 0.5, upper = 0.25", "lower ≤ upper"),
        ("CELU", {"alpha": 0}, "alpha = 0", "alpha > 0"),
        ("Softshrink", {"lambd": -1}, "lambd = -1", "lambd ≥ 0"),
        ("Hardshrink", {"lambd": -1}, "lambd = -1", "lambd ≥ 0"),
        ("Softplus", {"beta": -1}, "beta = -1, threshold = 20", "beta > 0"),
    ],
)
def test_arguments_without_sense(name: str, arguments: dict[str, float], found: str, expected: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        describe(name, **arguments)
    assert (
        str(caught.value)
        == f"""The formula of {name} makes no sense with these arguments.
  where:    {name}
  found:    {found}
  expected: {expected}"""
    )
