"""Composite ops written in smaller ones, one Python function for each function of torch."""

from chainrule.queries.lowerings.lowering import Lowering, Refusal
from chainrule.queries.lowerings.table import LOWERINGS, lowering_for

__all__ = ["LOWERINGS", "Lowering", "Refusal", "lowering_for"]
