"""How long the worked example's commands take, from the start of the process to its end.

    python benchmarks/worked_example_time.py [ROUNDS]

The workbook of two-two-two (100 updates, six rates), the check of that workbook's 101 rows, and the derivation of one
gradient; beside them `import torch`, interleaved. Medians of wall-clock seconds.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

CHAINRULE = [sys.executable, "-m", "chainrule"]


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what is timed, by name."""
    one_table = str(folder / "one.xlsx")
    subprocess.run([*CHAINRULE, "workbook", "two-two-two", "--rates", "none", "-o", one_table], check=True)
    return {
        "import torch": [sys.executable, "-c", "import torch"],
        "chainrule workbook two-two-two": [*CHAINRULE, "workbook", "two-two-two", "-o", str(folder / "new.xlsx")],
        "chainrule check, 101 rows": [*CHAINRULE, "check", one_table],
        "chainrule explain two-two-two w5": [*CHAINRULE, "explain", "two-two-two", "w5"],
    }


def main(rounds: int) -> None:
    """Time the commands, one after the other in each round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed = commands(folder)
        seconds: dict[str, list[float]] = {command: [] for command in timed}
        for _ in range(rounds):
            for command, arguments in timed.items():
                (folder / "new.xlsx").unlink(missing_ok=True)
                start = time.perf_counter()
                subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                seconds[command].append(time.perf_counter() - start)
    for command, times in seconds.items():
        print(f"{median(times):6.2f} s  ({min(times):.2f} to {max(times):.2f})  {command}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
