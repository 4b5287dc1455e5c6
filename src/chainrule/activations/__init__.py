"""The catalogue of activation functions: formula, derivative, and the facts that follow from them."""

from chainrule.activations.curve import Curve, sample_curves
from chainrule.activations.description import catalogue_rows, describe, describe_all
from chainrule.activations.facts import ActivationFacts, Break, PrintedFormula, Vanishing
from chainrule.activations.landmarks import Span
from chainrule.activations.lookup import activation_names
from chainrule.activations.rule import Argument

__all__ = [
    "ActivationFacts",
    "Argument",
    "Break",
    "Curve",
    "PrintedFormula",
    "Span",
    "Vanishing",
    "activation_names",
    "catalogue_rows",
    "describe",
    "describe_all",
    "sample_curves",
]
