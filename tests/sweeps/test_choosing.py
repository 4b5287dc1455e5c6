"""Which engine computes a sweep, and what is said about it."""

import pytest

from chainrule.sweeps import choosing, grid, parse_axis, run_points
from chainrule.sweeps.outcome import Outcome
from chainrule.tasks import Task, load_task


@pytest.fixture
def small() -> Task:
    return load_task("xor", {"run.precision": "float64", "run.device": "cpu"})


def swept(task: Task, runs: int) -> Outcome:
    return run_points(task, grid(parse_axis("lr", f"log:1e-3:1e-1:{runs}")), steps=2)


def test_few_updates_are_done_by_the_plain_loop(small: Task) -> None:
    outcome = swept(small, 3)
    assert (outcome.engine, outcome.why) == ("loop", "3 runs of 2 updates are few.")


def test_many_runs_of_a_small_network_are_done_by_lanes(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    outcome = swept(small, 8)
    assert (outcome.engine, outcome.why) == ("lanes", "lanes is the fastest for many runs of a small network.")


@pytest.mark.parametrize(
    ("lanes", "vmap", "runs", "engine", "why"),
    [
        (10, 30_000, 8, "vmap", "vmap computes many runs as one. lanes gains nothing at 17 trained numbers a run."),
        (10, 10, 8, "loop", "One run after the other. lanes gains nothing at 17 trained numbers a run. "
         "vmap gains nothing at 17 trained numbers a run."),
        (10, 30_000, 3, "loop", "One run after the other. lanes gains nothing at 17 trained numbers a run. "
         "vmap gains nothing with 3 runs."),
    ],
)  # fmt: skip
def test_large_networks_go_where_they_are_as_fast(
    small: Task, monkeypatch: pytest.MonkeyPatch, lanes: int, vmap: int, runs: int, engine: str, why: str
) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    monkeypatch.setattr(choosing, "_LARGE", {"lanes": lanes, "vmap": vmap})
    outcome = swept(small, runs)
    assert (outcome.engine, outcome.why) == (engine, why)


def test_a_few_runs_of_a_large_network_do_not_fill_the_lanes(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    monkeypatch.setattr(choosing, "_A_RUN", 5)
    outcome = swept(small, 3)
    assert (outcome.engine, outcome.why) == (
        "loop",
        "One run after the other. lanes gains nothing with 3 runs of 17 trained numbers. "
        "vmap gains nothing with 3 runs.",
    )
    assert swept(small, 4).engine == "lanes"


def test_bfloat16_runs_one_by_one(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_FEW_RUN_STEPS", 0)
    outcome = run_points(small, grid(parse_axis("lr", "log:1e-3:1e-1:8")), steps=2, precision="bf16")
    assert outcome.engine == "loop"
    assert outcome.why == (
        "One run after the other. lanes could not: bfloat16 autocast runs one by one. "
        "vmap could not: bfloat16 autocast runs one by one."
    )
