"""Tiles on a Ray cluster. The only file that knows Ray; it is imported on request.

    this process                                        a worker, anywhere in the cluster
    groups, packed with their files ── object store ──► unpack, make the problem and the engine once
    tiles, a few ahead ── tasks of Ray ───────────────► compute_tile, as a local sweep does
    parts ◄─────────────────────────────────────────────┘

Every worker computes the tiles of a local sweep, by the engine that this process chose. Ray computes a tile again that
was lost with its worker or its machine.
"""

import logging
import os
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import ray
import torch
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError

from chainrule import __version__
from chainrule.errors import ChainruleError, ClusterError
from chainrule.sweeps.choosing import choose_engine
from chainrule.sweeps.groups import Group
from chainrule.sweeps.lanes_engine import LanesEngine
from chainrule.sweeps.outcome import EngineName, Want
from chainrule.sweeps.problem import Problem, make_problem
from chainrule.sweeps.results import Engine
from chainrule.sweeps.task_luggage import Luggage, pack, unpack
from chainrule.sweeps.tiles import Part, Tile, Work, compute_tile
from chainrule.training.devices import placement
from chainrule.training.threads import threads_for

_STARTED_HERE = "chainrule"
"""The namespace of a cluster that was started for a sweep, by which later sweeps in it know that."""
_RETRIES = 5
"""How often Ray computes a tile again whose worker or machine was lost."""
_AHEAD = 2  # tiles under way or waiting, for each that can be computed at once
_PATIENCE = 10.0  # seconds for an answer from RAY_ADDRESS
_GROUPS_KEPT = 4  # that a worker keeps ready


@contextmanager
def connected() -> Iterator["Cluster"]:
    """Connect to a Ray cluster, and leave it at the end.

    It is the one that this process is connected to already, or that RAY_ADDRESS names, or that runs on this machine;
    without any of these Ray is started on this machine, and ended again.

    Raises:
        ClusterError: the cluster cannot be reached, has another version of Ray or Python, or no processor.
    """
    if ray.is_initialized():
        yield _checked(Cluster())
        return
    try:
        with _signals_kept():
            _begin(os.environ.get("RAY_ADDRESS", ""))
        yield _checked(Cluster())
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put back what SIGTERM does: Ray lets it end the process, and a sweep keeps what is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _begin(address: str) -> None:
    """Connect to the cluster at an address, or to one that runs here, or to one that is started for it."""
    if address.startswith("ray://"):
        raise ClusterError(
            what="A sweep does not go through the Ray client.",
            where="RAY_ADDRESS",
            found=address,
            expected="HOST:PORT of a cluster that this machine belongs to",
            next_step="Run chainrule on a machine of the cluster, by `ray job submit` for example.",
        )
    _check_answers(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address != "local":
            ray.init(address="auto", **options)
            return
    except ConnectionError as error:
        if address not in ("", "auto"):
            raise _unreachable(address, error) from error
    except (RuntimeError, ValueError) as error:  # Ray's words for other versions and for malformed addresses
        raise ClusterError(
            what="The Ray cluster cannot be used from here.", found=address, cause=str(error).strip()
        ) from error
    ray.init(address="local", include_dashboard=False, namespace=_STARTED_HERE, **options)


def _check_answers(address: str) -> None:
    """Refuse an address HOST:PORT where nothing answers: Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: OSError) -> ClusterError:
    return ClusterError(
        what="There is no Ray cluster at that address.",
        where="RAY_ADDRESS",
        found=address,
        expected="HOST:PORT of a running cluster, as `ray start --head` prints it",
        cause=_first_line(error),
        next_step="Unset RAY_ADDRESS to use a cluster that runs here, or else this machine alone.",
    )


def _checked(cluster: "Cluster") -> "Cluster":
    if cluster.slots(1, 0) == 0:
        raise ClusterError(
            what="The Ray cluster has no processor to compute with.",
            found=cluster.about,
            expected="a machine with at least one CPU",
            next_step="Join a machine with: ray start --address=HOST:PORT",
        )
    return cluster


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Ray cluster that this process is connected to."""

    @property
    def about(self) -> str:
        """What it is, as a sentence."""
        processors = _counted(int(sum(each.get("CPU", 0) for each in _machines())), "CPU")
        if ray.get_runtime_context().namespace == _STARTED_HERE:
            return f"Ray was started on this machine, with {processors}."
        return f"On a Ray cluster of {_counted(len(_machines()), 'machine')} with {processors}."

    def slots(self, processors: int, gpus: int) -> int:
        """Return how many tiles can be computed at once that need so many CPUs and GPUs each."""
        found = 0
        for each in _machines():
            of_processors = int(each.get("CPU", 0)) // processors
            found += min(of_processors, int(each.get("GPU", 0)) // gpus) if gpus else of_processors
        return found

    def compute(self, tiles: Iterator[Tile], work: Work) -> Generator[tuple[Tile, Part], None, None]:
        """Yield each tile with its numbers, as they are done; when it is closed, tiles under way are given up.

        Raises:
            ChainruleError: what went wrong in a tile, as a local sweep raises it.
            ClusterError: a machine has another version of chainrule or torch, or another device; a tile was lost
                again and again.
        """
        under_way: dict[ray.ObjectRef[Part], Tile] = {}
        remote = ray.remote(compute_remotely)
        order: Order | None = None
        number = -1
        try:
            for tile in tiles:
                if order is None or number != tile.group:
                    order, number = _order(tile.group, work), tile.group
                processors, gpus = _needs(tile, work)
                while len(under_way) >= _AHEAD * max(1, self.slots(processors, gpus)):
                    yield from _finished(under_way)
                call = remote.options(num_cpus=processors, num_gpus=gpus, max_retries=_RETRIES)
                under_way[call.remote(order, tile, processors)] = tile
            while under_way:
                yield from _finished(under_way)
        finally:
            for reference in under_way:
                ray.cancel(reference, force=True)


def _machines() -> list[dict[str, float]]:
    """Return what each machine of the cluster has to offer."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # of Ray
    return [node["Resources"] for node in nodes if node["Alive"]]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _needs(tile: Tile, work: Work) -> tuple[int, int]:
    """Return how many CPUs and GPUs a tile is computed with.

    The compiled kernel gives the same bits on any number of threads, so few tiles are given more of them. The others
    compute with as many as in a local sweep.
    """
    problem = work.problems[tile.group]
    processors = [int(each.get("CPU", 0)) for each in _machines()]
    wanted = 1
    if tile.engine == "lanes":
        wanted = sum(processors) // (tile.siblings * len(work.groups))
    elif tile.engine == "loop":
        wanted = threads_for(problem.task, problem.data(problem.task.seed))
    return max(1, min(wanted, max(processors, default=1))), int(problem.place.device.type == "cuda")


def _finished(under_way: dict[ray.ObjectRef[Part], Tile]) -> Iterator[tuple[Tile, Part]]:
    """Wait for at least one tile, and yield those that are done."""
    done, _ = ray.wait(list(under_way))
    for reference in done:
        yield under_way.pop(reference), _part(reference)


def _part(reference: ray.ObjectRef[Part]) -> Part:
    try:
        part = ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ChainruleError):
            raise cause from None
        if isinstance(cause, Exception) and "failed to import on the worker" in str(cause):
            raise ClusterError(
                what="A machine of the Ray cluster cannot import chainrule.",
                cause=str(cause).strip().splitlines()[-1],
                next_step="Install the same versions on every machine: pip install 'chainrule[ray]'",
            ) from error
        raise cause from error
    except RayError as error:
        raise ClusterError(
            what=f"A part of the sweep was lost {_RETRIES + 1} times with the process or the machine that computed it.",
            cause=_first_line(error),
            next_step="Too little memory is the usual cause. What is done is kept where the sweep has a folder.",
        ) from error
    # The arrays lie in Ray's store, where nothing may write and room is wanted for the next ones.
    return replace(part, arrays={name: values.copy() for name, values in part.arrays.items()})


# What travels to the workers, and what they do with it


@dataclass(frozen=True, slots=True)
class Order:
    """A group of runs, as a worker is told of it.

    Attributes:
        name: of its own; everything else follows from it.
        versions: of the libraries that decide the numbers, in the process that ordered it.
        device: "cpu" or "cuda", of that process.
        threads: how many that process lets torch compute with.
        group: refers to `Ordered` in the object store: in a list, so that only a worker that needs it fetches it, and
            as bytes, because Ray lets nobody write into arrays that lie there.
    """

    name: str
    versions: dict[str, str] = field(compare=False)
    device: str = field(compare=False)
    threads: int = field(compare=False)
    group: list[Any] = field(compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """What a worker makes the problem and the engine of: the group, the steps asked for and what is wanted."""

    group: Group
    luggage: Luggage
    steps: int | None
    want: Want


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    group: Group
    problem: Problem
    engine: Engine
    want: Want


def _order(number: int, work: Work) -> Order:
    group = work.groups[number]
    ordered = Ordered(group, pack(group.task), work.steps, work.want)
    contents = cloudpickle.dumps(ordered)  # type: ignore[no-untyped-call]  # of Ray
    device = work.problems[number].place.device.type
    return Order(uuid.uuid4().hex, _versions(), device, torch.get_num_threads(), [ray.put(contents)])


def _versions() -> dict[str, str]:
    return {"chainrule": __version__, "torch": torch.__version__}


def compute_remotely(order: Order, tile: Tile, processors: int) -> Part:
    """Compute a tile in a worker of Ray.

    Args:
        order: the group.
        tile: which of its runs.
        processors: how many CPUs Ray has set aside for it.

    Raises:
        ClusterError: this machine has other versions or another device than the one that ordered it.
        ChainruleError: as in a local sweep.
    """
    for library, version in _versions().items():
        if version != order.versions[library]:
            raise ClusterError(
                what=f"A machine of the Ray cluster has another version of {library}.",
                where=socket.gethostname(),
                found=version,
                expected=f"{order.versions[library]}, as where the sweep was begun",
                next_step="Install the same versions on every machine.",
            )
    torch.set_num_threads(order.threads)  # sums that are split over threads round in another order
    ready = _ready(order, tile.engine)
    engine = replace(ready.engine, threads=processors) if isinstance(ready.engine, LanesEngine) else ready.engine
    with placement(ready.group.task.run.device, ready.group.task.run.precision):
        return compute_tile(ready.problem, engine, tile.rows, ready.want, lambda share: None)


@lru_cache(maxsize=_GROUPS_KEPT)
def _ready(order: Order, engine: EngineName) -> _Ready:
    """Return what a worker computes the tiles of a group with; it is made once in a process."""
    ordered: Ordered = cloudpickle.loads(ray.get(order.group[0]))
    folder = Path(tempfile.mkdtemp(dir=_own_folder().name))
    group = replace(ordered.group, task=unpack(ordered.luggage, folder))
    with placement(group.task.run.device, group.task.run.precision) as place:
        if place.device.type != order.device:
            raise ClusterError(
                what="A machine of the Ray cluster computes on another kind of device.",
                where=socket.gethostname(),
                found=place.device.type,
                expected=f"{order.device}, as where the sweep was begun",
                next_step="Say --device cpu.",
            )
        problem = make_problem(group, place, ordered.steps)
        return _Ready(group, problem, choose_engine(problem, engine, ordered.want).engine, ordered.want)


@cache
def _own_folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that is deleted when this process ends."""
    return tempfile.TemporaryDirectory(prefix="chainrule-")
