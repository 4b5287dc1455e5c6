import json

import pytest

from chainrule.cli.app import launch
from chainrule.cli.exit_codes import DONE, INTERRUPTED, UNUSABLE, WRONG

QUICK = ["--seeds", "1", "--stop.epochs", "100"]


def test_it_says_the_rate_the_regions_what_was_tried_and_how_to_train_with_it(capsys):
    assert launch(["find-lr", "iris", *QUICK, "--optimizer.lr", "0.003"]) == DONE
    printed = capsys.readouterr().out
    for words in ("Suggested learning rate: ", "Regions", "What was tried and seen", "range test", "Cost: "):
        assert words in printed
    command = next(line for line in printed.splitlines() if line.startswith("To train with it: "))
    assert command.startswith("To train with it: chainrule train iris --stop.epochs 100 --optimizer.lr 0.")


def test_json_is_one_object_with_all_the_evidence(capsys, tmp_path):
    assert launch(["find-lr", "iris", *QUICK, "--json", "-o", str(tmp_path / "rate.svg")]) == DONE
    output = capsys.readouterr()
    data = json.loads(output.out)
    assert {"suggestion", "low", "high", "regions", "curves", "twins", "limit", "certainty", "cost"} <= set(data)
    assert data["low"] <= data["suggestion"] <= data["high"]
    assert data["spent"] <= data["allowed"] == pytest.approx(0.1 * data["planned"])
    assert data["files"] == [str(tmp_path / "rate.svg")]
    assert "<svg" in (tmp_path / "rate.svg").read_text()
    assert "Suggested learning rate" in output.err


def test_a_folder_has_page_numbers_and_pictures(capsys, tmp_path):
    folder = tmp_path / "rate"
    for _ in range(2):  # it may be written again
        assert launch(["find-lr", "iris", *QUICK, "-o", str(folder)]) == DONE
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == ["found.json", "plots/find-lr.png", "plots/find-lr.svg", "report.html"]
    assert "Suggested learning rate" in (folder / "report.html").read_text()
    assert json.loads((folder / "found.json").read_text())["name"] == "iris"
    assert f"Written: {folder / 'report.html'}" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".png", ".html", ".json"])
def test_one_file(tmp_path, suffix):
    path = tmp_path / f"rate{suffix}"
    assert launch(["find-lr", "iris", *QUICK, "-o", str(path)]) == DONE
    assert path.stat().st_size > 0


def test_the_folder_of_something_else_and_other_files_are_refused(capsys, tmp_path):
    (tmp_path / "report.html").write_text("of a run")
    assert launch(["find-lr", "iris", *QUICK, "-o", str(tmp_path)]) == UNUSABLE
    assert capsys.readouterr().err == (
        "error: The output folder holds the report of something else.\n"
        "  where:    --output\n"
        f"  found:    {tmp_path / 'report.html'}\n"
        "  expected: a folder that is new, empty, or of an earlier find-lr\n"
    )
    assert launch(["find-lr", "iris", *QUICK, "-o", str(tmp_path / "rate.pdf")]) == UNUSABLE
    assert capsys.readouterr().err == (
        "error: chainrule find-lr writes no .pdf file.\n"
        "  where:    --output\n"
        f"  found:    {tmp_path / 'rate.pdf'}\n"
        "  expected: a folder, or a file that ends in .png, .svg, .html or .json\n"
    )


def test_a_training_too_short_for_a_probe_has_no_suggestion_and_exit_code_1(capsys):
    assert launch(["find-lr", "two-two-two", "--json"]) == WRONG
    data = json.loads(capsys.readouterr().out)
    assert data["suggestion"] is None
    assert [finding["code"] for finding in data["findings"]] == ["training-too-short"]
    assert data["spent"] <= data["allowed"] == 10


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--share", "0"],
            "error: A probe needs to know what it may cost.\n"
            "  found:    updates = 480, share = 0\n"
            "  expected: at least one update, and a share above 0 and at most 1\n",
        ),
        (
            ["--seeds", "0"],
            "error: The number of seeds is not a positive whole number.\n  found:    seeds = 0\n"
            "  expected: 1 or more\n",
        ),
    ],
)
def test_options_that_cannot_be_used(capsys, options, text):
    assert launch(["find-lr", "iris", *options]) == UNUSABLE
    assert capsys.readouterr().err == text


def test_a_saved_trace_is_refused(capsys, tmp_path):
    path = tmp_path / "step.safetensors"
    path.write_bytes(b"")
    assert launch(["find-lr", str(path)]) == UNUSABLE
    assert capsys.readouterr().err.startswith("error: A saved trace has no model to run.\n")


def test_a_model_of_the_users_own_may_print_without_spoiling_the_json(capsys, tmp_path):
    (tmp_path / "talking.py").write_text(
        "import torch\n\n\nclass Talking(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.end = torch.nn.Linear(4, 3)\n\n"
        "    def forward(self, inputs):\n        print('hello')\n        return self.end(inputs)\n"
    )
    target = f"{tmp_path / 'talking.py'}:Talking"
    assert launch(["find-lr", "iris", *QUICK, "--json", "--model", f'{{module = "{target}"}}']) == DONE
    json.loads(capsys.readouterr().out)


def test_ctrl_c_ends_it_without_a_trace(capsys, monkeypatch):
    def interrupted(*asked, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.probes.finding_rates.find_rate", interrupted)
    assert launch(["find-lr", "iris", *QUICK]) == INTERRUPTED
    assert capsys.readouterr().err == "Interrupted.\n"
