"""Sweeps on a Ray cluster: the same bits as without it, whatever is killed; what cannot be computed says why."""

import importlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import chainrule
from chainrule.errors import ClusterError, MissingExtraError, UserModuleError
from chainrule.sweeps import Outcome, Status, Want, grid, parse_axis, run_points, tiles
from chainrule.sweeps.groups import groups_of
from chainrule.sweeps.outcome import EngineName
from chainrule.sweeps.problem import make_problem
from chainrule.sweeps.running import computing_at
from chainrule.sweeps.tiles import Tile, Work
from chainrule.tasks import Task, load_task
from chainrule.training.devices import placement

NET = """
import torch
from parts import widths

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(2, widths.HIDDEN)
        self.output = torch.nn.Linear(widths.HIDDEN, 1)

    def forward(self, x):
        return self.output(torch.tanh(self.hidden(x)))
"""
TASK = """
seed = 1
loss = "MSELoss"
optimizer = { name = "SGD", lr = 0.1 }
stop.epochs = 200
run = { precision = "float64", device = "cpu" }
[data]
source = "data.csv"
target = "y"
kind = "regression"
[model]
module = "net.py:Net"
"""
BROKEN = """
import os, signal, sys, torch

class Broken(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.only = torch.nn.Linear(2, 1)

    def forward(self, x):
        if "default_worker" in " ".join(sys.argv):
            self.fail()
        return self.only(x)

    def fail(self):
        raise ValueError("not on this machine")

class Dying(Broken):
    def fail(self):
        os.kill(os.getpid(), signal.SIGKILL)
"""
EVERYTHING = Want(measure="convergence", parameters=True, gradients=True)


@pytest.fixture
def own_task(tmp_path: Path) -> Task:
    """A task with data, a network and a package beside it, in files that only this folder has."""
    folder = tmp_path / "own"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "__init__.py").touch()
    (folder / "parts" / "widths.py").write_text("HIDDEN = 3\n")
    (folder / "net.py").write_text(NET)
    (folder / "data.csv").write_text("a,b,y\n0,0,0.1\n0,1,0.9\n1,0,0.8\n1,1,0.2\n")
    (folder / "task.toml").write_text(TASK)
    return load_task(folder / "task.toml")


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of two machines, both of them this one, that RAY_ADDRESS names."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed.")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


def same_bits(one: Outcome, other: Outcome) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("losses", "final_loss", "measure", "steps_run")]
    pairs += [(one.gradient_norms, other.gradient_norms), (one.is_done, other.is_done)]
    pairs += [(value, (other.parameters or {})[name]) for name, value in (one.parameters or {}).items()]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


class Saboteur:
    """Kills a worker when the first parts are there, then deletes the files of the task, and removes a machine."""

    def __init__(self, cluster: Any, files: Path) -> None:
        self.cluster = cluster
        self.files = files
        self.done: list[str] = []

    def tell(self, status: Status) -> None:
        share = status.runs_done / status.runs
        if share > 0.2 and not self.done:
            os.kill(self.working(self.cluster.head_node), signal.SIGKILL)
            self.done.append("worker")
        elif share > 0.4 and self.done == ["worker"]:
            for file in self.files.rglob("*.*"):
                file.unlink()
            (machine,) = self.cluster.worker_nodes
            os.kill(self.working(machine), 0)
            self.cluster.remove_node(machine, allow_graceful=False)
            self.done.append("machine")

    @staticmethod
    def working(machine: Any) -> int:
        """Return a process of a machine that computes a tile."""
        raylet = machine.all_processes["raylet"][0].process.pid
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for task in Path(f"/proc/{raylet}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if b"compute_remotely" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
            time.sleep(0.005)
        raise AssertionError("No worker computes a tile.")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="The processes of a cluster are looked for in /proc.")
def test_a_killed_worker_and_a_lost_machine_leave_the_same_bits(
    own_task: Task, two_machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "_SECONDS", 0.005)
    points = grid(parse_axis("lr", "log:1e-3:10:60"), parse_axis("init.scale", "lin:.5:3:50"))
    folder = tmp_path / "kept"
    alone = run_points(own_task, points, want=EVERYTHING, folder=folder)
    parts = sorted((folder / "parts").iterdir())
    for part in parts[3:]:
        part.unlink()
    before = signal.getsignal(signal.SIGTERM)
    saboteur = Saboteur(two_machines, tmp_path / "own")
    together = run_points(own_task, points, want=EVERYTHING, folder=folder, progress=saboteur, scale="ray")
    assert saboteur.done == ["worker", "machine"]
    assert together.engine == alone.engine == "lanes"
    assert together.notes == ("On a Ray cluster of 2 machines with 2 CPUs.",)
    assert not together.was_interrupted
    assert same_bits(together, alone)
    assert signal.getsignal(signal.SIGTERM) is before
    assert sorted((folder / "parts").iterdir()) == parts
    assert len(parts) > 20


@pytest.mark.long
def test_what_goes_wrong_in_a_tile_ends_the_sweep(
    two_machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(BROKEN)
    monkeypatch.setattr("chainrule.sweeps.ray_cluster._RETRIES", 1)
    broken, dying = (
        load_task("xor", {"model": {"module": f"{tmp_path / 'net.py'}:{name}"}, "stop": {"epochs": 3}})
        for name in ("Broken", "Dying")
    )
    with computing_at("ray"):
        with pytest.raises(UserModuleError) as caught:
            run_points(broken, [{"lr": 0.1}], engine="loop", scale="ray")
        assert re.sub(r'".*/code0/', '"', str(caught.value)) == (
            "Broken failed in forward.\n"
            "  where: inputs of shape (2, 2)\n"
            "Traceback (your code, most recent call last):\n"
            '  File "net.py", line 11, in forward\n'
            "    self.fail()\n"
            '  File "net.py", line 15, in fail\n'
            '    raise ValueError("not on this machine")\n'
            "ValueError: not on this machine"
        )
        with pytest.raises(ClusterError) as lost:
            run_points(dying, [{"lr": 0.1}], engine="loop", scale="ray")
    assert str(lost.value) == (
        "A part of the sweep was lost 2 times with the process or the machine that computed it.\n"
        f"{lost.value.cause}\n"
        "Too little memory is the usual cause. What is done is kept where the sweep has a folder."
    )


@pytest.mark.parametrize(
    ("machines", "engine", "siblings", "expected"),
    [
        ([8, 4], "lanes", 1, 8),  # no more than the largest machine has
        ([8, 4], "lanes", 4, 3),
        ([8, 4], "lanes", 40, 1),
        ([8, 4], "vmap", 1, 1),
        ([8, 4], "loop", 1, 1),  # as a local sweep of a small network
    ],
)
def test_few_tiles_get_more_processors(
    machines: list[int], engine: EngineName, siblings: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed.")
    ray_cluster = importlib.import_module("chainrule.sweeps.ray_cluster")
    monkeypatch.setattr(ray_cluster, "_machines", lambda: [{"CPU": float(count)} for count in machines])
    groups = groups_of(load_task("xor", {"run.device": "cpu"}), [{"lr": 0.1}])
    with placement("cpu", "float32") as place:
        work = Work(groups, [make_problem(groups[0], place, None)], None, Want())
    tile = Tile(0, 0, 1, engine, siblings)
    assert ray_cluster._needs(tile, work) == (expected, 0)
    assert ray_cluster.Cluster().slots(expected, 0) == sum(count // expected for count in machines)
    assert ray_cluster.Cluster().slots(1, 1) == 0


def errors_of(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("ray", reason="Ray is not installed.")
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError) as caught:
        run_points(load_task("xor"), [{"lr": 0.1}], steps=1, scale="ray")
    return str(caught.value)


def test_a_cluster_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # nobody listens there
        text = errors_of(f"127.0.0.1:{port}", monkeypatch)
    lines = text.splitlines()
    assert "refused" in lines.pop(4) or sys.platform == "win32"
    assert lines == [
        "There is no Ray cluster at that address.",
        "  where:    RAY_ADDRESS",
        f"  found:    127.0.0.1:{port}",
        "  expected: HOST:PORT of a running cluster, as `ray start --head` prints it",
        "Unset RAY_ADDRESS to use a cluster that runs here, or else this machine alone.",
    ]
    assert errors_of("ray://127.0.0.1:10001", monkeypatch) == (
        "A sweep does not go through the Ray client.\n"
        "  where:    RAY_ADDRESS\n"
        "  found:    ray://127.0.0.1:10001\n"
        "  expected: HOST:PORT of a cluster that this machine belongs to\n"
        "Run chainrule on a machine of the cluster, by `ray job submit` for example."
    )


def test_without_ray_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "chainrule.sweeps.ray_cluster", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(MissingExtraError) as caught:
        run_points(load_task("xor"), [{"lr": 0.1}], steps=1, scale="ray")
    assert str(caught.value) == (
        "Ray is not installed.\n"
        "  found: import of ray halted; None in sys.modules\n"
        "Install it with: pip install 'chainrule[ray]'"
    )


@pytest.mark.parametrize("library", ["chainrule", "torch"])
def test_a_machine_with_another_version_is_refused(library: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed.")
    ray_cluster = importlib.import_module("chainrule.sweeps.ray_cluster")
    here = {"chainrule": chainrule.__version__, "torch": torch.__version__}
    order = ray_cluster.Order("one", here | {library: "0.0.1"}, "cpu", 1, [])
    with pytest.raises(ClusterError) as caught:
        ray_cluster.compute_remotely(order, Tile(0, 0, 1, "loop"), 1)
    assert str(caught.value) == (
        f"A machine of the Ray cluster has another version of {library}.\n"
        f"  where:    {socket.gethostname()}\n"
        f"  found:    {here[library]}\n"
        "  expected: 0.0.1, as where the sweep was begun\n"
        "Install the same versions on every machine."
    )
