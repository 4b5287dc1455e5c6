"""What a step or a run did, in numbers."""

from chainrule.trace.history import Curve, History

__all__ = ["Curve", "History"]
