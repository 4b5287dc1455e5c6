"""What an op should do: its formula, its derivative, what silences it and what makes it blow up."""

from chainrule.ops.binding import argument_name, bind, rule_of
from chainrule.ops.lookup import RULES, rule_for
from chainrule.ops.places import Wiring
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.ops.scalars import scalar_derivatives, scalar_formula

__all__ = [
    "RULES",
    "Hazard",
    "OpRule",
    "Silencer",
    "Wiring",
    "argument_name",
    "bind",
    "rule_for",
    "rule_of",
    "scalar_derivatives",
    "scalar_formula",
]
