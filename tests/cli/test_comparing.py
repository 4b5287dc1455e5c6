import json
from pathlib import Path

import pytest

from .conftest import Command

FAST = ("--steps", "15", "--seeds", "5", "--data.validation", "0.3", "--data.test", "0")


def test_a_comparison_as_json_and_as_files(command: Command, tmp_path: Path) -> None:
    shown = command("activations", "--compare", "iris", "--candidates", "ReLU,tanh", *FAST, "-o", "out", "--json")
    assert shown.code == 0
    read = json.loads(shown.out)
    assert [each["label"] for each in read["candidates"]] == ["ReLU", "Tanh"]
    assert read["recommended"] in ("ReLU", "Tanh")
    assert read["files"] == [
        "out/report.html",
        "out/plots/activation-rates.svg",
        "out/plots/activation-rates.png",
        "out/choice.json",
        "out/runs.csv",
    ]
    assert all((tmp_path / name).is_file() for name in read["files"])
    assert len((tmp_path / "out" / "runs.csv").read_text().splitlines()) == 1 + 2 * 5
    again = command("activations", "--compare", "iris", "--candidates", "ReLU,tanh", *FAST, "-o", "page.html")
    assert f"Recommended: {read['recommended']}." in " ".join(again.out.split())
    assert again.out.endswith("Written: page.html\n")
    assert max(len(line) for line in again.out.splitlines()) <= 80


BAD = {
    "activations --seeds 6": """\
error: These options belong to a comparison.
  found: --seeds
chainrule activations --compare TASK compares activations on a task.
""",
    "activations --compare xor --plot x.svg": """\
error: --compare takes its task itself, and no NAME and no --plot.
  found: --plot
chainrule activations --compare TASK
""",
    "activations --compare xor --candidates ReLU;Tanh": """\
error: The activations to compare cannot be read.
  where:    --candidates
  found:    ReLU;Tanh
  expected: names with commas between them, such as ReLU,Tanh,LeakyReLU(negative_slope=0.2)
""",
    "activations --compare xor --candidates ReLU,LeakyReLU(slope)": """\
error: An argument of an activation has no value.
  where:    --candidates
  found:    slope
  expected: such as negative_slope=0.2
""",
    "activations --compare xor --candidates ReLU,Softmax": """\
error: Softmax cannot be compared as the activation of the hidden layers.
  where:    candidates
  found:    Softmax
  expected: an activation that maps each number by itself
Initial weights need its gain, and its gain depends on the number of its inputs, or is infinite.
""",
    "activations --compare xor -o out.pdf": """\
error: chainrule activations --compare writes no .pdf file.
  where:    --output
  found:    out.pdf
  expected: a folder, or a file that ends in .png, .svg, .html or .csv
""",
}


@pytest.mark.parametrize("line", BAD)
def test_what_cannot_be_compared_is_said(command: Command, line: str) -> None:
    shown = command(*line.split())
    assert (shown.code, shown.out, shown.err) == (2, "", BAD[line])


@pytest.mark.parametrize("name", ["out.png", "out.csv", "out.html"])
def test_an_interruption_before_anything_is_finished(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.probes.activation_runs.run_points", interrupted)
    shown = command("activations", "--compare", "xor", "--candidates", "ReLU,Tanh", *FAST[:4], "-q", "-o", name)
    text = " ".join(shown.out.split())
    nothing = "There is no ranking: no activation was finished before the interruption."
    assert shown.code == 130
    assert nothing in text
    assert text.index(nothing) < text.index("The output layer and the loss")
    assert (tmp_path / name).exists() is name.endswith(".html")
    line = f"Not written: {name}, there is no picture and no table: nothing was finished."
    assert (line in text) is not name.endswith(".html")
    assert text.endswith("Interrupted. With what is done: give -o FOLDER next time, and the same command goes on.")
