"""The commands about one training step."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from chainrule.cli.commands.options import Changes, Flag


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
