"""What reporting costs: a step of `chainrule train` over a step of a bare PyTorch loop, same model, data and order.

Both run in this process, in turns; each round gives one ratio, and the median of the rounds is the figure. Ours has
everything on that `chainrule train` has while it trains: metrics to disk, statistics, checkpoints, a live line.

    python benchmarks/training_loop.py [ROUNDS]
"""

import json
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from rich.console import Console

from chainrule.cli.reporter import TerminalReporter
from chainrule.data import load_data
from chainrule.tasks import Task, load_task
from chainrule.training.batches import Batches
from chainrule.training.checking import check_run
from chainrule.training.devices import placement
from chainrule.training.observing import RunObserver
from chainrule.training.run_folder import RunFolder
from chainrule.training.six_steps import initialise, repeat
from chainrule.training.trajectory import Trajectory


@dataclass(frozen=True)
class Case:
    """A task, how long one round of it is, and the ratio that it should stay under."""

    task: Task
    name: str
    target: float


CASES = (
    Case(load_task("digits", {"stop.epochs": 40}), "digits 64-64-10, batch 64, Adam, 920 steps", 1.10),
    Case(load_task("two-two-two", {"stop.epochs": 3000}), "two-two-two, SGD, 3,000 steps", 1.5),
)


def ours(task: Task, folder: Path) -> float:
    """Return the seconds of a step of our loop."""
    with placement("cpu", task.run.precision) as place, torch.random.fork_rng():
        written = RunFolder(folder)
        state = initialise(written.begin(task), place, load_data(task.data, task.seed))
        reporter = TerminalReporter(Console(file=StringIO(), force_terminal=True, width=100), is_quiet=False)
        reporter.run_begins(state, check_run(state))
        observer = RunObserver(state, (reporter,), written, Trajectory.for_model(state.model, state.total_steps))
        begun = time.perf_counter()
        repeat(state, observer)
        seconds = time.perf_counter() - begun
        reporter.close()
        written.close()
        return seconds / state.progress.step


def bare(task: Task) -> tuple[float, float]:
    """Return the seconds of a step of a bare loop, and its last loss."""
    with placement("cpu", task.run.precision) as place, torch.random.fork_rng():
        state = initialise(task, place, load_data(task.data, task.seed))
        model, loss_fn, optimizer = state.model, state.objective.module, state.optimizer
        batches, epochs = state.batches, task.stop.epochs
        begun = time.perf_counter()
        steps, last = bare_loop(model, loss_fn, optimizer, batches, epochs)
        return (time.perf_counter() - begun) / steps, last


def bare_loop(
    model: torch.nn.Module,
    loss_fn: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    epochs: int,
) -> tuple[int, float]:
    """Train as a tutorial does, on tensors that are there already: no loader, no logging, no `.item()`."""
    inputs, targets, size = batches.inputs, batches.targets, batches.size
    is_full = size >= len(inputs)
    steps = 0
    for epoch in range(epochs):
        order = None if is_full else batches._order(epoch)
        for start in range(0, len(inputs), size):
            x = inputs if order is None else inputs[order[start : start + size]]
            y = targets if order is None else targets[order[start : start + size]]
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
    return steps, loss.item()


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Run both in turns and return the figures of a case."""
    pairs = []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            one = ours(case.task, Path(folder) / "run")
        two = bare(case.task)[0]
        if number:  # the first round warms up
            pairs.append((one, two))
    ratios = sorted(one / two for one, two in pairs)
    return {
        "case": case.name,
        "ours, µs a step": round(1e6 * statistics.median(one for one, _ in pairs), 1),
        "bare, µs a step": round(1e6 * statistics.median(two for _, two in pairs), 1),
        "ratio, median": round(statistics.median(ratios), 3),
        "ratio, least and most": [round(ratios[0], 3), round(ratios[-1], 3)],
        "target": case.target,
    }


def main() -> None:
    """Print the figures of every case as JSON."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    torch.set_num_threads(1)
    results = [measure(case, rounds) for case in CASES]
    head = {"torch": torch.__version__, "python": platform.python_version(), "threads": 1, "rounds": rounds}
    print(json.dumps({**head, "results": results}, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
