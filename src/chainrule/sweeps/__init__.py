"""Many runs of a task at once, by the fastest engine that can compute them."""

from chainrule.sweeps.axes import Axis, parse_axis
from chainrule.sweeps.outcome import Outcome, Progress, Status, Want
from chainrule.sweeps.points import Grid, grid
from chainrule.sweeps.running import run_points

__all__ = ["Axis", "Grid", "Outcome", "Progress", "Status", "Want", "grid", "parse_axis", "run_points"]
