"""What a command is given to work on: a task, or a trace that was saved."""

from pathlib import Path
from typing import Final

from chainrule.errors import TaskError

TRACE_SUFFIX: Final = ".safetensors"
_LONGEST_HEADER: Final = 100_000_000  # bytes; the format allows no longer one


def is_trace(source: str | None) -> bool:
    """Return whether a source is the file of a trace: by its suffix, or by how the file begins."""
    if source is None:
        return False
    return Path(source).suffix == TRACE_SUFFIX or _begins_like_one(Path(source))


def _begins_like_one(path: Path) -> bool:
    """Return whether a file begins as .safetensors files do: the length of its header, and a brace."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except (OSError, ValueError):  # it is not there, is a folder, or is no path at all: the name of an example
        return False
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER


def refuse_trace(source: str | None, command: str) -> None:
    """Refuse the file of a trace where a task is needed.

    Raises:
        TaskError: it is one.
    """
    if source is not None and is_trace(source):
        raise TaskError(
            what="A saved trace has no model to run.",
            found=source,
            expected="a task: a TOML file, or the name of a built-in example",
            next_step=f"Give `chainrule {command}` the task that the trace was recorded from; `chainrule record`, "
            "`explain` and `why` read saved traces.",
        )
