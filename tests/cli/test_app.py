import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import chainrule
from chainrule.cli.app import app

from .conftest import Command

Process = Callable[..., "subprocess.CompletedProcess[bytes]"]
HEAVY = ("torch", "polars", "numpy", "matplotlib", "pydantic", "sympy")
COMMANDS = [name for name in app if not name.startswith("-")]
HELP = [["--help"], *([name, "--help"] for name in COMMANDS)]


@pytest.mark.parametrize("tokens", HELP, ids=" ".join)
def test_help_loads_no_heavy_library(process: Process, tokens: list[str]) -> None:
    code = f"import sys; from chainrule.cli.app import launch; code = launch({tokens})\n"
    code += f"loaded = [name for name in {HEAVY} if name in sys.modules]; print('LOADED', loaded); sys.exit(code)"
    done = process("-c", code)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == "LOADED []"
    assert done.stderr == b""


@pytest.mark.parametrize("tokens", HELP, ids=" ".join)
def test_help_teaches_by_examples_on_lines_of_their_own(command: Command, tokens: list[str]) -> None:
    shown = command(*tokens)
    lines = shown.out.splitlines()
    assert shown.code == 0
    start = lines.index("Examples:")
    begins = "  chainrule " if len(tokens) == 1 else f"  chainrule {tokens[0]}"
    assert lines[start + 1].startswith(begins)
    assert lines[start + 2].startswith(begins)
    assert max(len(line) for line in lines) <= 80


def test_help_of_training(command: Command) -> None:
    text = command("train", "--help").out
    assert (
        """\
Any key of the task can be changed by its dotted name:
  chainrule train two-two-two --optimizer.lr 1 --stop.epochs 1000
  chainrule train iris --seed 3 --model.activation Tanh
  chainrule train iris --optimizer '{name = "SGD", lr = 0.1}'
"""
        in text
    )
    assert "runs/TIME-NAME when not given" in text


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version_names_versions_and_devices(command: Command, flag: str) -> None:
    lines = command(flag).out.splitlines()
    assert lines[0] == f"chainrule {chainrule.__version__}"
    assert lines[1] == f"Python {sys.version.split()[0]}"
    assert lines[2] == f"torch {torch.__version__}"
    assert lines[3].startswith("devices: cpu")
    assert len(lines) == 4


def test_the_module_is_the_same_as_the_command(process: Process, command: Command) -> None:
    done = process("-m", "chainrule", "examples")
    assert done.returncode == 0
    assert done.stdout.decode() == command("examples").out


def test_no_command_shows_the_help(command: Command) -> None:
    shown = command()
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == command("--help").out


USAGE = {
    "trian": f"""\
error: There is no command 'trian'.
  found:    trian
  expected: one of {", ".join(sorted(COMMANDS))}
Did you mean 'train'?
""",
    "train iris wine": """\
error: `chainrule train` does not take 'wine'.
  found: wine
`chainrule train --help` says what it takes.
""",
    "train --outptu x": """\
error: There is no option --outptu.
  found: --outptu
Did you mean '--output'?
`chainrule train --help` lists the options.
""",
    "train --epohcs 3": """\
error: There is no option --epohcs.
  found: --epohcs
Did you mean '--epochs'?
`chainrule train --help` lists the options.
""",
    "train --lr": """\
error: The option --lr has no value.
  found:    nothing after it
  expected: --lr VALUE, such as --optimizer.lr 0.1
""",
    "examples --seed 3": """\
error: There is no option --seed.
  found: --seed
`chainrule examples --help` lists the options.
""",
    "examples --write iris": """\
error: Command "examples" parameter --write requires 2 positional arguments. Only got 1.
`chainrule examples --help` says what it takes.
""",
    "activations ReLU --plot": """\
error: Command "activations" parameter --plot requires an argument.
`chainrule activations --help` says what it takes.
""",
    "activations ReLU --argumnt.x 3": """\
error: There is no option --argumnt.x.
  found: --argumnt.x
Did you mean '--argument.x'?
`chainrule activations --help` lists the options.
""",
}


@pytest.mark.parametrize("line", USAGE)
def test_a_line_that_cannot_be_understood_says_so_and_ends_with_2(command: Command, line: str) -> None:
    failed = command(*line.split())
    assert (failed.code, failed.out) == (2, "")
    assert failed.err == USAGE[line]


def test_an_error_holds_no_terminal_codes(command: Command) -> None:
    failed = command("train", "\x1b[31mred\x1b[0m")
    assert failed.code == 2
    assert "\x1b" not in failed.err
    assert failed.err.startswith("error: There is no task '\\x1b[31mred\\x1b[0m'.\n")


def test_a_closed_pipe_shows_no_traceback(tmp_path: Path) -> None:
    code = f"'{sys.executable}' -m chainrule activations | head -1"
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("Activations")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("line", "goes_on"),
    [
        ("train -o begun", " To go on: chainrule train --resume begun"),
        ("sweep xor --lr .1,.2 --output=begun", " To go on: chainrule sweep --resume begun"),
        ("map --resume begun", " To go on: chainrule map --resume begun"),
        ("map xor -o other", ""),
        ("map xor -o missing", ""),
        ("map xor", ""),
        ("record -o begun", ""),
        ("verify", ""),
    ],
)
def test_only_what_has_begun_in_its_folder_goes_on_after_an_interruption(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, goes_on: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.cli.app._run", interrupt)
    monkeypatch.chdir(tmp_path)
    for name in ("begun", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "begun" / "task.toml").touch()
    shown = command(*line.split())
    assert (shown.code, shown.err) == (130, f"Interrupted.{goes_on}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "chainrule", "examples"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "error: The result cannot be written to standard output.\n  found: No space left on device\n"
    )
