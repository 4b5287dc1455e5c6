"""Questions to a trace: where does this number come from, and why is it zero, huge or not a number."""

from chainrule.queries.asking import Answer, Question, why
from chainrule.queries.growth import PathStep
from chainrule.queries.insides import can_open
from chainrule.queries.opening import open_op

__all__ = ["Answer", "PathStep", "Question", "can_open", "open_op", "why"]
