"""Sine, cosine and tangent, and their inverses.

    x = n·π/2 + r,  |r| ≤ π/4

n·π/2 is taken away in three parts, so that r and what it lacks have 100 bits together; `far_angles` does it beyond 2⁴⁰.
The inverses bring their argument below 1/2 (arcsine) or tan(π/8) (arctangent) by

    asin x = π/2 − 2·asin √((1 − x)/2),   atan x = π/4 + atan((x − 1)/(x + 1)),   atan x = π/2 + atan(−1/x)

float32 is computed in float64. Coefficients: minimax (Remez).
"""

import math
from dataclasses import dataclass
from typing import final

from chainrule.lanes.mathematics.block import Real, Whole, fma, polynomial
from chainrule.lanes.mathematics.far_angles import with_far_angles

_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_SINE = (  # (sin r − r)/r³, 2⁻⁵⁸
    -0.16666666666666632,
    0.008333333333322455,
    -0.00019841269829813248,
    2.7557313687440676e-06,
    -2.5050756684165848e-08,
    1.5896679685629314e-10,
)
_COSINE = (  # (cos r − 1 + r²/2)/r⁴, 2⁻⁶⁴
    0.0416666666666666,
    -0.0013888888888874441,
    2.4801587289639395e-05,
    -2.755731438751013e-07,
    2.08757270645053e-09,
    -1.1359802650097185e-11,
)
_ARCSINE = (  # (asin x − x)/x³, 2⁻⁵⁹·⁸
    0.16666666666666763,
    0.07499999999970118,
    0.04464285717526464,
    0.03038194267654421,
    0.02237221586362652,
    0.017351596367216515,
    0.013981007035376688,
    0.011397394579548624,
    0.010788718961637203,
    0.0036745559546306895,
    0.021784704381048684,
    -0.021108133662813906,
    0.03269671940127193,
)
_ARCTANGENT = (  # (atan x − x)/x³, 2⁻⁵⁹·⁴
    -0.333333333333332,
    0.1999999999995377,
    -0.14285714280212455,
    0.1111111078416571,
    -0.09090897775782052,
    0.07692060498195476,
    -0.06663106843136053,
    0.058479065243098684,
    -0.050393683444003884,
    0.038065829019594016,
    -0.017908225547463467,
)
_ROUNDING_NUMBER = 1.5 * 2.0**52  # leaves no fraction in a sum
_TAN_PI_8 = 0.41421356237309503


@final
@dataclass(frozen=True, slots=True)
class _Turn:
    """Sine and cosine of r, and n in the last bits."""

    sine: Real
    cosine: Real
    quarters: Whole


def sin(x: Real) -> Real:
    """Return the sine; NaN of ±∞. Largest error 0.73 ulp."""
    turn = _turn(x)
    value = turn.quarters.bit(0).choose(turn.cosine, turn.sine)
    return _turned(value, turn.quarters).as_precision(x.precision)


def cos(x: Real) -> Real:
    """Return the cosine; NaN of ±∞. Largest error 0.73 ulp."""
    turn = _turn(x)
    value = turn.quarters.bit(0).choose(turn.sine, turn.cosine)
    return _turned(value, turn.quarters + 1).as_precision(x.precision)


def tan(x: Real) -> Real:
    """Return the tangent; NaN of ±∞. Largest error 1.91 ulp."""
    turn = _turn(x)
    is_odd = turn.quarters.bit(0)
    quotient = is_odd.choose(-turn.cosine, turn.sine) / is_odd.choose(turn.sine, turn.cosine)
    return quotient.as_precision(x.precision)


def asin(x: Real) -> Real:
    """Return the arcsine, from −π/2 to π/2; NaN beyond ±1. Largest error 1.1 ulp."""
    wide = abs(x.as_float64())
    is_large = wide > 0.5
    square = is_large.choose(fma(wide, -0.5, 0.5), wide * wide)
    root = is_large.choose(square.intrinsic("sqrt"), wide)
    rest = root * square * polynomial(square, _ARCSINE)
    of_root = fma(root, -2.0, _HALF_PI[0])
    lost = fma(root, -2.0, _HALF_PI[0] - of_root)
    far = of_root + (lost - fma(rest, 2.0, -_HALF_PI[1]))
    return is_large.choose(far, root + rest).as_precision(x.precision).with_sign_of(x)


def acos(x: Real) -> Real:
    """Return the arccosine, from 0 to π; NaN beyond ±1. Largest error 1.1 ulp."""
    wide = x.as_float64()
    magnitude = abs(wide)
    is_large = magnitude > 0.5
    square = is_large.choose(fma(magnitude, -0.5, 0.5), magnitude * magnitude)
    root = is_large.choose(square.intrinsic("sqrt"), wide)
    rest = root * square * polynomial(square, _ARCSINE)
    near = _HALF_PI[0] - (root - (_HALF_PI[1] - rest))
    below = _HALF_PI[0] - (root + (rest - _HALF_PI[1]))
    far = (wide < 0.0).choose(below + below, (root + rest) * 2.0)
    return is_large.choose(far, near).as_precision(x.precision)


def atan(x: Real) -> Real:
    """Return the arctangent, from −π/2 to π/2. Largest error 0.58 ulp."""
    wide = abs(x.as_float64()).at_most(2.0**60)
    is_large, is_medium = wide > 1 / _TAN_PI_8, wide > _TAN_PI_8
    above, below = wide + 1.0, wide - 1.0
    numerator = is_large.choose(-1.0, is_medium.choose(below, wide))
    denominator = is_large.choose(wide, is_medium.choose(above, 1.0))
    quotient = numerator / denominator
    # What rounding took away from x − 1, from x + 1 and from their quotient, over x + 1.
    of_parts = is_medium.choose(fma(-quotient, wide - (above - 1.0), wide - (below + 1.0)), 0.0)
    of_parts = is_large.choose(0.0, of_parts)
    lost = (fma(-quotient, denominator, numerator) + of_parts) / denominator
    base = is_large.choose(wide.constant(_HALF_PI[0]), is_medium.choose(wide.constant(_HALF_PI[0] / 2), 0.0))
    base_rest = is_large.choose(wide.constant(_HALF_PI[1]), is_medium.choose(wide.constant(_HALF_PI[1] / 2), 0.0))
    square = quotient * quotient
    total = base + quotient
    rest = ((base - total) + quotient) + fma(quotient * square, polynomial(square, _ARCTANGENT), lost + base_rest)
    return (total + rest).as_precision(x.precision).with_sign_of(x)


def cos_of_turns(x: Real) -> Real:
    """Return cos(2πx) for 0 ≤ x ≤ 1, in float64."""
    quarters = x * 4.0
    shifted = quarters + _ROUNDING_NUMBER
    part = quarters - (shifted - _ROUNDING_NUMBER)  # exact
    r = part * _HALF_PI[0]
    sine, cosine = _sine_and_cosine(r, fma(part, _HALF_PI[0], -r) + part * _HALF_PI[1])
    turned = shifted.as_bits()
    return _turned(turned.bit(0).choose(sine, cosine), turned + 1)


def _turn(x: Real) -> _Turn:
    wide = x.as_float64()
    shifted = fma(wide, 2 / math.pi, _ROUNDING_NUMBER)
    count = shifted - _ROUNDING_NUMBER
    first = fma(count, -_HALF_PI[0], wide)  # exact: both are multiples of 2⁻⁵³
    second = count * _HALF_PI[1]
    second_rest = fma(count, _HALF_PI[1], -second)
    r = first - second
    of_second = first - r
    lost = (first - (r + of_second)) + (of_second - second)
    rest = lost - fma(count, _HALF_PI[2], second_rest)
    r, rest, quarters = with_far_angles(wide, r, rest, shifted.as_bits())
    sine, cosine = _sine_and_cosine(r, rest)
    return _Turn(wide.equals(0.0).choose(wide, sine), cosine, quarters)  # sin −0 is −0


def _sine_and_cosine(r: Real, rest: Real) -> tuple[Real, Real]:
    """Return sine and cosine of r + rest, |r| ≤ π/4 and rest so small that its square is nothing."""
    square = r * r
    sine = r + fma(r * square, polynomial(square, _SINE), rest * fma(square, -0.5, 1.0))
    half = square * 0.5
    one = 1.0 - half
    cosine = one + (((1.0 - one) - half) + fma(square * square, polynomial(square, _COSINE), -(r * rest)))
    return sine, cosine


def _turned(value: Real, quarters: Whole) -> Real:
    """Return the value, with the other sign after two quarters of a turn."""
    return (value.as_bits() ^ ((quarters & 2) << 62)).as_real()
