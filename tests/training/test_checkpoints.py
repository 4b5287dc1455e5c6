"""Checkpoints that are damaged, of something else, or cut short while they were written."""

import errno
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chainrule.errors import CheckpointError, OutputError
from chainrule.tasks import Task, fingerprint, load_task
from chainrule.training import Run, train
from chainrule.training.checkpoints import find_checkpoints

Make = Callable[..., Task]
Same = Callable[[Run, Run], None]


@pytest.fixture
def folder(small_task: Make, tmp_path: Path) -> Path:
    """Return the folder of a run of 20 updates, with checkpoints after 14 and 20."""
    task = small_task(run={"device": "cpu", "checkpoint_steps": 7}, optimizer={"name": "Adam"})
    train(task, folder=tmp_path / "run")
    return tmp_path / "run"


def resume(folder: Path, **changes: Any) -> Run:
    keys = {"stop.epochs": 5} | {key.replace("__", "."): value for key, value in changes.items()}
    return train(load_task(folder / "task.toml", keys), folder=folder, resume=True)


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(CheckpointError) as error:
        resume(folder, **changes)
    return str(error.value)


DAMAGED = """The checkpoint is damaged.
  where:    {newest}
  found:    {found}
  expected: state.json and tensors.safetensors as they were written
A disk or a copy cut it short: chainrule itself never leaves a part of a checkpoint under this name.
Delete this folder to resume from the checkpoint before it, or train again."""


def test_only_the_newest_two_are_kept(folder: Path) -> None:
    names = [path.name for path in find_checkpoints(folder / "checkpoints")]
    assert names == ["step-000000000014", "step-000000000020"]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == names
    for path in find_checkpoints(folder / "checkpoints"):
        assert sorted(file.name for file in path.iterdir()) == ["state.json", "tensors.safetensors"]


def cut_state(newest: Path) -> str:
    text = (newest / "state.json").read_bytes()
    (newest / "state.json").write_bytes(text[:100])
    try:
        json.loads(text[:100])
    except ValueError as error:
        return f"state.json cannot be read: {error}"
    return "unreachable"


def empty_state(newest: Path) -> str:
    (newest / "state.json").write_bytes(b"")
    return "state.json cannot be read: Expecting value: line 1 column 1 (char 0)"


def no_state(newest: Path) -> str:
    (newest / "state.json").unlink()
    return f"state.json cannot be read: [Errno 2] No such file or directory: '{newest / 'state.json'}'"


def other_json(newest: Path) -> str:
    (newest / "state.json").write_text("[1, 2]")
    return "state.json is no checkpoint"


def half_a_head(newest: Path) -> str:
    (newest / "state.json").write_text('{"version": 2, "task": "x", "world": 1}')
    return "state.json has no device, state, tensors_sha256"


def no_tensors(newest: Path) -> str:
    (newest / "tensors.safetensors").unlink()
    return "tensors.safetensors cannot be read: No such file or directory"


def cut_tensors(newest: Path) -> str:
    packed = (newest / "tensors.safetensors").read_bytes()
    (newest / "tensors.safetensors").write_bytes(packed[:-100])
    return f"tensors.safetensors has {len(packed) - 100} bytes that do not match its digest"


def one_bit(newest: Path) -> str:
    packed = bytearray((newest / "tensors.safetensors").read_bytes())
    packed[-5] ^= 1
    (newest / "tensors.safetensors").write_bytes(packed)
    return f"tensors.safetensors has {len(packed)} bytes that do not match its digest"


@pytest.mark.parametrize(
    "damage", [cut_state, empty_state, no_state, other_json, half_a_head, no_tensors, cut_tensors, one_bit]
)
def test_damaged(folder: Path, damage: Callable[[Path], str]) -> None:
    newest = find_checkpoints(folder / "checkpoints")[-1]
    found = damage(newest)
    assert refusal(folder) == DAMAGED.format(newest=newest, found=found)
    shutil.rmtree(newest)  # as the message says
    assert resume(folder).progress.step == 25


def test_of_another_version(folder: Path) -> None:
    newest = find_checkpoints(folder / "checkpoints")[-1]
    head = json.loads((newest / "state.json").read_text()) | {"version": 99}
    (newest / "state.json").write_text(json.dumps(head))
    assert (
        refusal(folder)
        == f"""The checkpoint is of another version of chainrule.
  where:    {newest}
  found:    format 99
  expected: format 2
Resume with the version that wrote it, or train again."""
    )


@pytest.mark.parametrize("key", ["seed", "optimizer.lr", "data.batch_size", "optimizer.name", "run.precision"])
def test_of_another_task(folder: Path, key: str) -> None:
    changes: dict[str, Any] = {
        "seed": 1,
        "optimizer.lr": 0.5,
        "data.batch_size": 4,
        "optimizer.name": "SGD",
        "run.precision": "float64",
    }
    begun, wanted = load_task(folder / "task.toml"), load_task(folder / "task.toml", {key: changes[key]})
    assert (
        refusal(folder, **{key: changes[key]})
        == f"""The checkpoint is of another task.
  where:    {folder}/checkpoints/step-000000000020
  found:    task {fingerprint(begun)[:12]}
  expected: task {fingerprint(wanted)[:12]}
Data, model, loss, optimizer, schedule, penalties, seed or precision changed since it was written.
Only [stop], the name and how often checkpoints are written may change."""
    )


def test_what_may_change(folder: Path) -> None:
    assert resume(folder, name="other", run__checkpoint_steps=3, stop__epochs=6).progress.step == 30


@pytest.mark.parametrize(
    ("key", "value", "found"), [("world", 2, "2 processes on cpu"), ("device", "cuda", "1 processes on cuda")]
)
def test_of_other_devices(folder: Path, key: str, value: Any, found: str) -> None:
    newest = find_checkpoints(folder / "checkpoints")[-1]
    head = json.loads((newest / "state.json").read_text()) | {key: value}
    (newest / "state.json").write_text(json.dumps(head))
    assert (
        refusal(folder)
        == f"""The checkpoint was taken on other devices, so the numbers would not go on as they were.
  where:    {newest}
  found:    {found}
  expected: 1 processes on cpu
Resume with the same --device and the same number of processes."""
    )


def test_of_a_module_that_changed_behind_its_name(
    small_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's text is part of the task; what an import path leads to is not."""
    monkeypatch.setattr(torch.nn, "Changing", lambda: torch.nn.Linear(3, 1), raising=False)
    train(small_task(model={"module": "torch.nn:Changing"}), folder=tmp_path)
    monkeypatch.setattr(torch.nn, "Changing", lambda: torch.nn.Sequential(torch.nn.Linear(3, 1)), raising=False)
    assert (
        refusal(tmp_path)
        == f"""The checkpoint does not fit the model.
  where:    {tmp_path}/checkpoints/step-000000000020
  found:    0.bias missing
  expected: 0.bias (1,)
The code of the module changed since the checkpoint was written.
Resume with the code that wrote it, or train again."""
    )


def test_nothing_is_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError("a checkpoint was unpickled")

    for owner, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(owner, name, refuse)
    assert resume(folder).progress.step == 25


@pytest.mark.parametrize(("count", "file"), [(5, "tensors.safetensors"), (6, "state.json")])
def test_a_full_disk(small_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, file: str) -> None:
    """The error names the file, nothing half-written has a final name, and the checkpoint before still serves.

    The first four files are the task, the environment, and the two of the first checkpoint.
    """
    task = small_task(run={"device": "cpu", "checkpoint_steps": 7}, optimizer={"name": "Adam"})
    whole = train(task, folder=tmp_path / "whole")
    calls: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) == count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "run"
    with pytest.raises(OutputError) as error:
        train(task, folder=folder)
    assert (
        str(error.value)
        == f"""Cannot write {file}.
  where: {folder}/checkpoints/.step-000000000014.part
  found: No space left on device
Free some space, or choose a folder on another disk."""
    )
    monkeypatch.undo()
    assert [path.name for path in find_checkpoints(folder / "checkpoints")] == ["step-000000000007"]
    resumed = train(load_task(folder / "task.toml"), folder=folder, resume=True)
    assert resumed.history["loss"] == whole.history["loss"]
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert not list((folder / "checkpoints").glob(".*"))


@pytest.mark.parametrize("count", range(3, 13))
def test_killed_between_any_two_renames(
    small_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_run: Same, count: int
) -> None:
    """A process that ends before its n-th rename leaves a folder from which the run ends as it would have."""
    task = small_task(run={"device": "cpu", "checkpoint_steps": 7}, optimizer={"name": "Adam"})
    whole = train(task, folder=tmp_path / "whole")

    class Killed(BaseException):
        """As if the process had ended here: nothing catches it."""

    calls: list[Any] = []
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == count:
            raise Killed
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        train(task, folder=tmp_path / "run")
    monkeypatch.undo()
    (tmp_path / "run" / "checkpoints").mkdir(exist_ok=True)
    (tmp_path / "run" / "checkpoints" / ".step-000000000009.part").mkdir()
    assert_same_run(train(load_task(tmp_path / "run" / "task.toml"), folder=tmp_path / "run", resume=True), whole)
    for file in ("model.safetensors", "metrics.parquet"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_an_older_checkpoint_that_a_kill_left_half_removed_does_no_harm(folder: Path) -> None:
    (folder / "checkpoints" / "step-000000000014" / "state.json").unlink()
    assert resume(folder).progress.step == 25
    names = [path.name for path in find_checkpoints(folder / "checkpoints")]
    assert names == ["step-000000000021", "step-000000000025"]
