"""What an op should do: its formula, its derivative, what silences it and what makes it blow up."""

from typing import TYPE_CHECKING, Any

from chainrule.ops import lookup
from chainrule.ops.binding import argument_name, bind, rule_of
from chainrule.ops.lookup import is_activation, rule_for
from chainrule.ops.places import Wiring
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.ops.scalars import scalar_derivatives, scalar_formula

if TYPE_CHECKING:
    from chainrule.ops.lookup import RULES

__all__ = [
    "RULES",
    "Hazard",
    "OpRule",
    "Silencer",
    "Wiring",
    "argument_name",
    "bind",
    "is_activation",
    "rule_for",
    "rule_of",
    "scalar_derivatives",
    "scalar_formula",
]


def __getattr__(name: str) -> Any:
    if name != "RULES":
        raise AttributeError(f"module 'chainrule.ops' has no attribute '{name}'")
    return lookup.RULES
