import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import polars
import pytest
from rich.console import Console

from chainrule.cli.mapping import Estimating, Request, duration, run_mapping
from chainrule.cli.overrides import MAP_OPTIONS, split_overrides
from chainrule.cli.sweeping import LiveProgress
from chainrule.sweeps import Status, read_map

from .conftest import Command

TASK = "two-two-two-even"
SIDES = ("--x", "lr.0=log:1e-2:1e3", "--y", "lr.1=log:1:1e5")
SMALL = (TASK, *SIDES, "--resolution", "4", "--steps", "8", "--engine", "loop")


def test_a_map_in_words(command: Command) -> None:
    shown = command("map", *SMALL, "--quiet")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("Map of two-two-two-even over lr.0 and lr.1\n")
    text = " ".join(shown.out.split())
    found = re.search(r"4 by 4 runs of 8 updates each\. (\d+) runs converged", text)
    assert found is not None
    assert 0 < int(found[1]) < 16
    assert "Best: lr.0 " in text
    assert "Along lr.1 the first run that fails is a factor " in text
    assert "A box-counting dimension of the border needs 64 pixels a side, and 256 to rely on." in text
    assert max(map(len, shown.out.splitlines())) <= 80


def test_what_is_not_said_is_chosen_and_told(command: Command) -> None:
    shown = command("map", TASK, "--resolution", "2", "--steps", "2", "--engine", "loop")
    assert shown.out.startswith(
        "x is lr.0, from 0.001 to 1000; y is lr.1, from 0.001 to 1000, as nothing else was said. --x and --y choose "
        "others.\n"
    )
    shown = command("map", TASK, "--x", "lr=log:1:2", "--resolution", "2", "--steps", "2", "--engine", "loop")
    assert shown.out.startswith("y is lr.1, from 0.001 to 1000, as nothing else was said.")
    shown = command("map", TASK, *SIDES, "--resolution", "2", "--steps", "2", "--engine", "loop")
    assert shown.out.startswith("Map of")


def test_json_is_all_there_is_on_standard_output(command: Command) -> None:
    shown = command("map", *SMALL, "--json", "--quiet", "-o", "m.npz")
    assert shown.err == "Written: m.npz\n"
    found = json.loads(shown.out)
    kept = read_map("m.npz")
    assert found["files"] == ["m.npz"]
    assert found["share"] == pytest.approx(kept.succeeds.mean())
    assert (found["runs"], found["done"], found["steps"], found["measure"]) == (16, 16, 8, "convergence")
    assert found["x"] == {"key": "lr.0", "first": 0.01, "last": 1000.0, "count": 4, "scale": "log"}
    assert found["best"]["point"].keys() == {"lr.0", "lr.1"}


@pytest.mark.parametrize("name", ["map.png", "map.svg", "map.html", "map.npz", "map.parquet"])
def test_one_file_of_each_kind(command: Command, name: str) -> None:
    shown = command("map", *SMALL, "-q", "-o", name)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.endswith(f"Written: {name}\n")
    start = {"svg": b"<?xml", "png": b"\x89PNG", "html": b"<!doctype html>", "npz": b"PK", "parquet": b"PAR1"}
    assert Path(name).read_bytes().lower().startswith(start[name[4:]].lower())
    assert [path.name for path in Path().iterdir()] == [name]


def test_keys_that_are_no_axis_change_the_task_or_all_runs(command: Command) -> None:
    shown = command("map", *SMALL, "-q", "-o", "m.npz", "--momentum", "0.5", "--seed", "3", "--init.scale", "2")
    assert shown.code == 0
    kept = read_map("m.npz")
    assert (kept.task.seed, kept.task.optimizer.arguments["momentum"], kept.plan.fixed) == (3, 0.5, {"init.scale": 2})
    assert "8 updates each, with init.scale 2." in " ".join(shown.out.split())
    rest, changes = split_overrides(
        ["map", "xor", "--x", "lr=log:1:2", "--momentum=.9", "--zoom", "-1", "2", "3"], MAP_OPTIONS
    )
    assert rest == ["map", "xor", "--x", "lr=log:1:2", "--zoom", "-1", "2", "3"]
    assert changes == {"momentum": ".9"}


def test_a_folder_holds_all_and_an_earlier_map_is_zoomed(command: Command) -> None:
    assert command("map", *SMALL, "-q", "-o", "first").code == 0
    names = {path.name for path in Path("first").iterdir()}
    assert names == {"task.toml", "map.json", "parts", "report.html", "map.png", "map.npz", "map.parquet"}
    assert '"command": "chainrule map first --zoom {x} {y} {factor}"' in Path("first/report.html").read_text()
    assert command("map", "first", "--zoom", "10", "1000", "5", "-q", "-o", "second.npz").code == 0
    first, second = read_map("first/map.npz"), read_map("second.npz")
    assert (second.task, second.steps, second.plan.engine) == (first.task, 8, "loop")
    assert second.plan.x.values[0] == pytest.approx(10 / 10**0.5)
    assert second.plan.x.values[-1] == pytest.approx(10 * 10**0.5)
    again = command("map", "second.npz", "-q", "--json", "-o", "second.parquet")
    assert json.loads(again.out)["share"] == pytest.approx(second.succeeds.mean())
    assert polars.read_parquet("second.parquet")["measure"].to_list() == second.measure.reshape(-1).tolist()
    shown = command("map", *SMALL, "-q", "-o", "first")
    assert shown.code == 2
    assert "The output folder already holds a run." in shown.err


def test_the_command_of_a_map_that_is_not_kept_says_everything(command: Command) -> None:
    assert command("map", *SMALL, "--momentum", "0.5", "-q", "-o", "m.html").code == 0
    found = re.search(r'"command": "(chainrule [^"]*)"', Path("m.html").read_text())
    assert found is not None
    words = found[1].replace("{x}", "10").replace("{y}", "1000").replace("{factor}", "5").split()
    assert words[:3] == ["chainrule", "map", TASK]
    assert command(*words[1:], "-q", "-o", "closer.npz").code == 0
    closer = read_map("closer.npz")
    assert closer.task.optimizer.arguments["momentum"] == 0.5
    assert (closer.steps, closer.plan.engine, closer.measure.shape) == (8, "loop", (4, 4))
    assert closer.plan.y.values[-1] / closer.plan.y.values[0] == pytest.approx(10.0)


def test_ctrl_c_shows_what_is_done_and_resume_goes_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("map", *SMALL, "-q", "-o", "whole.npz").code == 0
    monkeypatch.setattr("chainrule.sweeps.tiles._SECONDS", 0.0)  # a tile for each run
    monkeypatch.setattr("chainrule.sweeps.running._TELL_SECONDS", 0.0)

    def press(progress: LiveProgress, status: Status) -> None:
        if status.runs_done >= 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LiveProgress, "tell", press)
        stopped = command("map", *SMALL, "-o", "here")
    assert (stopped.code, stopped.err) == (130, "")
    text = " ".join(stopped.out.split())
    done = re.search(r"(\d+) of 4 by 4 runs of 8 updates each", text)
    assert done is not None
    assert 1 <= int(done[1]) < 16
    assert "The map was interrupted: what follows is about the runs that were done." in text
    assert "blank: not run" in text
    assert stopped.out.endswith("Interrupted. To go on: chainrule map --resume here\n")
    assert read_map("here/map.npz").is_done.sum() == int(done[1])
    resumed = command("map", "--resume", "here", "-q")
    assert resumed.code == 0
    np.testing.assert_array_equal(read_map("here/map.npz").measure, read_map("whole.npz").measure)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            (TASK, "--resolutoin", "8"),
            "error: There is no option --resolutoin.\n  found: --resolutoin\nDid you mean '--resolution'?\n"
            "`chainrule map --help` lists the options.\n",
        ),
        (
            (TASK, "--x", "lr.0"),
            "error: An axis of a map is a hyperparameter and its values.\n  found:    lr.0\n"
            "  expected: KEY=VALUES, such as lr.0=log:1e-3:1e6, momentum=lin:0:0.99 or model.activation=ReLU,Tanh\n",
        ),
        (
            (TASK, "--lr", ".1,.2"),
            "error: --optimizer.lr has several values, and a map is over two hyperparameters.\n  found:    .1,.2\n"
            "  expected: --x KEY=VALUES and --y KEY=VALUES\n`chainrule sweep` takes any number of them.\n",
        ),
        (
            (TASK, "-o", "x.pdf"),
            "error: chainrule map writes no .pdf file.\n  where:    --output\n  found:    x.pdf\n"
            "  expected: a folder, or a file that ends in .png, .svg, .html, .npz or .parquet\n",
        ),
        (
            (TASK, "--resume", "there", "--x", "lr=log:1:2"),
            "error: --resume takes the task and everything else from the map's folder.\n"
            f"  found:    TASK {TASK}, --x\n"
            "  expected: nothing but --scale, --json and --quiet beside --resume\n",
        ),
        (
            ("--resume", "nowhere"),
            "error: nowhere is no folder of a map.\n  where:    --resume\n"
            "  found:    [Errno 2] No such file or directory: 'nowhere/map.json'\n"
            "  expected: the folder that `chainrule map -o nowhere` wrote\n",
        ),
        (
            ("nothing.npz",),
            "error: nothing.npz cannot be read as a map.\n"
            "  found:    FileNotFoundError: [Errno 2] No such file or directory: 'nothing.npz'\n"
            "  expected: the .npz file that `chainrule map -o FILE.npz` wrote\n",
        ),
        (
            (TASK, *SIDES, "--measure", "final_los"),
            "error: There is no measure 'final_los'.\n  found:    final_los\n"
            "  expected: one of convergence, final_loss, lowest_loss, steps_to:TARGET, test_accuracy\n"
            "Did you mean 'final_loss'?\n",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_explained(command: Command, options: tuple[str, ...], error: str) -> None:
    shown = command("map", *options)
    assert (shown.code, shown.out, shown.err) == (2, "", error)


def test_long_maps_say_once_how_long_they_take() -> None:
    paper = StringIO()
    screen = Console(file=paper, width=80)
    progress = Estimating(LiveProgress(screen, is_quiet=True), screen)
    for done, seconds in ((0, 5.0), (64, 6.0), (1000, 15.0), (4000, 45.0)):  # five seconds of compiling
        progress.tell(Status(done, 60_000, seconds, 1e6, "lanes"))
    assert paper.getvalue() == "60,000 runs: about 10 minutes at the speed so far.\n"
    paper.truncate(0)
    progress = Estimating(LiveProgress(screen, is_quiet=True), screen)
    for done, seconds in ((0, 5.0), (1000, 7.5), (4000, 15.0)):  # 12.5 seconds in all, of which 7.5 are gone
        progress.tell(Status(done, 3000, seconds, None, "lanes"))
    assert paper.getvalue() == ""
    assert [duration(value) for value in (40.0, 89.0, 600.0, 12600.0)] == [
        "40 seconds", "89 seconds", "10 minutes", "3.5 hours",
    ]  # fmt: skip


def test_the_python_side_of_the_command_returns_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = Request(x="lr.0=.1,1", y="model.activation=ReLU,Tanh", steps=3, engine="loop", quiet=True)
    assert run_mapping("two-two-two", {}, request) == 0
