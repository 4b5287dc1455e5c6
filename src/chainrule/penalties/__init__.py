"""Activation regularisation for any module."""

from chainrule.penalties.attachment import ActivationPenalty, AttachedPenalties, attach_penalties
from chainrule.penalties.ratios import gradient_ratios

__all__ = ["ActivationPenalty", "AttachedPenalties", "attach_penalties", "gradient_ratios"]
