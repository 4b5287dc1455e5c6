"""The command table. Commands import what they need when they run, so that --help never waits for torch."""

import errno
import itertools
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError

import chainrule
from chainrule.cli.commands.a_run import activations, examples, train
from chainrule.cli.commands.a_step import explain, record, verify, why
from chainrule.cli.commands.by_hand import check, workbook
from chainrule.cli.commands.many_runs import find_lr, map_, sweep
from chainrule.cli.exit_codes import DONE, INTERRUPTED, UNUSABLE
from chainrule.cli.json_output import print_json
from chainrule.cli.overrides import MAP_OPTIONS, SWEEP_OPTIONS, split_overrides
from chainrule.cli.usage import unknown_option, usage_error
from chainrule.errors import ChainruleError
from chainrule.render.plain_text import printable

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
for _command in (train, examples, activations, record, explain, why, verify, check, workbook, sweep, find_lr):
    app.command(_command, help_epilogue="")
app.command(map_, name="map", help_epilogue="")


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


_FOLDERS = frozenset({"--output", "-o", "--resume"})


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
        folder = _folder_to_resume(tokens)
        goes_on = "" if folder is None else f" To go on: chainrule {tokens[0]} --resume {shlex.quote(str(folder))}"
        print(f"Interrupted.{goes_on}", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _folder_to_resume(tokens: Sequence[str]) -> Path | None:
    """Return the folder that a command line names and in which something has begun that goes on with --resume."""
    if not {"train", "sweep", "map"} & set(tokens[:1]):
        return None
    named = [path for option, path in itertools.pairwise(tokens) if option in _FOLDERS]
    named += [
        path for option, is_one, path in (token.partition("=") for token in tokens) if is_one and option in _FOLDERS
    ]
    return next((Path(path) for path in named if (Path(path) / "task.toml").is_file()), None)


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
