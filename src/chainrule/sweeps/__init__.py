"""Many runs of a task at once, by the fastest engine that can compute them."""

from chainrule.sweeps.axes import Axis, parse_axis
from chainrule.sweeps.borders import Border
from chainrule.sweeps.map_files import read_map, write_map
from chainrule.sweeps.map_result import Map, MapPlan
from chainrule.sweeps.maps import map_runs
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
    "Map",
    "MapPlan",
    "Outcome",
    "Phase",
    "Progress",
    "Status",
    "Sweep",
    "Verdict",
    "Want",
    "grid",
    "map_runs",
    "parse_axis",
    "read_map",
    "run_points",
    "sweep",
    "write_map",
]
