"""Exponentials and what is made of them: exp, exp2, expm1, the logistic function and the hyperbolic ones.

    x = n·ln 2 + r,  |r| ≤ ln 2 / 2,  so that eˣ = 2ⁿ·eʳ

n is found by adding a number so large that the sum has no bits left for the fraction; the sum's last bits are then
the integer n, which become an exponent without a conversion. eʳ − 1 is a polynomial.

tanh divides anyway; there eʳ is written as a quotient, which needs half as many terms:

    eʳ = (c + h) / (c − h),  h = r/2,  c = h·coth h = 1 + h²·Q(h²)

Coefficients: minimax (Remez), rounded one after the other; the errors beside them are relative to the result. "Largest
error" is what was measured, in units in the last place of the exact number: of 20,000 numbers or more in float64, and
for exp, exp2, expm1, log, log1p, sigmoid, tanh and erf of every seventh float32.
"""

import math
from dataclasses import dataclass
from typing import final

from chainrule.lanes.mathematics.block import BIAS, FRACTION_BITS, Precision, Real, Whole, fma, polynomial

_BELOW_ONE = 0.703125  # 45/64; see sigmoid
_SHIFT = 0.25  # see tanh
_SINH = (  # (sinh x − x)/x³ in powers of x², 2⁻⁶¹·⁸
    0.16666666666666669,
    0.008333333333332912,
    0.00019841269841593392,
    2.755731910677185e-06,
    2.505213099457926e-08,
    1.605665963716113e-10,
    7.776581185220716e-13,
)


@final
@dataclass(frozen=True, slots=True)
class ExponentialConstants:
    """What the exponentials of one precision are made of.

    Attributes:
        ln2: ln 2, as near as the precision has it.
        ln2_rest: what it lacks.
        exp: (eʳ − 1 − r)/r², in powers of r.
        coth: Q above, in powers of h², for |h| ≤ 3/8·ln 2.
        least: below it eˣ is 0, and so is the logistic function.
        most: above it eˣ is infinite.
        one: above it the logistic function is 1, and so is tanh above half of it.
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
        coth=(  # 2⁻⁶²·¹
            0.33333333333333315,
            -0.022222222222169755,
            0.002116402111448045,
            -0.00021163999649017394,
            2.1373070762167993e-05,
            -2.113161915523474e-06,
        ),
        least=-746.0,
        most=711.0,
        one=40.0,
    ),
    "float32": ExponentialConstants(
        ln2=0.693147182464599609375,
        ln2_rest=-1.904654299957768e-09,
        exp=(0.49999994, 0.166665167, 0.0416681059, 0.0083690919, 0.00138352602),  # 2⁻²⁸·²
        coth=(0.333333313, -0.0222207196, 0.00208405498),  # 2⁻³³·⁶
        least=-104.5,
        most=90.0,
        one=20.0,
    ),
}


def exp(x: Real) -> Real:
    """Return eˣ. Largest error 1.02 ulp."""
    constants = CONSTANTS[x.precision]
    power, rest = reduced(x.at_least(constants.least).at_most(constants.most))
    return scaled_exponential(power, minus_one_near_zero(rest))


def exp2(x: Real) -> Real:
    """Return 2ˣ. Largest error 1.03 ulp."""
    number = _rounding_number(x.precision) + 2 * BIAS[x.precision]
    lowest, bias = -BIAS[x.precision] - FRACTION_BITS[x.precision] - 2.0, BIAS[x.precision]
    inside = x.at_least(lowest).at_most(bias + 2.0)
    shifted = inside + number
    rest = (inside - (shifted - number)) * math.log(2)
    return scaled_exponential(shifted.as_bits(), minus_one_near_zero(rest))


def expm1(x: Real) -> Real:
    """Return eˣ − 1 as 2ᵏ·(2ⁿ⁻ᵏ·(eʳ − 1) + (2ⁿ⁻ᵏ − 2⁻ᵏ)): 2ⁿ alone may be infinite. Largest error 1.77 ulp."""
    constants = CONSTANTS[x.precision]
    power, rest = reduced(x.at_least(-constants.one).at_most(constants.most))
    below, above = power_of_two_halves(power)
    fraction, bias = FRACTION_BITS[x.precision], BIAS[x.precision]
    below_inverse = (power.constant(2 * bias << fraction) - below.as_bits()).as_real()
    return (fma(above, minus_one_near_zero(rest), above - below_inverse) * below).with_sign_of(x)


def sigmoid(x: Real) -> Real:
    """Return 1/(1 + e⁻ˣ) = eˣ/(eˣ + 1). Largest error 2.03 ulp.

    Both sides of the fraction are multiplied by 45/64, so that eʳ stays below 1 and its rounding error is half.
    """
    constants = CONSTANTS[x.precision]
    power, rest = reduced(x.at_least(constants.least).at_most(constants.one))
    below, above = power_of_two_halves(power)
    near = minus_one_near_zero(rest)
    exponential = fma(near, _BELOW_ONE, _BELOW_ONE)
    return exponential / fma(below * above, exponential, _BELOW_ONE) * above * below


def tanh(x: Real) -> Real:
    """Return the hyperbolic tangent, d / (d + (c − h)) with d = (s(c + h) − (c − h))/2 and e²ˣ = s·(c + h)/(c − h).

    It is that of |x|, with the sign of x. s is 1 until |x| = 3/8·ln 2: if it became 2 earlier, d would be the
    difference of two numbers of like size. Largest error 2.11 ulp.
    """
    constants = CONSTANTS[x.precision]
    half_log = constants.ln2 / 2
    number = _rounding_number(x.precision) + BIAS[x.precision] - 1
    inside = abs(x).at_most(constants.one / 2)
    shifted = fma(inside - _SHIFT * half_log, 1 / half_log, number)
    count = shifted - number
    half_power = (shifted.as_bits() << FRACTION_BITS[x.precision]).as_real()
    half = fma(count, -constants.ln2_rest / 2, fma(count, -half_log, inside))
    square = half * half
    beyond_one = square * polynomial(square, constants.coth)
    less, more = half_power - 0.5, half_power + 0.5
    difference = less + fma(less, beyond_one, more * half)
    return (difference / (difference + (1.0 + (beyond_one - half)))).with_sign_of(x)


def sinh(x: Real) -> Real:
    """Return the hyperbolic sine, in float64: e − 1/(4e) with e = eˣ/2, or a polynomial. Largest error 1.4 ulp."""
    wide = x.as_float64()
    half = _half_exponential(abs(wide))
    square = wide * wide
    near = fma(wide * square, polynomial(square.at_most(1.0), _SINH), wide)
    return (abs(wide) < 1.0).choose(near, (half - 0.25 / half).with_sign_of(wide)).as_precision(x.precision)


def cosh(x: Real) -> Real:
    """Return the hyperbolic cosine, in float64: e + 1/(4e) with e = eˣ/2, for |x|. Largest error 1.3 ulp."""
    half = _half_exponential(abs(x.as_float64()))
    return (half + 0.25 / half).as_precision(x.precision)


def _half_exponential(x: Real) -> Real:
    """Return eˣ/2, which is finite where eˣ no longer is."""
    power, rest = reduced(x.at_most(CONSTANTS[x.precision].most))
    return scaled_exponential(power - 1, minus_one_near_zero(rest))


def reduced(x: Real) -> tuple[Whole, Real]:
    """Return n + 2·bias (in the last bits) and r, with x = n·ln 2 + r.

    x − n·ln2 is exact: both are multiples of ln2's last bit, and the difference is small.
    """
    constants = CONSTANTS[x.precision]
    number = _rounding_number(x.precision) + 2 * BIAS[x.precision]
    shifted = fma(x, 1 / constants.ln2, number)
    count = shifted - number
    return shifted.as_bits(), fma(count, -constants.ln2_rest, fma(count, -constants.ln2, x))


def minus_one_near_zero(rest: Real) -> Real:
    """Return eʳ − 1 for |r| ≤ ln 2 / 2."""
    return fma(rest * rest, polynomial(rest, CONSTANTS[rest.precision].exp), rest)


def scaled_exponential(power: Whole, near: Real) -> Real:
    """Return 2ⁿ·(1 + near), however large or small.

    Args:
        power: n + 2·bias in its last bits.
        near: eʳ − 1.
    """
    below, above = power_of_two_halves(power)
    return fma(above, near, above) * below


def power_of_two_halves(power: Whole) -> tuple[Real, Real]:
    """Return two powers of two whose product is 2ⁿ: what is too large or too small for one of them fits into two."""
    below = power >> 1
    fraction = FRACTION_BITS[power.precision]
    return (below << fraction).as_real(), ((power - below) << fraction).as_real()


def _rounding_number(precision: Precision) -> float:
    """Return the number that leaves no fraction in a sum: 1.5 · 2⁵², or 1.5 · 2²³."""
    return 1.5 * 2.0 ** FRACTION_BITS[precision]
