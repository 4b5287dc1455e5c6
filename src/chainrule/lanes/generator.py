"""Random numbers that are a function of where they are drawn: run, step, op and element.

They come from Philox4x32-10: ten rounds that mix a counter of four words with a key of two (J. K. Salmon, M. A.
Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011). The key is the run's seed, the
counter is the place, so there is no state: a run draws the same numbers whichever lane it has, whichever runs are
beside it, and from whichever step it goes on.

    key = (seed mod 2³², seed div 2³²)        counter = (element, op, step mod 2³², step div 2³²)

    uniform = (⌊w₀/2⁵⌋·2²⁶ + ⌊w₁/2⁶⌋)/2⁵³ in float64,  ⌊w₀/2⁸⌋/2²⁴ in float32

    normal  = √(−2·log(1 − u))·cos(2πv),  u of the words 0 and 1, v of 2 and 3      (G. E. P. Box, M. E. Muller 1958)

A normal number is computed in float64, for float32 too. The same numbers come from NumPy below: uniform ones bit for
bit, normal ones but for the rounding of NumPy's own functions.
"""

from collections.abc import Iterable

import numpy as np

from chainrule.errors import UnknownNameError
from chainrule.lanes.mathematics.block import BEGIN, Block, Precision, Real, Whole, fma
from chainrule.lanes.mathematics.logarithms import log
from chainrule.lanes.mathematics.trigonometry import cos_of_turns
from chainrule.shapes import Float, UInt, shaped

GENERATORS = frozenset({"uniform", "normal"})

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF
