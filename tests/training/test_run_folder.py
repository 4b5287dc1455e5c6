"""The folder of a run: whole files, a task that stands alone, and refusals."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy
import polars
import pytest
import torch
from safetensors.torch import load_file

from chainrule.errors import OutputError, TaskError
from chainrule.tasks import Task, load_task
from chainrule.trace import EPOCH, History
from chainrule.training import Run, existing_or_error, new_run_folder, task_of_run, train
from chainrule.training.run_folder import RunFolder

Make = Callable[..., Task]
Same = Callable[[Run, Run], None]


def test_what_is_in_it(small_task: Make, tmp_path: Path) -> None:
    run = train(small_task(data={"validation": 0.2}), folder=tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "task.toml",
        "environment.json",
        "metrics.parquet",
        "model.safetensors",
        "result.json",
        "checkpoints",
    }
    assert run.folder == tmp_path / "run"
    assert polars.read_parquet(tmp_path / "run" / "metrics.parquet").equals(run.history.to_polars())
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(weights[name], weight) for name, weight in run.model.state_dict().items())
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == run.to_dict()
    assert load_task(tmp_path / "run" / "task.toml") == run.task


def test_the_task_in_it_gives_the_same_run(small_task: Make, tmp_path: Path, assert_same_run: Same) -> None:
    one = train(small_task(classes=3), folder=tmp_path / "run")
    assert_same_run(train(load_task(tmp_path / "run" / "task.toml")), one)


def test_large_arrays_lie_beside_the_task(small_task: Make, tmp_path: Path, assert_same_run: Same) -> None:
    draw = numpy.random.default_rng(0)
    inputs = draw.normal(size=(100, 3))
    task = small_task(data={"inputs": inputs, "targets": inputs.sum(axis=1) > 0}, model={"layers": [4, 2]})
    one = train(task, folder=tmp_path / "run")
    assert (tmp_path / "run" / "data.safetensors").is_file()
    assert "\ninputs" not in (tmp_path / "run" / "task.toml").read_text()
    assert_same_run(train(load_task(tmp_path / "run" / "task.toml")), one)


def test_nothing_is_written_without_a_folder(small_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(small_task()).folder is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_a_run_is_not_written_over(small_task: Make, tmp_path: Path) -> None:
    train(small_task(), folder=tmp_path)
    before = (tmp_path / "task.toml").read_bytes()
    for refuse in (lambda: train(small_task(seed=1), folder=tmp_path), lambda: existing_or_error(tmp_path)):
        with pytest.raises(OutputError) as error:
            refuse()
        assert (
            str(error.value)
            == f"""The output folder already holds a run.
  where: {tmp_path}
Go on with it by --resume {tmp_path}, or choose another folder with --output."""
        )
    assert (tmp_path / "task.toml").read_bytes() == before


def test_a_folder_below_a_file_cannot_be_written(small_task: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as error:
        train(small_task(), folder=tmp_path / "file" / "run")
    assert (
        str(error.value)
        == f"""Cannot write run.
  where: {tmp_path}/file
  found: Not a directory
A part of this path is a file, not a folder: choose another folder."""
    )


@pytest.mark.parametrize(("make", "found"), [(False, "no such folder"), (True, "a folder without task.toml")])
def test_no_run_folder(tmp_path: Path, make: bool, found: str) -> None:
    folder = tmp_path / "nothing"
    if make:
        folder.mkdir()
    with pytest.raises(TaskError) as error:
        task_of_run(folder, {})
    assert (
        str(error.value)
        == f"""{folder} is no run folder.
  where:    --resume
  found:    {found}
  expected: the folder of a run that `chainrule train` wrote, such as runs/20261121-081500-iris"""
    )


def test_folders_are_named_after_time_and_task(tmp_path: Path) -> None:
    now = datetime(2026, 11, 21, 8, 15)
    first = new_run_folder("iris", now, tmp_path)
    assert first == tmp_path / "20261121-081500-iris"
    first.mkdir()
    second = new_run_folder("iris", now, tmp_path)
    assert second == tmp_path / "20261121-081500-iris-2"
    second.mkdir()
    assert new_run_folder("iris", now, tmp_path) == tmp_path / "20261121-081500-iris-3"
    assert new_run_folder("a/b: c?", now, tmp_path) == tmp_path / "20261121-081500-a-b-c"


def noted() -> History:
    history = History()
    for step in range(4):
        history.note(step, {"loss": 4.0 - step, "lr": 0.5})
        history.note(step + 1, {f"{EPOCH}loss": 0.1 * step})
    return history


def test_metrics_grow_line_by_line_and_become_one_table(tmp_path: Path) -> None:
    folder, history = RunFolder(tmp_path), noted()
    rows = folder.write_metrics(history)
    assert len(rows) == 8
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"step": 0, "loss": 4.0, "lr": 0.5}
    assert len(lines) == 8
    assert folder.write_metrics(history) == []
    folder.finish_metrics(history)
    folder.close()
    assert not (tmp_path / "metrics.jsonl").exists()
    assert polars.read_parquet(tmp_path / "metrics.parquet").equals(history.to_polars())


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    folder = RunFolder(tmp_path)
    folder.write_metrics(noted())
    folder.close()
    text = (tmp_path / "metrics.jsonl").read_bytes()
    last = text[:-1].rindex(b"\n") + 1
    (tmp_path / "metrics.jsonl").write_bytes(text[: last + min(cut, len(text) - last - 1)])
    history = folder.read_history(before=4)
    assert history["loss"].values == (4.0, 3.0, 2.0, 1.0)
    assert history[f"{EPOCH}loss"].steps == (1, 2, 3)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("before", range(5))
def test_reading_back_keeps_the_order_and_goes_on(tmp_path: Path, before: int, finished: bool) -> None:
    """What is read, written on and read again is as if it had never stopped, to the order of its names."""
    folder, history = RunFolder(tmp_path), noted()
    whole = history.to_polars()
    folder.write_metrics(history)
    if finished:
        folder.finish_metrics(history)
    folder.close()
    history = folder.read_history(before)
    for step in range(before, 4):
        history.note(step, {"loss": 4.0 - step, "lr": 0.5})
        history.note(step + 1, {f"{EPOCH}loss": 0.1 * step})
    folder.write_metrics(history)
    folder.close()
    assert history.to_polars().equals(whole)
    assert folder.read_history(before=9).to_polars().equals(whole)
    assert not (tmp_path / "metrics.parquet").exists()
    folder.close()
