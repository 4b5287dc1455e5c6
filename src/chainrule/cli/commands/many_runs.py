"""The commands about many runs."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from chainrule.cli.commands.options import Changes, Flag


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
