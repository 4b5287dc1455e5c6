"""Answers of find-lr that were made up, to see how they are shown."""

from chainrule.findings import Finding
from chainrule.probes.found_rate import FoundRate, RangeCurve, RangePoint, Region, StabilityLimit, TwinRun


def found(**changes):
    rates = [10.0**power for power in range(-4, 2)]
    curves = tuple(
        RangeCurve(
            seed,
            tuple(RangePoint(rate, 2.0 - rate, 2.0 - rate / 2 + seed / 10) for rate in rates),
            edge=1.0 * (1 + seed),
            descent=0.01,
            ended="the loss left",
        )
        for seed in (0, 1)
    )
    twins = tuple(
        TwinRun(rate, seed, (2.0, 1.0 / rate), score=1.0 / rate if rate < 1 else 90.0, is_stable=rate < 1)
        for rate in (0.1, 0.5, 1.0)
        for seed in (0, 1)
    )
    limit = StabilityLimit(0.9, 2 / 0.9, "2/λ", False, 0.004, 8, 2, "For two batches.")
    settings = {
        "name": "iris",
        "optimizer": "SGD, momentum 0.9",
        "suggestion": 0.4,
        "low": 0.2,
        "high": 0.8,
        "regions": (
            Region("too slow", None, 0.2, "the loss falls by 3 % only"),
            Region("good", 0.2, 0.8, "runs end within 5 % of the best"),
            Region("unstable", 0.8, None, "2 of 2 runs ended above their start"),
        ),
        "curves": curves,
        "limit": limit,
        "twins": twins,
        "seeds": (0, 1),
        "spread": 1.05,
        "certainty": "fairly sure",
        "why_so_sure": "Both seeds agree.",
        "cost": {"range test": 12.0, "short runs": 40.0},
        "allowed": 100.0,
        "planned": 1000.0,
        "present": 0.01,
        "start_loss": 2.0,
        "noise": 0.125,
        "notes": ("A note.",),
        "seconds": 1.5,
    }
    return FoundRate(**{**settings, **changes})


def nothing_found():
    finding = Finding("no-training", "error", "No rate trains this model.", "the model", {"rates": 9}, "Look there.")
    empty = {"suggestion": None, "low": None, "high": None, "regions": (), "curves": (), "limit": None, "twins": ()}
    return found(**empty, seeds=(), spread=float("nan"), certainty="unsure", why_so_sure="", findings=(finding,))
