"""How good the activation is that `chainrule activations --compare` recommends: regret against an exhaustive table.

For each of 8 data sets × 2, 6 and 12 hidden layers of 16 units, each of 7 activations is trained at 15 rates (quarter
decades from 1e-4 to 10^-0.5) with 21 seeds; Adam, 300 updates, batches of 32, weights by each activation's own gain,
no norm. The seeds are cut in three, and no seed is in two of them:

    1000–1003   the recommendation tunes the rates with these
    0–7         the recommendation compares with these
    100–108     the table: L(a) = min over all 15 rates of the median validation loss; it judges

A seed decides the split of the data, the initial weights and the batches, so the table judges on other splits. The
regret of a recommendation a is R = (min(L(a), L₀) − L*) / (L₀ − L*), where L* = min L and L₀ is the validation loss of
the best constant prediction. The table is itself a sample: beside it stands the regret of what one half of its seeds
would choose, judged by the other half. "Always X" are the competitors that look at nothing.

Pairs that are equal by construction must not be told apart:

    same, other seeds    an activation against itself with seeds of its own for tuning and comparing, so that nothing is
                         paired and the rates are tuned apart
    slope 0              LeakyReLU(negative_slope=0) against ReLU, on the nets of 2 layers
    the better of seven  of the seven and one of them again with other seeds: the two are not told apart

    python benchmarks/activation_choice.py            the table is kept under --cache and computed once
    python benchmarks/activation_choice.py --quick    2 data sets, 2 layers
"""

import argparse
import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import make_friedman1, make_moons

from chainrule.data import load_data
from chainrule.probes.activation_runs import Ends, Start, TaskRuns
from chainrule.probes.candidates import USUAL, Candidate, candidate_of
from chainrule.probes.comparing import Comparison, Plan, compare
from chainrule.probes.tuning import Decades
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


def _data(name: str) -> tuple[dict[str, object], int, str]:
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
        judged, shuffled, training = (each[rows, columns] for each in (self.judged, self.shuffled, self.training))
        unknown = np.full(len(points), np.nan)
        return Ends(judged, shuffled, unknown, training, is_done=np.ones(len(points), np.bool_))


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


class TableRuns:
    """A comparison's runs, read from the table; a candidate whose label ends in AGAIN has seeds of its own."""

    judges_validation = True

    def __init__(self, task: Task, entries: Mapping[str, Entry]) -> None:
        self._runs = TaskRuns(task, STEPS, has_own_init=True)
        self._entries = entries
        self._starts: dict[tuple[str, int], Start] = {}

    def ends(self, candidate: Candidate, points: Sequence[tuple[float, int]], part: str, progress: object) -> Ends:
        """Return the runs of some points; see `Runs`."""
        is_again = candidate.label.endswith(AGAIN)
        own = [(rate, OTHER[seed] if is_again else seed) for rate, seed in points]
        return self._entries[candidate.label.removesuffix(AGAIN)].ends(own)

    def start(self, candidate: Candidate, seed: int) -> Start:
        """Return the model of a seed before its first update; see `Runs`."""
        key = (candidate.label.removesuffix(AGAIN), seed)
        if key not in self._starts:
            self._starts[key] = self._runs.start(candidate, seed)
        return self._starts[key]


AGAIN = ", again"
OTHER = dict(zip((*COMPARING, *TUNING), (*range(101, 109), *range(4, 8)), strict=True))
DECADES = Decades((-4.0, -3.0, -2.0, -1.0), lowest=-4.0, highest=-0.5)


def recommend(runs: TableRuns, candidates: Sequence[Candidate]) -> Comparison:
    """Compare candidates with the seeds of the recommendation."""
    return compare(runs, Plan(tuple(candidates), COMPARING, TUNING, DECADES), has_norm=False)


def table_losses(entries: Mapping[str, Entry], seeds: Sequence[int]) -> dict[str, float]:
    """Return L of every activation: its median validation loss at the rate where that is lowest."""
    columns = [SEEDS.index(seed) for seed in seeds]
    return {
        name: float(np.median(np.nan_to_num(each.judged[:, columns], nan=np.inf), axis=1).min())
        for name, each in entries.items()
    }


def constant_loss(task: Task) -> float:
    """Return L₀: the median validation loss of the best constant prediction, over the seeds of the table."""
    found = []
    for seed in TABLE:
        data = load_data(task.data, seed)
        train, validation = data.train, data.validation
        assert validation is not None  # every problem here has one
        if data.class_names:
            shares = torch.bincount(train.targets, minlength=len(data.class_names)).double() / len(train)
            found.append(-float(shares.log()[validation.targets].mean()))
        else:
            found.append(float((validation.targets - train.targets.mean(dim=0)).square().mean()))
    return float(np.median(found))


def regret(losses: Mapping[str, float], chosen: str, trivial: float) -> float:
    """Return R of a choice; see above."""
    best = min(losses.values())
    return (min(losses[chosen], trivial) - best) / (trivial - best)


def report(table: Mapping[tuple[str, int], Mapping[str, Entry]], cache: Path) -> None:
    """Print the table, the regrets and the pairs."""
    usual = [candidate_of(name) for name in USUAL]
    regrets: dict[str, list[float]] = {}
    alone, among, deep_sigmoids, shown = [], [], 0, 0
    print("data set     layers  recommended      R  best in the table  regret of ReLU  shown worse")
    for (name, depth), entries in table.items():
        task = problem(name, depth)
        runs, trivial, losses = TableRuns(task, entries), constant_loss(task), table_losses(entries, TABLE)
        found = recommend(runs, usual)
        if found.ranking is None:
            raise SystemExit(f"{task.name}: {found.findings}")
        chosen = found.ranking.chosen
        deep_sigmoids += depth >= 6 and chosen == "Sigmoid"
        worse = sum(each.is_shown for each in found.ranking.differences)
        shown += worse
        own = regret(losses, chosen, trivial)
        regrets.setdefault("recommended", []).append(own)
        half, other = table_losses(entries, TABLE[::2]), table_losses(entries, TABLE[1::2])
        regrets.setdefault("half of the table, judged by the other", []).append(
            regret(other, min(half, key=lambda each: half[each]), trivial)
        )
        for label in USUAL:
            regrets.setdefault(f"always {label}", []).append(regret(losses, label, trivial))
        best, plain = min(losses, key=lambda each: losses[each]), regret(losses, "ReLU", trivial)
        print(f"{name:12} {depth:6}  {chosen:11} {own:6.4f}  {best:17} {plain:15.4f}  {worse:4} of 6")
        for each in usual:
            again = replace(each, label=each.label + AGAIN)
            alone.append(_is_told_apart(recommend(runs, [each, again]), each.label, again.label))
            among.append(_is_told_apart(recommend(runs, [*usual, again]), each.label, again.label))
    print(f"\n{'regret':40} median     p90   worst  exactly 0")
    for label, values in regrets.items():
        zeros = sum(value == 0 for value in values)
        print(
            f"{label:40} {np.median(values):6.4f}  {np.quantile(values, 0.9):6.4f}  {max(values):6.4f}  "
            f"{zeros} of {len(values)}"
        )
    print(f"\nSigmoid recommended at 6 layers or more: {deep_sigmoids}")
    print(f"shown to be worse than the best: {shown} of {6 * len(table)}")
    print("\npairs equal by construction, with no evidence of a difference:")
    for label, told in (
        ("same, other seeds", alone),
        ("the better of seven", among),
        ("slope 0", _slopes(table, cache)),
    ):
        print(f"  {label:20} {len(told) - sum(told)} of {len(told)} ({1 - sum(told) / len(told):.1%})")


def _is_told_apart(found: Comparison, one: str, other: str) -> bool:
    """Return whether a comparison says that two candidates differ, by whichever of them is nearer to the best."""
    if found.ranking is None:
        return False
    shown = {each.candidate for each in found.ranking.differences if each.is_shown}
    best = found.ranking.order[0]
    return best in (one, other) and bool(shown & {one, other})


def _slopes(table: Mapping[tuple[str, int], Mapping[str, Entry]], cache: Path) -> list[bool]:
    flat, relu = candidate_of("LeakyReLU", {"negative_slope": 0.0}), candidate_of("ReLU")
    told = []
    for (name, depth), entries in table.items():
        if depth == min(DEPTHS):
            task = problem(name, depth)
            both = {"ReLU": entries["ReLU"], flat.label: entry(task, flat, cache)}
            told.append(_is_told_apart(recommend(TableRuns(task, both), [relu, flat]), "ReLU", flat.label))
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "chainrule" / "activation_choice")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    built = build(given.cache, DATA_SETS[:2] if given.quick else DATA_SETS, DEPTHS[:1] if given.quick else DEPTHS)
    report(built, given.cache)
