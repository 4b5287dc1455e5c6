"""The error function and its complement.

    |x| < 1:  erf x = x + x·P(x²)
    |x| ≥ 1:  erf x = 1 − e^Q(|x| − 1),  Q = log erfc

    erfc x = e^(−x²)·G(t)/(1 + 2x),  t = (x − 4)/(x + 4),  for x ≥ 0

P, Q and G are polynomials (minimax, Remez; errors relative to the result). The mapping of x to t is that of M. M.
Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞" (1981).
"""

from dataclasses import dataclass
from typing import final

from chainrule.lanes.mathematics.block import Precision, Real, fma, polynomial
from chainrule.lanes.mathematics.exponentials import (
    minus_one_near_zero,
    power_of_two_halves,
    reduced,
    scaled_exponential,
)


@final
@dataclass(frozen=True, slots=True)
class ErrorFunctionConstants:
    """What erf of one precision is made of.

    Attributes:
        near: P above.
        far: Q above.
        one: from there on erf is 1.
    """

    near: tuple[float, ...]
    far: tuple[float, ...]
    one: float


CONSTANTS: dict[Precision, ErrorFunctionConstants] = {
    "float64": ErrorFunctionConstants(
        near=(  # 2⁻⁵⁶·⁰
            0.12837916709551256,
            -0.3761263890318341,
            0.11283791670942123,
            -0.026866170643085892,
            0.00522397760767994,
            -0.0008548326062288729,
            0.00012055298722876024,
            -1.492482605437143e-05,
            1.6448654644670906e-06,
            -1.621855360983838e-07,
            1.376539165975347e-08,
            -7.882444220159735e-10,
        ),
        far=(  # 2⁻⁵⁵·⁹
            -1.8496055099332482,
            -2.6389675142347775,
            -0.8431072563593305,
            -0.04156109802668004,
            0.010033825195130255,
            -0.0019779013107781426,
            0.0002373167981537832,
            2.6295381111762755e-05,
            -2.7197238275315617e-05,
            9.669085030695364e-06,
            -2.1297286521267495e-06,
            2.0324729664836495e-07,
            5.8820397518202155e-08,
            -3.369234090649224e-08,
            8.597165914578667e-09,
            -1.3326216746081304e-09,
            1.2071022157320665e-10,
            -4.928631013982627e-12,
        ),
        one=6.0,
    ),
    "float32": ErrorFunctionConstants(
        near=(  # 2⁻²⁹·⁴
            0.128379166,
            -0.37612626,
            0.112835787,
            -0.0268533472,
            0.0051871622,
            -0.000799785543,
            7.80693081e-05,
        ),
        far=(-1.84960556, -2.6389668, -0.843117595, -0.041503489, 0.00989544392, -0.0018293683, 0.000186374338),
        one=4.0,
    ),
}
_SCALED = (  # 2⁻⁵⁴·²
    1.2329951186255526,
    -0.13962111684056253,
    0.01537965210261966,
    0.06809705425469545,
    -0.10103906603629997,
    0.0937328349982505,
    -0.06633036581230968,
    0.037167515539100256,
    -0.016197734056762433,
    0.005031969963481239,
    -0.0007577732959351831,
    -0.00019925661611192564,
    0.00015062171283221335,
    -2.439948085752975e-05,
    -1.1222168589786107e-05,
    5.710294039560832e-06,
    2.9417487741495017e-07,
    -8.261104787342364e-07,
    7.403058638331571e-08,
    1.10441378209186e-07,
    -1.7370934057076848e-08,
    -1.409078617141689e-08,
    1.631544757734947e-09,
    1.1850335167337077e-09,
)
_SCALED_REST = -4.5269265671494343e-17  # what the first of them lacks
_ZERO = 27.5  # from here on erfc is 0


def erf(x: Real) -> Real:
    """Return 2/√π · ∫₀ˣ e^(−t²) dt. Largest error 1.2 ulp."""
    constants = CONSTANTS[x.precision]
    magnitude = abs(x)
    near = _near(magnitude)
    power, rest = reduced(polynomial(magnitude.at_most(constants.one) - 1.0, constants.far))
    far = 1.0 - scaled_exponential(power, minus_one_near_zero(rest))
    return (magnitude < 1.0).choose(near, far).with_sign_of(x)


def erfc(x: Real) -> Real:
    """Return 1 − erf x, with all its digits where it is small. Largest error 1.8 ulp."""
    wide = x.as_float64()
    magnitude = abs(wide).at_most(_ZERO)
    below, above = magnitude - 4.0, magnitude + 4.0
    ratio = _quotient(below, magnitude - (below + 4.0), above, magnitude - (above - 4.0))
    position = ratio[0] + ratio[1]
    beyond = position * polynomial(position, _SCALED[1:])
    scaled = beyond + _SCALED[0]
    scaled_rest = ((_SCALED[0] - scaled) + beyond) + _SCALED_REST
    divisor = fma(magnitude, 2.0, 1.0)
    factor, factor_rest = _quotient(scaled, scaled_rest, divisor, fma(magnitude, 2.0, 1.0 - divisor))
    square = magnitude * magnitude
    power, rest = reduced(-square)
    exponential = minus_one_near_zero(rest - fma(magnitude, magnitude, -square))
    smaller, larger = power_of_two_halves(power)
    far = (factor + fma(factor, exponential, factor_rest)) * larger * smaller
    result = (wide < 0.0).choose(2.0 - far, far)
    return (magnitude < 0.5).choose(1.0 - _near(wide), result).as_precision(x.precision)


def _near(x: Real) -> Real:
    """Return erf x for |x| < 1."""
    return fma(x, polynomial(x * x, CONSTANTS[x.precision].near), x)


def _quotient(numerator: Real, numerator_rest: Real, denominator: Real, denominator_rest: Real) -> tuple[Real, Real]:
    """Return the quotient of two sums of a number and a much smaller one, as such a sum."""
    quotient = numerator / denominator
    lost = fma(-quotient, denominator, numerator) + fma(-quotient, denominator_rest, numerator_rest)
    return quotient, lost / denominator
