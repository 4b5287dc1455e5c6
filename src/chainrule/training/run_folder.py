"""The folder of a run: the task as it was run, metrics, checkpoints, weights, and what the reports add."""

import json
import platform
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, final

import numpy
import polars
import torch

from chainrule.data import save_arrays
from chainrule.errors import CheckpointError, OutputError, TaskError
from chainrule.files import write_atomically, writing
from chainrule.shapes import Tensor
from chainrule.tasks import Task, load_task, task_keys, task_toml
from chainrule.tensor_files import pack_tensors
from chainrule.trace import History

_ARRAYS = "data.safetensors"
ARRAYS_IN_TOML = 200  # numbers that a person would still read in the task file


def new_run_folder(name: str, now: datetime, parent: Path) -> Path:
    """Return a folder that does not exist yet: runs/20261121-081500-iris."""
    readable = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "task"
    stem = f"{now:%Y%m%d-%H%M%S}-{readable}"
    folder = parent / stem
    count = 1
    while folder.exists():
        count += 1
        folder = parent / f"{stem}-{count}"
    return folder


_FREE_TO_CHANGE = ("stop", "name", "description", "run.checkpoint_", "run.device")


def task_of_run(folder: Path, changes: Mapping[str, Any]) -> Task:
    """Return the task that a run folder holds, with changes, to resume it.

    Raises:
        TaskError: the folder is no run folder, or a change would give other numbers than the run so far.
    """
    for key in changes:
        if not key.startswith(_FREE_TO_CHANGE):
            raise TaskError(
                what=f"A run that goes on cannot change {key}: its numbers would not be those of one run.",
                where="--resume",
                found=f"{key} = {changes[key]}",
                expected="changes of [stop], the name, the description or how often checkpoints are written",
                next_step="Train again for the rest.",
            )
    file = folder / "task.toml"
    if not file.is_file():
        raise TaskError(
            what=f"{folder} is no run folder.",
            where="--resume",
            found="a folder without task.toml" if folder.is_dir() else "no such folder",
            expected="the folder of a run that `chainrule train` wrote, such as runs/20261121-081500-iris",
        )
    return load_task(file, changes)


@final
class RunFolder:
    """Writes a run down. Metrics grow line by line while the run goes on, and become one Parquet file at its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: IO[bytes] | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def begin(self, task: Task) -> Task:
        """Write the task as it is run, and what it runs on; return the task that stands alone in this folder.

        Raises:
            OutputError: the folder holds another run, or cannot be written.
        """
        existing_or_error(self.path)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        task = self._with_arrays_beside(task)
        write_atomically(self.path / "task.toml", task_toml(task).encode())
        environment = {
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
        }
        write_atomically(self.path / "environment.json", json.dumps(environment, indent=2).encode())
        return task

    def go_on(self, task: Task) -> Task:
        """Return the task as `begin` did, when the run is resumed with arrays that are in memory.

        Raises:
            CheckpointError: the arrays are others than those that the run began with.
        """
        beside = self.path / _ARRAYS
        if not _has_large_arrays(task) or not beside.is_file():
            return task
        with TemporaryDirectory() as folder:
            save_arrays(Path(folder) / _ARRAYS, task.data.inputs, task.data.targets)
            if (Path(folder) / _ARRAYS).read_bytes() != beside.read_bytes():
                raise CheckpointError(
                    what="The run began with other data.",
                    where=str(beside),
                    found="arrays that differ from it",
                    expected="the same inputs and targets",
                    next_step="Resume with the arrays of the first time, or train again.",
                )
        return self._with_source(task)

    def _with_arrays_beside(self, task: Task) -> Task:
        """Return the task with large arrays in a file of their own, so that the run folder stands alone."""
        if not _has_large_arrays(task):
            return task
        save_arrays(self.path / _ARRAYS, task.data.inputs, task.data.targets)
        return self._with_source(task)

    def _with_source(self, task: Task) -> Task:
        keys = task_keys(task)
        keys["data"] = {key: value for key, value in keys["data"].items() if key not in {"inputs", "targets"}}
        keys["data"]["source"] = str((self.path / _ARRAYS).resolve())
        return Task(**keys)

    def read_history(self, before: int) -> History:
        """Return the metrics of the steps below `before`, and go on writing after them."""
        table = self._read_metrics()
        history = History() if table is None else History.from_polars(table, before)
        with writing(self._jsonl):
            self._close()
            lines = [] if table is None else [self._line(row) for row in _rows_by_step(history)]
            write_atomically(self._jsonl, b"".join(lines))
            self._parquet.unlink(missing_ok=True)
        return history

    @property
    def _jsonl(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def _parquet(self) -> Path:
        return self.path / "metrics.parquet"

    def _read_metrics(self) -> polars.DataFrame | None:
        if self._jsonl.is_file():
            rows = _parse_lines(self._jsonl.read_bytes(), self._jsonl)
            history = History()
            for step, values in rows:
                history.note(step, values)
            return history.to_polars()
        return polars.read_parquet(self._parquet) if self._parquet.is_file() else None

    def write_metrics(self, history: History) -> list[tuple[int, Mapping[str, float]]]:
        """Append what was noted since the last call, and return it."""
        rows = history.take_pending()
        if rows:
            with writing(self._jsonl):
                if self._lines is None:
                    self._lines = self._jsonl.open("ab")
                self._lines.write(b"".join(self._line(row) for row in rows))
                self._lines.flush()
        return rows

    @staticmethod
    def _line(row: tuple[int, Mapping[str, float]]) -> bytes:
        return json.dumps({"step": row[0], **row[1]}).encode() + b"\n"

    def finish_metrics(self, history: History) -> None:
        """Turn the lines into `metrics.parquet`: columns name, step, value."""
        self.write_metrics(history)
        self._close()
        buffer = BytesIO()
        history.to_polars().write_parquet(buffer)
        write_atomically(self._parquet, buffer.getvalue())
        self._jsonl.unlink(missing_ok=True)

    def write_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Write `model.safetensors`, the weights that the run ends with."""
        write_atomically(self.path / "model.safetensors", pack_tensors(weights))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write `result.json`."""
        write_atomically(self.path / "result.json", json.dumps(result, indent=2, ensure_ascii=False).encode())

    def close(self) -> None:
        """Close the metrics file; what was written stays."""
        self._close()

    def _close(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None


def _has_large_arrays(task: Task) -> bool:
    inputs = task.data.inputs
    return inputs is not None and numpy.asarray(inputs).size > ARRAYS_IN_TOML


def _parse_lines(data: bytes, path: Path) -> list[tuple[int, dict[str, float]]]:
    rows = []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):  # the last is empty, or a line that a kill cut short
        try:
            values = json.loads(line)
            rows.append((values.pop("step"), values))
        except (ValueError, KeyError, AttributeError):
            raise CheckpointError(
                what="The metrics of the run are damaged.",
                where=f"{path}, line {number}",
                found=line[:60].decode(errors="replace"),
                expected='a line such as {"step": 3, "loss": 0.2}',
                next_step="Delete this line to go on without it.",
            ) from None
    return rows


def _rows_by_step(history: History) -> list[tuple[int, dict[str, float]]]:
    rows: dict[int, dict[str, float]] = {}
    for name in history:
        curve = history[name]
        for step, value in zip(curve.steps, curve.values, strict=True):
            rows.setdefault(step, {})[name] = value
    return sorted(rows.items())


def existing_or_error(folder: Path) -> None:
    """Refuse to write a new run into a folder that holds another.

    Raises:
        OutputError: there is a task.toml already.
    """
    with writing(folder):
        is_taken = (folder / "task.toml").exists()
    if is_taken:
        raise OutputError(
            what="The output folder already holds a run.",
            where=str(folder),
            next_step=f"Go on with it by --resume {folder}, or choose another folder with --output.",
        )
