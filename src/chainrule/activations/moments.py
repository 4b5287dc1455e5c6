"""Means over a standard normal input, by adaptive Gauss–Legendre quadrature that never crosses a kink."""

import math
from collections.abc import Callable, Iterable

import numpy as np

Numeric = Callable[[np.ndarray], np.ndarray]

# Beyond this the normal density is below the smallest float64.
_REACH = 38.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_DEEPEST = 30
_TOLERANCE = 1e-15


def gaussian_mean(parts: Iterable[tuple[float, float, Numeric]]) -> float:
    """Return E[g(z)] for z ~ N(0, 1).

    Args:
        parts: (lower, upper, g on that open interval) for intervals that cover the real line; g is smooth on each.
            It may be steep at the ends; a peak far inside that is narrower than about 0.02 would be missed.
    """
    return math.fsum(_mean_over(max(low, -_REACH), min(high, _REACH), function) for low, high, function in parts)


def _mean_over(low: float, high: float, function: Numeric) -> float:
    if low >= high:
        return 0.0
    inner = np.arange(math.floor(low) + 1.0, math.ceil(high))
    edges = np.concatenate(([low], inner, [high]))
    lows, highs = edges[:-1], edges[1:]
    total: list[float] = []
    wholes = _panel_sums(lows, highs, function)
    # Relative to the sum of all panels: in the far panels only rounding errors are left to refine.
    tolerance = _TOLERANCE * float(np.abs(wholes).sum())
    for _ in range(_DEEPEST):
        middles = 0.5 * (lows + highs)
        left, right = _panel_sums(lows, middles, function), _panel_sums(middles, highs, function)
        good = np.abs(left + right - wholes) <= tolerance
        total += (left + right)[good].tolist()
        if good.all():
            return math.fsum(total)
        bad = ~good
        lows, highs = np.concatenate((lows[bad], middles[bad])), np.concatenate((middles[bad], highs[bad]))
        wholes = np.concatenate((left[bad], right[bad]))
    return math.fsum([*total, *wholes.tolist()])


def _panel_sums(lows: np.ndarray, highs: np.ndarray, function: Numeric) -> np.ndarray:
    half = 0.5 * (highs - lows)[:, None]
    points = 0.5 * (highs + lows)[:, None] + half * _NODES
    density = np.exp(-0.5 * points * points) / math.sqrt(2.0 * math.pi)
    sums: np.ndarray = (function(points) * density * half * _WEIGHTS).sum(axis=1)
    return sums
