import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.spreadsheets.number_texts import decimal_sign, number_of_text


@pytest.mark.parametrize(
    ("text", "unknown", "comma", "point"),
    [
        ("0,5", 0.5, 0.5, 0.5),
        (" 0.5 ", 0.5, 0.5, 0.5),
        ("1e-3", 0.001, 0.001, 0.001),
        ("1,5E-3", 0.0015, 0.0015, 0.0015),
        ("−0,25", -0.25, -0.25, -0.25),
        ("5 %", 0.05, 0.05, 0.05),
        (".5", 0.5, 0.5, 0.5),
        ("1,234", None, 1.234, None),
        ("1.234", 1.234, None, 1.234),
        ("0,123", 0.123, 0.123, 0.123),
        ("1.234,5", 1234.5, 1234.5, 1234.5),
        ("1,234.5", 1234.5, 1234.5, 1234.5),
        ("1,234,567", 1234567.0, 1234567.0, 1234567.0),
        ("1\u202f234,5", 1234.5, 1234.5, 1234.5),
        ("1'234.5", 1234.5, 1234.5, 1234.5),
        ("1 2", None, None, None),
        ("1,2,3", None, None, None),
        ("1/2", None, None, None),
        ("nan", None, None, None),
        ("1e999", None, None, None),
        ("w1", None, None, None),
        ("", None, None, None),
        ("٣", None, None, None),
        ("9" * 61, None, None, None),
    ],
)
def test_a_text_is_a_number_by_the_decimal_sign_of_the_file(
    text: str, unknown: float | None, comma: float | None, point: float | None
) -> None:
    assert number_of_text(text) == unknown
    assert number_of_text(text, "comma") == comma
    assert number_of_text(text, "point") == point


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_prints_is_read_back_with_either_sign(value: float) -> None:
    # 1.234 and 1,234 may be thousands where the other sign divides the decimals.
    assert number_of_text(repr(value), "point") == value
    assert number_of_text(repr(value).replace(".", ","), "comma") == value


@pytest.mark.parametrize(
    ("texts", "sign"),
    [
        (["w1", "0,5", "1,234"], "comma"),
        (["0.5", "1,234"], "point"),
        (["0.5", "0,5"], "unknown"),
        (["1.234"], "unknown"),
        (["1.234,5"], "comma"),
        (["1,234.5"], "point"),
        (["1,234,567"], "unknown"),
        (["i1, i2"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_decimal_sign_is_the_one_that_leaves_no_choice(texts: list[str], sign: str) -> None:
    assert decimal_sign(texts) == sign
