import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chainrule.cli.deriving import Sheet
from chainrule.tasks import load_task
from chainrule.training.recorded_step import record_step

from .conftest import Command

NO_STEP = "error: There is no such step.\n  found:    step -1\n  expected: 0 or more; 0 is the first\n"


def test_a_weight_is_derived_by_its_short_name(command: Command) -> None:
    shown = command("explain", "two-two-two", "w5")
    assert (shown.code, shown.err) == (0, "")
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert lines[0] == "∂E/∂w5 = 0.0721571"
    assert lines[6:10] == [
        "    ∂E/∂w5 = ∂E/∂a_o1 · ∂a_o1/∂o1 · ∂o1/∂w5",
        "           = (a_o1 − t1) · a_o1(1 − a_o1) · a_h1",
        "           = (0.606478 − 0.01) · 0.606478(1 − 0.606478) · 0.506875",
        "           = 0.5964777 · 0.2386625 · 0.5068746",
    ]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("options", [("--json",), ("--format", "json")])
def test_json_is_the_derivation_and_nothing_else(command: Command, options: tuple[str, ...]) -> None:
    shown = command("explain", "two-two-two", "∂E/∂w1", *options)
    data = json.loads(shown.out)
    assert (data["parameter"], data["path_count"], len(data["paths"])) == ("w1", 2, 2)
    assert sum(path["product"] for path in data["paths"]) == pytest.approx(data["gradient"], rel=1e-12)


def test_a_changed_task_and_a_later_step(command: Command) -> None:
    def gradient(*options: str) -> float:
        value = json.loads(command("explain", "two-two-two", "w5", "--json", *options).out)["gradient"]
        assert isinstance(value, float)
        return value

    assert len({gradient(), gradient("--step", "2"), gradient("--step", "2", "--lr", "1")}) == 3
    trace = record_step(load_task("two-two-two", {"optimizer.lr": 1}), 2)
    recorded = {update.parameter: update.gradient for update in trace.updates}["output.weight"]
    assert recorded is not None
    assert gradient("--step", "2", "--lr", "1") == pytest.approx(float(recorded[0, 0]), rel=1e-12)


def test_a_task_that_has_to_be_recorded(command: Command) -> None:
    shown = command("explain", "xor", "w1", "--json")
    assert (shown.code, shown.err) == (0, "")
    data = json.loads(shown.out)
    assert [each["sample"] for each in data["samples"]] == [1, 2, 3, 4]
    assert sum(each["product"] for each in data["samples"]) == pytest.approx(data["gradient"], rel=1e-6)  # float32


def test_float32_is_said(command: Command) -> None:
    note = "The step was computed in a lower precision than float64"
    assert note in " ".join(command("explain", "xor", "w1").out.split())
    assert note not in " ".join(command("explain", "xor", "w1", "--precision", "float64").out.split())


def test_a_saved_trace_is_derived(command: Command) -> None:
    record_step(load_task("two-two-two")).save("step.safetensors")
    saved, fresh = (
        json.loads(command("explain", source, "w1", "--json").out) for source in ("step.safetensors", "two-two-two")
    )
    assert saved["gradient"] == pytest.approx(fresh["gradient"], rel=1e-14)
    assert [each["formula"] for each in saved["adjoints"]] == [each["formula"] for each in fresh["adjoints"]]
    refused = command("explain", "step.safetensors", "w1", "--step", "2")
    assert refused.code == 2
    assert refused.err == (
        "error: A trace that was saved is explained as it is.\n"
        "  found:    step.safetensors with --step\n"
        "  expected: a task beside --step\n"
    )


def test_without_a_name_the_whole_step_is_worked_out(command: Command) -> None:
    shown = command("explain", "two-two-two")
    assert shown.code == 0
    assert "Worked example: two-two-two" in shown.out
    assert "    w8⁺ = w8 − η·∂E/∂w8 = 0.55 − 0.5·(−0.0427692) = 0.571385" in shown.out
    assert "E_total is 0.23549537" in " ".join(shown.out.split())


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("sheet.tex", r"\documentclass"),
        ("sheet.html", "<!DOCTYPE html>"),
        ("sheet.json", '{"program": "two-two-two"'),
        ("sheet.txt", "∂E/∂w5 = 0.0721571\n"),
    ],
)
def test_the_suffix_of_the_output_says_the_format(command: Command, tmp_path: Path, name: str, beginning: str) -> None:
    shown = command("explain", "two-two-two", "w5", "-o", name)
    assert (shown.code, shown.out, shown.err) == (0, "", "")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(beginning)


def test_a_format_that_is_named_goes_before_the_suffix() -> None:
    assert Sheet("latex", Path("x.html")).chosen_format == "latex"
    assert Sheet(None, Path("x.unknown")).chosen_format == "text"


@pytest.mark.parametrize("options", [(), ("w1",), ("--exercise",), ("w5", "--exercise")])
def test_latex_compiles_and_nothing_is_too_wide(command: Command, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert shutil.which("pdflatex"), "pdflatex is missing: on Debian and Ubuntu, apt-get install texlive-latex-base"
    (tmp_path / "sheet.tex").write_text(
        command("explain", "two-two-two", *options, "--format", "latex").out, encoding="utf-8"
    )
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"]
    said = subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=60, check=False).stdout.decode(
        errors="replace"
    )
    assert (tmp_path / "sheet.pdf").is_file(), said[-2000:]
    assert "Overfull \\hbox" not in said
    assert "Missing character" not in said


def test_an_exercise_has_its_key(command: Command) -> None:
    shown = command("explain", "two-two-two", "w5", "--exercise")
    sheet, key = shown.out.split("\nKey\n")
    assert "0.0721571" not in sheet
    assert "0.0721571" in key
    data = json.loads(command("explain", "two-two-two", "w5", "--exercise", "--json").out)
    assert data["tasks"][-2]["value"] == 0.07215707291213626


def test_the_page_of_the_whole_example_needs_nothing_else(command: Command) -> None:
    page = command("explain", "two-two-two", "--format", "html").out
    assert page.count("<math") > 20
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "").replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("w5", "0,0"),
            "error: w5 is one number and has no index; --depth and --top belong to a tensor.\n"
            "  found:    w5 with the index 0,0\n"
            "  expected: w5 alone, or the name of a tensor such as output.weight\n",
        ),
        (
            ("w5", "--top", "3"),
            "error: w5 is one number and has no index; --depth and --top belong to a tensor.\n"
            "  found:    w5 with --top\n"
            "  expected: w5 alone, or the name of a tensor such as output.weight\n",
        ),
        (
            ("output.weight", "--exercise"),
            "error: --exercise is for the worked example, which has short names.\n"
            "  found:    output.weight with --exercise\n"
            "  expected: a short name such as w5, or none\n",
        ),
        (
            ("w5", "--digits", "18"),
            "error: Numbers are shown with 1 to 17 digits.\n  where: --digits\n  found: 18\n",
        ),
        (
            ("i1",),
            "error: There is no derivation for i1 in two-two-two: inputs are not trained.\n  found:    i1\n"
            "  expected: one of w1, w2, w3, w4, w5, w6, w7, w8, a_o1, a_o2, o1, o2, a_h1, a_h2, h1, h2\n",
        ),
        (
            ("--depth", "2"),
            "error: --depth and --top belong to the numeric explanation of a tensor, which needs a name.\n"
            "  found:    --depth\n"
            "  expected: a name beside it, such as output.weight\n",
        ),
        (
            ("E_total",),
            "error: E_total is the loss E itself: ∂E/∂E_total = 1, and there is nothing to derive.\n"
            "  found:    E_total\n"
            "  expected: one of w1, w2, w3, w4, w5, w6, w7, w8, a_o1, a_o2, o1, o2, a_h1, a_h2, h1, h2\n",
        ),
        (("--step", "-1"), NO_STEP),
        (("w5", "--step", "-1"), NO_STEP),
        (
            ("w5", "--step", "100"),
            "error: 'two-two-two' has no step 100.\n  found:    step 100\n  expected: 0 to 99\n"
            "A longer run has more steps: --stop.epochs.\n",
        ),
        (
            ("w55",),
            "error: There is no 'w55' in two-two-two.\n"
            "  found:    w55\n"
            "  expected: one of w5; or the name of a tensor: input, hidden1.weight, hidden1.linear, "
            "hidden1_activation.sigmoid, output.weight, output.linear, output_activation.sigmoid, target\n"
            "`chainrule record` shows the names of the tensors.\n",
        ),
    ],
)
def test_what_does_not_fit_is_said(command: Command, options: tuple[str, ...], message: str) -> None:
    shown = command("explain", "two-two-two", *options)
    assert (shown.code, shown.out, shown.err) == (2, "", message)


NETWORK = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1)

    def forward(self, x):
        y = self.fc(x)
        return y * y + y
"""
NETWORK_TASK = """
data = {inputs = [[0.5]], targets = [[1.0]]}
model = {module = "net.py:Net"}
loss = "MSELoss"
optimizer = {name = "SGD", lr = 0.1}
"""


def test_a_network_without_short_names_says_what_its_names_are_like(command: Command, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK, encoding="utf-8")
    (tmp_path / "net.toml").write_text(NETWORK_TASK, encoding="utf-8")
    shown = command("explain", "net.toml", "w1")
    assert shown.code == 2
    assert "  expected: one of fc.weight[0,0], fc.bias[0]," in shown.err
    assert "\nIts numbers have names like fc.weight[0,0]." in shown.err
    assert "values_table" not in shown.err
    assert command("explain", "net.toml", "fc.weight[0,0]").out.startswith("∂E/∂fc.weight[0,0] = ")


@pytest.mark.parametrize(("typed", "name"), [("W5", "w5"), ("A_H1", "a_h1")])
def test_capitals_do_not_matter_where_one_name_is_meant(command: Command, typed: str, name: str) -> None:
    assert json.loads(command("explain", "two-two-two", typed, "--json").out)["parameter"] == name


def test_hints_for_the_terminal_stand_on_the_terminal_alone(command: Command) -> None:
    assert "`chainrule explain TASK NAME`" in " ".join(command("explain", "two-two-two").out.split())
    for form in ("latex", "html"):
        assert "chainrule explain" not in command("explain", "two-two-two", "--format", form).out


def test_tensors_are_explained_in_all_formats(command: Command) -> None:
    assert command("explain", "two-two-two", "output.weight", "0,0", "--format", "html").out.startswith(
        "<!DOCTYPE html>"
    )
    assert command("explain", "two-two-two", "output.weight", "0,0", "--format", "latex").out.startswith(
        r"\documentclass"
    )


def test_a_derivation_of_the_worked_example_needs_no_torch(
    process: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    code = (
        "import sys; from chainrule.cli.app import launch; "
        "code = launch(['explain', 'two-two-two', 'w5']); sys.exit(code or 'torch' in sys.modules)"
    )
    done = process("-c", code)
    assert (done.returncode, done.stderr) == (0, b"")
