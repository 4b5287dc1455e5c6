"""Network, loss, optimizer and schedule of a task, built from their names."""

from chainrule.components.losses import Objective, build_objective, check_shapes, targets_for
from chainrule.components.network import SharedBiasLinear, build_network
from chainrule.components.optimizers import Schedule, build_optimizer, build_schedule
from chainrule.components.user_code import user_error

__all__ = [
    "Objective",
    "Schedule",
    "SharedBiasLinear",
    "build_network",
    "build_objective",
    "build_optimizer",
    "build_schedule",
    "check_shapes",
    "targets_for",
    "user_error",
]
