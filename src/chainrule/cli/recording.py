"""`chainrule record`: one step of a task, or a trace that was saved, on the terminal and in files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE
from chainrule.cli.json_output import print_json
from chainrule.cli.sources import TRACE_SUFFIX
from chainrule.cli.tracing import read_or_record
from chainrule.cli.training import DEFAULT_TASK
from chainrule.documents import Document, Fold
from chainrule.errors import ChainruleError, OutputError
from chainrule.files import write_atomically
from chainrule.render.graph_picture import graph_svg
from chainrule.render.page import page_html
from chainrule.render.terminal import print_document
from chainrule.reports.trace_graph import trace_graph
from chainrule.reports.trace_report import trace_document
from chainrule.reports.trace_summary import summary_dict
from chainrule.reports.trace_tree import check_module
from chainrule.trace import Keep, Trace


@dataclass(frozen=True, slots=True)
class Recording:
    """Which step is recorded; None where the command line does not say."""

    step: int | None
    keep: Keep | None


@dataclass(frozen=True, slots=True)
class View:
    """What of it is printed."""

    depth: int | None
    module: str
    json: bool


@dataclass(frozen=True, slots=True)
class Files:
    """Where it is written."""

    trace: Path | None
    page: Path | None
    graph: Path | None
    parquet: Path | None


def run_recording(
    source: str | None, changes: Mapping[str, str], recording: Recording, files: Files, view: View
) -> int:
    """Record one step, or read one that was saved; print it, and write what is asked for.

    Args:
        source: a task or the file of a trace; the worked example when None.
        changes: values of the task's keys, as they were typed.
        recording: --step and --keep.
        files: --output, --page, --graph and --parquet.
        view: --depth, --module and --json.

    Raises:
        ChainruleError: the task or the file cannot be used, or a file cannot be written.
    """
    _check_suffixes(files)
    if view.depth is not None and view.depth < 0:
        raise ChainruleError(
            what="Modules are opened down to a level.",
            where="--depth",
            found=str(view.depth),
            expected="0 or more; 0 leaves all of them folded",
        )
    given = DEFAULT_TASK if source is None else source
    trace = read_or_record(given, changes, view.json, "shown", step=recording.step, keep=recording.keep)
    check_module(trace, view.module)
    written = _write(trace, files, view)
    if view.json:
        print_json({**summary_dict(trace), "files": written})
        return DONE
    console = Console(highlight=False)
    document = trace_document(trace, module=view.module, depth=view.depth, with_graph=False)
    print_document(document, console)
    lines = [f"{name}: {path}" for name, path in written.items()]
    lines = lines or [*_how_to_open(document), _how_to_see(source)]
    console.print(Text("\n" + "\n".join(lines)), soft_wrap=True)
    return DONE


def _how_to_open(document: Document) -> list[str]:
    is_folded = any(isinstance(block, Fold) and not block.is_open for block in document.blocks)
    return ["What is folded opens with --module PATH, or with --depth N."] if is_folded else []


def _how_to_see(source: str | None) -> str:
    name = DEFAULT_TASK if source is None else source
    return f"As a page with a picture: chainrule record {name} --page step.html"


def _check_suffixes(files: Files) -> None:
    wanted = (
        (files.trace, TRACE_SUFFIX, "--output", "A trace"),
        (files.page, ".html", "--page", "A page"),
        (files.graph, ".svg", "--graph", "A graph"),
        (files.parquet, ".parquet", "--parquet", "A table"),
    )
    for path, suffix, option, what in wanted:
        if path is not None and path.suffix != suffix:
            raise OutputError(
                what=f"{what} is written to a file that ends with {suffix}.",
                where=option,
                found=path.name,
                expected=f"a name such as {path.stem or 'step'}{suffix}",
            )


def _write(trace: Trace, files: Files, view: View) -> dict[str, str]:
    written: dict[str, str] = {}
    if files.trace is not None:
        trace.save(files.trace)
        written["trace"] = str(files.trace)
    if files.page is not None:
        document = trace_document(trace, module=view.module, depth=view.depth)
        write_atomically(files.page, page_html(document).encode())
        written["page"] = str(files.page)
    if files.graph is not None:
        write_atomically(files.graph, graph_svg(trace_graph(trace, view.module)).encode())
        written["graph"] = str(files.graph)
    if files.parquet is not None:
        trace.write_parquet(files.parquet)
        written["parquet"] = str(files.parquet)
    return written
