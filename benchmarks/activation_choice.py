"""How good the activation is that `chainrule activations --compare` recommends: regret against an exhaustive table.

For each of 8 data sets × 2, 6 and 12 hidden layers of 16 units, each of 7 activations is trained at 15 rates (quarter
decades from 1e-4 to 10^-0.5) with 21 seeds; Adam, 300 updates, batches of 32, weights by each activation's own gain.
The seeds are cut in three, and no seed is in two of them:

    1000–1003   the recommendation tunes the rates with these
    0–7         the recommendation compares with these
    100–108     the table: L(a) = min over all 15 rates of the median validation loss; it judges

A seed decides the split of the data, the initial weights and the batches, so the table judges on other splits. The
regret of a recommendation a is R = (min(L(a), L₀) − L*) / (L₀ − L*), where L* = min L and L₀ is the validation loss of
the best constant prediction. That the table is itself a sample is measured too: the regret of the activation that the
table would choose from one half of its seeds, judged by the other.

    python benchmarks/activation_choice.py            the table is kept under --cache and computed once
    python benchmarks/activation_choice.py --quick    2 data sets, 2 layers
"""

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import make_friedman1, make_moons

from chainrule.data import load_data
from chainrule.probes.activation_runs import Ends, TaskRuns
from chainrule.probes.candidates import USUAL, Candidate, candidate_of
from chainrule.tasks import Task, load_task

RATES = tuple(10 ** (quarter / 4) for quarter in range(-16, -1))
TUNING = tuple(range(1000, 1004))
COMPARING = tuple(range(8))
TABLE = tuple(range(100, 109))
SEEDS = (*TUNING, *COMPARING, *TABLE)
DEPTHS = (2, 6, 12)
WIDTH, STEPS = 16, 300
DATA_SETS = ("iris", "wine", "breast_cancer", "digits", "diabetes", "moons", "friedman", "spirals")


def problem(name: str, depth: int) -> Task:
    """Return one problem of the benchmark."""
    data, outputs, loss = _data(name)
    return load_task(
        {
            "name": f"{name}-{depth}",
            "data": {**data, "validation": 0.3, "standardise_inputs": True, "batch_size": 32},
            "model": {"layers": [*[WIDTH] * depth, outputs]},
            "loss": loss,
            "optimizer": {"name": "Adam", "lr": 0.01},
            "stop": {"epochs": 1000},
        }
    )


def _data(name: str) -> tuple[dict, int, str]:
    classes = {"iris": 3, "wine": 3, "digits": 10}
    if name in classes:
        return {"source": name}, classes[name], "CrossEntropyLoss"
    if name == "breast_cancer":
        return {"source": name}, 1, "BCEWithLogitsLoss"
    if name == "diabetes":
        return {"source": name, "standardise_targets": True}, 1, "MSELoss"
    if name == "friedman":
        inputs, targets = make_friedman1(400, noise=1.0, random_state=7)
        return {"inputs": inputs, "targets": targets[:, None], "standardise_targets": True}, 1, "MSELoss"
    if name == "moons":
        inputs, targets = make_moons(400, noise=0.25, random_state=7)
    else:
        inputs, targets = _spirals(400)
    return {"inputs": inputs, "targets": targets, "kind": "classification"}, 1, "BCEWithLogitsLoss"


def _spirals(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    classes = np.arange(count) % 2
    radius = np.sqrt(generator.uniform(0.02, 1, count))
    angle = 2 * math.pi * radius * 1.25 + math.pi * classes
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points + generator.normal(0, 0.03, points.shape), classes


@dataclass(frozen=True, slots=True)
class Entry:
    """One activation of one problem: losses (rates, seeds)."""

    judged: np.ndarray
    shuffled: np.ndarray
    training: np.ndarray

    def ends(self, points: Sequence[tuple[float, int]]) -> Ends:
        """Return the runs of some points."""
        rows = [int(np.argmin([abs(math.log(rate / own)) for own in RATES])) for rate, _ in points]
        columns = [SEEDS.index(seed) for _, seed in points]
        found = (each[rows, columns] for each in (self.judged, self.shuffled, self.training))
        return Ends(*found, is_done=np.ones(len(points), np.bool_))


def entry(task: Task, candidate: Candidate, cache: Path) -> Entry:
    """Return the losses of one activation at all rates and seeds, from the cache where they are there."""
    what = [task.name, candidate.label, candidate.gain, RATES, SEEDS, WIDTH, STEPS, torch.__version__]
    path = cache / f"{task.name}-{candidate.label}-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        points = [(rate, seed) for rate in RATES for seed in SEEDS]
        begun = time.process_time()
        ends = TaskRuns(task, STEPS, has_own_init=True).ends(candidate, points, "", None)
        shape = (len(RATES), len(SEEDS))
        found = {name: getattr(ends, name).reshape(shape) for name in ("judged", "shuffled", "training")}
        with path.with_suffix(".part").open("wb") as file:
            np.savez(file, seconds=time.process_time() - begun, **found)
        path.with_suffix(".part").replace(path)
    with np.load(path) as stored:
        return Entry(stored["judged"], stored["shuffled"], stored["training"])


def build(cache: Path, data_sets: Sequence[str], depths: Sequence[int]) -> dict[tuple[str, int], dict[str, Entry]]:
    """Return the whole table."""
    table: dict[tuple[str, int], dict[str, Entry]] = {}
    for depth in depths:
        for name in data_sets:
            task = problem(name, depth)
            begun = time.perf_counter()
            table[name, depth] = {kind: entry(task, candidate_of(kind), cache) for kind in USUAL}
            sys.stderr.write(f"{task.name}: {time.perf_counter() - begun:.1f} s\n")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "chainrule" / "activation_choice")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    build(given.cache, DATA_SETS[:2] if given.quick else DATA_SETS, DEPTHS[:1] if given.quick else DEPTHS)
