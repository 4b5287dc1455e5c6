"""`chainrule sweep`: many runs of a task, with other hyperparameters each."""

import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from sys import stderr, stdout
from typing import Any, Final, final

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE, INTERRUPTED
from chainrule.cli.hyperparameters import canonical_option, is_task_key
from chainrule.cli.json_output import json_text, print_json
from chainrule.cli.live_line import LiveLine, clock
from chainrule.cli.outputs import folder_of
from chainrule.cli.overrides import SWEEP_OPTIONS
from chainrule.cli.sources import refuse_trace
from chainrule.cli.training import DEFAULT_TASK
from chainrule.errors import TaskError
from chainrule.files import replacing, write_atomically
from chainrule.render.charts import picture_png, picture_svg
from chainrule.render.page import page_html
from chainrule.render.picture_files import write_pictures
from chainrule.render.terminal import print_document
from chainrule.reports.sweep import sweep_document
from chainrule.reports.sweep_charts import curve_charts
from chainrule.sweeps import Axis, Grid, Status, Sweep, grid, parse_axis
from chainrule.sweeps.running import Scale
from chainrule.sweeps.sweeping import EngineChoice, How, sweep_grid, usual_axis
from chainrule.tasks import Task, load_task, task_toml
from chainrule.training import existing_or_error

FILES: Final = (".png", ".svg", ".html", ".csv", ".parquet")
_TEXTS: Final = ("name", "description")  # a comma in these is a comma
_PLAN = "sweep.json"
_RANGES: Final = ("log:", "lin:", "linear:")


@dataclass(frozen=True, slots=True)
class Request:
    """What `chainrule sweep` is told by its own options."""

    steps: int | None = None
    engine: EngineChoice | None = None
    output: Path | None = None
    resume: Path | None = None
    json: bool = False
    quiet: bool = False
    scale: Scale = "local"


def run_sweeping(source: str | None, changes: Mapping[str, str], request: Request) -> int:
    """Sweep what the command line names, and return the exit code.

    Args:
        source: the task; the worked example when None.
        changes: axes and values of the task's keys, as they were typed.
        request: the other options.

    Raises:
        ChainruleError: the task, an axis, the output or the folder to go on with cannot be used.
    """
    refuse_trace(source, "sweep")
    folder: Path | None
    if request.resume is not None:
        task, points, how, folder = _resumed(source, changes, request)
    else:
        task, axes = task_and_axes(source, changes)
        points = grid(*axes)
        folder = folder_of(request.output, FILES, "sweep")
        how = How(request.steps, request.engine or "auto", None if folder is None else folder / "parts")
        if folder is not None:
            existing_or_error(folder)
            _write_plan(folder, task, points, how)
    screen = Console(stderr=request.json, highlight=False)
    progress = LiveProgress(screen, request.quiet)
    # What a user's module prints must not stand before the JSON.
    with redirect_stdout(stderr if request.json else stdout):
        try:
            found = sweep_grid(task, points, replace(how, progress=progress, scale=request.scale))
        finally:
            progress.close()
    files = _write(found, request.output if folder is None else None, folder)
    if not (request.quiet and request.json):
        print_document(sweep_document(found), screen)
    for name in files:
        screen.print(Text(f"Written: {name}"), soft_wrap=True)
    if request.json:
        print_json({**found.to_dict(), "files": files})
    if found.outcome.was_interrupted:
        hint = (
            f"chainrule sweep --resume {folder}" if folder else "give -o FOLDER next time, and --resume FOLDER goes on"
        )
        screen.print(Text(f"Interrupted. To go on: {hint}"), soft_wrap=True)
        return INTERRUPTED
    return DONE


def task_and_axes(source: str | None, typed: Mapping[str, str]) -> tuple[Task, list[Axis]]:
    """Tell what varies from what is changed: a list with commas, log: and lin: are axes, one value is a change.

    Args:
        source: the task; the worked example when None.
        typed: key → text.

    Raises:
        ChainruleError: the task cannot be read, or nothing has that key.
    """
    varied = {key: text for key, text in typed.items() if key not in _TEXTS and is_axis(text)}
    plain = {key: text for key, text in typed.items() if key not in varied}
    task = load_task(
        DEFAULT_TASK if source is None else source, {key: text for key, text in plain.items() if is_task_key(key)}
    )
    axes = []
    others: dict[str, str] = {}
    for key, text in typed.items():
        if key in varied:
            canonical_option(key, task, SWEEP_OPTIONS, "sweep")
            axes.append(parse_axis("lr" if key == "optimizer.lr" else key, text))
        elif not is_task_key(key):
            name = canonical_option(key, task, SWEEP_OPTIONS, "sweep")
            if name.startswith("optimizer."):
                others[name] = text
            else:  # a layer's rate, or a change of the initial weights: a task has no key for it
                axes.append(parse_axis(key, text))
    task = load_task(task, others) if others else task
    return task, axes or [usual_axis(task)]


def is_axis(text: str) -> bool:
    """Whether text is several values: a range, or a list with commas outside of brackets and quotes."""
    if text.startswith(_RANGES):
        return True
    depth, quote = 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and depth == 0:
            return True
    return False


# Folders and files


def _write_plan(folder: Path, task: Task, points: Grid, how: How) -> None:
    axes = [{"key": axis.key, "values": list(axis.values), "scale": axis.scale} for axis in points.axes]
    plan = {"axes": axes, "steps": how.steps, "engine": how.engine}
    write_atomically(folder / "task.toml", task_toml(task).encode())
    write_atomically(folder / _PLAN, json_text(plan).encode())


def _resumed(source: str | None, changes: Mapping[str, str], request: Request) -> tuple[Task, Grid, How, Path]:
    folder = request.resume
    given = [f"TASK {source}"] if source is not None else []
    given += [f"--{key}" for key in changes]
    given += [f"--{name}" for name in ("steps", "engine", "output") if getattr(request, name) is not None]
    if folder is None or given:
        raise TaskError(
            what="--resume takes the task and everything else from the sweep's folder.",
            found=", ".join(given),
            expected="nothing but --scale, --json and --quiet beside --resume",
        )
    try:
        plan = json.loads((folder / _PLAN).read_bytes())
        axes = [Axis(axis["key"], tuple(axis["values"]), axis["scale"]) for axis in plan["axes"]]
        how = How(plan["steps"], plan["engine"], folder / "parts")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskError(
            what=f"{folder} is no folder of a sweep.",
            where="--resume",
            found=str(error),
            expected=f"the folder that `chainrule sweep -o {folder}` wrote",
        ) from None
    return load_task(folder / "task.toml"), grid(*axes), how, folder


def _write(found: Sweep, file: Path | None, folder: Path | None) -> list[str]:
    """Write a sweep to one file, or all of it to a folder; return the names."""
    if folder is not None:
        document = sweep_document(found)
        paths = [folder / "report.html", *write_pictures(document, folder / "plots")]
        write_atomically(paths[0], page_html(document).encode())
        _write_table(found.to_polars(), folder / "runs.csv")
        _write_table(found.losses_to_polars(), folder / "losses.parquet")
        return [str(path) for path in (*paths, folder / "runs.csv", folder / "losses.parquet")]
    if file is None:
        return []
    suffix = file.suffix.lower()
    if suffix == ".html":
        write_atomically(file, page_html(sweep_document(found)).encode())
        return [str(file)]
    if suffix in (".csv", ".parquet"):
        _write_table(found.losses_to_polars(), file)
        return [str(file)]
    names = []
    for number, chart in enumerate(curve_charts(found)):
        path = file if number == 0 else file.with_stem(f"{file.stem}-{number + 1}")
        write_atomically(path, picture_svg(chart).encode() if suffix == ".svg" else picture_png(chart))
        names.append(str(path))
    return names


def _write_table(table: Any, path: Path) -> None:
    with replacing(path) as stream:
        if path.suffix.lower() == ".csv":
            table.write_csv(stream)
        else:
            table.write_parquet(stream)


# Progress


@final
class LiveProgress:
    """Shows how far a sweep is: a live line, or a plain one now and then where there is no terminal."""

    def __init__(self, screen: Console, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._live = LiveLine(screen)

    def tell(self, status: Status) -> None:
        """Show how far it is."""
        if not self._is_quiet:
            self._live.show(status_line(status), status.runs_done, status.runs)

    def close(self) -> None:
        """Take the live line off the screen."""
        self._live.close()


def status_line(status: Status) -> str:
    """Say how far a sweep is, and how long it will take."""
    left = "?" if status.seconds_left is None else clock(status.seconds_left)
    return f"run {status.runs_done}/{status.runs}  {status.engine}  {clock(status.seconds)} so far  {left} left"
