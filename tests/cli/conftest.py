"""The command line in this process, in an empty folder, eighty columns wide."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chainrule.cli.app import launch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command line printed and returned."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("RANK", raising=False)
    # Pictures take longer than the runs of these tests; test_terminal.py writes them in processes of their own.
    monkeypatch.setattr("chainrule.cli.training.write_pictures", lambda document, folder: ())

    def run(*tokens: str) -> Outcome:
        capsys.readouterr()
        code = launch(tokens)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run Python in a process of its own, in the same folder, with changes to the environment."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        changed = {**inherited, "OMP_NUM_THREADS": "1", "COLUMNS": "80", **environment}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=changed, capture_output=True, check=False, timeout=120
        )

    return run
