"""The six steps, and what surrounds them."""

from chainrule.training.devices import available_devices
from chainrule.training.first_update import FirstUpdate
from chainrule.training.observing import Reporter
from chainrule.training.run_folder import existing_or_error, new_run_folder, task_of_run
from chainrule.training.running import Run, train
from chainrule.training.state import State
from chainrule.training.trajectory import Trajectory, split_row

__all__ = [
    "FirstUpdate",
    "Reporter",
    "Run",
    "State",
    "Trajectory",
    "available_devices",
    "existing_or_error",
    "new_run_folder",
    "split_row",
    "task_of_run",
    "train",
]
