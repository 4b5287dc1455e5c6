"""What torch offers by name, and which arguments each name takes."""

from chainrule.registry.arguments import check_arguments, parameters_of
from chainrule.registry.components import (
    ACTIVATIONS,
    INITIALISERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULERS,
    Catalogue,
)
from chainrule.registry.half_squares import HalfSumOfSquares

__all__ = [
    "ACTIVATIONS",
    "INITIALISERS",
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULERS",
    "Catalogue",
    "HalfSumOfSquares",
    "check_arguments",
    "parameters_of",
]
