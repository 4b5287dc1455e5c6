import math

import mpmath
import numpy as np
import pytest

from chainrule.activations.moments import gaussian_mean

EVERYWHERE = (-math.inf, math.inf)


@pytest.mark.parametrize(("power", "moment"), [(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (8, 105.0)])
def test_moments_of_the_standard_normal(power: int, moment: float) -> None:
    assert gaussian_mean([(*EVERYWHERE, lambda z: z**power)]) == pytest.approx(moment, rel=1e-14, abs=1e-14)


def test_a_steep_end_is_refined() -> None:
    # E[e^(z/w); z < 0] = e^(1/(2w²))·Φ(−1/w).
    width = 1e-3
    found = gaussian_mean([(-math.inf, 0.0, lambda z: np.exp(z / width)), (0.0, math.inf, np.zeros_like)])
    with mpmath.workdps(30):
        expected = mpmath.exp(0.5 / mpmath.mpf(width) ** 2) * mpmath.ncdf(-1 / mpmath.mpf(width))
    assert found == pytest.approx(float(expected), rel=1e-10)


def test_a_narrow_peak_is_refined() -> None:
    width = 0.02
    found = gaussian_mean([(*EVERYWHERE, lambda z: np.exp(-0.5 * (z - 0.3) ** 2 / width**2))])
    spread = 1.0 + width**2
    expected = width / math.sqrt(spread) * math.exp(-0.5 * 0.09 / spread)
    assert found == pytest.approx(expected, rel=1e-10)


def test_a_step_between_parts_is_exact() -> None:
    parts = [(-math.inf, 0.5, np.zeros_like), (0.5, math.inf, np.ones_like)]
    assert gaussian_mean(parts) == pytest.approx(0.5 * math.erfc(0.5 / math.sqrt(2.0)), rel=1e-13)


def test_parts_beyond_the_reach_count_nothing() -> None:
    assert gaussian_mean([(50.0, math.inf, np.ones_like), (-math.inf, -50.0, np.ones_like)]) == 0.0
