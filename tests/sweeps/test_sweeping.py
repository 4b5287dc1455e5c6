"""Sweeps of real tasks: the worked example's own numbers, phases, borders, and what is recommended."""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

import chainrule
from chainrule.errors import UnknownNameError
from chainrule.sweeps import Axis, Sweep, sweep
from chainrule.sweeps.pull import least_pulls
from chainrule.sweeps.sweeping import main_axis
from chainrule.tasks import load_task

# The loss after 1, 10, 50, 100 and 1000 updates, to the digits of a spreadsheet that was computed elsewhere.
TABLE = {
    "two-two-two": {
        0.1: (0.241109039, 0.228678311, 0.179745045, 0.133510607, 0.012547772),
        0.2: (0.239701143, 0.215424641, 0.133394752, 0.079166423, 0.005245443),
        0.5: (0.235495378, 0.179463719, 0.063392460, 0.029166680, 0.001626109),
        0.8: (0.231317286, 0.149382844, 0.037698662, 0.016386628, 0.000876694),
        1.0: (0.228547765, 0.132460781, 0.028908896, 0.012395124, 0.000649182),
        2.0: (0.214901599, 0.076922980, 0.012226108, 0.005160109, 0.000243915),
    },
    "two-two-two-even": {
        0.1: (0.014100103, 0.013386897, 0.010591045, 0.007847397, 0.000024748),
        0.2: (0.014019034, 0.012630201, 0.007840989, 0.004228942, 3.748e-08),
        0.5: (0.013777062, 0.010574552, 0.003066739, 0.000614262, 1.1e-16),
        0.8: (0.013536951, 0.008814569, 0.001159279, 0.000085282, 2.9e-25),
        1.0: (0.013377916, 0.007789126, 0.000599191, 0.000022563, 4.6e-31),
        2.0: (0.012595286, 0.004092358, 0.000020272, 2.547e-08, 0.0),
    },
}


def phases(found: Sweep) -> dict[Any, str]:
    axis = found.points.axes[0].key
    return {
        point[axis]: verdict.phase
        for point, verdict in zip(found.points, found.verdicts, strict=True)
        if verdict is not None
    }


@pytest.fixture(scope="module", params=list(TABLE))
def assignment(request: pytest.FixtureRequest) -> Sweep:
    return sweep(request.param, steps=1001, engine="lanes")


@pytest.fixture(scope="module")
def uneven() -> Sweep:
    return sweep("two-two-two", {"lr": "log:1:1e4:21"}, steps=300, engine="lanes")


def test_the_rates_of_the_worked_example_are_its_usual_sweep_and_give_its_numbers(assignment: Sweep) -> None:
    table = TABLE[assignment.task.name]
    assert [point["lr"] for point in assignment.points] == list(table)
    for row, expected in zip(assignment.curves, table.values(), strict=True):
        found = [row[update] for update in (1, 10, 50, 100, 1000)]
        for value, digits in zip(found, expected, strict=True):
            assert (
                abs(value - digits) <= max(5.1e-10, 0.02 * digits) if digits > 1e-9 else value < 1.06 * digits + 1e-31
            )


def test_every_rate_of_the_assignment_converges_and_the_largest_is_best(assignment: Sweep) -> None:
    assert set(phases(assignment).values()) == {"converging"}
    best = assignment.best
    assert best is not None
    assert best.value == 2.0
    edge = assignment.edge
    assert edge is not None
    assert (edge.is_reached, edge.below, edge.largest) == (False, 2.0, 2.0)
    assert [verdict.evidence.rises for verdict in assignment.verdicts if verdict is not None] == [0.0] * 6 or (
        assignment.task.name == "two-two-two-even"
    )


def test_uneven_targets_saturate_and_never_diverge(uneven: Sweep) -> None:
    found = phases(uneven)
    assert all(
        phase == ("converging" if rate < 160 else "saturated") for rate, phase in found.items() if rate != 10**2.25
    )
    assert "diverging" not in found.values()
    stuck = [verdict for verdict in uneven.verdicts if verdict is not None and verdict.phase == "saturated"]
    assert all(abs(verdict.evidence.end - 1e-4) < 2e-6 for verdict in stuck)
    assert all(verdict.evidence.rises == 0 for verdict in uneven.verdicts if verdict is not None)
    edge, plateau = uneven.edge, uneven.border("saturated")
    assert edge is not None
    assert plateau is not None
    assert (edge.is_reached, edge.largest) == (False, 1e4)
    assert plateau.first is not None
    assert plateau.below is not None
    assert 100 < plateau.below < plateau.first < 200
    assert plateau.first / plateau.below < 1.06
    assert len(plateau.extra) == uneven.extra_runs > 0


def test_saturation_is_seen_without_a_run_that_does_better() -> None:
    found = sweep("two-two-two", {"lr": [500, 10_000]}, steps=100)
    assert set(phases(found).values()) == {"saturated"}
    assert (found.best, found.recommended) == (None, None)


def test_what_is_recommended_keeps_a_margin(uneven: Sweep) -> None:
    best, chosen = uneven.best, uneven.recommended
    assert best is not None
    assert chosen is not None
    assert best.margin is not None
    assert chosen.margin is not None
    assert best.margin < 3 <= chosen.margin
    assert chosen.value < best.value
    trained = {p["lr"]: v.evidence.end for p, v in zip(uneven.points, uneven.verdicts, strict=True) if v and v.trains}
    plateau = uneven.border("saturated")
    assert plateau is not None
    assert plateau.first is not None
    allowed = {rate: end for rate, end in trained.items() if plateau.first / rate >= 3}
    assert chosen.value == min(allowed, key=allowed.__getitem__)


def test_even_targets_rise_from_a_rate_of_about_a_hundred_and_end_above_the_start() -> None:
    found = sweep("two-two-two-even", {"lr": [10, 50, 100, 2000, 10_000]}, steps=100, narrows=False)
    rises = {point["lr"]: v.evidence.rises for point, v in zip(found.points, found.verdicts, strict=True) if v}
    assert rises[10] == 0
    assert rises[100] > 0
    assert phases(found) == {
        10: "converging",
        50: "converging",
        100: "converging",
        2000: "saturated",
        10_000: "saturated",
    }
    last = found.verdicts[-1]
    assert last is not None
    assert last.evidence.end == pytest.approx(0.25)


LINEAR = {
    "name": "least squares",
    "data": {"inputs": [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, 1.0]], "targets": [[1.0], [2.0], [2.0], [4.0]]},
    "model": {"layers": [1], "bias": False},
    "loss": {"name": "MSELoss"},
    "optimizer": {"name": "SGD", "lr": 0.1},
    "run": {"precision": "float64", "device": "cpu"},
}


def test_the_edge_of_least_squares_is_two_over_the_largest_curvature() -> None:
    """Gradient descent on a quadratic is stable exactly below 2/λmax, and its minimum is no plateau."""
    inputs = np.array(LINEAR["data"]["inputs"])  # type: ignore[index]
    limit = 2 / np.linalg.eigvalsh(2 * inputs.T @ inputs / 4).max()
    found = sweep(LINEAR, {"lr": "log:1e-3:10:9"}, steps=300, engine="lanes")
    edge, plateau = found.edge, found.border("saturated")
    assert edge is not None
    assert plateau is not None
    assert edge.below is not None
    assert edge.first is not None
    assert edge.below < limit < edge.first
    assert edge.first / edge.below <= 1.08
    assert not plateau.is_reached
    assert "saturated" not in phases(found).values()
    settled = [v for v in found.verdicts if v is not None and v.evidence.is_stuck()]
    assert settled
    assert all(v.evidence.pull is not None and v.evidence.pull > 0.05 for v in settled)


def test_dead_units_are_stuck_though_the_bias_of_the_output_finds_the_mean() -> None:
    task = {
        "data": {"inputs": [[1.0], [2.0], [3.0]], "targets": [[1.0], [2.0], [6.0]]},
        "model": {
            "layers": [2, 1],
            "activation": "ReLU",
            "weights": [[[0.5], [0.4]], [[0.5, 0.5]]],
            "biases": [[0.1, 0.1], 0.0],
        },
        "loss": "MSELoss",
        "optimizer": {"name": "SGD", "lr": 0.01},
        "run": {"precision": "float64", "device": "cpu"},
    }
    found = sweep(task, {"lr": [0.01, 0.5]}, steps=400, engine="lanes", narrows=False)
    assert phases(found) == {0.01: "converging", 0.5: "saturated"}
    dead = found.verdicts[1]
    assert dead is not None
    assert dead.evidence.pull == 0.0
    assert dead.evidence.end == pytest.approx(np.var([1.0, 2.0, 6.0]))


def test_a_target_loss_counts_as_solved() -> None:
    found = sweep(load_task("two-two-two", {"stop.target_loss": 0.01}), {"lr": [0.1, 2.0]}, steps=300)
    slow, fast = found.verdicts
    assert slow is not None
    assert fast is not None
    assert slow.evidence.solved_at is None
    solved = fast.evidence.solved_at
    assert solved is not None
    assert found.curves[1, solved - 1] > 0.01 >= found.curves[1, solved]
    assert fast.reason == f"solved after {solved} updates"


def test_several_axes_are_combined_and_the_rate_is_the_main_one() -> None:
    found = sweep("two-two-two", {"momentum": [0.0, 0.9], "lr": [0.5, 2]}, steps=30)
    assert [dict(point) for point in found.points] == [
        {"momentum": 0.0, "lr": 0.5},
        {"momentum": 0.0, "lr": 2},
        {"momentum": 0.9, "lr": 0.5},
        {"momentum": 0.9, "lr": 2},
    ]
    assert found.axis == Axis("lr", (0.5, 2))
    assert len(found.borders) == 4
    assert [point["momentum"] for point in found.points if len(found.borders_at(point)) != 2] == []


def test_networks_of_different_shapes_can_be_compared() -> None:
    found = sweep(LINEAR | {"model": {"layers": [3, 1]}}, {"model.layers.0": [1, 3], "lr": [0.01, 0.05]}, steps=50)
    assert len(found.curves) == 4
    assert np.isfinite(found.curves).all()


@pytest.mark.parametrize(
    ("axes", "keys", "expected"),
    [
        ((Axis("momentum", (0.1, 0.2)), Axis("lr", (1, 2))), ("optimizer.momentum", "optimizer.lr"), "lr"),
        ((Axis("seed", (1, 2)), Axis("momentum", (0.1, 0.2))), ("seed", "optimizer.momentum"), "momentum"),
        ((Axis("seed", (1, 2)),), ("seed",), None),
        ((Axis("lr", (0.1,)),), ("optimizer.lr",), None),
        ((Axis("model.activation", ("ReLU", "Tanh")),), ("model.activation",), None),
    ],
)
def test_the_main_axis_is_a_scale(axes: tuple[Axis, ...], keys: tuple[str, ...], expected: str | None) -> None:
    found = main_axis(axes, keys)
    assert (None if found is None else found.key) == expected


def test_a_sweep_without_a_scale_has_a_best_run_and_no_borders() -> None:
    found = sweep("xor", {"model.activation": ["ReLU", "Tanh"]}, steps=20)
    assert (found.axis, found.borders, found.edge) == (None, (), None)
    assert found.best is not None
    assert found.best.value in ("ReLU", "Tanh")


def test_the_tables_hold_every_run_and_every_step(uneven: Sweep) -> None:
    runs, steps = uneven.to_polars(), uneven.losses_to_polars()
    assert runs.height == 21
    assert runs["phase"].to_list() == [verdict.phase for verdict in uneven.verdicts if verdict is not None]
    assert steps.height == 21 * 300
    third = steps.filter(polars.col("run") == 3)
    assert third["loss"].to_numpy().tolist() == uneven.curves[3].tolist()
    assert third["step"].to_list() == list(range(300))
    assert set(third["lr"]) == {uneven.points[3]["lr"]}
    data = uneven.to_dict()
    assert data["phases"]["saturated"] == uneven.counts["saturated"]
    assert data["borders"][0]["is_reached"] is False


def test_a_sweep_shows_itself(uneven: Sweep, tmp_path: Path) -> None:
    assert repr(uneven).startswith("Sweep('two-two-two', 21 runs: ")
    uneven.write_page(tmp_path / "page.html")
    assert "saturated" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert chainrule.sweep is sweep


def test_a_hyperparameter_that_nothing_has_is_named_with_near_ones() -> None:
    with pytest.raises(UnknownNameError) as raised:
        sweep("two-two-two", {"momentm": [0.1, 0.2]})
    assert str(raised.value).startswith("There is no hyperparameter 'momentm'.")
    assert "Did you mean 'momentum'?" in str(raised.value)


def test_a_folder_keeps_what_is_done(tmp_path: Path) -> None:
    first = sweep("two-two-two", {"lr": [0.5, 900.0]}, steps=60, folder=tmp_path)
    again = sweep("two-two-two", {"lr": [0.5, 900.0]}, steps=60, folder=tmp_path)
    assert first.curves.tolist() == again.curves.tolist()
    assert first.borders == again.borders
    assert first.verdicts == again.verdicts


@pytest.mark.parametrize("rate", [1.0, 150.0, 500.0])
def test_the_pull_of_one_sample_and_two_outputs_by_hand(rate: float) -> None:
    """One sample: Σⱼ ‖∂L/∂ŷ[j] · ∂ŷ[j]/∂W‖ of the output layer is |δ₁|·‖h‖ + |δ₂|·‖h‖."""

    def of_output(first: Any, second: Any) -> float:
        hidden = 1 / (1 + np.exp(-first @ np.array([0.05, 0.1])))
        out = 1 / (1 + np.exp(-second @ hidden))
        return float(np.abs((out - np.array([0.01, 0.99])) * out * (1 - out)).sum() * np.linalg.norm(hidden))

    first, second = np.array([[0.15, 0.2], [0.25, 0.3]]), np.array([[0.4, 0.45], [0.5, 0.55]])
    moved = {"hidden1.weight": first, "output.weight": second * np.array([[-rate], [rate]])}
    same = {"hidden1.weight": first, "output.weight": second}
    found, one = least_pulls(load_task("two-two-two"), [{"lr": rate}, {"lr": 1.0}], [moved, same], 9)
    assert found is not None
    assert one is not None
    # The hidden layer is pulled through the output layer, so it has the larger share where that has grown.
    assert math.isclose(found, of_output(first, moved["output.weight"]) / of_output(first, second), rel_tol=1e-9)
    assert math.isclose(one, 1.0, rel_tol=1e-12)


def test_verdicts_are_plain_data(uneven: Sweep) -> None:
    assert pickle.loads(pickle.dumps(uneven.verdicts)) == uneven.verdicts  # noqa: S301 - our own bytes
