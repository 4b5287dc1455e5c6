"""Many runs of a task from beginning to end."""

import importlib
import signal
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import MissingExtraError, TaskError
from chainrule.sweeps.choosing import Requested, choose_engine
from chainrule.sweeps.groups import Group, groups_of
from chainrule.sweeps.outcome import EngineName, Numbers, Outcome, Progress, Status, Want
from chainrule.sweeps.parts import PartFolder, digests_of
from chainrule.sweeps.problem import Problem, make_problem
from chainrule.sweeps.results import Engine, measure_named
from chainrule.sweeps.tiles import Computer, Part, Tile, Work, compute_tile, tiles_of
from chainrule.tasks import Task, load_task
from chainrule.training.devices import placement

Scale: TypeAlias = Literal["local", "ray"]
"""Where tiles are computed: in this process, or on a Ray cluster."""

_TELL_SECONDS = 0.1


def run_points(
    task: Task,
    points: Sequence[Mapping[str, Any]],
    *,
    steps: int | None = None,
    want: Want | None = None,
    engine: Requested = "auto",
    precision: str | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    scale: Scale = "local",
) -> Outcome:
    """Train a task once for each point, and return what became of the runs.

    Each run is what `chainrule train` does with the values of its point: the same initial weights and batches for the
    same seed. All take the same number of updates; stop rules that end a run sooner are passed over, and
    `Outcome.notes` says so. Ctrl-C ends a sweep with what is done; torch's global generators are left as they were.

    Args:
        task: what to train.
        points: for each run the values that differ from the task's own, by key; all points have the same keys. See
            `chainrule.sweeps.keys` for what can vary beside the task's own keys.
        steps: updates of each run; as many as the task has when not given.
        want: what to know of each run; its losses when not given.
        engine: what computes them; "auto" takes the fastest that can.
        precision: "float64", "float32" or "bf16", of parameters and data; the task's own when not given.
        folder: where finished parts are kept, so that the same call goes on where another one was ended, to the same
            arrays bit for bit.
        progress: is told how it goes.
        scale: "ray" computes the tiles on a Ray cluster, to the same arrays bit for bit where its machines are alike;
            see docs/cluster.md.

    Raises:
        ClusterError: there is no Ray cluster that can compute it, or it lost a tile again and again.
        MissingExtraError: Ray is not installed.
        TaskError: a value that the task does not take; a test part is wanted that there is not; the engine asked for
            cannot compute it.
        UnknownNameError: a key or a measure that nothing has.
        CheckpointError: the folder holds another sweep.
        ChainruleError: something does not fit or cannot be read; see `chainrule.errors`.

    Example:
        >>> from chainrule.tasks import load_task
        >>> outcome = run_points(load_task("two-two-two"), [{"lr": 0.5}, {"lr": 1.0}], steps=3)
        >>> outcome.losses[:, 0]
        array([0.24251986, 0.24251986])
    """
    want = want or Want()
    if want.measure is not None:
        measure_named(want.measure)
    if precision is not None:
        task = load_task(task, {"run.precision": precision})
    groups = groups_of(task, points)
    problems = [_problem(group, steps) for group in groups]
    _check(problems, want)
    job = _Job(Work(groups, problems, steps, want), engine, progress, len(points))
    if folder is not None:
        job.folder = PartFolder(folder, digests_of(groups, problems[0].steps, want, engine))
        job.folder.begin()
    with computing_at(scale) as computer, _interruptible():
        job.run(computer)
    return job.outcome()


@contextmanager
def computing_at(scale: Scale) -> Iterator[Computer | None]:
    """Make what computes tiles ready, and release it at the end; sweeps inside share it.

    Args:
        scale: where; nothing is needed for this process, and None is yielded.

    Raises:
        ClusterError: there is no Ray cluster that can be used.
        MissingExtraError: Ray is not installed.
    """
    if scale == "local":
        yield None
        return
    try:
        module = importlib.import_module("chainrule.sweeps.ray_cluster")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise MissingExtraError(
            what="Ray is not installed.", found=str(error), next_step="Install it with: pip install 'chainrule[ray]'"
        ) from error
    with module.connected() as cluster:
        yield cluster


def _problem(group: Group, steps: int | None) -> Problem:
    with placement(group.task.run.device, group.task.run.precision) as place:
        if place.world > 1:
            raise TaskError(
                what="A sweep runs in one process.", found=f"{place.world} processes", expected="no torchrun"
            )
        return make_problem(group, place, steps)


def _check(problems: Sequence[Problem], want: Want) -> None:
    numbers = sorted({problem.steps for problem in problems})
    if len(numbers) > 1:
        raise TaskError(
            what="The runs of a sweep would have different numbers of updates.",
            found=", ".join(map(str, numbers)),
            expected="one number for all",
            next_step="Say how many with steps.",
        )
    if want.test and any(problem.base.data.test is None for problem in problems):
        raise TaskError(
            what="There is no test part to look at.",
            where="data.test",
            found="0",
            expected="the share of the samples that is held out",
            next_step="Say for example data.test = 0.2.",
        )
    shapes = [
        {name: tuple(value.shape) for name, value in problem.base.model.named_parameters()} for problem in problems
    ]
    if want.parameters and any(each != shapes[0] for each in shapes):
        raise TaskError(
            what="The parameters of these runs have no common shape, so they cannot be kept in one array.",
            found=f"{len(problems)} kinds of models",
            expected="points that do not differ in the layers of the model",
        )


@dataclass(slots=True)
class _Job:
    """A sweep under way: the arrays that are filled, tile by tile."""

    work: Work
    requested: Requested
    progress: Progress | None
    runs: int
    folder: PartFolder | None = None
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    is_done: NDArray[np.bool_] = field(init=False)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    metric_name: str = ""
    engine: Engine | None = None  # of the group under way, where it is ready in this process
    notes: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.perf_counter)
    computed: float = 0.0
    told: float = 0.0

    def __post_init__(self) -> None:
        self.is_done = np.zeros(self.runs, np.bool_)

    def run(self, computer: Computer | None) -> None:
        """Compute tile after tile, until all are done or someone interrupts.

        Args:
            computer: what computes them; this process when None.
        """
        if computer is not None:
            self.notes.append(computer.about)
        try:
            with closing(self._missing()) as tiles, closing(self._computed(computer, tiles)) as parts:
                for tile, part in parts:
                    if self.folder is not None:
                        self.folder.write(tile.group, tile.first, part)
                    self.computed += tile.count
                    self._take(tile, part)
        except KeyboardInterrupt:
            return

    def _computed(self, computer: Computer | None, tiles: Iterator[Tile]) -> Generator[tuple[Tile, Part], None, None]:
        if computer is not None:
            yield from computer.compute(tiles, self.work)
            return
        for tile in tiles:
            problem = self.work.problems[tile.group]
            if self.engine is None:
                self.engine = choose_engine(problem, tile.engine, self.work.want).engine
            yield tile, compute_tile(problem, self.engine, tile.rows, self.work.want, self._teller(tile))

    def _missing(self) -> Generator[Tile, None, None]:
        """Yield the tiles that are not there, with the placement of their group around them; take the others."""
        for number, problem in enumerate(self.work.problems):
            task = self.work.groups[number].task
            with placement(task.run.device, task.run.precision):
                for tile in tiles_of(number, problem, self._engine_of(number), self.work.want):
                    part = self.folder.read(number, tile.first, tile.count) if self.folder is not None else None
                    if part is None:
                        yield tile
                    else:
                        self._take(tile, part)

    def _engine_of(self, number: int) -> EngineName:
        """Return which engine computes a group, and keep it where it had to be made ready to know that."""
        self.engine = None
        name = self.folder.engine_of(number) if self.folder is not None else None
        why = "It computed the parts that were there already."
        if name is None:
            choice = choose_engine(self.work.problems[number], self.requested, self.work.want)
            self.engine, name, why = choice.engine, choice.engine.name, choice.why
        self.reasons.setdefault(name, [])
        if why not in self.reasons[name]:
            self.reasons[name].append(why)
        return name

    def _take(self, tile: Tile, part: Part) -> None:
        rows = self.work.groups[tile.group].rows[tile.rows]
        for name, values in part.arrays.items():
            if name not in self.arrays:
                empty = 0 if values.dtype == np.int64 else np.nan
                self.arrays[name] = np.full((self.runs, *values.shape[1:]), empty, values.dtype)
            self.arrays[name][rows] = values
        self.is_done[rows] = True
        self.metric_name = part.metric_name or self.metric_name
        self._tell(tile.engine, 0.0, is_due=True)

    def _teller(self, tile: Tile) -> Any:
        def tell(share: float) -> None:
            self._tell(tile.engine, share * tile.count, is_due=False)

        return tell

    def _tell(self, engine: str, under_way: float, *, is_due: bool) -> None:
        now = time.perf_counter()
        if self.progress is None or (not is_due and now - self.told < _TELL_SECONDS):
            return
        self.told = now
        done = int(self.is_done.sum()) + under_way
        here = self.computed + under_way
        left = (now - self.begun) / here * (self.runs - done) if here > 0 else None
        self.progress.tell(Status(int(done), self.runs, now - self.begun, left, engine))

    def outcome(self) -> Outcome:
        """Return what became of the runs."""
        steps = self.work.problems[0].steps
        nothing: Numbers = np.full(self.runs, np.nan)
        steps_run = self.arrays.get("steps_run", np.zeros(self.runs, np.int64))
        prefix = "parameters."
        parameters = {
            name.removeprefix(prefix): value for name, value in self.arrays.items() if name.startswith(prefix)
        }
        lines = [
            f"{name}: {' '.join(whys)}" if len(self.reasons) > 1 else " ".join(whys)
            for name, whys in self.reasons.items()
        ]
        has_metric = self.work.want.test and self.metric_name != ""
        return Outcome(
            steps=steps,
            losses=self.arrays.get("losses", np.full((self.runs, steps), np.nan)) if self.work.want.losses else None,
            final_loss=self.arrays.get("final_loss", nothing),
            measure=self.arrays.get("measure", nothing) if self.work.want.measure else None,
            diverged=self.is_done & (steps_run < steps),
            steps_run=steps_run,
            gradient_norms=self.arrays.get("gradient_norms", np.full((self.runs, 2), np.nan))
            if self.work.want.gradients
            else None,
            parameters=parameters if self.work.want.parameters else None,
            test_loss=self.arrays.get("test_loss", nothing) if self.work.want.test else None,
            test_metric=self.arrays.get("test_metric", nothing) if has_metric else None,
            metric_name=self.metric_name,
            is_done=self.is_done,
            engine=", ".join(self.reasons),
            why=" ".join(lines),
            notes=(*self.notes, *_notes(self.work.problems), *(self.folder.notes if self.folder is not None else ())),
            seconds=time.perf_counter() - self.begun,
        )


def _notes(problems: Sequence[Problem]) -> list[str]:
    """Return what the tasks say and a sweep does otherwise."""
    found: dict[str, None] = {}
    for problem in problems:
        for sentence in problem.notes:
            found.setdefault(sentence)
    return list(found)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end a sweep as Ctrl-C does: what is done is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
