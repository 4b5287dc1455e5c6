"""`chainrule train`: a task, a run, a report."""

import importlib
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE, INTERRUPTED, WRONG
from chainrule.cli.json_output import print_json
from chainrule.cli.reporter import TerminalReporter
from chainrule.cli.sources import refuse_trace
from chainrule.documents import Document
from chainrule.errors import MissingExtraError, TaskError
from chainrule.files import write_atomically
from chainrule.render.page import page_html
from chainrule.render.picture_files import write_pictures
from chainrule.render.terminal import print_document
from chainrule.reports.run_lines import closing_blocks, resume_hint
from chainrule.reports.run_report import run_document
from chainrule.tasks import Task, load_task
from chainrule.training import Reporter, Run, existing_or_error, new_run_folder, task_of_run, train

DEFAULT_TASK = "two-two-two"


@dataclass(frozen=True, slots=True)
class Flags:
    """What `chainrule train` is told by options without a value."""

    tensorboard: bool = False
    json: bool = False
    quiet: bool = False


def run_training(
    source: str | None,
    changes: Mapping[str, str],
    folders: tuple[Path | None, Path | None],
    flags: Flags,
) -> int:
    """Train what the command line names, and return the exit code.

    Args:
        source: the task; the worked example when None.
        changes: values of its keys, as they were typed.
        folders: --output and --resume.
        flags: --tensorboard, --json and --quiet.

    Raises:
        ChainruleError: the task, its data or the folders cannot be used.
    """
    refuse_trace(source, "train")
    output, resume = folders
    is_first_try = source is None and resume is None and not flags.quiet
    is_main = os.environ.get("RANK", "0") == "0"
    task, folder = _task_and_folder(source, changes, output, resume)
    screen = Console(stderr=flags.json, highlight=False)
    shown = TerminalReporter(screen, flags.quiet or not is_main)
    reporters: list[Reporter] = [shown]
    if flags.tensorboard:
        reporters.append(_tensorboard(folder))
    # What a user's module prints must not stand before the JSON.
    with redirect_stdout(sys.stderr if flags.json else sys.stdout):
        try:
            run = train(task, folder=folder, resume=resume is not None, reporters=reporters)
        finally:
            shown.close()
        if is_main and run.was_interrupted:
            screen.print(Text(resume_hint(run.task, str(folder))), soft_wrap=True)
        elif is_main:
            report = _write_report(run, folder)
            print_document(Document("", closing_blocks(run, str(report), is_first_try)), screen)
    if flags.json and is_main:
        print_json(run.to_dict())
    return _code(run)


def _task_and_folder(
    source: str | None, changes: Mapping[str, str], output: Path | None, resume: Path | None
) -> tuple[Task, Path]:
    if resume is None:
        task = load_task(DEFAULT_TASK if source is None else source, changes)
        folder = output or new_run_folder(task.name, datetime.now(), Path("runs"))
        existing_or_error(folder)
        return task, folder
    if source is not None:
        raise TaskError(
            what="--resume takes the task from the run's folder.", found=source, expected="no TASK beside --resume"
        )
    if output is not None:
        raise TaskError(what="--resume goes on in its own folder.", found=f"--output {output}", expected="no --output")
    return task_of_run(resume, changes), resume


def _code(run: Run) -> int:
    if run.was_interrupted:
        return INTERRUPTED
    is_wrong = any(finding.severity == "error" for finding in run.findings)
    return WRONG if is_wrong or not (run.check.is_right or run.check.reason) else DONE


def _write_report(run: Run, folder: Path) -> Path:
    document = run_document(run)
    write_pictures(document, folder / "plots")
    path = folder / "report.html"
    write_atomically(path, page_html(document).encode())
    return path


def _tensorboard(folder: Path) -> Reporter:
    try:
        module = importlib.import_module("chainrule.training.tensorboard")
    except ImportError as error:
        raise MissingExtraError(
            what="TensorBoard is not installed.",
            found=str(error),
            next_step="Install it with: pip install tensorboard",
        ) from error
    reporter: Reporter = module.TensorBoardReporter(folder / "tensorboard")
    return reporter
