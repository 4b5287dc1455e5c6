"""Many runs of one small network at once: each lane of the processor's vectors is a run of its own."""

from chainrule.lanes.description import Group, Scheduled, Setting, StepDescription, Varying, supervised
from chainrule.lanes.kernel import Kernel, compile_runs
from chainrule.lanes.kernel_code import Shape
from chainrule.lanes.measures import Measure, convergence, final_loss, lowest_loss, steps_to
from chainrule.lanes.running import Outcome, Runs
from chainrule.lanes.unsupported import Unsupported

__all__ = [
    "Group",
    "Kernel",
    "Measure",
    "Outcome",
    "Runs",
    "Scheduled",
    "Setting",
    "Shape",
    "StepDescription",
    "Unsupported",
    "Varying",
    "compile_runs",
    "convergence",
    "final_loss",
    "lowest_loss",
    "steps_to",
    "supervised",
]
