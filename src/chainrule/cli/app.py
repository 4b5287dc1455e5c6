"""The command table. Commands import what they need when they run, so that --help never waits for torch."""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

import chainrule
from chainrule.cli.exit_codes import DONE, INTERRUPTED, UNUSABLE
from chainrule.cli.json_output import print_json
from chainrule.cli.overrides import MAP_OPTIONS, SWEEP_OPTIONS, split_overrides
from chainrule.cli.usage import unknown_option, usage_error
from chainrule.errors import ChainruleError
from chainrule.render.plain_text import printable

Changes = Annotated[dict[str, str] | None, Parameter(parse=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]

app = App(
    name="chainrule",
    help="Make backpropagation in PyTorch visible, checkable and steerable.",
    help_epilogue=(
        "Examples:\n"
        "  chainrule train                 the 2-2-2 worked example with every number\n"
        "  chainrule train digits          a built-in task\n"
        "  chainrule train my-task.toml    a task of your own\n"
        "  chainrule train --help          what else it takes\n"
        "  chainrule record digits         one step, with every operation and its numbers\n"
        "  chainrule explain two-two-two output.weight 0,0    one gradient as a sum of products\n"
        "  chainrule sweep two-two-two     six learning rates, and what each does to the loss\n"
        "  chainrule map xor               the learning rates of two layers: where training converges\n"
        "  chainrule find-lr digits        a learning rate, with the runs that prove it\n"
        "  chainrule --version             versions, and the devices found"
    ),
    help_format="plaintext",
    version_flags=[],
    help_on_error=False,
)


@app.command(help_epilogue="")
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


@app.command(help_epilogue="")
def record(
    task: str | None = None,
    /,
    *,
    step: int | None = None,
    keep: Literal["values", "statistics"] | None = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    page: Path | None = None,
    graph: Path | None = None,
    parquet: Path | None = None,
    module: Annotated[str, Parameter(show_default=False)] = "",
    depth: int | None = None,
    json: Flag = False,
    changes: Changes = None,
) -> int:
    """Record one training step, and show every operation of it with its numbers.

    For each op of forward and loss: what it took and made, its adjoint
    (∂loss/∂value), and what each use of a value sends back. Then the backward
    pass, and the update of every parameter as a sum of terms.

    Examples:
      chainrule record
      chainrule record digits --step 100
      chainrule record digits --page step.html --graph step.svg
      chainrule record digits -o step.safetensors
      chainrule record step.safetensors --module hidden1

    Modules of larger models are folded; --depth and --module open them:
      chainrule record my-task.toml --depth 2
      chainrule record my-task.toml --module layers.0.attention

    Any key of the task can be changed, as for `chainrule train`:
      chainrule record iris --seed 3 --optimizer.lr 0.1

    Parameters
    ----------
    task
        A TOML file, the name of a built-in example, or a trace that was saved; two-two-two when not given.
    step
        Which step; step K begins after K updates, which are trained as always and not recorded. 0 when not given.
    keep
        "values" keeps tensors; "statistics" keeps mean, spread, least and largest of each. values when not given.
    output
        Save the trace to this .safetensors file.
    page
        Write all of it as one HTML page, with the graph.
    graph
        Write the graph as a picture to this .svg file.
    parquet
        Write the table of all ops to this .parquet file.
    module
        Show the inside of this module only.
    depth
        Open modules down to this level; as deep as it stays readable when not given.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.recording import Files, Recording, View, run_recording

    files = Files(output, page, graph, parquet)
    return run_recording(task, changes or {}, Recording(step, keep), files, View(depth, module, json))


@app.command(help_epilogue="")
def explain(
    source: str,
    name: str | None = None,
    index: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    form: Annotated[Literal["text", "latex", "html", "json"] | None, Parameter(name="--format")] = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    exercise: Flag = False,
    digits: int | None = None,
    depth: int | None = None,
    top: int | None = None,
    step: int | None = None,
    json: Flag = False,
    changes: Changes = None,
) -> int:
    """Derive one gradient of a step by the chain rule, or work the whole step out.

    For a number of a small network (w5, b1, a_h1): the chain rule for it, first
    with symbols, then with formulas, with numbers, and the result; every path of a
    hidden weight, the sum over the samples, and the update. Without a name: the
    whole step, from what is given to the loss after the update.

    Examples:
      chainrule explain two-two-two w5
      chainrule explain two-two-two w1 --digits 10
      chainrule explain two-two-two -o worked.html
      chainrule explain iris w1 --step 20 --format latex
      chainrule explain two-two-two --exercise -o exercise.tex

    For an element of a tensor of any network: each op that takes it, the adjoints
    of what the op made, the local derivatives, their products, largest first;
    which samples of the batch and which paths it comes from.

      chainrule explain two-two-two output.weight 0,0
      chainrule explain two-two-two hidden1.weight 1,0 --depth 3
      chainrule explain digits input --step 100
      chainrule explain step.safetensors hidden1.weight 1,0

    `chainrule record` shows the names. Without an index it is the element whose
    gradient is the largest. Any key of the task can be changed, as for
    `chainrule train`.

    Parameters
    ----------
    source
        A TOML file, the name of a built-in example, or a trace that was saved.
    name
        w5, or a_h1; or a parameter, an input, what an op made, or a module: hidden1.weight, input, hidden1.
    index
        The element of a tensor, such as 1,0; negative numbers count from the end.
    form
        text, latex (for pdflatex, with amsmath), html or json; what the output's suffix says when not given.
    output
        Write it to this file.
    exercise
        A sheet with blanks to fill in, and the key to it.
    digits
        Significant digits of the results of a derivation; 6 when not given.
    depth
        How many levels of adjoints of a tensor are explained in turn; 1 when not given.
    top
        How many products, uses and paths of a tensor are shown; 5 when not given.
    step
        Which step; step K begins after K updates. 0 when not given.
    json
        Short for --format json.
    """
    from chainrule.cli.deriving import Sheet
    from chainrule.cli.explaining import Asked, run_explaining

    sheet = Sheet("json" if json else form, output, digits, exercise)
    return run_explaining(source, changes or {}, step, Asked(name, index, depth, top), sheet)


@app.command(help_epilogue="")
def why(
    source: str,
    name: str | None = None,
    /,
    *,
    question: Literal["zero", "huge", "nan"] | None = None,
    step: int | None = None,
    json: Flag = False,
    changes: Changes = None,
) -> int:
    """Say why a gradient is zero, huge or not finite: the op, the line, the numbers, and what to try.

    One step of a task is recorded. Without a name the whole step is looked at:
    NaN and infinity first, then gradients that are zero, missing or tiny, then
    those that are huge.

    Examples:
      chainrule why two-two-two
      chainrule why digits hidden1.weight --step 100
      chainrule why digits hidden1.weight --question huge
      chainrule why step.safetensors

    Any key of the task can be changed, as for `chainrule train`.

    Exit code: 0 done; 1 done, and a finding is an error; 2 unusable input.

    Parameters
    ----------
    source
        A TOML file, the name of a built-in example, or a trace that was saved.
    name
        A parameter, an input, what an op made, or a module for what it returned; the whole step when not given.
    question
        zero (or tiny, or missing), huge, or nan (or infinite); what the numbers ask for when not given.
    step
        Which step; step K begins after K updates. 0 when not given.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.asking import Asked, run_asking

    return run_asking(source, changes or {}, step, Asked(name, question), json)


@app.command(help_epilogue="")
def verify(
    task: str | None = None, /, *, step: int = 0, entries: int = 100, json: Flag = False, changes: Changes = None
) -> int:
    """Check the gradients of one step against central differences of its loss in float64.

    Every parameter is checked, entry by entry or along random directions, and
    every torch.autograd.Function of your own by itself, so that a wrong backward
    is named with the entry, what it sends and what it should send.

    Examples:
      chainrule verify
      chainrule verify digits --step 20
      chainrule verify my-task.toml --entries 1000

    Any key of the task can be changed by its dotted name, as for train.

    Exit code: 0 right; 1 a gradient is wrong, or could not be checked; 2 unusable
    input; 130 interrupted.

    Parameters
    ----------
    task
        A TOML file, or the name of a built-in example; two-two-two when not given.
    step
        Which step; step k begins after k updates.
    entries
        How many single entries to check at most, over all parameters.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.verifying import run_verification

    return run_verification(task, changes or {}, step, entries, json)


@app.command(help_epilogue="")
def check(file: Path, /, *, sheet: str | None = None, json: Flag = False) -> int:
    """Say whether a workbook or a file of formulas made by hand is right.

    Every table is found by its headers, and every cell of every row is checked
    from that row's own inputs and weights: numbers to their digits, formulas
    exactly, so that a slip which the row's numbers hide is found too. Named are
    the first wrong cell, what stands there, what belongs there, the likely slip,
    and what it does to the loss.

    Examples:
      chainrule check my-workbook.xlsx
      chainrule check my-workbook.xlsx --sheet Sheet2
      chainrule check my-formulas.txt
      chainrule check table.csv --json

    Exit code: 0 right; 1 wrong; 2 not understood, or unusable input.

    Parameters
    ----------
    file
        A workbook (.xlsx, .csv), or a file of formulas such as dE/dw5 = (a_o1 - t1) * a_h1 (.txt, .md, .tex).
    sheet
        Check only this sheet of the workbook.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.checking import run_check

    return run_check(file, sheet, json)


@app.command(help_epilogue="")
def workbook(
    task: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    updates: int = 100,
    rates: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    step: int | None = None,
    json: Flag = False,
    changes: Changes = None,
) -> int:
    """Write a training of a small network as a workbook (.xlsx) that computes everything itself.

    Sheets: Setup, with inputs, targets, initial weights, learning rate and settings
    in cells to change, and the curve of the loss; Run, one row per update with
    every value, gradient and new weight as a live formula; Learning rates, one
    curve per rate; and Formulas, which explains each column. For LibreOffice and
    Excel 2010 or later.

    Examples:
      chainrule workbook two-two-two -o worked.xlsx
      chainrule workbook xor -o xor.xlsx --updates 500 --rates 0.1,1,10
      chainrule workbook iris -o iris.xlsx --data.batch_size 4 --rates none

    Any key of the task can be changed by its dotted name, as for train.

    Parameters
    ----------
    task
        A TOML file, the name of a built-in example, or a trace that was saved; two-two-two when not given.
    output
        The .xlsx file; the name of the task, in this folder, when not given.
    updates
        How many updates. All of them take the samples of one step.
    rates
        The learning rates to compare, such as 0.1,0.5,1, or none; 0.1,0.2,0.5,0.8,1,2 when not given.
    step
        Which step; step K begins after K updates, with the weights that they left. 0 when not given.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.workbook import Wanted, run_workbook

    return run_workbook(task, changes or {}, step, Wanted(updates, rates), output, json)


@app.command(help_epilogue="")
def sweep(
    task: str | None = None,
    /,
    *,
    steps: int | None = None,
    engine: Literal["auto", "lanes", "vmap", "loop"] | None = None,
    scale: Literal["local", "ray"] = "local",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resume: Path | None = None,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="", show_default=False)] = False,
    changes: Changes = None,
) -> int:
    """Train a task with many learning rates, or other values, and say what each does to the loss.

    For each value its loss curve and its phase: too slow, converging, oscillating,
    saturated (stuck on a plateau) or diverging; then the best value, where runs
    begin to diverge, and what is recommended, with a margin to that.

    Examples:
      chainrule sweep
      chainrule sweep two-two-two --lr .1,.2,.5,.8,1,2 --steps 1000
      chainrule sweep two-two-two --lr log:1:1e4:30
      chainrule sweep iris --lr log:1e-4:10:40 -o rates.png
      chainrule sweep digits --lr .01,.1,1 --momentum 0,.9 -o runs/rates

    What varies is a list with commas, or a range: log:LOW:HIGH:COUNT, lin:LOW:HIGH:COUNT.
    Any hyperparameter can vary, and several do in all combinations:
      --lr (of all weights) --lr.0 (of the first layer) --momentum --weight_decay
      --init.scale --seed --model.activation ReLU,Tanh --data.batch_size 8,32
    One value alone changes the task, as for `chainrule train`:
      chainrule sweep iris --lr .01,.1 --optimizer.name SGD --precision float64

    Ctrl-C keeps the runs that are done. Exit code: 0 done; 2 unusable input;
    130 interrupted.

    Parameters
    ----------
    task
        A TOML file, or the name of a built-in example; two-two-two when not given.
    steps
        Updates of each run; as many as the task has when not given.
    engine
        lanes (compiled, many runs at once), vmap (many at once), loop (one by one), or auto for the fastest that can.
    scale
        local computes on this machine; ray on a Ray cluster: the one at RAY_ADDRESS, or that runs here, or one that is
        started for it.
    output
        A folder for all of it, or one file: the curves as .png or .svg, the page as .html, a table of all losses as
        .csv or .parquet.
    resume
        Go on with the sweep in this folder.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    quiet
        Show no progress.
    """
    from chainrule.cli.sweeping import Request, run_sweeping

    return run_sweeping(task, changes or {}, Request(steps, engine, output, resume, json, quiet, scale))


@app.command(name="map", help_epilogue="")
def map_(
    task: str | None = None,
    /,
    *,
    x: str | None = None,
    y: str | None = None,
    resolution: int | None = None,
    measure: str | None = None,
    zoom: Annotated[tuple[float, float, float] | None, Parameter(negative="", allow_leading_hyphen=True)] = None,
    steps: int | None = None,
    engine: Literal["auto", "lanes", "vmap", "loop"] | None = None,
    scale: Literal["local", "ray"] = "local",
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resume: Path | None = None,
    json: Flag = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="", show_default=False)] = False,
    changes: Changes = None,
) -> int:
    """Train a task for every pixel over two hyperparameters: where it converges, how fast, and where it diverges.

    A pixel is one complete training. The map says which share converges, the best
    values, values with a margin to those that fail, and how rough the border is.

    Examples:
      chainrule map xor
      chainrule map xor --x lr.0=log:1e-2:1e4 --y lr.1=log:1e-2:1e4 -o map.html
      chainrule map fractal-tanh --resolution 256 -o runs/fractal
      chainrule map runs/fractal --zoom 30 200 10
      chainrule map iris --x lr=log:1e-4:1 --y weight_decay=log:1e-6:1
      chainrule map digits --x lr=log:1e-4:1 --y momentum=lin:0:0.99 --optimizer.name SGD

    x and y are KEY=log:LOW:HIGH, KEY=lin:LOW:HIGH, with :COUNT for other than
    --resolution values, or KEY=VALUE,VALUE,...; both ends are pixels. Keys are those
    of `chainrule sweep`: lr, lr.0 (of the first layer), momentum, init.scale, seed.
    One value alone changes the task, as for `chainrule train`:
      chainrule map xor --momentum 0.9 --precision float64

    Ctrl-C keeps the runs that are done. Exit code: 0 done; 2 unusable input;
    130 interrupted.

    Parameters
    ----------
    task
        A TOML file, the name of a built-in example, or the folder or .npz file of an earlier map; two-two-two when not
        given.
    x
        The horizontal axis; the task's own, or the learning rate of the first weight layer, when not given.
    y
        The vertical axis; the task's own, or the learning rate of the last weight layer, when not given.
    resolution
        Pixels along each side; 64 when not given.
    measure
        convergence (how fast a run converges or diverges), final_loss, lowest_loss, steps_to:0.01 (updates until the
        loss is at most 0.01) or test_accuracy.
    zoom
        X Y FACTOR: the window around this point, each side shorter by this factor (in decades where it is log).
    steps
        Updates of each run; as many as the task has when not given.
    engine
        lanes (compiled, many runs at once), vmap (many at once), loop (one by one), or auto for the fastest that can.
    scale
        local computes on this machine; ray on a Ray cluster, as for `chainrule sweep`.
    output
        A folder for all of it, or one file: the picture as .png or .svg, the page that zooms as .html, the numbers as
        .npz or .parquet.
    resume
        Go on with the map in this folder.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    quiet
        Show no progress.
    """
    from chainrule.cli.mapping import Request, run_mapping

    request = Request(x, y, resolution, measure, zoom, steps, engine, scale, output, resume, json, quiet)
    return run_mapping(task, changes or {}, request)


@app.command(name="find-lr", help_epilogue="")
def find_lr(
    task: str | None = None,
    /,
    *,
    seeds: int = 3,
    share: float = 0.1,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    json: Flag = False,
    changes: Changes = None,
) -> int:
    """Find a learning rate for a task by short runs that prove it, at a tenth of what its training costs.

    Tried are range tests (one run whose rate rises at every update), the stability
    limit from the largest curvature of the loss, and short runs round the
    candidate, over several seeds. Said are the rate, which rates are too slow,
    good and unstable with the runs that show it, and how sure it is. Where no rate
    can be known, it says why and what to look at.

    Examples:
      chainrule find-lr digits
      chainrule find-lr iris --optimizer.name SGD --stop.epochs 200
      chainrule find-lr my-task.toml --seeds 5 -o rate.png
      chainrule find-lr digits --share 0.2 -o runs/rate

    Any key of the task can be changed by its dotted name, as for train.

    Exit code: 0 done; 1 no rate can be suggested; 2 unusable input; 130
    interrupted.

    Parameters
    ----------
    task
        A TOML file, or the name of a built-in example; two-two-two when not given.
    seeds
        How often it is repeated with other orders of the batches.
    share
        The part of the training's gradient evaluations that may be spent.
    output
        A folder for all of it, or one file: the picture as .png or .svg, the page as .html, the numbers as .json.
    json
        Print the result as one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.finding_rate import Request, run_finding

    return run_finding(task, changes or {}, Request(seeds, share, output, json))


@app.command(help_epilogue="")
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


@app.command(help_epilogue="")
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


def print_version() -> int:
    """Print the versions of chainrule, Python and torch, and the devices that torch finds."""
    print(f"chainrule {chainrule.__version__}")  # noqa: T201
    print(f"Python {sys.version.split()[0]}")  # noqa: T201
    import torch

    from chainrule.training import available_devices

    print(f"torch {torch.__version__}")  # noqa: T201
    print(f"devices: {', '.join(available_devices().values())}")  # noqa: T201
    return DONE


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})  # what a disk says that takes no more


def launch(tokens: Sequence[str]) -> int:
    """Run a command line and return its exit code; an error of chainrule is printed, not traced."""
    if list(tokens) in (["--version"], ["-V"]):
        return print_version()
    is_json = "--json" in tokens
    try:
        return _run(tokens)
    except ChainruleError as error:
        return _fail(error, is_json)
    except KeyboardInterrupt:
        can_resume = bool({"train", "sweep", "map"} & set(tokens[:1]))
        goes_on = " A run that had begun goes on with --resume and its folder." if can_resume else ""
        print(f"Interrupted.{goes_on}", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _run(tokens: Sequence[str]) -> int:
    takes_any_key = {"sweep": SWEEP_OPTIONS, "map": MAP_OPTIONS}
    rest, changes = split_overrides(tokens, takes_any_key.get(tokens[0]) if tokens else None)
    try:
        command, bound, ignored = app.parse_args(rest, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise usage_error(error, rest, [name for name in app if not name.startswith("-")]) from error
    if "changes" in ignored:
        bound.arguments["changes"] = changes
    elif changes:
        raise unknown_option(f"--{next(iter(changes))}", (), rest[0] if rest else "")
    result = command(*bound.args, **bound.kwargs)
    return result if isinstance(result, int) else DONE


def _fail(error: ChainruleError, is_json: bool) -> int:
    if is_json:
        print_json({"error": str(error), "kind": type(error).__name__})
    print(f"error: {printable(str(error))}", file=sys.stderr)  # noqa: T201
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
        _discard_output()
        code = DONE
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _discard_output()
        print(  # noqa: T201
            f"error: The result cannot be written to standard output.\n  found: {error.strerror}", file=sys.stderr
        )
        code = UNUSABLE
    sys.exit(code)


def _discard_output() -> None:
    """Send what is still to be printed nowhere, so that Python does not complain of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
