"""Functions of a number, as code over vectors of numbers."""

from chainrule.lanes.mathematics.block import Precision
from chainrule.lanes.mathematics.catalogue import FUNCTIONS, definitions

__all__ = ["FUNCTIONS", "Precision", "definitions"]
