"""Killed from outside, at any moment, and resumed from the command line: the files at the end are the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from chainrule.tasks import Task, task_toml

Make = Callable[..., Task]

COMMAND = [sys.executable, "-m", "chainrule", "train", "-q"]


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=200)
    return process.returncode, text


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.fixture
def task_file(small_task: Make, noisy: str, tmp_path: Path) -> Path:
    """Return a task with everything that has a state: dropout, running statistics, Adam, a schedule, early stopping."""
    keys: dict[str, Any] = {
        "model": {"module": f"{noisy}:Noisy"},
        "data": {"batch_size": 6, "validation": 0.2},
        "optimizer": {"name": "Adam", "lr": 0.02},
        "schedule": {"name": "CosineAnnealingWarmRestarts", "T_0": 9},
        "stop": {"epochs": 250, "early_stopping": 249},
    }
    file = tmp_path / "task.toml"
    file.write_text(task_toml(small_task(**keys)))
    return file


def assert_same_files(one: Path, two: Path) -> None:
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    tables = [polars.read_parquet(folder / "metrics.parquet") for folder in (one, two)]
    assert tables[0].equals(tables[1], null_equal=True)
    assert not (one / "metrics.jsonl").exists()


def train_with_kills(task_file: Path, folder: Path, moments: list[float]) -> int:
    """Train, killed so many seconds after each beginning of the loop; return how many kills hit a living process."""
    arguments, hits = [str(task_file), "-o", str(folder), "--run.checkpoint_steps", "7"], 0
    for moment in moments:
        process = start(*arguments)
        # A resumed run rewrites its metrics before it goes on; a new one writes its task.
        begun = time.time()
        wait_for(lambda begun=begun: changed_since(folder, begun), process)
        time.sleep(moment)
        process.kill()
        hits += finish(process)[0] == -signal.SIGKILL
        arguments = ["--resume", str(folder)]
    code, text = finish(start(*arguments))
    assert code == 0, text
    return hits


def changed_since(folder: Path, begun: float) -> bool:
    files = [folder / "task.toml", folder / "metrics.jsonl"]
    return any(file.is_file() and file.stat().st_mtime >= begun for file in files)


def kill_test(task_file: Path, tmp_path: Path, seed: int, kills: int) -> None:
    code, text = finish(start(str(task_file), "-o", str(tmp_path / "whole"), "--run.checkpoint_steps", "7"))
    assert code == 0, text
    draw = random.Random(seed)  # noqa: S311  a test, not a secret
    moments = [draw.uniform(0.0, 1.5) for _ in range(kills)]
    assert train_with_kills(task_file, tmp_path / "killed", moments) > 0
    assert_same_files(tmp_path / "killed", tmp_path / "whole")
    names = {path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()}
    assert names == {path.name for path in (tmp_path / "whole" / "checkpoints").iterdir()}


def test_killed_once(task_file: Path, tmp_path: Path) -> None:
    kill_test(task_file, tmp_path, seed=1, kills=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 6))
def test_killed_again_and_again(task_file: Path, tmp_path: Path, seed: int) -> None:
    kill_test(task_file, tmp_path, seed, kills=4)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_signal_finishes_the_update_saves_and_says_how_to_go_on(
    task_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Stopped before half of it is done; the whole run is then the second half of the stopped one."""
    folder = tmp_path / "stopped"
    process = start(str(task_file), "-o", str(folder), "--stop.epochs", "100000", "--run.checkpoint_steps", "100")
    wait_for(lambda: list((folder / "checkpoints").glob("step-*")), process)
    process.send_signal(number)
    code, text = finish(process)
    assert code == 130
    assert f"chainrule train --resume {folder}" in " ".join(text.split())
    newest = max(path.name for path in (folder / "checkpoints").iterdir())
    step = int(newest.removeprefix("step-"))
    assert (folder / "metrics.jsonl").is_file()
    assert not (folder / "report.html").exists()
    epochs = step // 3 + 30
    for arguments in (["--resume", str(folder)], [str(task_file), "-o", str(tmp_path / "whole")]):
        code, text = finish(start(*arguments, "--stop.epochs", str(epochs), "--stop.early_stopping", "100000"))
        assert code == 0, text
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("stopped", "whole"))
    assert one == two
    tables = [polars.read_parquet(tmp_path / name / "metrics.parquet") for name in ("stopped", "whole")]
    for name in ("loss", "lr", "epoch/loss", "epoch/validation_loss"):
        curves = [table.filter(name=name) for table in tables]
        assert curves[0].equals(curves[1], null_equal=True), name
        assert len(curves[0]) >= epochs
