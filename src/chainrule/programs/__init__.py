"""One training step of a small network as a program of scalar assignments, with the names that people write."""

from chainrule.programs.chains import Factor, Path, count_paths, paths_to
from chainrule.programs.evaluating import Evaluator, run_program
from chainrule.programs.gradients import with_gradients
from chainrule.programs.layered import Layer, layered_program
from chainrule.programs.naming import ascii_name, derivative_name, latex_name, sample_name, unit_name
from chainrule.programs.printing import program_latex, program_spreadsheet, program_text
from chainrule.programs.program import Assignment, Kind, Program, Quantity, Step, Term
from chainrule.programs.updates import with_updates

__all__ = [
    "Assignment",
    "Evaluator",
    "Factor",
    "Kind",
    "Layer",
    "Path",
    "Program",
    "Quantity",
    "Step",
    "Term",
    "ascii_name",
    "count_paths",
    "derivative_name",
    "latex_name",
    "layered_program",
    "paths_to",
    "program_latex",
    "program_spreadsheet",
    "program_text",
    "run_program",
    "sample_name",
    "unit_name",
    "with_gradients",
    "with_updates",
]
