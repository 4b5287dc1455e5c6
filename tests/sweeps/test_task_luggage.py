"""A task and the files that it names: packed here, and unpacked where none of them is."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from chainrule.sweeps import run_points
from chainrule.sweeps.task_luggage import pack, unpack
from chainrule.tasks import Task, fingerprint, load_task

NET = """
import torch
from lib import sizes
import beside

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.only = torch.nn.Linear(sizes.INPUTS, beside.OUTPUTS)

    def forward(self, x):
        return self.only(x)
"""
SCHEDULE = """
def halved(epoch):
    return 0.5 ** epoch
"""


@pytest.fixture
def paths() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "own"
    (own / "lib").mkdir(parents=True)
    (own / "lib" / "__init__.py").touch()
    (own / "lib" / "sizes.py").write_text("INPUTS = 2\n")
    (own / "beside.py").write_text("OUTPUTS = 1\n")
    (own / "net.py").write_text(NET)
    (own / "schedule.py").write_text(SCHEDULE)
    (own / "data.csv").write_text("a,b,y\n0,0,0.1\n0,1,0.9\n1,0,0.8\n1,1,0.2\n")
    weights = {"only.weight": torch.tensor([[0.25, -0.5]]), "only.bias": torch.tensor([0.125])}
    save_file(weights, own / "initial.safetensors")
    return own


def moved(task: Task, folder: Path) -> Task:
    """Return a task that was packed, lost all its files, and was unpacked somewhere else."""
    luggage = pack(task)
    shutil.rmtree(folder)
    there = folder.with_name("there")
    there.mkdir()
    return unpack(luggage, there)


def losses_of(task: Task) -> list[float]:
    losses = run_points(task, [{"lr": 0.1}]).losses
    assert losses is not None
    return losses[0].tolist()


def own_task(folder: Path, **model: str) -> Task:
    keys = {
        "data": {"source": "data.csv", "target": "y", "kind": "regression"},
        "model": {"module": "net.py:Net", **model},
        "loss": "MSELoss",
        "optimizer": {"name": "SGD", "lr": 0.1},
        "schedule": {"name": "LambdaLR", "lr_lambda": "schedule.py:halved"},
        "stop": {"epochs": 5},
        "run": {"precision": "float64"},
    }
    return load_task({**keys, **absolute(keys, folder)})


def absolute(keys: dict[str, object], folder: Path) -> dict[str, object]:
    data, model, schedule = (dict(keys[name]) for name in ("data", "model", "schedule"))  # type: ignore[call-overload]
    data["source"] = str(folder / data["source"])
    model |= {key: str(folder / model[key]) for key in ("module", "initial") if key in model}
    schedule["lr_lambda"] = str(folder / schedule["lr_lambda"])
    return {"data": data, "model": model, "schedule": schedule}


@pytest.mark.parametrize("model", [{}, {"initial": "initial.safetensors"}])
def test_a_task_trains_the_same_where_its_files_were_unpacked(folder: Path, model: dict[str, str]) -> None:
    task = own_task(folder, **model)
    losses, digest = losses_of(task), fingerprint(task)
    again = moved(task, folder)
    assert fingerprint(again) == digest
    assert losses_of(again) == losses
    assert len(set(losses)) == 5


def test_a_module_by_name_comes_along_unless_it_is_installed(
    folder: Path, paths: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lib" / "nets.py").write_text(NET.replace("import beside\n", "").replace("beside.OUTPUTS", "1"))
    folder = folder.rename(folder.with_name("elsewhere"))
    (folder / "lib").rename(folder / "mylib")
    nets = folder / "mylib" / "nets.py"
    nets.write_text(nets.read_text().replace("from lib import", "from mylib import"))
    monkeypatch.chdir(folder)
    task = load_task("xor", {"model": {"module": "mylib.nets:Net"}, "stop": {"epochs": 3}})
    losses = losses_of(task)
    monkeypatch.chdir(folder.parent)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylib"]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(folder)
    luggage = pack(task)
    monkeypatch.undo()
    assert sorted(luggage.files) == ["modules/mylib/__init__.py", "modules/mylib/nets.py", "modules/mylib/sizes.py"]
    shutil.rmtree(folder)
    folder.mkdir()
    assert losses_of(unpack(luggage, folder)) == losses
    assert pack(load_task("xor", {"model": {"module": "torch.nn:Identity"}})).files == {}
    assert pack(load_task("iris")).files == {}
