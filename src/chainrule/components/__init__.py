"""Network, loss, optimizer and schedule of a task, built from their names."""

from chainrule.components.generators import (
    generators_kept,
    generators_outside_torch,
    restore_generators_outside_torch,
    seed_generators,
)
from chainrule.components.losses import Objective, build_objective, check_shapes, not_one_tensor, targets_for
from chainrule.components.network import SharedBiasLinear, build_network, leaf_modules
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
    "generators_kept",
    "generators_outside_torch",
    "leaf_modules",
    "not_one_tensor",
    "restore_generators_outside_torch",
    "seed_generators",
    "targets_for",
    "user_error",
]
