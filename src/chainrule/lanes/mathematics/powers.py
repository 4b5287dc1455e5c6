"""Roots and powers."""

from chainrule.lanes.mathematics.block import Real
from chainrule.lanes.mathematics.exponentials import exp
from chainrule.lanes.mathematics.logarithms import log


def sqrt(x: Real) -> Real:
    """Return the root, rounded correctly by the processor; NaN below 0."""
    return x.intrinsic("sqrt")


def power(x: Real, y: Real) -> Real:
    """Return xʸ for positive x."""
    return exp(y * log(x))
