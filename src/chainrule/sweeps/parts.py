"""The folder of a sweep: finished tiles as files, written whole or not at all, and of which sweep they are.

    sweep.json              digests of what decides the numbers, by name
    parts/00000-000000.safetensors
                            the arrays of a tile (number of the group, first run of the tile in it)

Nothing is ever unpickled.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from chainrule import __version__
from chainrule.errors import CheckpointError
from chainrule.files import replacing, write_atomically
from chainrule.sweeps.groups import Group
from chainrule.sweeps.outcome import EngineName, Want
from chainrule.sweeps.tiles import Part
from chainrule.tasks import fingerprint
from chainrule.tensor_files import SafetensorError, read_tensors, write_tensors

_FORMAT = "1"
_ENGINES: dict[str, EngineName] = {"lanes": "lanes", "vmap": "vmap", "loop": "loop"}


def digests_of(groups: Sequence[Group], steps: int, want: Want, engine: str) -> dict[str, str]:
    """Return what decides the numbers of a sweep, by a name that a person understands.

    Args:
        groups: the runs.
        steps: of each.
        want: what is to be known of them.
        engine: as it was asked for.
    """
    points = hashlib.sha256()
    for group in groups:
        points.update(group.rows.tobytes())
        for key, values in sorted(group.columns.items()):
            points.update(f"{key}:{values.dtype}".encode() + values.tobytes())
    return {
        "task": hashlib.sha256("".join(fingerprint(group.task) for group in groups).encode()).hexdigest(),
        "points": points.hexdigest(),
        "number of updates": str(steps),
        "what is wanted": json.dumps(asdict(want), sort_keys=True),
        "engine": engine,
        "version of chainrule": __version__,
        "version of torch": torch.__version__,
        "format": _FORMAT,
    }


@dataclass(slots=True)
class PartFolder:
    """Where the tiles of one sweep are kept.

    Attributes:
        path: the folder.
        digests: of the sweep.
        notes: what was found wrong in it, as sentences.
    """

    path: Path
    digests: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Make the folder, or find the finished tiles of the same sweep in it.

        Raises:
            CheckpointError: it holds another sweep, or does not say which one.
            OutputError: it cannot be written.
        """
        about = self.path / "sweep.json"
        if not about.is_file():
            write_atomically(about, json.dumps(dict(self.digests), indent=1).encode())
            return
        found = _read_digests(about)
        differing = [name for name, digest in self.digests.items() if found.get(name) != digest]
        if differing:
            raise CheckpointError(
                what="The folder holds the parts of another sweep.",
                where=str(self.path),
                found=f"changed: {', '.join(differing)}",
                expected="the sweep that was begun here, with nothing changed",
                next_step="Choose another folder, or delete this one.",
            )

    def read(self, group: int, first: int, count: int) -> Part | None:
        """Return a finished tile, or None when it is not there; a damaged one is passed over with a note."""
        path = self._path(group, first)
        if not path.is_file():
            return None
        try:
            _, names, about = read_tensors(path, ())
            arrays, _, _ = read_tensors(path, names)
        except SafetensorError:
            self.notes.append(f"The part {path.name} was damaged, and was computed again.")
            return None
        engine = _ENGINES.get(about.get("engine", ""))
        if engine is None or about.get("sweep") != self._sweep or any(len(each) != count for each in arrays.values()):
            self.notes.append(f"The part {path.name} was of another sweep, and was computed again.")
            return None
        part = Part({name: value.numpy() for name, value in arrays.items()}, engine, about.get("metric", ""))
        if about.get("sha256") != _digest(part):
            self.notes.append(f"The part {path.name} was damaged, and was computed again.")
            return None
        return part

    def engine_of(self, group: int) -> EngineName | None:
        """Return which engine has computed tiles of a group before."""
        for path in sorted((self.path / "parts").glob(f"{group:05d}-*.safetensors")):
            try:
                _, _, about = read_tensors(path, ())
            except SafetensorError:
                continue
            if about.get("sweep") == self._sweep and about.get("engine") in _ENGINES:
                return _ENGINES[about["engine"]]
        return None

    def write(self, group: int, first: int, part: Part) -> None:
        """Keep a finished tile.

        Raises:
            OutputError: the folder cannot be written or the disk is full.
        """
        about = {
            "sweep": self._sweep,
            "engine": part.engine,
            "metric": part.metric_name,
            "sha256": _digest(part),
        }
        tensors = {name: torch.from_numpy(values) for name, values in part.arrays.items()}
        with replacing(self._path(group, first)) as file:
            write_tensors(file, tensors, about)

    @property
    def _sweep(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.digests), sort_keys=True).encode()).hexdigest()

    def _path(self, group: int, first: int) -> Path:
        return self.path / "parts" / f"{group:05d}-{first:06d}.safetensors"


def _digest(part: Part) -> str:
    """Return the SHA-256 of a tile's numbers and of what is said about them: a disk can change a byte unnoticed."""
    digest = hashlib.sha256(f"{part.engine} {part.metric_name}".encode())
    for name, values in sorted(part.arrays.items()):
        digest.update(f" {name} {values.dtype} {values.shape} ".encode() + values.tobytes())
    return digest.hexdigest()


def _read_digests(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error)
    else:
        if isinstance(found, dict):
            return found
        reason = "no table of digests"
    raise CheckpointError(
        what="The folder does not say of which sweep its parts are.",
        where=str(path),
        found=f"it cannot be read: {reason}",
        expected="the file as it was written",
        cause="A disk, a copy or an editor changed it: chainrule itself writes it whole or not at all.",
        next_step="Delete this file and start the sweep again: the parts that belong to it are kept.",
    )
