"""How the cost of many runs grows: time of a run and step, and memory, over runs, steps, width and samples.

    python benchmarks/cost_growth.py [--quick] [--picture FILE]

One of the four is changed at a time: a network 16-16-1 with tanh on 272 samples, 64 runs of 20 steps, and the worked
example's 2-2-2 with 4,096 runs of 100 steps, all in float64.
Times are processor time of one thread, medians of three. Memory is the peak of what Python and NumPy ask for during a
training: rates, results, and the blocks that are being computed. Losses are not kept; they would take 8 bytes a run and
step.
"""

import argparse
import os
import statistics
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import llvmlite
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from chainrule.lanes import Group, Kernel, Runs, StepDescription, Varying, compile_runs, supervised

RUNS = {"2-2-2": (1, 8, 64, 1_000, 10_000, 100_000, 1_000_000), "16-16-1": (1, 8, 64, 1_000, 10_000)}
STEPS = {"2-2-2": (1, 10, 100, 1_000, 10_000), "16-16-1": (1, 10, 100, 1_000)}
WIDTHS = (2, 4, 8, 16, 32, 64)
SAMPLES = (1, 4, 16, 64, 256, 1_024, 4_096)


@dataclass(frozen=True, slots=True)
class Point:
    """What is timed: a network of one hidden layer as wide as its inputs, and how much of it."""

    network: str
    width: int
    samples: int
    runs: int
    steps: int


def points(*, quick: bool) -> dict[str, list[Point]]:
    """Return what is timed, by what grows."""
    most = 100_000 if quick else 1_000_000
    found: dict[str, list[Point]] = {}
    for name, width, samples in (("2-2-2", 2, 1), ("16-16-1", 16, 272)):
        steps = 100 if name == "2-2-2" else 20
        middle = 4_096 if name == "2-2-2" else 64
        runs = [number for number in RUNS[name] if number <= (most if width == 2 else 1_000 if quick else 10_000)]
        found[f"runs, {name}"] = [Point(name, width, samples, number, steps) for number in runs]
        found[f"steps, {name}"] = [Point(name, width, samples, middle, number) for number in STEPS[name]]
    found["width, 272 samples"] = [Point("width", width, 272, 64, 20) for width in WIDTHS]
    found["samples, 16-16-1"] = [Point("samples", 16, number, 64, 20) for number in SAMPLES]
    return found


def kernel_of(point: Point) -> Kernel:
    """Return the kernel of a network of a width on some samples."""
    torch.manual_seed(0)
    width, outputs = point.width, 2 if point.network == "2-2-2" else 1
    kind = nn.Sigmoid if point.network == "2-2-2" else nn.Tanh
    network = nn.Sequential(nn.Linear(width, width, bias=False), kind(), nn.Linear(width, outputs, bias=False))
    samples = {"inputs": torch.randn(point.samples, width), "targets": torch.randn(point.samples, outputs)}
    groups = (Group(tuple(name for name, _ in network.named_parameters()), {"lr": Varying("lr", 0.01)}),)
    return compile_runs(StepDescription(network, supervised(nn.functional.mse_loss), "SGD", groups, samples))


def train(kernel: Kernel, point: Point) -> None:
    """Train the runs of a point, at rates at which none of them stops early."""
    settings = {"lr": np.geomspace(1e-4, 1e-2, point.runs)}
    kernel.run(Runs(point.runs, settings=settings, keeps_losses=False, stops_early=False), point.steps)


def microseconds(kernel: Kernel, point: Point) -> float:
    """Return the processor time of a step of one run."""
    train(kernel, point)
    times = []
    for _ in range(3):
        repeats, begun = 0, time.process_time()
        while repeats == 0 or time.process_time() - begun < 0.05:
            train(kernel, point)
            repeats += 1
        times.append((time.process_time() - begun) / repeats)
    return statistics.median(times) / point.runs / point.steps * 1e6


def memory(kernel: Kernel, point: Point) -> float:
    """Return MiB of Python and NumPy at the peak of a training, beyond what there was before."""
    tracemalloc.start()
    train(kernel, point)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def draw(rows: dict[str, list[tuple[float, float]]], file: Path) -> None:
    """Draw the time of a run and step over what grows."""
    figure, axes = plt.subplots(1, len(rows), figsize=(3 * len(rows), 3), layout="constrained")
    for axis, (name, pairs) in zip(axes, rows.items(), strict=True):
        axis.loglog(*zip(*pairs, strict=True), "o-")
        axis.set_title(name)
        axis.set_xlabel(name.partition(",")[0])
    axes[0].set_ylabel("µs a run and step, one thread")
    figure.savefig(file)


def main() -> None:
    """Print a table for each of the four."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="at most 100,000 runs")
    parser.add_argument("--picture", type=Path, help="draw the times into a file (.png, .svg)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, llvmlite {llvmlite.__version__}, load before: {os.getloadavg()[0]:.2f}")
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, own in points(quick=options.quick).items():
        what = name.partition(",")[0]
        print(f"\n{name}\n{what:>10}  {'µs a run and step':>18}  {'seconds in all':>15}  {'memory, MiB':>12}")
        known: dict[tuple[int, int], Kernel] = {}
        for point in own:
            key = (point.width, point.samples)
            if key not in known:
                known[key] = kernel_of(point)
            each = microseconds(known[key], point)
            size = getattr(point, what)
            whole = each * point.runs * point.steps * 1e-6
            print(f"{size:>10,}  {each:>18.4g}  {whole:>15.3g}  {memory(known[key], point):>12.2f}", flush=True)
            curves.setdefault(name, []).append((size, each))
    if options.picture:
        draw(curves, options.picture)


if __name__ == "__main__":
    main()
