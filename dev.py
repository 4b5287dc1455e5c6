"""Set up chainrule from a fresh clone, and run what was asked for. Standard library only; the same on every system.

    python dev.py train [TASK ...]    set up, then train: `chainrule train TASK ...`
    python dev.py test [ARGUMENT ...] set up, then run the tests: `pytest ARGUMENT ...`
    python dev.py check               set up, then lint, types and import contracts

It makes a virtual environment in .venv, installs what constraints.txt pins, and installs again only when
pyproject.toml or constraints.txt changed. The exit code is that of what was run.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

TRAIN = [["-m", "chainrule", "train"]]
TEST = [["-m", "pytest"]]
CHECK = [
    ["-m", "ruff", "check"],
    ["-m", "ruff", "format", "--check"],
    ["-m", "mypy"],
    ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
]
JOBS = {"train": ("", TRAIN), "test": ("[test]", TEST), "check": ("[test]", CHECK)}


def main(arguments: list[str]) -> int:
    """Do the job that the first argument names, and return its exit code."""
    if not arguments or arguments[0] not in JOBS:
        print(__doc__)
        return 2
    if sys.version_info < (3, 11):
        print(f"chainrule needs Python 3.11 or newer; this is {sys.version.split()[0]} ({sys.executable}).")
        return 2
    extra, commands = JOBS[arguments[0]]
    code = set_up(extra)
    for command in commands:
        if code == 0:
            code = subprocess.run([PYTHON, *command, *arguments[1:]]).returncode
    return code


def set_up(extra: str) -> int:
    """Make the environment and install chainrule into it, unless that was done for these very requirements."""
    if not PYTHON.exists():
        print(f"Making a virtual environment in {ENVIRONMENT.name} ...", flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")))
    stamp = ENVIRONMENT / f"installed{extra.strip('[]')}"
    if stamp.exists() and stamp.read_text() == wanted.hexdigest():
        return 0
    print("Installing chainrule and PyTorch; the first time this takes a few minutes ...", flush=True)
    install = ["-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", "--editable", f".{extra}"]
    code = subprocess.run([PYTHON, *install], cwd=ROOT).returncode
    if code == 0:
        stamp.write_text(wanted.hexdigest())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
