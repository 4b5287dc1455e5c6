"""Where a command writes its result: one file, or a folder for all of it."""

from collections.abc import Sequence
from pathlib import Path

from chainrule.errors import OutputError


def folder_of(output: Path | None, files: Sequence[str], command: str) -> Path | None:
    """Return the folder to write into; None for a file, or for nothing.

    Args:
        output: what `--output` says.
        files: the endings of files that the command writes, such as ".png".
        command: its name.

    Raises:
        OutputError: a file of another kind.
    """
    if output is None or output.suffix.lower() in files:
        return None
    if output.suffix and not output.is_dir():
        raise OutputError(
            what=f"chainrule {command} writes no {output.suffix} file.",
            where="--output",
            found=str(output),
            expected=f"a folder, or a file that ends in {', '.join(files[:-1])} or {files[-1]}",
        )
    return output
