"""Many runs of a small network: chainrule's kernels beside every other way that we know, in one process, in turns.

    python benchmarks/many_runs.py [--quick] [--peer NOTEBOOK] [--rounds N] [--no-memory] [--cases 2-2-2,map,digits]

Each contender is made ready and warmed up; then all of a case take turns, round after round, and the medians count.
Times are of one thread: the process keeps to one processor where the system lets it. Contenders that would take days
are timed on fewer runs or steps, and their time for a run and step is what is compared. Peak memory is that of a
process of its own for each contender, at the sizes of the table.

JAX takes part when it is installed (pip install jax), torch.compile when there is a C++ compiler, and the published
map's own code when the path of its notebook is given.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import llvmlite
import numpy as np
import torch
from lanes_speed import peak
from many_runs_cases import (
    COMPILED,
    LANES,
    LOOP,
    MAP_OPERATIONS,
    STOPPING,
    VMAP,
    Case,
    Contender,
    Numbers,
    Train,
    digits,
    kernel_of,
    lanes_contenders,
    learning_rate_map,
    torch_contenders,
    two_two_two,
)

BUILD = 1.5  # seconds
PEAK = "share of the measured peak of multiply-adds"


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio should be: the time of a contender over that of chainrule."""

    case: str
    contender: str
    least: float
    ours: str = LANES


TARGETS = (
    Target("2-2-2", LOOP, 15_000),
    Target("2-2-2", COMPILED, 6),
    Target("2-2-2", "JAX jit(vmap(scan))", 3),
    Target("map", "the author's code, 64×64", 10),
    Target("map", "the author's code, 64×64", 14, STOPPING),
    Target("map", "the author's code, 256×256", 10),
    Target("map", "the author's code, 256×256", 14, STOPPING),
    Target("map", "JAX, best rewrite", 2.5),
    Target("digits", "JAX jit(vmap(scan))", 2.5),
    Target("digits", VMAP, 6),
    Target("digits", LOOP, 45),
)


@dataclass(slots=True)
class Measured:
    """What was measured of a contender: seconds of a run and step, seconds to make it ready, and its losses."""

    contender: Contender
    train: Train
    ready: float
    ready_wall: float
    losses: Numbers
    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: tuple[float, float] | None = None

    def time(self) -> None:
        """Train once and note what a run and step took."""
        contender = self.contender
        begun, wall = time.process_time(), time.perf_counter()
        self.train(contender.rates, contender.steps)
        each = len(contender.rates) * contender.steps
        self.processor.append((time.process_time() - begun) / each)
        self.wall.append((time.perf_counter() - wall) / each)


def make_case(name: str, options: argparse.Namespace) -> Case:
    """Return a case at the size that was asked for."""
    if name == "2-2-2":
        return two_two_two(10_000 if options.quick else 100_000)
    return learning_rate_map(64) if name == "map" else digits(256)


def contenders(case: Case, options: argparse.Namespace) -> list[Contender]:
    """Return every contender of a case that can take part here."""
    size = 0.2 if options.quick else 1.0
    found = lanes_contenders(case, size=size)
    for contender in torch_contenders(case, size=size):
        if contender.name != COMPILED or shutil.which("g++") or shutil.which("c++"):
            found.append(contender)
    if importlib.util.find_spec("jax") is not None:
        jax = importlib.import_module("many_runs_jax")
        resolutions = (64,) if options.quick else (64, 256)
        found += jax.jax_contenders(case, size=size, notebook=options.peer, resolutions=resolutions)
    return found


def made_ready(contender: Contender) -> Measured:
    """Return a contender that is ready and warm."""
    begun, wall = time.process_time(), time.perf_counter()
    train = contender.prepare()
    built, built_wall = time.process_time() - begun, time.perf_counter() - wall
    begun, wall = time.process_time(), time.perf_counter()
    losses = train(contender.rates, 1 if contender.is_long else contender.steps)
    first, first_wall = time.process_time() - begun, time.perf_counter() - wall
    found = Measured(contender, train, built, built_wall, losses)
    if contender.name in (LANES, STOPPING, LOOP, VMAP):
        return found
    # What compiles does so when it first runs: what the first time took more than the second belongs to it.
    if not contender.is_long:
        found.time()
        each = len(contender.rates) * contender.steps
        found.ready += max(0.0, first - found.processor.pop() * each)
        found.ready_wall += max(0.0, first_wall - found.wall.pop() * each)
    return found


def measure(case: Case, options: argparse.Namespace) -> tuple[dict[str, Measured], list[float]]:
    """Return what every contender of a case took, and the peaks that were measured in between."""
    found: dict[str, Measured] = {}
    for contender in contenders(case, options):
        say(f"{case.name}: {contender.name} is made ready")
        found[contender.name] = made_ready(contender)
    peaks = []
    for turn in range(options.rounds):
        say(f"{case.name}: round {turn + 1} of {options.rounds}")
        peaks.append(peak())
        for measured in found.values():
            if turn == 0 or not measured.contender.is_long:
                measured.time()
    return found, peaks


def agreement(found: dict[str, Measured], case: Case) -> dict[str, str]:
    """Return how far each contender's losses are from chainrule's after three steps, at rates spread over the case."""
    ours = found[LANES].train
    texts = {}
    for name, measured in found.items():
        rates = measured.contender.rates
        at = np.unique(np.linspace(0, len(rates) - 1, 16).astype(int))
        if measured.contender.is_long or measured.losses.shape[0] != len(rates):
            continue
        if name.startswith("the author"):  # hands back its measure, not the losses
            continue
        steps = 3
        theirs, own = measured.train(rates, steps)[at], ours(rates[at], steps)
        with np.errstate(all="ignore"):
            apart = np.abs(theirs - own) / np.maximum(np.abs(own), 1e-300)
        same = (theirs == own) | (np.isnan(theirs) & np.isnan(own))
        texts[name] = f"{float(np.max(np.where(same, 0.0, apart))):.0e}"
    return texts


def peak_memory(case: Case, name: str, options: argparse.Namespace) -> tuple[float, float] | None:
    """Return MiB of a process that does one contender's work: at its peak, and before it was made ready."""
    words = [sys.executable, __file__, "--alone", f"{case.name}|{name}"]
    words += ["--quick"] if options.quick else []
    words += ["--peer", str(options.peer)] if options.peer else []
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"{case.name}: {name} failed alone: {done.stderr.strip().splitlines()[-1:]}")
        return None
    before, after = json.loads(done.stdout.splitlines()[-1])
    return after, before


def alone(options: argparse.Namespace) -> None:
    """Do one contender's work and print the process's memory before and at its peak, in MiB."""
    case_name, _, name = options.alone.partition("|")
    case = make_case(case_name, options)
    chosen = next(each for each in contenders(case, options) if each.name == name)
    before = _peak_so_far()
    chosen.prepare()(chosen.rates, 1 if chosen.is_long else chosen.steps)
    print(json.dumps([before, _peak_so_far()]))


def _peak_so_far() -> float:
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found / 2**20 if sys.platform == "darwin" else found / 2**10


def print_case(case: Case, found: dict[str, Measured]) -> None:
    """Print the table of a case."""
    ours = statistics.median(found[LANES].processor)
    apart = agreement(found, case)
    print(f"\n{case.name}: {case.precision}, µs of one thread for a run and step")
    heads = ("contender", "processor", "wall", "ratio", "ready, s", "peak, MiB", "before, MiB", "losses apart", "")
    rows: list[tuple[str, ...]] = [heads]
    for name, measured in found.items():
        size = f"{_count(len(measured.contender.rates), 'run')}, {_count(measured.contender.steps, 'step')}"
        processor = statistics.median(measured.processor)
        memory = ("", "") if measured.memory is None else tuple(f"{number:,.0f}" for number in measured.memory)
        rows.append(
            (
                name, f"{processor * 1e6:.4g}", f"{statistics.median(measured.wall) * 1e6:.4g}",
                f"{processor / ours:,.2f}", f"{measured.ready:.2f}", *memory, apart.get(name, ""),
                "; ".join(filter(None, [size, measured.contender.told])),
            )
        )  # fmt: skip
    print_rows(rows)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def print_rows(rows: list[tuple[str, ...]]) -> None:
    """Print a table whose columns are as wide as they need; the first and the last are text."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def target_rows(results: dict[str, dict[str, Measured]], peaks: list[float]) -> list[tuple[str, ...]]:
    """Return target and measured of every figure whose contenders took part."""
    rows: list[tuple[str, ...]] = []
    for target in TARGETS:
        found = results.get(target.case, {})
        if target.contender not in found or target.ours not in found:
            if target.case in results:
                rows.append(
                    (f"{target.case}: {target.contender} over {target.ours}", f"≥ {target.least:,g}", "", "absent")
                )
            continue
        theirs, ours = (statistics.median(found[name].processor) for name in (target.contender, target.ours))
        ratio = theirs / ours
        rows.append(
            (
                f"{target.case}: {target.contender} over {target.ours}", f"≥ {target.least:,g}", f"{ratio:,.2f}",
                "met" if ratio >= target.least else "missed",
            )
        )  # fmt: skip
    if "map" in results:
        share = MAP_OPERATIONS / statistics.median(results["map"][LANES].processor) * 1e-9 / statistics.median(peaks)
        rows.append((f"map: {PEAK}", "≥ 45 %", f"{share:.1%}", "met" if share >= 0.45 else "missed"))
    for name, found in results.items():
        ready = found[LANES].ready
        verdict = "met" if ready <= BUILD else "missed"
        rows.append((f"{name}: build of the kernel, s", f"≤ {BUILD}", f"{ready:.2f}", verdict))
    return rows


def say(text: str) -> None:
    """Tell what is being done."""
    print(text, file=sys.stderr, flush=True)


def asked() -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs, steps and rounds: about two minutes")
    parser.add_argument("--rounds", type=int, help="how often each contender is timed (5, quick: 3)")
    parser.add_argument("--peer", type=Path, help="the notebook of the published map (.ipynb)")
    parser.add_argument("--cases", default="2-2-2,map,digits", help="which of them")
    parser.add_argument("--no-memory", action="store_true", help="leave out the processes that measure memory")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    return options


def main() -> None:
    """Measure and print the tables."""
    options = asked()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if options.alone:
        alone(options)
        return
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    jax = version("jax") if importlib.util.find_spec("jax") is not None else "not installed, left out"
    print(f"{platform.platform()}; load before: {load:.2f}; {options.rounds} rounds")
    print(f"torch {torch.__version__}, JAX {jax}, llvmlite {llvmlite.__version__}, NumPy {np.__version__}")
    if options.peer is None:
        print("The published map's own code is left out: --peer gives its notebook.")
    kernel_of(two_two_two(16))  # imports what tracing needs
    results, peaks = {}, []
    for name in options.cases.split(","):
        case = make_case(name, options)
        results[name], more = measure(case, options)
        peaks += more
        for own, measured in results[name].items():
            if not options.no_memory and not measured.contender.is_long:
                say(f"{name}: memory of {own}")
                measured.memory = peak_memory(case, own, options)
        print_case(case, results[name])
    print(f"\npeak of multiply-adds, float64, one thread: {statistics.median(peaks):.1f}·10⁹ operations a second\n")
    print_rows([("figure", "target", "measured", ""), *target_rows(results, peaks)])


if __name__ == "__main__":
    main()
