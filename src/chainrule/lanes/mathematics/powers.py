"""Roots, powers and signs.

    xʸ = e^(y·log x)

y·log x reaches 709, where a relative error of 2⁻⁵³ would be one of 2⁻⁴³ in the power; so the logarithm and the product
are the sums of a number and a much smaller one:

    log m = 2s·(1 + w),  s = (m − 1)/(m + 1),  w = s²/3 + s⁴·T(s²)

float32 is computed in float64, where one number is enough.
"""

import math

from chainrule.lanes.mathematics.block import FRACTION_BITS, Real, Truth, fma, polynomial
from chainrule.lanes.mathematics.exponentials import exp, minus_one_near_zero, reduced, scaled_exponential
from chainrule.lanes.mathematics.logarithms import LN2_EXACT, LN2_EXACT_REST, log, split

_THIRD, _THIRD_REST = 1 / 3, 1.850371707708594e-17
_SERIES = (  # T, 2⁻⁶⁶·² of 1 + w
    0.2000000000000113,
    0.1428571428504834,
    0.11111111260240063,
    0.09090892157623763,
    0.07693379924549082,
    0.06628378208700236,
    0.06598460488796347,
)
_BEYOND = 800.0  # e to it is infinite, e to minus it is 0


def sqrt(x: Real) -> Real:
    """Return the root, rounded correctly by the processor; NaN below 0."""
    return x.intrinsic("sqrt")


def sign(x: Real) -> Real:
    """Return 1, −1, or 0 for zero and for NaN, as PyTorch has it."""
    return (x > 0.0).choose(x.constant(1.0), (x < 0.0).choose(x.constant(-1.0), 0.0))


def power(x: Real, y: Real) -> Real:
    """Return xʸ. Largest error 1.1 ulp.

    The special values are those of C's `pow`: 1 for y = 0 and for x = 1; NaN for x < 0 when y is not an integer.
    """
    magnitude = abs(x.as_float64())
    result = _power_in_float64(magnitude, y) if x.precision == "float64" else exp(y.as_float64() * log(magnitude))
    result = result.as_precision(x.precision)
    is_whole = _is_whole(abs(y))
    is_odd = is_whole & ~_is_whole(abs(y) * 0.5)
    signed = is_odd.choose(result.with_sign_of(x), result)
    has_none = (x < 0.0) & (x > -math.inf) & ~is_whole
    # (±1)^±∞ is 1; its logarithm, 0 · ∞, is not a number.
    is_one = (abs(x).equals(1.0) & abs(y).equals(math.inf)) | y.equals(0.0) | x.equals(1.0)
    return is_one.choose(1.0, (has_none | x.is_nan() | y.is_nan()).choose(math.nan, signed))


def _power_in_float64(x: Real, y: Real) -> Real:
    high, low = _logarithm_in_two(x)
    product = y * high
    is_inside = abs(product) < _BEYOND
    rest = is_inside.choose(fma(y, high, -product) + y * low, 0.0)
    power_of_two, near = reduced(product.at_least(-_BEYOND).at_most(_BEYOND))
    below_one = minus_one_near_zero(near)
    return scaled_exponential(power_of_two, below_one + fma(rest, below_one, rest))


def _logarithm_in_two(x: Real) -> tuple[Real, Real]:
    """Return log x as a sum, for x ≥ 0; that of 0 and ∞ is ∓∞ and anything."""
    parts = split(x)
    numerator, denominator = parts.mantissa - 1.0, parts.mantissa + 1.0
    denominator_rest = parts.mantissa - (denominator - 1.0)
    inverse = 1.0 / denominator
    s = numerator * inverse
    s_rest = fma(-s, denominator_rest, fma(-s, denominator, numerator)) * inverse
    square = s * s
    square_rest = fma(s, s, -square) + (s + s) * s_rest
    first = square * _THIRD
    others = fma(square * square, polynomial(square, _SERIES), fma(square, _THIRD_REST, square_rest * _THIRD))
    w = first + (fma(square, _THIRD, -first) + others)
    w_rest = (first - w) + (fma(square, _THIRD, -first) + others)
    product = s * w
    product_rest = fma(s, w, -product) + fma(s, w_rest, s_rest * w)
    half = s + product
    half_rest = ((s - half) + product) + (s_rest + product_rest)
    of_two = parts.count * LN2_EXACT
    total = fma(half, 2.0, of_two)
    total_rest = fma(half, 2.0, of_two - total) + fma(half_rest, 2.0, parts.count * LN2_EXACT_REST)
    high = total + total_rest
    special = x.equals(0.0).choose(x.constant(-math.inf), x.equals(math.inf).choose(math.inf, high))
    return special, (total - high) + total_rest


def _is_whole(magnitude: Real) -> Truth:
    """Return where a number that is not negative is an integer: from 2⁵² (or 2²³) on each is."""
    number = 2.0 ** FRACTION_BITS[magnitude.precision]
    return (magnitude >= number) | ((magnitude + number) - number).equals(magnitude)
