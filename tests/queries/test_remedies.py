import pytest

from chainrule.queries.remedies import backward_remedy, forward_remedy


@pytest.mark.parametrize("name", ["log", "log_", "log2", "sqrt", "rsqrt", "exp", "div", "truediv_", "softmax", "pow"])
def test_known_ops_have_a_remedy_of_their_own(name: str) -> None:
    assert forward_remedy(name, "", "float32") != forward_remedy("unheard of", "", "float32")


@pytest.mark.parametrize("name", ["log", "sqrt", "norm", "std", "pow", "div", "acos", "asin", "atan2"])
def test_known_ops_have_a_remedy_for_their_backward(name: str) -> None:
    assert backward_remedy(name, is_masked=False) != backward_remedy("unheard of", is_masked=False)
    assert "use where twice" in backward_remedy(name, is_masked=True)


def test_an_overflow_of_half_precision_asks_for_more_range() -> None:
    assert forward_remedy("mul", "overflow", "float16").startswith("Compute this part in float32")
    assert forward_remedy("mul", "overflow", "float32").startswith("Find out what made its inputs so large")
