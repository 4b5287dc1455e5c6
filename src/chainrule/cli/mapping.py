"""`chainrule map`: a complete run of a task for every pixel over two hyperparameters."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from sys import stderr, stdout
from typing import Final, final

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE, INTERRUPTED
from chainrule.cli.hyperparameters import canonical_option, is_task_key
from chainrule.cli.json_output import json_text, print_json
from chainrule.cli.outputs import folder_of
from chainrule.cli.overrides import MAP_OPTIONS
from chainrule.cli.sources import refuse_trace
from chainrule.cli.sweeping import LiveProgress, is_axis
from chainrule.cli.training import DEFAULT_TASK
from chainrule.documents import Document
from chainrule.errors import TaskError
from chainrule.files import replacing, write_atomically
from chainrule.render.charts import picture_png, picture_svg
from chainrule.render.page import page_html
from chainrule.render.terminal import print_document
from chainrule.reports.map_report import map_document, raster_of
from chainrule.sweeps import Axis, Map, MapPlan, Status, read_map, write_map
from chainrule.sweeps.axes import Value
from chainrule.sweeps.map_files import plan_from_dict, plan_to_dict
from chainrule.sweeps.maps import RESOLUTION, MapRequest, map_plan, plan_of, read_side, usual_axes
from chainrule.sweeps.running import Scale
from chainrule.sweeps.sweeping import EngineChoice
from chainrule.task_files import parse_value
from chainrule.tasks import Task, load_task, task_toml
from chainrule.training import existing_or_error

FILES: Final = (".png", ".svg", ".html", ".npz", ".parquet")
_PLAN: Final = "map.json"
_NUMBERS: Final = "map.npz"
_FIRST_SECONDS: Final = 2.0  # after which the speed so far says something
_LONG: Final = 10.0  # seconds; from here on the time it will take is said at the beginning


@dataclass(frozen=True, slots=True)
class Request:
    """What `chainrule map` is told by its own options."""

    x: str | None = None
    y: str | None = None
    resolution: int | None = None
    measure: str | None = None
    zoom: tuple[float, float, float] | None = None
    steps: int | None = None
    engine: EngineChoice | None = None
    scale: Scale = "local"
    output: Path | None = None
    resume: Path | None = None
    json: bool = False
    quiet: bool = False

    @property
    def changes_plan(self) -> bool:
        """Whether another map is asked for than the one that is there."""
        asked = (self.x, self.y, self.resolution, self.measure, self.zoom, self.steps, self.engine)
        return any(each is not None for each in asked)


@dataclass(frozen=True, slots=True)
class _Job:
    """A map to compute, and where its parts are kept; or one that is there already."""

    task: Task
    plan: MapPlan
    folder: Path | None = None
    found: Map | None = None
    remark: str = ""


def run_mapping(source: str | None, changes: Mapping[str, str], request: Request) -> int:
    """Draw the map that the command line names, and return the exit code.

    Args:
        source: the task, or the folder or .npz file of an earlier map; the worked example when None.
        changes: values of the task's keys, as they were typed.
        request: the other options.

    Raises:
        ChainruleError: the task, an axis, the output or the folder to go on with cannot be used.
    """
    refuse_trace(source, "map")
    job = _resumed(source, changes, request) if request.resume is not None else _asked(source, changes, request)
    screen = Console(stderr=request.json, highlight=False)
    if job.remark and not request.quiet:
        screen.print(Text(job.remark), soft_wrap=True)
    found = job.found or _computed(job, request, screen)
    output = None if request.resume is not None else request.output
    asked = [DEFAULT_TASK if source is None else source]
    asked += [word for key, text in changes.items() for word in (f"--{key}", text)]
    document = map_document(found, _zoom_command(asked, found, job.folder, output))
    files = _write_folder(found, document, job.folder) if job.folder else _write_file(found, document, output)
    if not (request.quiet and request.json):
        print_document(document, screen)
    for name in files:
        screen.print(Text(f"Written: {name}"), soft_wrap=True)
    if request.json:
        print_json({**found.to_dict(), "files": files})
    if found.was_interrupted and job.found is None:
        hint = (
            f"chainrule map --resume {job.folder}"
            if job.folder
            else "give -o FOLDER next time, and --resume FOLDER goes on"
        )
        screen.print(Text(f"Interrupted. To go on: {hint}"), soft_wrap=True)
        return INTERRUPTED
    return DONE


def _computed(job: _Job, request: Request, screen: Console) -> Map:
    live = LiveProgress(screen, request.quiet)
    progress = live if request.quiet else Estimating(live, screen)
    # What a user's module prints must not stand before the JSON.
    with redirect_stdout(stderr if request.json else stdout):
        try:
            parts = None if job.folder is None else job.folder / "parts"
            return map_plan(job.task, job.plan, folder=parts, progress=progress, scale=request.scale)
        finally:
            live.close()


# What is asked for


def _asked(source: str | None, changes: Mapping[str, str], request: Request) -> _Job:
    folder = folder_of(request.output, FILES, "map")
    earlier = _earlier(source)
    if earlier is not None:
        job = _of_earlier(earlier, changes, request)
    else:
        task, fixed = _task_and_fixed(source, changes)
        job = _Job(task, _plan(task, request, fixed), remark=_remark(task, request))
    job = replace(job, folder=folder)
    if folder is not None:
        existing_or_error(folder)
        write_atomically(folder / "task.toml", task_toml(job.task).encode())
        write_atomically(folder / _PLAN, json_text(plan_to_dict(job.plan)).encode())
    return job


def _plan(task: Task, request: Request, fixed: Mapping[str, Value]) -> MapPlan:
    resolution = RESOLUTION if request.resolution is None else request.resolution
    asked = MapRequest(resolution, request.measure, request.zoom, request.steps, request.engine or "auto", dict(fixed))
    if request.x is None and request.y is None:
        return plan_of(task, None, asked)
    usual: tuple[Axis | None, Axis | None] = (None, None)
    if request.x is None or request.y is None:
        usual = usual_axes(task, resolution)
    sides = [
        read_side(text, resolution) if text is not None else other
        for text, other in zip((request.x, request.y), usual, strict=True)
    ]
    return plan_of(task, [side for side in sides if side is not None], asked)


def _remark(task: Task, request: Request) -> str:
    if request.x is not None and request.y is not None:
        return ""
    x, y = usual_axes(task)
    origin = "as the task says" if task.map is not None else "as nothing else was said"
    sides = [f"{name} is {axis.key}, from {axis.values[0]:g} to {axis.values[-1]:g}" for name, axis, given in
             (("x", x, request.x), ("y", y, request.y)) if given is None and axis.is_numeric]  # fmt: skip
    return f"{'; '.join(sides)}, {origin}. --x and --y choose others." if sides else ""


def _task_and_fixed(source: str | None, typed: Mapping[str, str]) -> tuple[Task, dict[str, Value]]:
    """Return the task with what is changed of it, and what a task has no key for."""
    own = {key: text for key, text in typed.items() if is_task_key(key)}
    several = next((key for key, text in typed.items() if key not in ("name", "description") and is_axis(text)), "")
    if several:
        raise TaskError(
            what=f"--{several} has several values, and a map is over two hyperparameters.",
            found=typed[several],
            expected="--x KEY=VALUES and --y KEY=VALUES",
            next_step="`chainrule sweep` takes any number of them.",
        )
    task = load_task(DEFAULT_TASK if source is None else source, own)
    arguments: dict[str, str] = {}
    fixed: dict[str, Value] = {}
    for key, text in typed.items():
        if key in own:
            continue
        name = canonical_option(key, task, MAP_OPTIONS, "map")
        if name.startswith("optimizer."):
            arguments[name] = text
        else:
            fixed[key] = parse_value(text)
    return load_task(task, arguments) if arguments else task, fixed


# Earlier maps


def _earlier(source: str | None) -> Map | None:
    """Return the map that a source holds, or None for a task."""
    if source is None:
        return None
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return read_map(path)
    if (path / _PLAN).is_file():
        return read_map(path / _NUMBERS)
    return None


def _of_earlier(earlier: Map, changes: Mapping[str, str], request: Request) -> _Job:
    if changes:
        raise TaskError(
            what="An earlier map has its task, which stays as it is.",
            found=", ".join(f"--{key}" for key in changes),
            expected="--x, --y, --zoom, --resolution, --measure, --steps or --engine",
        )
    before = earlier.plan
    if not request.changes_plan:
        return _Job(earlier.task, before, found=earlier)
    sides = [
        _resized(axis, request.resolution) if text is None else read_side(text, request.resolution or len(axis))
        for axis, text in ((before.x, request.x), (before.y, request.y))
    ]
    asked = MapRequest(
        RESOLUTION if request.resolution is None else request.resolution,
        request.measure or before.measure,
        request.zoom,
        request.steps or before.steps,
        request.engine or before.engine,
        before.fixed,
    )
    return _Job(earlier.task, plan_of(earlier.task, sides, asked))


def _resized(axis: Axis, resolution: int | None) -> Axis:
    if resolution is None or axis.scale == "list":
        return axis
    return read_side(f"{axis.key}={_range_of(axis, resolution)}", resolution)


def _range_of(axis: Axis, count: int) -> str:
    kind = {"log": "log", "linear": "lin"}[axis.scale]
    return f"{kind}:{axis.values[0]!r}:{axis.values[-1]!r}:{count}"


def _resumed(source: str | None, changes: Mapping[str, str], request: Request) -> _Job:
    folder = request.resume
    given = [f"TASK {source}"] if source is not None else []
    given += [f"--{key}" for key in changes]
    names = ("x", "y", "resolution", "measure", "zoom", "steps", "engine", "output")
    given += [f"--{name}" for name in names if getattr(request, name) is not None]
    if folder is None or given:
        raise TaskError(
            what="--resume takes the task and everything else from the map's folder.",
            found=", ".join(given),
            expected="nothing but --scale, --json and --quiet beside --resume",
        )
    try:
        plan = plan_from_dict(json.loads((folder / _PLAN).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskError(
            what=f"{folder} is no folder of a map.",
            where="--resume",
            found=str(error),
            expected=f"the folder that `chainrule map -o {folder}` wrote",
        ) from None
    return _Job(load_task(folder / "task.toml"), plan, folder)


# Files


def _write_folder(found: Map, document: Document, folder: Path) -> list[str]:
    paths = [folder / name for name in ("report.html", "map.png", _NUMBERS, "map.parquet")]
    for path in paths:
        _write_one(found, document, path)
    return [str(path) for path in paths]


def _write_file(found: Map, document: Document, file: Path | None) -> list[str]:
    if file is None:
        return []
    _write_one(found, document, file)
    return [str(file)]


def _write_one(found: Map, document: Document, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == ".html":
        write_atomically(path, page_html(document).encode())
    elif suffix == ".npz":
        write_map(found, path)
    elif suffix == ".parquet":
        with replacing(path) as stream:
            found.to_polars().write_parquet(stream)
    else:
        raster = raster_of(found, found.landscape())
        write_atomically(path, picture_svg(raster).encode() if suffix == ".svg" else picture_png(raster))


def _zoom_command(asked: Sequence[str], found: Map, folder: Path | None, file: Path | None) -> str:
    """Return the command that draws a part of a map closer, with {x}, {y} and {factor} to be filled in.

    Where the map is kept with its task, the command takes it from there; else it says everything again.
    """
    kept = folder or (file if file is not None and file.suffix.lower() == ".npz" else None)
    words = ["chainrule", "map", str(kept)] if kept is not None else ["chainrule", "map", *asked, *_plan_words(found)]
    return " ".join([*map(shlex.quote, words), "--zoom", "{x}", "{y}", "{factor}"])


def _plan_words(found: Map) -> list[str]:
    plan = found.plan
    words = []
    for name, axis in (("--x", plan.x), ("--y", plan.y)):
        if axis.scale != "list":
            words += [name, f"{axis.key}={_range_of(axis, len(axis))}"]
    words += ["--measure", plan.measure, "--steps", str(found.steps)]
    return words + (["--engine", plan.engine] if plan.engine != "auto" else [])


# Progress


@final
class Estimating:
    """Says once, when the speed is known, how long a map will take, and hands everything on."""

    def __init__(self, inner: LiveProgress, screen: Console) -> None:
        self._inner = inner
        self._screen = screen
        self._first: Status | None = None
        self._has_said = False

    def tell(self, status: Status) -> None:
        """Take note of how far it is."""
        self._first = self._first or status  # what came before it, such as compiling, is done once
        seconds = status.seconds - self._first.seconds
        runs = status.runs_done - self._first.runs_done
        if not self._has_said and seconds >= _FIRST_SECONDS and runs > 0:
            self._has_said = True
            left = (status.runs - status.runs_done) * seconds / runs
            if left >= _LONG:
                text = f"{status.runs:,} runs: about {duration(status.seconds + left)} at the speed so far."
                self._screen.print(Text(text), soft_wrap=True)
        self._inner.tell(status)


def duration(seconds: float) -> str:
    """Return a duration as people say it: 40 seconds, 12 minutes, 3.5 hours."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
