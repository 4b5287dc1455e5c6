"""What a step or a run did, in numbers."""

from chainrule.trace.history import EPOCH, Curve, History

__all__ = ["EPOCH", "Curve", "History"]
