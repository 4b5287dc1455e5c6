"""What a typed number's digits say of how exactly it is known."""

import numpy as np
import pytest

from chainrule.checking.precision import half_steps, noise, usual_digits, written_digits


@pytest.mark.parametrize(
    ("value", "digits"), [(0.1497, (4, 4)), (120.0, (2, -1)), (1.5e-7, (2, 8)), (-0.05, (1, 2)), (3.0, (1, 0))]
)
def test_written_digits(value: float, digits: tuple[int, int]) -> None:
    assert written_digits(value) == digits


@pytest.mark.parametrize("decimals", [3, 4, 6])
def test_numbers_rounded_to_decimals_are_within_half_a_step(decimals: int) -> None:
    exact = np.random.default_rng(1).uniform(-2, 2, 200) * 10.0 ** np.random.default_rng(2).integers(-3, 1, 200)
    rounded = np.round(exact, decimals)
    half = half_steps(rounded)
    assert np.all(np.abs(exact - rounded) <= half * (1 + 1e-9))
    assert half.min() == pytest.approx(0.5 * 10.0**-decimals)


@pytest.mark.parametrize("digits", [4, 6])
def test_numbers_rounded_to_digits_are_within_half_a_step(digits: int) -> None:
    exact = np.random.default_rng(3).uniform(1, 10, 200) * 10.0 ** np.random.default_rng(4).integers(-6, 2, 200)
    rounded = np.array([float(f"{value:.{digits - 1}e}") for value in exact])
    assert np.all(np.abs(exact - rounded) <= half_steps(rounded) * (1 + 1e-9))


def test_float32_is_given_its_own_noise() -> None:
    exact = np.random.default_rng(5).uniform(0.1, 1, 50)
    single = exact.astype(np.float32).astype(np.float64)
    assert np.all(np.abs(single - exact) <= noise(single))
    assert noise(exact).max() < 1e-8 < noise(single).min()


def test_usual_digits_are_not_those_of_one_longer_number() -> None:
    assert usual_digits(np.array([0.1234, 0.5678, 0.4321, 0.25, 0.358901])) == (4, 4)
    assert usual_digits(np.array([0.0, np.nan])) is None
    assert half_steps(np.array([0.0, 0.0]), (3, 3)).tolist() == [0.0005, 0.0005]
