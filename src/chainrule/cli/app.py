"""The command table. Commands import what they need when they run, so that --help never waits for torch."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

import chainrule
from chainrule.cli.overrides import split_overrides
from chainrule.errors import ChainruleError

DONE, WRONG, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

Changes = Annotated[dict[str, str] | None, Parameter(parse=False)]
Json = Annotated[bool, Parameter(negative="")]

app = App(
    name="chainrule",
    help="Make backpropagation in PyTorch visible, checkable and steerable.",
    help_epilogue=(
        "Start with `chainrule train`: it trains the 2-2-2 network of the worked example and shows every number of "
        "its first update. `chainrule examples` lists more; `chainrule COMMAND --help` says more of a command."
    ),
    version_flags=[],
    help_on_error=False,
)


@app.command
def train(
    task: str = "two-two-two",
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resume: Path | None = None,
    tensorboard: Json = False,
    json: Json = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    changes: Changes = None,
) -> int:
    """Train a task by backpropagation, and write a run folder with a report.

    The six steps: initialise, forward, loss, gradients, update, repeat. For a small network the first update is shown
    with every number.

    Any key of the task can be changed from here by its dotted name:

        chainrule train two-two-two --optimizer.lr 1 --stop.epochs 1000

        chainrule train iris --loss MSELoss --optimizer '{name = "SGD", lr = 0.1}' --seed 3

        chainrule train my-task.toml --device cuda --precision bf16 -o runs/mine

        torchrun --nproc-per-node 2 -m chainrule train digits

    Ctrl-C finishes the update, saves, and says how to go on.

    Exit code: 0 done; 1 the loss was no longer finite, or the gradients are wrong; 2 unusable input; 130 interrupted.

    Parameters
    ----------
    task
        A TOML file, or the name of a built-in example (see `chainrule examples`).
    output
        The run folder; runs/<time>-<name> when not given.
    resume
        Go on with the run in this folder, to bit-identical numbers. Only [stop] may be changed.
    tensorboard
        Also write TensorBoard event files into the run folder.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    quiet
        Print only the result.
    """
    from chainrule.cli.training import run_training

    return run_training(task, changes or {}, (output, resume), (tensorboard, json, quiet))


@app.command
def examples(*, write: Annotated[tuple[str, Path] | None, Parameter()] = None, json: Json = False) -> int:
    """List the built-in tasks, or write one as a TOML file with comments, to edit.

        chainrule examples

        chainrule examples --write iris my-task.toml

    Parameters
    ----------
    write
        NAME FILE: write the TOML of this task to this file; an existing file is not overwritten.
    json
        Print one JSON object on standard output.
    """
    from chainrule.cli.examples import list_examples, write_example

    return list_examples(json) if write is None else write_example(*write)


@app.command
def activations(
    name: str | None = None, /, *, plot: Path | None = None, json: Json = False, changes: Changes = None
) -> int:
    """List the activations of torch.nn with their facts, or show one with a plot of value and derivative.

    The facts are computed from the formulas: range, zero-centred, monotone, bounded, where the derivative vanishes,
    and the gain that keeps the variance.

        chainrule activations

        chainrule activations LeakyReLU --argument.negative_slope 0.2 --plot leaky.svg

    Parameters
    ----------
    name
        An activation, such as ReLU or leaky_relu.
    plot
        Also write the plot to this .svg or .png file.
    json
        Print one JSON object on standard output.
    """
    from chainrule.cli.activations import show_activations

    return show_activations(name, plot, json, changes or {})


def print_version() -> int:
    """Print the versions of chainrule, Python and torch, and the devices that torch finds."""
    print(f"chainrule {chainrule.__version__}")  # noqa: T201
    print(f"Python {sys.version.split()[0]}")  # noqa: T201
    import torch

    from chainrule.training import available_devices

    print(f"torch {torch.__version__}")  # noqa: T201
    print(f"devices: {', '.join(available_devices().values())}")  # noqa: T201
    return DONE


def launch(tokens: Sequence[str]) -> int:
    """Run a command line and return its exit code; an error of chainrule is printed, not traced."""
    if list(tokens) in (["--version"], ["-V"]):
        return print_version()
    is_json = "--json" in tokens
    try:
        rest, changes = split_overrides(tokens)
        command, bound, ignored = app.parse_args(rest, exit_on_error=False, print_error=False)
        if "changes" in ignored:
            bound.arguments["changes"] = changes
        elif changes:
            key = next(iter(changes))
            raise ChainruleError(what=f"Unknown option --{key}.", next_step="`chainrule --help` lists the commands.")
        result = command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        return _fail(str(error), {"error": str(error)}, is_json)
    except ChainruleError as error:
        return _fail(str(error), {"error": str(error), "kind": type(error).__name__}, is_json)
    except KeyboardInterrupt:
        print("Interrupted before anything was written.", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    return result if isinstance(result, int) else DONE


def _fail(text: str, data: dict[str, Any], is_json: bool) -> int:
    if is_json:
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
    console = Console(stderr=True, highlight=False)
    console.print("error:", style="bold red", end=" ")
    console.print(text, markup=False, soft_wrap=True)
    return UNUSABLE


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # Windows consoles that are not UTF-8 must not stop a run at a ∂.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        code = launch(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `chainrule ... | head` closed the pipe: nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    sys.exit(code)
