"""Questions to a trace: where does this number come from, and why is it zero, huge or not a number."""

from chainrule.queries.asking import Answer, Question, why
from chainrule.queries.explained import Explanation
from chainrule.queries.explaining import explain
from chainrule.queries.growth import PathStep
from chainrule.queries.insides import can_open
from chainrule.queries.opening import open_op

__all__ = ["Answer", "Explanation", "PathStep", "Question", "can_open", "explain", "open_op", "why"]
