"""How long `chainrule --help` takes, over `python -c "import torch"`: whole processes, in turns.

python benchmarks/help_time.py [ROUNDS]
"""

import json
import platform
import statistics
import subprocess
import sys
import time

import torch

HELP = [sys.executable, "-m", "chainrule", "--help"]
IMPORT_TORCH = [sys.executable, "-c", "import torch"]


def seconds(command: list[str]) -> float:
    """Return the wall-clock seconds of a process."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Print the figures as JSON."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    pairs = [(seconds(HELP), seconds(IMPORT_TORCH)) for _ in range(rounds + 1)][1:]
    ratios = sorted(one / two for one, two in pairs)
    figures = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "rounds": rounds,
        "chainrule --help, s": round(statistics.median(one for one, _ in pairs), 3),
        "import torch, s": round(statistics.median(two for _, two in pairs), 3),
        "ratio, median": round(statistics.median(ratios), 3),
        "ratio, least and most": [round(ratios[0], 3), round(ratios[-1], 3)],
        "target": 0.3,
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
