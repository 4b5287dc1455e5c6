"""Logarithms, and the inverse hyperbolic functions, which are logarithms.

    x = 2ᵏ·m,  √½ ≤ m < √2,  so that log x = k·ln 2 + log m

    log m = f − (f²/2 − s·(f²/2 + R(s²))),  f = m − 1,  s = f/(2 + f)

f is exact. This arrangement is that of FreeBSD's e_log.c and e_log2.c; the coefficients of R are ours (minimax, Remez).
Functions that training seldom needs are computed in float64 for float32 too.
"""

import math
from dataclasses import dataclass
from typing import final

from chainrule.lanes.mathematics.block import BIAS, FRACTION_BITS, Precision, Real, Whole, fma, polynomial

_HUGE = 2.0**60  # from here on x² + 1 = x², and x + 1 = x
LN2_EXACT = 6.93147180369123816490e-01  # so few bits that k times it is exact
LN2_EXACT_REST = 1.90821492927058770002e-10
_LOG10_2_EXACT = 3.01029995663611771306e-01
_LOG10_2_EXACT_REST = 3.69423907715893078616e-13
_PER_LN2 = (1.4426950408889634, 2.0355273740931033e-17)  # 1/ln 2: the nearest number and what it lacks
_PER_LN10 = (0.4342944819032518, 1.098319650216765e-17)


@final
@dataclass(frozen=True, slots=True)
class LogarithmConstants:
    """What the logarithms of one precision are made of.

    Attributes:
        ln2_exact: ln 2 with so few bits that k times it is exact.
        ln2_rest: what it lacks.
        series: (log((1 + s)/(1 − s)) − 2s)/s³, in powers of s².
        root_half: the bits of √½.
        last_bits: the bits of the number whose last bit counts ones: 2⁵², or 2²³.
    """

    ln2_exact: float
    ln2_rest: float
    series: tuple[float, ...]
    root_half: int
    last_bits: int


CONSTANTS: dict[Precision, LogarithmConstants] = {
    "float64": LogarithmConstants(
        ln2_exact=LN2_EXACT,
        ln2_rest=LN2_EXACT_REST,
        series=(  # 2⁻⁵⁸·⁵ relative to log m
            0.6666666666666735,
            0.39999999999409314,
            0.28571428743698785,
            0.22222198427611356,
            0.18183572423015798,
            0.15313830628845435,
            0.14798271301737043,
        ),
        root_half=0x3FE6A09E667F3BCD,
        last_bits=0x4330000000000000,
    ),
    "float32": LogarithmConstants(
        ln2_exact=0.693145751953125,
        ln2_rest=1.42860677e-06,
        series=(0.666667759, 0.399775773, 0.298710823),  # 2⁻²⁹·²
        root_half=0x3F3504F3,
        last_bits=0x4B000000,
    ),
}


@final
@dataclass(frozen=True, slots=True)
class Split:
    """x = 2ᵏ·m with √½ ≤ m < √2.

    Attributes:
        count: k.
        mantissa: m.
        exponent: k + bias as an integer, for x that is not denormal.
    """

    count: Real
    mantissa: Real
    exponent: Whole


def log(x: Real) -> Real:
    """Return the natural logarithm; −∞ at 0 and NaN below. Largest error 0.83 ulp."""
    parts = split(x)
    return _logarithm_of_special(x, _logarithm(parts.count, parts.mantissa - 1.0))


def log1p(x: Real) -> Real:
    """Return log(1 + x); −∞ at −1 and NaN below. Largest error 1.39 ulp.

    What rounding takes away from 1 + x is added to the fraction f again.
    """
    total = 1.0 + x
    of_x = total - 1.0
    lost = (1.0 - (total - of_x)) + (x - of_x)
    parts = split(total)
    fraction = FRACTION_BITS[x.precision]
    scale = ((parts.exponent.constant(2 * BIAS[x.precision]) - parts.exponent) << fraction).as_real()
    f = (parts.mantissa - 1.0) + (x < 2.0**fraction).choose(lost * scale, 0.0)
    result = _logarithm_of_special(total, _logarithm(parts.count, f))
    return x.equals(0.0).choose(x, result)  # −0 too


def log2(x: Real) -> Real:
    """Return the logarithm to base 2; exact at powers of 2. Largest error 0.69 ulp."""
    return _to_base(x, _PER_LN2, (1.0, 0.0))


def log10(x: Real) -> Real:
    """Return the logarithm to base 10. Largest error 0.67 ulp."""
    return _to_base(x, _PER_LN10, (_LOG10_2_EXACT, _LOG10_2_EXACT_REST))


def asinh(x: Real) -> Real:
    """Return log(x + √(x² + 1)) as log1p(x + x²/(1 + √(x² + 1))), for |x|. Largest error 1.4 ulp."""
    wide = abs(x.as_float64())
    square = wide * wide
    inner = wide + square / (1.0 + fma(wide, wide, 1.0).intrinsic("sqrt"))
    return _logarithm_beside_one(wide, inner).as_precision(x.precision).with_sign_of(x)


def acosh(x: Real) -> Real:
    """Return log(x + √(x² − 1)) as log1p(t + √(2t + t²)) with t = x − 1; NaN below 1. Largest error 1.8 ulp."""
    wide = x.as_float64()
    beyond = wide - 1.0
    inner = beyond + fma(beyond, beyond, beyond + beyond).intrinsic("sqrt")
    return (wide < 1.0).choose(math.nan, _logarithm_beside_one(wide, inner)).as_precision(x.precision)


def atanh(x: Real) -> Real:
    """Return log((1 + x)/(1 − x))/2 as log1p(2x + 2x²/(1 − x))/2, for |x|. Largest error 1.6 ulp.

    It is ±∞ at ±1 and NaN beyond.
    """
    wide = abs(x.as_float64())
    twice = wide + wide
    inner = twice + twice * wide / (1.0 - wide)
    result = (log1p(inner) * 0.5).as_precision(x.precision).with_sign_of(x)
    return (abs(x) > 1.0).choose(math.nan, result)


def split(x: Real) -> Split:
    """Return k and m of positive finite x."""
    constants, fraction, bias = CONSTANTS[x.precision], FRACTION_BITS[x.precision], BIAS[x.precision]
    is_denormal = x < 2.0 ** (1 - bias)
    normal = is_denormal.choose(x * 2.0 ** (fraction + 2), x)
    shifted = normal.as_bits() + ((bias << fraction) - constants.root_half)
    mantissa = (shifted & ((1 << fraction) - 1)) + constants.root_half
    exponent = shifted >> fraction
    # An integer in the last bits of 2⁵² is a number without a conversion, which AVX2 has not for 64 bits.
    number = (exponent | constants.last_bits).as_real()
    nothing = 2.0**fraction + bias
    count = number - is_denormal.choose(x.constant(nothing + fraction + 2), nothing)
    return Split(count, mantissa.as_real(), exponent)


def _logarithm(count: Real, f: Real) -> Real:
    """Return k·ln 2 + log(1 + f)."""
    constants = CONSTANTS[f.precision]
    half_square = f * 0.5 * f
    small = fma(count, constants.ln2_rest, _series(f, half_square))
    return fma(count, constants.ln2_exact, f - (half_square - small))


def _series(f: Real, half_square: Real) -> Real:
    """Return s·(f²/2 + R(s²)): what log(1 + f) has beside f − f²/2."""
    s = f / (f + 2.0)
    square = s * s
    return s * fma(square, polynomial(square, CONSTANTS[f.precision].series), half_square)


def _to_base(x: Real, per_ln: tuple[float, float], of_two: tuple[float, float]) -> Real:
    """Return the logarithm to another base, as the sum of a large and a small number until the end.

    Args:
        x: the number.
        per_ln: 1 / (natural logarithm of the base), in two parts.
        of_two: the logarithm of 2 to the base, in two parts; k times the first is exact.
    """
    parts = split(x.as_float64())
    f = parts.mantissa - 1.0
    half_square = f * 0.5 * f
    high = f - half_square
    low = ((f - high) - half_square) + _series(f, half_square)
    scaled = high * per_ln[0]
    scaled_low = fma(high, per_ln[0], -scaled) + fma(high, per_ln[1], low * per_ln[0])
    whole = parts.count * of_two[0]
    total = whole + scaled
    result = total + (((whole - total) + scaled) + fma(parts.count, of_two[1], scaled_low))
    return _logarithm_of_special(x, result.as_precision(x.precision))


def _logarithm_beside_one(x: Real, inner: Real) -> Real:
    """Return log(1 + inner), or log(2x) where x is huge."""
    is_huge = x > _HUGE
    return log1p(is_huge.choose(x, inner)) + is_huge.choose(x.constant(math.log(2)), 0.0)


def _logarithm_of_special(x: Real, result: Real) -> Real:
    """Return a logarithm's result, or what zero, negative numbers, ∞ and NaN have in its place."""
    finite = (x < math.inf).choose(result, x)
    return (x <= 0.0).choose(x.equals(0.0).choose(x.constant(-math.inf), math.nan), finite)
