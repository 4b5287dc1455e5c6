"""Checkpoints: everything that a run needs to go on as if it had never stopped.

A checkpoint is a folder with two files, `state.json` and `tensors.safetensors`. It is written under another name and
renamed, so that a folder with a checkpoint's name always holds a whole one. Nothing is ever unpickled.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chainrule.errors import CheckpointError
from chainrule.files import write_atomically, writing
from chainrule.shapes import Tensor
from chainrule.tasks import fingerprint
from chainrule.tensor_files import SafetensorError, pack_tensors, unpack_tensors
from chainrule.training.devices import random_states, restore_random_states
from chainrule.training.encoding import decode, encode
from chainrule.training.state import Progress, State
from chainrule.training.trajectory import Trajectory

VERSION = 2
KEPT = 2
_PREFIX = "step-"


def save_checkpoint(folder: Path, state: State, trajectory: Trajectory | None) -> None:
    """Write a checkpoint of a run into `folder`, and remove all but the newest `KEPT`.

    Every process calls this, because the generators of all of them are saved; the main one writes.

    Raises:
        OutputError: the folder cannot be written or the disk is full; older checkpoints are untouched.
    """
    content = _content(state, trajectory)
    if not state.place.is_main:
        return
    tensors: dict[str, Tensor] = {}
    encoded = encode(content, tensors, "")
    packed = pack_tensors(tensors)
    head = {
        "version": VERSION,
        "task": fingerprint(state.task),
        "world": state.place.world,
        "device": state.place.device.type,
        "tensors_sha256": hashlib.sha256(packed).hexdigest(),
        "state": encoded,
    }
    final = folder / f"{_PREFIX}{state.progress.step:012d}"
    partial = folder / f".{final.name}.part"
    with writing(final):
        for left in folder.glob(f".{_PREFIX}*.part"):  # by a process that was killed
            shutil.rmtree(left)
        partial.mkdir(parents=True)
    write_atomically(partial / "tensors.safetensors", packed)
    write_atomically(partial / "state.json", json.dumps(head).encode())
    with writing(final):
        if final.exists():  # the same step again, after a resume: the numbers are the same
            shutil.rmtree(final)
        os.replace(partial, final)
        for old in find_checkpoints(folder)[:-KEPT]:
            shutil.rmtree(old)


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest last."""
    return sorted(folder.glob(f"{_PREFIX}*")) if folder.is_dir() else []


def load_checkpoint(path: Path, state: State, trajectory: Trajectory | None) -> None:
    """Put a run that was just initialised where the checkpoint was taken.

    Raises:
        CheckpointError: the checkpoint is truncated, of another version, of another task, or was taken with another
            number of processes or on another kind of device.
    """
    head = _read_head(path)
    _check_head(head, path, state)
    content = decode(head["state"], _read_tensors(path, head["tensors_sha256"]))
    _check_fit(content["model"], path, state)
    state.progress = Progress(**content["progress"])
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    if state.schedule is not None:
        state.schedule.scheduler.load_state_dict(content["schedule"])
    state.best_weights, state.finite_weights = content["best_weights"], content["finite_weights"]
    restore_random_states(content["generators"], state.place)
    if trajectory is not None:
        trajectory.load_tensors(content["trajectory"])


def _content(state: State, trajectory: Trajectory | None) -> dict[str, Any]:
    return {
        "progress": asdict(state.progress),
        "model": dict(state.model.state_dict()),
        "optimizer": state.optimizer.state_dict(),
        "schedule": state.schedule.scheduler.state_dict() if state.schedule is not None else None,
        "best_weights": dict(state.best_weights),
        "finite_weights": dict(state.finite_weights),
        "generators": random_states(state.place),
        "trajectory": trajectory.to_tensors() if trajectory is not None else {},
    }


def another_task(path: Path, found: str, state: State) -> CheckpointError:
    """Return the error for a run that was begun with another task; `found` is the fingerprint of that one."""
    return CheckpointError(
        what="The checkpoint is of another task.",
        where=str(path),
        found=f"task {found[:12]}",
        expected=f"task {fingerprint(state.task)[:12]}",
        cause="Data, model, loss, optimizer, schedule, penalties, seed or precision changed since it was written.",
        next_step="Only [stop], the name and how often checkpoints are written may change.",
    )


def _truncated(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        what="The checkpoint is damaged.",
        where=str(path),
        found=found,
        expected="state.json and tensors.safetensors as they were written",
        cause="A disk or a copy cut it short: chainrule itself never leaves a part of a checkpoint under this name.",
        next_step="Delete this folder to resume from the checkpoint before it, or train again.",
    )


def _read_head(path: Path) -> dict[str, Any]:
    try:
        head = json.loads((path / "state.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _truncated(path, f"state.json cannot be read: {error}") from None
    if not isinstance(head, dict) or "version" not in head:
        raise _truncated(path, "state.json is no checkpoint")
    missing = sorted({"task", "world", "device", "tensors_sha256", "state"} - head.keys())
    if missing and head["version"] == VERSION:
        raise _truncated(path, f"state.json has no {', '.join(missing)}")
    return head


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    try:
        packed = (path / "tensors.safetensors").read_bytes()
    except OSError as error:
        raise _truncated(path, f"tensors.safetensors cannot be read: {error.strerror}") from None
    if hashlib.sha256(packed).hexdigest() != digest:
        raise _truncated(path, f"tensors.safetensors has {len(packed)} bytes that do not match its digest")
    try:
        return unpack_tensors(packed)
    except SafetensorError as error:
        raise _truncated(path, f"tensors.safetensors: {error}") from None


def _check_fit(weights: dict[str, Tensor], path: Path, state: State) -> None:
    """Refuse weights of other names or shapes: a module imported by its name can change without the task's changing."""
    wanted = {name: tuple(tensor.shape) for name, tensor in state.model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    differing = [name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise CheckpointError(
            what="The checkpoint does not fit the model.",
            where=str(path),
            found=f"{name} {found.get(name, 'missing')}",
            expected=f"{name} {wanted.get(name, 'missing')}",
            cause="The code of the module changed since the checkpoint was written.",
            next_step="Resume with the code that wrote it, or train again.",
        )


def _check_head(head: dict[str, Any], path: Path, state: State) -> None:
    if head["version"] != VERSION:
        raise CheckpointError(
            what="The checkpoint is of another version of chainrule.",
            where=str(path),
            found=f"format {head['version']}",
            expected=f"format {VERSION}",
            next_step="Resume with the version that wrote it, or train again.",
        )
    if head["task"] != fingerprint(state.task):
        raise another_task(path, head["task"], state)
    here = (state.place.world, state.place.device.type)
    if (head["world"], head["device"]) != here:
        raise CheckpointError(
            what="The checkpoint was taken on other devices, so the numbers would not go on as they were.",
            where=str(path),
            found=f"{head['world']} processes on {head['device']}",
            expected=f"{here[0]} processes on {here[1]}",
            next_step="Resume with the same --device and the same number of processes.",
        )
