"""`chainrule find-lr`: which learning rate for a task."""

import shlex
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE, WRONG
from chainrule.cli.json_output import json_text, print_json
from chainrule.cli.outputs import folder_of
from chainrule.cli.sources import refuse_trace
from chainrule.cli.training import DEFAULT_TASK
from chainrule.errors import OutputError
from chainrule.files import write_atomically
from chainrule.probes import FoundRate
from chainrule.probes.finding_rates import find_task_rate
from chainrule.render.charts import picture_png, picture_svg
from chainrule.render.page import page_html
from chainrule.render.picture_files import write_pictures
from chainrule.render.terminal import print_document
from chainrule.reports.found_rate import found_rate_document, rate_chart
from chainrule.tasks import load_task

FILES: Final = (".png", ".svg", ".html", ".json")
_DATA: Final = "found.json"


@dataclass(frozen=True, slots=True)
class Request:
    """What `chainrule find-lr` is told by its own options."""

    seeds: int
    share: float
    output: Path | None = None
    json: bool = False


def run_finding(source: str | None, changes: Mapping[str, str], request: Request) -> int:
    """Find a learning rate for a task, print and write it, and return the exit code.

    Args:
        source: the task; the worked example when None.
        changes: dotted key → text.
        request: the other options.

    Raises:
        ChainruleError: the task or an option cannot be used, or a file cannot be written.
    """
    refuse_trace(source, "find-lr")
    task = load_task(DEFAULT_TASK if source is None else source, changes)
    is_folder = _is_folder(request.output)
    screen = Console(stderr=request.json, highlight=False)
    # What a user's module prints must not stand before the JSON.
    with redirect_stdout(sys.stderr if request.json else sys.stdout):
        found = find_task_rate(task, share=request.share, seeds=request.seeds)
    files = [] if request.output is None else _write(found, request.output, is_folder)
    print_document(found_rate_document(found), screen)
    if found.suggestion is not None:
        screen.print(Text(f"To train with it: {_command(source, changes, found.suggestion)}"), soft_wrap=True)
    for name in files:
        screen.print(Text(f"Written: {name}"), soft_wrap=True)
    if request.json:
        print_json({**found.to_dict(), "files": files})
    return WRONG if found.suggestion is None else DONE


def _command(source: str | None, changes: Mapping[str, str], rate: float) -> str:
    """Return the command that trains with a rate."""
    kept = [f"--{key} {shlex.quote(text)}" for key, text in changes.items() if key != "optimizer.lr"]
    return " ".join(["chainrule train", shlex.quote(source or DEFAULT_TASK), *kept, f"--optimizer.lr {rate:.3g}"])


def _is_folder(output: Path | None) -> bool:
    """Whether to write a folder.

    Raises:
        OutputError: it is a file of a kind that is not written.
    """
    folder = folder_of(output, FILES, "find-lr")
    if folder is None:
        return False
    if (folder / "report.html").exists() and not (folder / _DATA).exists():
        raise OutputError(
            what="The output folder holds the report of something else.",
            where="--output",
            found=str(folder / "report.html"),
            expected="a folder that is new, empty, or of an earlier find-lr",
        )
    return True


def _write(found: FoundRate, output: Path, is_folder: bool) -> list[str]:
    """Write an answer to one file, or all of it to a folder; return the names."""
    document = found_rate_document(found)
    if is_folder:
        page, data = output / "report.html", output / _DATA
        pictures = write_pictures(document, output / "plots")
        write_atomically(page, page_html(document).encode())
        write_atomically(data, json_text(found.to_dict()).encode())
        return [str(path) for path in (page, data, *pictures)]
    suffix = output.suffix.lower()
    if suffix in (".html", ".json"):
        text = page_html(document) if suffix == ".html" else json_text(found.to_dict())
        write_atomically(output, text.encode())
        return [str(output)]
    chart = rate_chart(found)
    if chart is None:  # nothing was run, so there is nothing to draw; the answer says why
        return []
    write_atomically(output, picture_svg(chart).encode() if suffix == ".svg" else picture_png(chart))
    return [str(output)]
