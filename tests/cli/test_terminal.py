"""What `chainrule train` does on a terminal, in a pipe, and where it is interrupted."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ESCAPE = b"\x1b"
CODES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
Process = Callable[..., "subprocess.CompletedProcess[bytes]"]


class Screen:
    """A process on a terminal of its own, and what it has written there."""

    def __init__(self, folder: Path, columns: int, *tokens: str, **environment: str) -> None:
        self._main, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "LINES")}
        changed = {**inherited, "TERM": "xterm", "OMP_NUM_THREADS": "1", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chainrule", *tokens],
            cwd=folder,
            env=changed,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.written = b""

    def read_until(self, wanted: bytes, seconds: float = 90.0) -> None:
        """Read until something was written, or fail with what was written instead."""
        end = time.monotonic() + seconds
        while wanted not in CODES.sub(b"", self.written):
            assert time.monotonic() < end, self.written.decode(errors="replace")
            if not self._read():
                raise AssertionError(self.written.decode(errors="replace"))

    def finish(self) -> int:
        """Read to the end, and return the exit code."""
        while self._read():
            pass
        os.close(self._main)
        return self.process.wait(timeout=60)

    def _read(self) -> bool:
        if not select.select([self._main], [], [], 60.0)[0]:
            return False
        try:
            piece = os.read(self._main, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.written += piece
        return bool(piece)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    screen = Screen(tmp_path, 110, "train", "iris", "--stop.epochs", "1000000", "-o", "run")
    screen.read_until(b" left")
    screen.process.send_signal(signal.SIGINT)
    assert screen.finish() == 130
    text = CODES.sub(b"", screen.written).decode()
    assert text.rstrip().endswith("Interrupted. To go on with iris: chainrule train --resume run")
    live = re.findall(r"update \d+/1?\d+.*? left", text)[-1]
    shape = re.sub(r"\d[\d.]*(?:e[+-]?\d+)?", "#", live).replace("  accuracy #", "")
    assert shape in (
        "update #/#  loss #  rate #  # updates/s  #:# left",
        "update #/#  loss #  rate #  # updates/s  #:#:# left",
    )
    assert any((tmp_path / "run" / "checkpoints").iterdir())


def test_ctrl_c_with_json_prints_one_object(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "chainrule", "train", "iris", "--stop.epochs", "1000000", "-o", "run", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 90
    while not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.count(b"\n") == 1
    assert b'"stopped": "interrupted"' in out
    assert err.rstrip().endswith(b"chainrule train --resume run")


def test_the_live_line_never_wraps(tmp_path: Path) -> None:
    screen = Screen(tmp_path, 60, "train", "iris", "--stop.epochs", "1000000", "-o", "run")
    screen.read_until(b"update ")
    screen.process.send_signal(signal.SIGINT)
    screen.finish()
    lines = re.split(r"[\r\n]+", CODES.sub(b"", screen.written).decode())
    live = [line for line in lines if line.startswith("update")]
    assert live
    assert max(len(line) for line in live) <= 60


def test_a_pipe_gets_plain_text_within_its_width(process: Process, tmp_path: Path) -> None:
    done = process("-m", "chainrule", "train", "xor", "--epochs", "3", "-o", "run", COLUMNS="72")
    assert (done.returncode, done.stderr) == (0, b"")
    assert ESCAPE not in done.stdout
    assert max(len(line) for line in done.stdout.decode().splitlines()) <= 72
    plots = sorted(path.name for path in (tmp_path / "run" / "plots").iterdir())
    assert {"loss.svg", "loss.png", "network.svg", "network.png", "confusion.svg", "confusion.png"} <= set(plots)


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_a_terminal_without_colours_gets_none(tmp_path: Path, variable: dict[str, str]) -> None:
    screen = Screen(tmp_path, 80, "activations", "GELU", **variable)
    assert screen.finish() == 0
    assert re.search(rb"\x1b\[[0-9;]*3[0-7]", screen.written) is None


def test_a_terminal_with_colours_gets_them(tmp_path: Path) -> None:
    screen = Screen(tmp_path, 80, "activations", "GELU")
    assert screen.finish() == 0
    assert b"\x1b[36m" in screen.written  # the first curve, in cyan


@pytest.mark.parametrize("tokens", [["train", "-o", "run"], ["activations", "GELU"], ["train", "--help"], ["examples"]])
def test_an_ascii_locale_is_enough(process: Process, tokens: list[str]) -> None:
    done = process("-m", "chainrule", *tokens, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    if tokens[0] == "train" and "--help" not in tokens:
        assert b"loss      | HalfSumOfSquares: E = 1/2 sum  (t - a)^2" in done.stdout
        assert b"w <- w - eta dE/dw with eta = 0.5" in done.stdout
