"""Many runs of a task at once, by the fastest engine that can compute them."""

from chainrule.sweeps.axes import Axis, parse_axis
from chainrule.sweeps.borders import Border
from chainrule.sweeps.outcome import Outcome, Progress, Status, Want
from chainrule.sweeps.phases import Evidence, Phase, Verdict
from chainrule.sweeps.points import Grid, grid
from chainrule.sweeps.running import run_points
from chainrule.sweeps.sweep_result import Best, Sweep
from chainrule.sweeps.sweeping import sweep

__all__ = [
    "Axis",
    "Best",
    "Border",
    "Evidence",
    "Grid",
    "Outcome",
    "Phase",
    "Progress",
    "Status",
    "Sweep",
    "Verdict",
    "Want",
    "grid",
    "parse_axis",
    "run_points",
    "sweep",
]
