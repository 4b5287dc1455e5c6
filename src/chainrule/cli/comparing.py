"""`chainrule activations --compare`: which activation for a task, with the runs that show it."""

import re
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from sys import stderr, stdout
from typing import Any, Final

import polars
from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE, INTERRUPTED, WRONG
from chainrule.cli.json_output import json_text, print_json
from chainrule.cli.outputs import folder_of
from chainrule.cli.sources import refuse_trace
from chainrule.cli.sweeping import LiveProgress
from chainrule.errors import TaskError
from chainrule.files import replacing, write_atomically
from chainrule.probes.candidates import Candidate, candidate_of
from chainrule.probes.choice import ActivationChoice
from chainrule.probes.comparing import SEEDS, TUNING_SEEDS
from chainrule.probes.comparing_activations import compare_task
from chainrule.render.charts import picture_png, picture_svg
from chainrule.render.page import page_html
from chainrule.render.picture_files import pictures_in, write_pictures
from chainrule.render.terminal import print_document
from chainrule.reports.activation_choice import activation_choice_document
from chainrule.task_files import parse_value
from chainrule.tasks import load_task, task_toml
from chainrule.training import existing_or_error

FILES: Final = (".png", ".svg", ".html", ".csv")
_CANDIDATE = re.compile(r"([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?")


@dataclass(frozen=True, slots=True)
class Comparing:
    """What `chainrule activations --compare` is told by its own options."""

    candidates: str | None = None
    seeds: int | None = None
    steps: int | None = None
    output: Path | None = None
    json: bool = False
    quiet: bool = False


def run_comparing(source: str, changes: Mapping[str, str], request: Comparing) -> int:
    """Compare activations on a task, and return the exit code.

    Raises:
        ChainruleError: the task, a candidate or the output cannot be used.
    """
    refuse_trace(source, "activations --compare")
    task = load_task(source, changes)
    folder = folder_of(request.output, FILES, "activations --compare")
    if folder is not None:
        existing_or_error(folder)
    screen = Console(stderr=request.json, highlight=False)
    progress = LiveProgress(screen, request.quiet)
    with redirect_stdout(stderr if request.json else stdout):  # what a user's module prints must not stand in the JSON
        try:
            found = compare_task(
                task,
                candidates_in(request.candidates),
                steps=request.steps,
                seeds=SEEDS if request.seeds is None else request.seeds,
                tuning_seeds=TUNING_SEEDS,
                folder=None if folder is None else folder / "parts",
                progress=progress,
            )
        finally:
            progress.close()
    file = request.output if folder is None else None
    files = _write(found, file, folder)
    if folder is not None:
        write_atomically(folder / "task.toml", task_toml(task).encode())
    if not (request.quiet and request.json):
        print_document(activation_choice_document(found), screen)
    for name in files:
        screen.print(Text(f"Written: {name}"), soft_wrap=True)
    if file is not None and not files:
        why = "there is no picture and no table: nothing was finished."
        screen.print(Text(f"Not written: {file}, {why}"), soft_wrap=True)
    if request.json:
        print_json({**found.to_dict(), "files": files})
    if found.was_interrupted:
        hint = "the same command goes on" if folder else "give -o FOLDER next time, and the same command goes on"
        screen.print(Text(f"Interrupted. With what is done: {hint}."), soft_wrap=True)
        return INTERRUPTED
    return WRONG if found.recommended is None else DONE


def candidates_in(text: str | None) -> list[str | Candidate]:
    """Read candidates as they are typed: "ReLU,Tanh" or "LeakyReLU(negative_slope=0.2),ELU".

    Raises:
        ChainruleError: a name or an argument that nothing has.
        TaskError: something that is no list of names.
    """
    if text is None:
        return []
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", text)]
    found: list[str | Candidate] = []
    for part in parts:
        match = _CANDIDATE.fullmatch(part)
        if match is None:
            raise TaskError(
                what="The activations to compare cannot be read.",
                where="--candidates",
                found=part or text,
                expected="names with commas between them, such as ReLU,Tanh,LeakyReLU(negative_slope=0.2)",
            )
        found.append(candidate_of(match[1], _arguments(match[2] or "")))
    return found


def _arguments(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals:
            raise TaskError(
                what="An argument of an activation has no value.",
                where="--candidates",
                found=pair,
                expected="such as negative_slope=0.2",
            )
        found[key.strip()] = parse_value(value.strip())
    return found


def _write(found: ActivationChoice, file: Path | None, folder: Path | None) -> list[str]:
    """Write a comparison to one file, or all of it to a folder; return the names."""
    document = activation_choice_document(found)
    if folder is not None:
        paths = [folder / "report.html", *write_pictures(document, folder / "plots")]
        write_atomically(paths[0], page_html(document).encode())
        write_atomically(folder / "choice.json", json_text(found.to_dict()).encode())
        _write_table(found, folder / "runs.csv")
        return [str(path) for path in (*paths, folder / "choice.json", folder / "runs.csv")]
    suffix = "" if file is None else file.suffix.lower()
    if file is None or (suffix != ".html" and not found.candidates):
        return []
    if suffix == ".html":
        write_atomically(file, page_html(document).encode())
    elif suffix == ".csv":
        _write_table(found, file)
    else:
        chart = next(iter(pictures_in(document.blocks)))
        write_atomically(file, picture_svg(chart).encode() if suffix == ".svg" else picture_png(chart))
    return [str(file)]


def _write_table(found: ActivationChoice, path: Path) -> None:
    """Write the runs that candidates are compared by, one a row."""
    rows = [
        {"activation": each.label, "rate": each.rate, "seed": seed, "loss": loss, "training_loss": training}
        for each in found.candidates
        for seed, loss, training in zip(found.seeds, each.losses, each.training, strict=True)
    ]
    with replacing(path) as stream:
        polars.DataFrame(rows).write_csv(stream)
