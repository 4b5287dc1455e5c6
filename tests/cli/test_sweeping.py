import json
import re
from pathlib import Path

import polars
import pytest

from chainrule.cli.overrides import SWEEP_OPTIONS, split_overrides
from chainrule.cli.sweeping import LiveProgress, Request, is_axis, run_sweeping, status_line, task_and_axes
from chainrule.sweeps import Status

from .conftest import Command


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.cli.sweeping.write_pictures", lambda document, folder: ())


def test_the_worked_example_is_swept_over_the_rates_of_the_assignment(command: Command) -> None:
    shown = command("sweep", "--steps", "30", "--engine", "loop")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("Sweep of two-two-two over lr\n")
    assert "6 runs, 30 updates each: 6 converging." in shown.out
    assert "Good:  Best: lr 2: the loss ends at 0.02483." in shown.out
    assert "It is the largest lr that was tried: larger ones may be better still." in shown.out
    assert "Edge of divergence not reached: no lr up to 2 diverges." in shown.out
    assert "The loss never rises, at any lr up to 2." in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_rates_that_are_too_high_are_called_saturated(command: Command) -> None:
    shown = command("sweep", "two-two-two", "--lr", "10,500,10000", "--steps", "100", "--json", "-q")
    read = json.loads(shown.out)
    assert (shown.code, shown.err) == (0, "")
    assert [run["phase"] for run in read["runs"]] == ["converging", "saturated", "saturated"]
    assert [run["rises"] for run in read["runs"]] == [0.0, 0.0, 0.0]
    divergence, saturation = read["borders"]
    assert (divergence["is_reached"], divergence["largest"]) == (False, 10000)
    assert 100 < saturation["first"] < 300
    assert read["recommended"]["margin"] > 3


def test_json_is_all_there_is_on_standard_output(command: Command) -> None:
    shown = command("sweep", "--lr", ".5,1", "--steps", "40", "--json")
    assert json.loads(shown.out)["phases"]["converging"] == 2
    assert "Sweep of two-two-two over lr" in shown.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".1,.2", True),
        ("log:1e-4:10:40", True),
        ("lin:0:1", True),
        ("linear:0:1:3", True),
        ("ReLU,Tanh", True),
        (".1", False),
        ("[16, 3]", False),
        ('{name = "SGD", lr = 0.1}', False),
        ('"a,b"', False),
        ("'a,b',c", True),
        ("[1,2],[3]", True),
        ("", False),
    ],
)
def test_a_list_or_a_range_is_an_axis_and_one_value_is_a_change(text: str, expected: bool) -> None:
    assert is_axis(text) is expected


def test_axes_and_changes_are_told_apart() -> None:
    typed = {
        "optimizer.lr": ".1,.2",
        "momentum": ".9",
        "init.scale": "2",
        "lr.0": "lin:1:2:2",
        "seed": "3",
        "model.activation": "ReLU,Tanh",
        "description": "this, that",
    }
    task, axes = task_and_axes("two-two-two", typed)
    assert [(axis.key, axis.values) for axis in axes] == [
        ("lr", (0.1, 0.2)),
        ("init.scale", (2,)),
        ("lr.0", (1, 2)),
        ("model.activation", ("ReLU", "Tanh")),
    ]
    assert (task.optimizer.arguments["momentum"], task.seed, task.description) == (0.9, 3, "this, that")


def test_tasks_have_a_usual_sweep() -> None:
    assert task_and_axes(None, {})[1][0].values == (0.1, 0.2, 0.5, 0.8, 1, 2)
    (axis,) = task_and_axes("iris", {})[1]
    assert (axis.key, len(axis), axis.values[0], axis.values[-1], axis.scale) == ("lr", 40, 1e-4, 10.0, "log")


def test_every_name_but_the_command_s_own_is_a_hyperparameter() -> None:
    tokens = ["sweep", "iris", "--lr", ".1,.2", "--weight_decay=0,1", "--steps", "5", "--init.offset", "-1,0", "-q"]
    rest, changes = split_overrides(tokens, SWEEP_OPTIONS)
    assert rest == ["sweep", "iris", "--steps", "5", "-q"]
    assert changes == {"optimizer.lr": ".1,.2", "weight_decay": "0,1", "init.offset": "-1,0"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ("--stesp", "3"),
            "error: There is no option --stesp.\n  found: --stesp\nDid you mean '--steps'?\n"
            "`chainrule sweep --help` lists the options.\n",
        ),
        (
            ("-o", "x.pdf"),
            "error: chainrule sweep writes no .pdf file.\n  where:    --output\n  found:    x.pdf\n"
            "  expected: a folder, or a file that ends in .png, .svg, .html, .csv or .parquet\n",
        ),
        (
            ("iris", "--lr", ".1,.2", "--resume", "there"),
            "error: --resume takes the task and everything else from the sweep's folder.\n"
            "  found:    TASK iris, --optimizer.lr\n"
            "  expected: nothing but --scale, --json and --quiet beside --resume\n",
        ),
        (
            ("--resume", "nowhere"),
            "error: nowhere is no folder of a sweep.\n  where:    --resume\n"
            "  found:    [Errno 2] No such file or directory: 'nowhere/sweep.json'\n"
            "  expected: the folder that `chainrule sweep -o nowhere` wrote\n",
        ),
        (("--lr",), "error: The option --lr has no value.\n  found:    nothing after it\n"
         "  expected: --lr VALUE, such as --optimizer.lr 0.1\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_explained(command: Command, options: tuple[str, ...], error: str) -> None:
    shown = command("sweep", *options)
    assert (shown.code, shown.out, shown.err) == (2, "", error)


@pytest.mark.parametrize("name", ["curves.svg", "curves.png", "page.html", "losses.csv", "losses.parquet"])
def test_one_file_of_each_kind(command: Command, name: str) -> None:
    shown = command("sweep", "--lr", "1,2", "--steps", "4", "--engine", "loop", "-o", name)
    assert (shown.code, shown.err) == (0, "")
    assert f"Written: {name}" in shown.out
    data = Path(name).read_bytes()
    start = {
        "svg": b"<?xml",
        "png": b"\x89PNG",
        "html": b"<!doctype html>",
        "csv": b"run,lr,step,loss",
        "parquet": b"PAR1",
    }
    assert data.lower().startswith(start[Path(name).suffix[1:]].lower())
    if name == "losses.csv":
        table = polars.read_csv(name)
        assert table.height == 8
        assert table["loss"][0] == table["loss"][4] == pytest.approx(0.24251985734837728, rel=1e-15)


def test_a_folder_holds_all_and_can_be_gone_on_with(command: Command) -> None:
    options = ("sweep", "--lr", "1,2", "--steps", "4", "--engine", "loop", "-o", "here", "--json", "-q")
    first = json.loads(command(*options).out)
    assert {path.name for path in Path("here").iterdir()} >= {"task.toml", "sweep.json", "report.html", "runs.csv"}
    again = json.loads(command("sweep", "--resume", "here", "--json", "-q").out)
    assert first["runs"] == again["runs"]
    refused = command(*options)
    assert refused.code == 2
    assert "The output folder already holds a run." in refused.err


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = ("sweep", "iris", "--lr", "log:1e-3:1:6", "--steps", "20", "--engine", "loop")
    whole = json.loads(command(*tokens, "--json", "-q").out)
    monkeypatch.setattr("chainrule.sweeps.tiles._SECONDS", 0.0)  # a tile for each run
    monkeypatch.setattr("chainrule.sweeps.running._TELL_SECONDS", 0.0)

    def press(progress: LiveProgress, status: Status) -> None:
        if status.runs_done >= 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LiveProgress, "tell", press)
        stopped = command(*tokens, "-o", "here")
    assert (stopped.code, stopped.err) == (130, "")
    found = re.search(r"(\d+) of 6 runs, 20 updates each", stopped.out)
    assert found is not None, stopped.out
    assert 1 <= int(found[1]) < 6
    assert "The sweep was interrupted: what follows is about the runs that were done." in " ".join(stopped.out.split())
    assert stopped.out.endswith("Interrupted. To go on: chainrule sweep --resume here\n")
    kept = polars.read_csv("here/runs.csv")
    assert kept.filter(polars.col("phase").is_not_null()).height == int(found[1])
    resumed = json.loads(command("sweep", "--resume", "here", "--json", "-q").out)
    assert resumed["runs"] == whole["runs"]
    assert resumed["borders"] == whole["borders"]


def test_the_line_of_progress() -> None:
    assert status_line(Status(3, 40, 61.0, 3700.0, "lanes")) == "run 3/40  lanes  1:01 so far  1:01:40 left"
    assert status_line(Status(0, 40, 0.0, None, "loop")) == "run 0/40  loop  0:00 so far  ? left"


def test_several_axes_have_a_picture_each(command: Command) -> None:
    tokens = ("--lr", ".5,1,2", "--momentum", "0,.5", "--steps", "3", "--engine", "loop", "-o", "a.svg")
    shown = command("sweep", *tokens)
    assert shown.code == 0
    assert [path.name for path in sorted(Path().glob("*.svg"))] == ["a-2.svg", "a.svg"]
    assert "With momentum 0.5: Edge of divergence not reached" in " ".join(shown.out.split())


def test_the_python_side_of_the_command_returns_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_sweeping("xor", {"seed": "1,2"}, Request(steps=3, engine="loop", quiet=True)) == 0
