import json
from pathlib import Path

import polars
import pytest

from chainrule.trace import Trace

from .conftest import Command

LOSS = 0.24251985734837728


def test_the_first_step_of_the_worked_example_has_every_number(command: Command) -> None:
    shown = command("record")
    assert (shown.code, shown.err) == (0, "")
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert lines[0] == "One step of Sequential, loss 0.24252"
    assert "#0    hidden1: linear  input [1, 2], hidden1.weight [2, 2] → hidden1.linear [1," in lines
    assert "      value                         [[0.0275, 0.0425]]" in lines
    assert "  gradient            [[0.0721571, 0.0726907], [-0.0424553, -0.0427692]]" in lines
    assert lines[-1] == "As a page with a picture: chainrule record two-two-two --page step.html"
    assert max(len(line) for line in lines) <= 80


def test_every_file_is_written_and_named(command: Command, tmp_path: Path) -> None:
    files = {"trace": "t/step.safetensors", "page": "t/step.html", "graph": "t/step.svg", "parquet": "t/step.parquet"}
    options = ["-o", files["trace"], "--page", files["page"], "--graph", files["graph"], "--parquet", files["parquet"]]
    shown = command("record", "two-two-two", "--step", "3", *options)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[-4:] == [f"{name}: {path}" for name, path in files.items()]
    trace = Trace.load(tmp_path / files["trace"])
    assert trace.about["step"] == 3
    assert (tmp_path / files["page"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert (tmp_path / files["graph"]).read_text(encoding="utf-8").startswith("<svg ")
    assert len(polars.read_parquet(tmp_path / files["parquet"])) == len(trace.ops)


def test_a_saved_trace_is_shown_as_the_step_was(command: Command) -> None:
    recorded = command("record", "-o", "step.safetensors").out
    again = command("record", "step.safetensors")
    assert again.code == 0
    assert again.out.splitlines()[:-1] == recorded.splitlines()[:-1]


def test_json_is_one_object(command: Command) -> None:
    shown = command("record", "--json", "--step", "0")
    assert (shown.code, shown.err) == (0, "")
    (line,) = shown.out.splitlines()
    data = json.loads(line)
    assert (data["task"], data["step"], data["loss"], data["files"]) == ("two-two-two", 0, LOSS, {})
    assert data["ops_by_phase"] == {"forward": 4, "loss": 4, "backward": 8, "update": 1}


def test_keys_of_the_task_can_be_changed(command: Command) -> None:
    data = json.loads(command("record", "--optimizer.lr", "2", "--keep", "statistics", "--json").out)
    assert data["keep"] == "statistics"
    page = command("record", "--optimizer.lr", "2").out
    assert "lr 2" in page


def test_one_module_and_a_depth(command: Command) -> None:
    shown = command("record", "digits", "--module", "hidden1")
    assert shown.out.startswith("One step of Sequential: inside hidden1 (Linear)\n")
    folded = command("record", "digits", "--depth", "0").out
    assert "▸ hidden1 (Linear): 1 op, 4,160 parameters" in folded


ERRORS = {
    "record --module hiden1": """\
error: The model has no module 'hiden1'.
  found:    hiden1
  expected: one of hidden1
Did you mean 'hidden1'?
""",
    "record --graph step.png": """\
error: A graph is written to a file that ends with .svg.
  where:    --graph
  found:    step.png
  expected: a name such as step.svg
""",
    "record -o step.trace": """\
error: A trace is written to a file that ends with .safetensors.
  where:    --output
  found:    step.trace
  expected: a name such as step.safetensors
""",
    "record old.safetensors --step 2": """\
error: A trace that was saved is shown as it is.
  found:    old.safetensors with --step
  expected: a task beside --step
""",
    "record two-two-two --step -1": """\
error: There is no such step.
  found:    step -1
  expected: 0 or more; 0 is the first
""",
    "record --depth -1": """\
error: Modules are opened down to a level.
  where:    --depth
  found:    -1
  expected: 0 or more; 0 leaves all of them folded
""",
    "record --keep everything": None,
    "record nonesuch": None,
    "record gone.safetensors": None,
    "record --paeg x.html": """\
error: There is no option --paeg.
  found: --paeg
Did you mean '--page'?
`chainrule record --help` lists the options.
""",
}


@pytest.mark.parametrize("line", ERRORS)
def test_what_cannot_be_done_is_said_and_ends_with_2(command: Command, line: str) -> None:
    shown = command(*line.split())
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("error: ")
    expected = ERRORS[line]
    if expected is not None:
        assert shown.err == expected


def test_a_saved_trace_is_known_by_what_it_holds(command: Command) -> None:
    assert command("record", "-o", "step.safetensors").code == 0
    Path("step.safetensors").rename("noext")
    assert command("record", "noext").out.startswith("One step of ")
    assert command("explain", "noext", "output.weight", "0,0").out.startswith("∂L/∂output.weight[0, 0] = ")
    assert command("why", "noext").code == 0


@pytest.mark.parametrize("line", ["verify step.pt", "train step.pt", "verify gone.safetensors"])
def test_a_saved_trace_is_no_task(command: Command, line: str) -> None:
    command("record", "-o", "step.safetensors")
    Path("step.safetensors").rename("step.pt")
    what, source = line.split()
    shown = command(what, source)
    assert (shown.code, shown.out) == (2, "")
    assert (
        shown.err
        == f"""\
error: A saved trace has no model to run.
  found:    {source}
  expected: a task: a TOML file, or the name of a built-in example
Give `chainrule {what}` the task that the trace was recorded from; `chainrule record`, `explain` and `why` read saved \
traces.
"""
    )
