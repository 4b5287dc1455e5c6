"""Ways to choose a learning rate, by their regret against an exhaustive table, on 32 problem-optimizer pairs.

    python benchmarks/learning_rates.py [--folder FOLDER] [--probes 10] [--part PART] [--trained]

12 pairs are `development`: the algorithm was made on them. 12 are `held-out`: it was changed more than once after they
were first looked at, so they count as a second development set. 8 are `fresh`: made after that; two small changes
followed the first look at them, neither made for them.

The regret of a rate η is R = (min(L(η), L0) − L*) / (L0 − L*): L the median over seeds of the final validation loss of
the full training, L* the lowest over the table, L0 that of the initial weights or of the best constant prediction,
whichever is lower. R of a suggestion is interpolated in the table (quarter decades, eighths round the minimum), or its
L is trained with `--trained`. No suggestion counts as R = 1. A failure is a regret above 0.5. The tables are kept in
the folder (by default outside of the repository), and take minutes to make.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning_rates_finders import competitors
from learning_rates_problems import FRESH, PROBLEMS, Batches, Problem
from learning_rates_table import Table, regret, table_of, train_at
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from chainrule.probes.budget import Budget
from chainrule.probes.find_rate import find_rate
from chainrule.probes.found_rate import FoundRate
from chainrule.probes.restoring import restored
from chainrule.probes.subject import Schedule, Subject

OURS = "chainrule find-lr"
PARTS = {
    "development": [problem for problem in PROBLEMS if not problem.held_out],
    "held-out": [problem for problem in PROBLEMS if problem.held_out],
    "fresh": list(FRESH),
}
LIMIT = 1.125559  # of the full-batch case: eigenvalues of the Hessian from 0.019615 to 1.776894


def subject_of(problem: Problem, seed: int = 0) -> Subject:
    """Return a problem as `find_rate` takes it."""
    inputs, targets, kept, kept_targets = problem.data()
    network = problem.seeded_network(seed).train()
    schedule = Schedule(CosineAnnealingLR, "batch", "cosine") if problem.schedule == "cosine" else None
    return Subject(
        model=network,
        batches=Batches(inputs, targets, problem.batch_size, 0),
        optimizer=getattr(torch.optim, problem.optimizer)(network.parameters(), lr=1e-3, **problem.settings),
        updates=problem.steps,
        loss_fn=problem.loss,
        validation=[(kept, kept_targets)],
        schedule=schedule,
        name=problem.name,
    )


def ours(problem: Problem, probe: int) -> FoundRate:
    """Return our answer with the seeds of a probe."""
    subject, budget = subject_of(problem), Budget(problem.steps)
    with restored(subject):
        return find_rate(subject, budget, tuple(range(3 * probe, 3 * probe + 3)))


def regrets_of(problem: Problem, table: Table, rates: Sequence[float | None], is_trained: bool) -> list[float]:
    """Return the regret of rates, interpolated in the table or trained fully over its seeds."""
    if not is_trained:
        at = [math.log10(rate) if rate and 0 < rate < math.inf else math.nan for rate in rates]
        return [float(np.interp(one, table.exponents, table.regrets())) if one == one else 1.0 for one in at]
    known = sorted({rate for rate in rates if rate is not None and 0 < rate < math.inf})
    if not known:
        return [1.0] * len(rates)
    finals, _ = train_at(problem, np.log10(known))
    losses = dict(zip(known, np.median(finals, axis=1), strict=True))
    best = float(table.medians.min())
    return [
        float(regret(np.array(losses[rate]), table.start, best)) if rate in losses else 1.0 for rate in rates
    ]  # may be below 0: between two rates of the table


def row(problem: Problem, folder: Path, probes: int, is_trained: bool) -> dict[str, Any]:
    """Return what every way to choose a rate comes to on a problem."""
    table = table_of(problem, folder)
    found = competitors(problem, problem.seeded_network(0), seed=0)
    answers = [ours(problem, probe) for probe in range(probes)]
    rates = [rate for rate, _ in found.values()] + [answer.suggestion for answer in answers]
    regrets = regrets_of(problem, table, rates, is_trained)
    names = list(found)
    costs = {name: updates / problem.steps for name, (_, updates) in found.items()}
    own = [rate for rate in rates[len(names) :] if rate is not None]
    middle = float(np.median(own)) if own else math.nan
    own_regrets = regrets[len(names) :]
    best = float(table.exponents[int(table.medians.argmin())])
    return {
        "problem": problem.name,
        "schedule": problem.schedule,
        "steps": problem.steps,
        "best rate": 10**best,
        "rates": dict(zip(names, rates, strict=False)) | {OURS: middle},
        "regrets": dict(zip(names, regrets, strict=False)) | {OURS: float(np.median(own_regrets))},
        "cost": costs | {OURS: max(answer.spent / answer.planned for answer in answers)},
        "worst over probes": max(own_regrets),
        "largest over smallest": max(own) / min(own) if own else math.nan,
        "from the median": max(abs(rate / middle - 1) for rate in own) if own else math.nan,
        "without a suggestion": sum(answer.suggestion is None for answer in answers),
    }


class Line(nn.Linear):
    """Least squares: 256 × 8, the Hessian's eigenvalues in equal steps of their logarithm."""

    def __init__(self) -> None:
        super().__init__(8, 1, bias=False, dtype=torch.float64)
        nn.init.zeros_(self.weight)


def full_batch() -> dict[str, float]:
    """Return limit and steps on full-batch least squares, where finders differ 56-fold."""
    generator = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(256, 8, generator=generator, dtype=torch.float64)).Q
    right = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    eigenvalues = torch.logspace(math.log10(0.019615), math.log10(2 / LIMIT), 8, dtype=torch.float64)
    inputs = left @ torch.diag((eigenvalues * 128).sqrt()) @ right.T
    weights = right @ torch.ones(8, 1, dtype=torch.float64)
    targets = inputs @ weights * math.sqrt(1.0549 / float((inputs @ weights).square().mean()))
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loss_fn = nn.functional.mse_loss
    subject = Subject(model, [(inputs, targets)], optimizer, 1000, loss_fn, is_full_batch=True)
    with restored(subject):
        found = find_rate(subject, Budget(1000), (0, 1, 2))
    rate = found.suggestion or math.nan
    optimizer.param_groups[0]["lr"] = rate
    steps = 0
    while steps < 1000 and (loss := loss_fn(model(inputs), targets)).item() >= 1e-3:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps += 1
    exact = 2 / float(torch.linalg.eigvalsh(2 * inputs.T @ inputs / 256).max())
    limit = found.limit.limit if found.limit else math.nan
    return {
        "exact limit": exact,
        "limit found": limit,
        "relative error": abs(limit / exact - 1),
        "suggestion": rate,
        "steps to 1e-3": steps,
    }


def summary(rows: list[dict[str, Any]]) -> str:
    """Return the figures of each way to choose a rate, as a table in Markdown."""
    lines = [
        "| way | median R | 90th percentile | worst R | failures | R ≤ 0.05 | cost |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in rows[0]["regrets"]:
        regrets = np.array([one["regrets"][name] for one in rows])
        cost = max(one["cost"].get(name, 0.0) for one in rows)
        lines.append(
            f"| {name} | {np.median(regrets):.3f} | {np.quantile(regrets, 0.9):.3f} | {regrets.max():.3f} | "
            f"{(regrets > 0.5).sum()}/{len(rows)} | {(regrets <= 0.05).sum()}/{len(rows)} | {cost:.1%} |"
        )
    return "\n".join(lines)


def details(rows: list[dict[str, Any]]) -> str:
    """Return a line for each problem, as a table in Markdown."""
    head = (
        "| problem | best rate | ours | R | worst R over probes | largest/smallest | within of the median | R of 1e-2 |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {one['problem']} | {one['best rate']:.2g} | {one['rates'][OURS]:.2g} | {one['regrets'][OURS]:.3f} | "
        f"{one['worst over probes']:.3f} | {one['largest over smallest']:.3f} | {one['from the median']:.1%} | "
        f"{one['regrets']['constant 1e-2']:.3f} |"
        for one in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "chainrule-learning-rates")
    parser.add_argument("--probes", type=int, default=10)
    parser.add_argument("--part", choices=tuple(PARTS))
    parser.add_argument("--trained", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("Full-batch least squares:", json.dumps(full_batch(), indent=2))
    for part, problems in PARTS.items():
        if options.part in (None, part):
            rows = []
            for problem in problems:
                rows.append(row(problem, options.folder, options.probes, options.trained))
                print(details(rows[-1:]).splitlines()[-1], flush=True)
            print(f"\n{part}\n\n{details(rows)}\n\n{summary(rows)}\n", flush=True)
            if options.json is not None:
                options.json.with_suffix(f".{part}.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
