"""Exponentials and what is made of them: exp, exp2, expm1, the logistic function and the hyperbolic ones.

    x = n·ln 2 + r,  |r| ≤ ln 2 / 2,  so that eˣ = 2ⁿ·eʳ

n is found by adding a number so large that the sum has no bits left for the fraction; the sum's last bits are then
the integer n, which become an exponent without a conversion. eʳ − 1 is a polynomial where no division is needed.
The logistic function and tanh divide anyway; there eʳ is written as a quotient, which needs half as many terms:

    eʳ = (c + h) / (c − h),  h = r/2,  c = h·coth h = 1 + h²·Q(h²)

Coefficients: minimax (Remez), rounded one after the other; the errors beside them are relative to the result.
"""

import math
from dataclasses import dataclass
from typing import final

from chainrule.lanes.mathematics.block import BIAS, FRACTION_BITS, Precision, Real, Whole, fma, polynomial


@final
@dataclass(frozen=True, slots=True)
class ExponentialConstants:
    """What the exponentials of one precision are made of.

    Attributes:
        ln2_rest: ln 2 − its nearest number in this precision.
        exp: (eʳ − 1 − r)/r².
        coth: Q above.
        least, most: beyond them eˣ is 0 or infinite.
        one: from there on tanh(x) and the logistic function are 1, with a margin.
    """

    ln2: float
    ln2_rest: float
    exp: tuple[float, ...]
    coth: tuple[float, ...]
    least: float
    most: float
    one: float


CONSTANTS: dict[Precision, ExponentialConstants] = {
    "float64": ExponentialConstants(
        ln2=math.log(2),
        ln2_rest=2.3190468138462996e-17,
        exp=(  # 2⁻⁵⁷·⁰
            0.5000000000000011,
            0.1666666666666643,
            0.04166666666652568,
            0.008333333333479593,
            0.001388888894491348,
            0.00019841269547321618,
            2.4801491666798958e-05,
            2.7557542168603965e-06,
            2.763080505909577e-07,
            2.5016870125826288e-08,
        ),
        coth=(  # 2⁻⁶⁰·⁰
            0.33333333333333204,
            -0.022222222221609904,
            0.0021164020225217847,
            -0.00021163393181692413,
            2.1186996651746325e-05,
        ),
        least=-746.0,
        most=710.0,
        one=40.0,
    ),
    "float32": ExponentialConstants(
        ln2=0.693147182464599609375,
        ln2_rest=-1.904654299957768e-09,
        exp=(0.49999994, 0.166665167, 0.0416681059, 0.0083690919, 0.00138352602),  # 2⁻²⁸·²
        coth=(0.333332509, -0.022133708),  # 2⁻²⁸·⁷
        least=-104.5,
        most=89.0,
        one=20.0,
    ),
}


def exp(x: Real) -> Real:
    """Return eˣ; largest error 1.0 ulp."""
    constants = CONSTANTS[x.precision]
    power, rest = _reduced(x.at_least(constants.least).at_most(constants.most))
    below, above = power_of_two_halves(power)
    return fma(above, exp_minus_one_near_zero(rest), above) * below


def sigmoid(x: Real) -> Real:
    """Return 1/(1 + e⁻ˣ)."""
    constants = CONSTANTS[x.precision]
    power, rest = _reduced(x.at_least(constants.least).at_most(constants.one))
    below, above = power_of_two_halves(power)
    square = rest * rest
    # c and h of the docstring above, twice as large: h need not be formed.
    centre = fma(square, polynomial(square, [c / 2 / 4**k for k, c in enumerate(constants.coth)]), 2.0)
    numerator = centre + rest
    return numerator / fma(below * above, numerator, centre - rest) * above * below


def tanh(x: Real) -> Real:
    """Return the hyperbolic tangent, (s(c + h) − (c − h)) / (s(c + h) + (c − h)) with e²ˣ = s·(c + h)/(c − h)."""
    constants = CONSTANTS[x.precision]
    half_log = constants.ln2 / 2
    inside = x.at_least(-constants.one / 2).at_most(constants.one / 2)
    shifted = fma(inside, 1 / half_log, _rounding_number(x.precision) + BIAS[x.precision])
    power = (shifted.as_bits() << FRACTION_BITS[x.precision]).as_real()
    count = shifted - (_rounding_number(x.precision) + BIAS[x.precision])
    half = fma(count, -constants.ln2_rest / 2, fma(count, -half_log, inside))
    square = half * half
    beyond_one = square * polynomial(square, constants.coth)  # c − 1
    less, more = power - 1.0, power + 1.0
    numerator = fma(less, beyond_one, fma(more, half, less))
    denominator = fma(more, beyond_one, fma(less, half, more))
    return (numerator / denominator).with_sign_of(x)


def exp_minus_one_near_zero(rest: Real) -> Real:
    """Return eʳ − 1 for |r| ≤ ln 2 / 2."""
    return fma(rest * rest, polynomial(rest, CONSTANTS[rest.precision].exp), rest)


def power_of_two_halves(power: Whole) -> tuple[Real, Real]:
    """Return two powers of two whose product is 2ⁿ: what is too large or too small for one of them fits into two.

    Args:
        power: n + 2·bias in its last bits.
    """
    below = power >> 1
    fraction = FRACTION_BITS[power.precision]
    return (below << fraction).as_real(), ((power - below) << fraction).as_real()


def _reduced(x: Real) -> tuple[Whole, Real]:
    """Return n + 2·bias (in the last bits) and r, with x = n·ln 2 + r.

    x − n·ln2 is exact: both are multiples of ln2's last bit, and the difference is small.
    """
    constants = CONSTANTS[x.precision]
    number = _rounding_number(x.precision) + 2 * BIAS[x.precision]
    shifted = fma(x, 1 / constants.ln2, number)
    count = shifted - number
    return shifted.as_bits(), fma(count, -constants.ln2_rest, fma(count, -constants.ln2, x))


def _rounding_number(precision: Precision) -> float:
    """Return the number that leaves no fraction in a sum: 1.5 · 2⁵², or 1.5 · 2²³."""
    return 1.5 * 2.0 ** FRACTION_BITS[precision]
