"""The worked example of a task: one of its steps, number by number."""

from dataclasses import replace

from chainrule.data import load_data
from chainrule.programs import Program
from chainrule.tasks import Task
from chainrule.training.recorded_step import record_step
from chainrule.worked import Names, program_of


def worked_example(task: Task, step: int = 0, *, most_scalars: int = 5000) -> Program:
    """Train a task up to a step, and return that step as a program of scalar assignments.

    Inputs bear the names of the data's columns where the user gave names that can stand in formulas; otherwise, and
    for classes, they stand in the meaning of i1, t1, p1.

    Args:
        task: what to train.
        step: which one to write out; step k begins after k updates, and takes the batch that it would take.
        most_scalars: the most numbers that are written out.

    Raises:
        WorkedExampleError: the network is too large, or something in it has no formula.
        TaskError: the run does not come as far as this step.
        ChainruleError: something does not fit or cannot be read; see `chainrule.errors`.
    """
    trace = record_step(task, step, "values")
    program = program_of(trace, title=task.name, names=_names(task), most_scalars=most_scalars)
    convention = f"The loss is {trace.about['loss']}."
    return replace(program, notes=(convention, *program.notes))


def _names(task: Task) -> Names:
    """Return the user's names of columns and classes; arrays have none, and x1, x2, y are made up for them."""
    data = load_data(task.data, task.seed)
    has_columns = task.data.source is not None
    return Names(
        inputs=data.input_names if has_columns else (),
        targets=data.target_names if has_columns and data.kind == "regression" else (),
        classes=data.class_names if data.kind == "classification" else (),
    )
