import pytest

from chainrule.render.picture_style import legible_on, power_of_ten, short_number


@pytest.mark.parametrize(("value", "expected"), [(1e-5, "10⁻⁵"), (1.0, "10⁰"), (1e12, "10¹²"), (2e-5, ""), (0.0, "")])
def test_powers_of_ten(value: float, expected: str) -> None:
    assert power_of_ten(value) == expected


def test_short_numbers_have_five_digits() -> None:
    assert [short_number(value) for value in (0.1, 123456.0, 2.0)] == ["0.1", "1.2346e+05", "2"]


@pytest.mark.parametrize("step", range(21))
def test_text_on_any_grey_has_the_contrast_that_wcag_asks_for(step: int) -> None:
    grey = step / 20
    luminance = grey / 12.92 if grey <= 0.04045 else ((grey + 0.055) / 1.055) ** 2.4
    text = 1.0 if legible_on(grey, grey, grey) == "#ffffff" else 0.0
    lighter, darker = max(text, luminance), min(text, luminance)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
