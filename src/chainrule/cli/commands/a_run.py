"""The commands about one run: training, and what can be trained."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chainrule.cli.commands.options import Changes, Flag
from chainrule.errors import ChainruleError


def train(
    task: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resume: Path | None = None,
    tensorboard: Flag = False,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="", show_default=False)] = False,
    changes: Changes = None,
) -> int:
    """Train a task by backpropagation, and write a run folder with a report.

    The six steps: initialise, forward, loss, gradients, update, repeat.
    For a small network the first update is shown with every number.

    Examples:
      chainrule train
      chainrule train digits --device cuda
      chainrule train my-task.toml -o runs/mine
      chainrule train --resume runs/mine --stop.epochs 200

    Any key of the task can be changed by its dotted name:
      chainrule train two-two-two --optimizer.lr 1 --stop.epochs 1000
      chainrule train iris --seed 3 --model.activation Tanh
      chainrule train iris --optimizer '{name = "SGD", lr = 0.1}'
    Short for run.device, run.precision, stop.epochs and optimizer.lr:
      chainrule train iris --device cpu --precision float64 --epochs 9 --lr 0.1

    On two processes:
      torchrun --nproc-per-node 2 -m chainrule train digits

    Ctrl-C finishes the update, saves, and says how to go on.

    Exit code: 0 done; 1 done, but the loss was no longer finite or a gradient is
    wrong; 2 unusable input; 130 interrupted.

    Parameters
    ----------
    task
        A TOML file, or the name of a built-in example (`chainrule examples` lists them); two-two-two when not given.
    output
        The run folder; runs/TIME-NAME when not given.
    resume
        Go on with the run in this folder, to bit-identical numbers. Only its [stop] may be changed.
    tensorboard
        Also write TensorBoard event files into the run folder.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    quiet
        Print only the result.
    """
    from chainrule.cli.training import Flags, run_training

    return run_training(task, changes or {}, (output, resume), Flags(tensorboard, json, quiet))


def examples(*, write: Annotated[tuple[str, Path] | None, Parameter(negative="")] = None, json: Flag = False) -> int:
    """List the built-in tasks, or write one as a TOML file with comments, to edit.

    Examples:
      chainrule examples
      chainrule examples --write iris my-task.toml

    Parameters
    ----------
    write
        NAME FILE: write the TOML of this task to this file; an existing file is not overwritten.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.examples import list_examples, write_example

    return list_examples(json) if write is None else write_example(*write, json)


def activations(
    name: str | None = None,
    /,
    *,
    compare: str | None = None,
    candidates: str | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    plot: Path | None = None,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="", show_default=False)] = False,
    changes: Changes = None,
) -> int:
    """List the activations of torch.nn with their facts, show one with a plot, or find the best for a task.

    The facts are computed from the formulas: range, zero-centred, monotone,
    bounded, where the derivative vanishes, and the gain that keeps the variance.
    The plot shows value and derivative.

    Examples:
      chainrule activations
      chainrule activations Mish
      chainrule activations LeakyReLU --argument.negative_slope 0.2 --plot leaky.svg

    --compare trains a task with each of several activations in its hidden layers:
    the learning rate is tuned for each, then all run with the same seeds and
    batches. It says which is best, and for which others there is no evidence of a
    difference; what each does to signals before training; and how the network
    should end for these targets. Ctrl-C keeps what is done.

      chainrule activations --compare iris --data.validation 0.3
      chainrule activations --compare digits --candidates ReLU,GELU,Tanh --steps 300
      chainrule activations --compare my-task.toml -o runs/activations

    Exit code: 0 done; 1 nothing can be recommended; 2 unusable input; 130
    interrupted.

    Parameters
    ----------
    name
        An activation, such as ReLU or leaky_relu.
    compare
        The task to compare activations on: a TOML file, or the name of a built-in example.
    candidates
        What is compared, the preferred first where two tie; seven usual ones and the task's own when not given.
    seeds
        With how many seeds they are compared, 5 or more; 8 when not given. Four others tune the rates.
    steps
        Updates of each run; as many as the task has when not given.
    output
        Write the comparison to this .png, .svg, .html or .csv file, or all of it to this folder.
    plot
        Also write the plot of one activation to this .svg or .png file.
    json
        Print one JSON object, and nothing else, on standard output.
    quiet
        Show no progress.
    """
    if compare is None:
        from chainrule.cli.activations import show_activations

        of_comparing = {"candidates": candidates, "seeds": seeds, "steps": steps, "output": output}
        given = [key for key, value in of_comparing.items() if value is not None]
        return show_activations(name, plot, json, changes or {}, given)
    from chainrule.cli.comparing import Comparing, run_comparing

    if name is not None or plot is not None:
        raise ChainruleError(
            what="--compare takes its task itself, and no NAME and no --plot.",
            found=" ".join(part for part in (name or "", "--plot" if plot else "") if part),
            next_step="chainrule activations --compare TASK",
        )
    return run_comparing(compare, changes or {}, Comparing(candidates, seeds, steps, output, json, quiet))
