"""Logarithms.

    x = 2ᵏ·m,  √½ ≤ m < √2,  so that log x = k·ln 2 + log m

    log m = f − (f²/2 − s·(f²/2 + R(s²))),  f = m − 1,  s = f/(2 + f)

f is exact. This arrangement is that of FreeBSD's e_log.c; the coefficients of R are ours (minimax, Remez).
"""

import math
from dataclasses import dataclass
from typing import final

from chainrule.lanes.mathematics.block import FRACTION_BITS, Precision, Real, fma, polynomial


@final
@dataclass(frozen=True, slots=True)
class LogarithmConstants:
    """What the logarithms of one precision are made of.

    Attributes:
        ln2_high: ln 2 with so few bits that k·ln2_high is exact.
        ln2_low: what it lacks.
        series: (log((1 + s)/(1 − s)) − 2s)/s³, in powers of s².
        smallest: the smallest number that is not denormal.
        root_half: the bits of √½.
        one: the bits of 1.
    """

    ln2_high: float
    ln2_low: float
    series: tuple[float, ...]
    smallest: float
    root_half: int
    one: int


CONSTANTS: dict[Precision, LogarithmConstants] = {
    "float64": LogarithmConstants(
        ln2_high=6.93147180369123816490e-01,
        ln2_low=1.90821492927058770002e-10,
        series=(  # 2⁻⁵⁸·⁵ relative to log m
            0.6666666666666735,
            0.39999999999409314,
            0.28571428743698785,
            0.22222198427611356,
            0.18183572423015798,
            0.15313830628845435,
            0.14798271301737043,
        ),
        smallest=2.0**-1022,
        root_half=0x3FE6A09E667F3BCD,
        one=0x3FF0000000000000,
    ),
    "float32": LogarithmConstants(
        ln2_high=0.693145751953125,
        ln2_low=1.42860677e-06,
        series=(0.666667759, 0.399775773, 0.298710823),  # 2⁻²⁹·²
        smallest=2.0**-126,
        root_half=0x3F3504F3,
        one=0x3F800000,
    ),
}


def log(x: Real) -> Real:
    """Return the natural logarithm; −∞ at 0 and NaN below."""
    constants = CONSTANTS[x.precision]
    count, mantissa = split(x)
    f = mantissa - 1.0
    half_square = f * 0.5 * f
    s = f / (f + 2.0)
    rest = series(s * s)
    small = fma(count, constants.ln2_low, s * (half_square + rest))
    return logarithm_of_special(x, fma(count, constants.ln2_high, f - (half_square - small)))


def split(x: Real) -> tuple[Real, Real]:
    """Return k and m with x = 2ᵏ·m and √½ ≤ m < √2, for positive finite x."""
    constants, fraction = CONSTANTS[x.precision], FRACTION_BITS[x.precision]
    is_denormal = x < constants.smallest
    normal = is_denormal.choose(x * 2.0 ** (fraction + 2), x)
    shifted = normal.as_bits() + (constants.one - constants.root_half)
    mantissa = (shifted & ((1 << fraction) - 1)) + constants.root_half
    # An integer in the last bits of 2⁵² is a number without a conversion, which AVX2 has not for 64 bits.
    exponent = ((shifted >> fraction) | (BITS_OF_LARGEST[x.precision])).as_real()
    bias = constants.one >> fraction
    count = exponent - is_denormal.choose(2.0**fraction + bias + fraction + 2, x.constant(2.0**fraction + bias))
    return count, mantissa.as_real()


BITS_OF_LARGEST: dict[Precision, int] = {"float64": 0x4330000000000000, "float32": 0x4B000000}  # of 2⁵², 2²³


def series(square: Real) -> Real:
    """Return R(s²): log m = 2s + s·R(s²)."""
    return square * polynomial(square, CONSTANTS[square.precision].series)


def logarithm_of_special(x: Real, result: Real) -> Real:
    """Return a logarithm's result with what zero, negative numbers, ∞ and NaN have in its place."""
    finite = (x < math.inf).choose(result, x)
    return (x <= 0.0).choose(x.equals(0.0).choose(-math.inf, x.constant(math.nan)), finite)
