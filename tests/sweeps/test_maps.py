from pathlib import Path

import numpy as np
import polars
import pytest

from chainrule.errors import ChainruleError, TraceFileError
from chainrule.sweeps import Map, Status, Want, map_runs, read_map, run_points, write_map
from chainrule.sweeps.maps import MapRequest, plan_of, points_of, usual_axes
from chainrule.tasks import load_task

TASK = "two-two-two-even"
RATES = {"lr.0": "log:1e-2:1e3", "lr.1": "log:1:1e5"}
SIDE, STEPS = 4, 12


def small_map(**options: object) -> Map:
    return map_runs(TASK, RATES, resolution=SIDE, steps=STEPS, **{"engine": "loop", **options})  # type: ignore[arg-type]


def test_a_pixel_is_the_run_of_its_point() -> None:
    task = load_task(TASK)
    found = small_map(engine="lanes")
    want = Want(losses=True, measure="convergence")
    for row, column in ((0, 0), (2, 3), (3, 1), (3, 3)):
        point = found.point(row, column)
        assert point == {"lr.1": found.plan.y.values[row], "lr.0": found.plan.x.values[column]}
        alone = run_points(task, [point], steps=STEPS, want=want, engine="loop")
        assert alone.losses is not None
        assert alone.measure is not None
        assert found.final_loss[row, column] == pytest.approx(alone.final_loss[0], rel=1e-9)
        assert found.measure[row, column] == pytest.approx(alone.measure[0], rel=1e-9)


def test_rows_go_up_along_y_and_columns_right_along_x() -> None:
    found = map_runs("xor", {"lr.0": "1e-3,1", "lr.1": "1e-3,1e-2,1e-1"}, steps=3, engine="loop")
    assert found.measure.shape == (3, 2)
    assert found.point(2, 0) == {"lr.1": 1e-1, "lr.0": 1e-3}


def test_pixels_are_spaced_as_in_the_published_code() -> None:
    task = load_task("xor")
    plan = plan_of(task, {"lr.0": "log:1e-3:1e6", "lr.1": "lin:0:2"}, MapRequest(resolution=17))
    np.testing.assert_allclose(plan.x.values, np.logspace(-3, 6, 17), rtol=1e-13)
    np.testing.assert_allclose(plan.y.values, np.linspace(0, 2, 17), rtol=1e-15)
    lr0, lr1 = np.meshgrid(np.logspace(-3, 6, 17), np.linspace(0, 2, 17))
    points = points_of(plan)
    np.testing.assert_allclose([point["lr.0"] for point in points], lr0.ravel(), rtol=1e-13)
    np.testing.assert_allclose([point["lr.1"] for point in points], lr1.ravel(), rtol=1e-13)


@pytest.mark.parametrize("measure", ["convergence", "final_loss", "lowest_loss", "steps_to:1e-4"])
def test_every_measure_is_what_its_losses_say(measure: str) -> None:
    found = small_map(measure=measure)
    losses = run_points(load_task(TASK), points_of(found.plan), steps=STEPS, engine="loop").losses
    assert losses is not None
    losses = losses.reshape(SIDE, SIDE, STEPS)
    if measure == "final_loss":
        np.testing.assert_array_equal(found.measure, losses[..., -1])
    elif measure == "lowest_loss":
        np.testing.assert_array_equal(found.measure, np.nanmin(losses, axis=2))
    elif measure == "steps_to:1e-4":
        reached = (losses <= 1e-4).any(axis=2)
        np.testing.assert_array_equal(found.succeeds, reached)
        np.testing.assert_array_equal(found.measure, np.where(reached, (losses <= 1e-4).argmax(axis=2), np.nan))
        column = found.to_polars()["measure"].to_numpy().reshape(SIDE, SIDE)
        np.testing.assert_array_equal(np.isnan(column), ~reached)
        assert reached.any()
        assert not reached.all()
    if measure in ("convergence", "final_loss"):
        assert found.convergence is not None
        assert found.succeeds.any()
        assert not found.succeeds.all()
        share = np.nan_to_num(losses / losses[..., :1], nan=1e6, posinf=1e6).clip(max=1e6)
        np.testing.assert_array_equal(found.succeeds, share.mean(axis=2) < 1)


def test_accuracy_of_the_test_part() -> None:
    found = map_runs(
        "iris", {"lr": "log:1e-4:1", "weight_decay": "0,.1"}, resolution=3, steps=20, measure="test_accuracy"
    )
    assert found.metric_name == "accuracy"
    assert found.measure.shape == (2, 3)
    assert ((found.measure >= 0) & (found.measure <= 1)).all()
    best = found.landscape().best
    assert best is not None
    assert found.measure[best.row, best.column] == found.measure[found.succeeds].max()


def test_a_zoomed_map_computes_the_window() -> None:
    found = small_map(zoom=(10.0, 100.0, 5.0))
    assert found.measure.shape == (SIDE, SIDE)
    assert found.plan.x.values[0] * found.plan.x.values[-1] == pytest.approx(100.0)
    assert found.plan.y.values[0] * found.plan.y.values[-1] == pytest.approx(10_000.0)
    assert found.plan.x.values[-1] / found.plan.x.values[0] == pytest.approx(10.0)


def test_a_file_holds_the_whole_map(tmp_path: Path) -> None:
    for options in ({"measure": "final_loss"}, {"measure": "steps_to:1e-4"}, {}):
        found = small_map(**options)
        write_map(found, tmp_path / "map.npz")
        again = read_map(tmp_path / "map.npz")
        for name in ("measure", "final_loss", "diverged", "steps_run", "is_done"):
            np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        if found.convergence is None:
            assert again.convergence is None
        else:
            np.testing.assert_array_equal(again.convergence, found.convergence)
        assert (again.plan, again.task, again.to_dict()) == (found.plan, found.task, found.to_dict())
        with np.load(tmp_path / "map.npz", allow_pickle=False) as file:
            np.testing.assert_array_equal(file["x"], found.plan.x.values)
            np.testing.assert_array_equal(file["y"], found.plan.y.values)


def test_a_file_that_is_no_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, x=np.zeros(3))
    with pytest.raises(TraceFileError) as caught:
        read_map(path)
    assert str(caught.value) == (
        f"{path} cannot be read as a map.\n"
        "  found:    KeyError: 'metadata is not a file in the archive'\n"
        "  expected: the .npz file that `chainrule map -o FILE.npz` wrote"
    )
    path.write_bytes(b"no archive")
    with pytest.raises(TraceFileError, match="cannot be read as a map"):
        read_map(path)


def test_a_table_has_a_row_for_each_pixel(tmp_path: Path) -> None:
    found = small_map()
    table = found.to_polars()
    table.write_parquet(tmp_path / "map.parquet")
    read = polars.read_parquet(tmp_path / "map.parquet")
    assert read.height == SIDE * SIDE
    assert read.columns == ["lr.0", "lr.1", "state", "measure", "final_loss", "diverged", "steps_run"]
    row = read.row(2 * SIDE + 3, named=True)
    assert (row["lr.0"], row["lr.1"]) == (found.plan.x.values[3], found.plan.y.values[2])
    assert row["measure"] == found.measure[2, 3]
    assert row["state"] == ("converged" if found.succeeds[2, 3] else "diverged")


class Stop:
    """Interrupts when some runs are done."""

    def tell(self, status: Status) -> None:
        if status.runs_done >= 5:
            raise KeyboardInterrupt


def test_a_map_that_was_interrupted_knows_what_is_done_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small_map()
    monkeypatch.setattr("chainrule.sweeps.tiles._SECONDS", 0.0)  # a tile for each run
    monkeypatch.setattr("chainrule.sweeps.running._TELL_SECONDS", 0.0)
    stopped = small_map(folder=tmp_path, progress=Stop())
    done = int(stopped.is_done.sum())
    assert 1 <= done < SIDE * SIDE
    assert stopped.was_interrupted
    np.testing.assert_array_equal(np.isnan(stopped.measure), ~stopped.is_done)
    np.testing.assert_array_equal(stopped.measure[stopped.is_done], whole.measure[stopped.is_done])
    assert stopped.to_polars().filter(polars.col("state") == "not run").height == SIDE * SIDE - done
    assert repr(stopped) == f"Map('two-two-two-even', lr.0 by lr.1, {done} of 4 by 4 runs, measure='convergence')"
    resumed = small_map(folder=tmp_path)
    np.testing.assert_array_equal(resumed.measure, whole.measure)


def test_usual_axes() -> None:
    for name, keys in {
        "xor": ("lr.0", "lr.1"),
        "two-two-two": ("lr.0", "lr.1"),
        "fractal-tanh": ("lr.0", "lr.1"),
    }.items():
        x, y = usual_axes(load_task(name), 4)
        assert (x.key, y.key, len(x), len(y), x.scale) == (*keys, 4, 4, "log")
    x, _ = usual_axes(load_task("fractal-tanh"), 4)
    assert (x.values[0], x.values[-1]) == (1e-3, 1e6)
    alone = load_task("two-two-two", {"model": {"layers": [2], "activation": "Sigmoid"}, "optimizer.name": "SGD"})
    assert [axis.key for axis in usual_axes(alone)] == ["lr", "init.scale"]


@pytest.mark.parametrize(
    ("axes", "options", "text"),
    [
        (
            {"lr.0": "log:1:2"},
            {},
            "A map is over two hyperparameters.\n  found:    lr.0\n  expected: x and y\n"
            "`chainrule sweep` takes one, or more than two.",
        ),
        (
            {"lr": "log:1:2", "optimizer.lr": "log:1:2"},
            {},
            "The two axes of a map are the same hyperparameter.\n  found: x is lr, y is optimizer.lr\n"
            "Rates of single weight layers are lr.0, lr.1 and so on.",
        ),
        (
            {"lr.0": "log:2:1", "lr.1": "log:1:2"},
            {},
            "The window of 'lr.0' is empty or turned around.\n  found:    from 2.0 to 1.0\n"
            "  expected: the lower end first",
        ),
        (
            {"lr.0": "log:1:inf", "lr.1": "log:1:2"},
            {},
            "The ends of the axis 'lr.0' are not finite.\n  found:    log:1:inf\n  expected: two finite numbers",
        ),
        (
            {"lr.0": ".5", "lr.1": "log:1:2"},
            {},
            "The axis 'lr.0' of a map has one value only.\n  found: 0.5",
        ),
        (
            {"lr.0": "log:1:2:5000", "lr.1": "log:1:2:5000"},
            {},
            "The map has too many pixels.\n"
            "  found:    5,000 by 5,000: 25,000,000 runs, about 4 GB of memory\n"
            "  expected: at most 4096 along each side\n"
            "Zoom into the part that you want to see closer.",
        ),
        (
            RATES,
            {"resolution": 1},
            "A map has at least two pixels along each side.\n  where: resolution\n  found: 1",
        ),
        (
            RATES,
            {"measure": "convergance"},
            "There is no measure 'convergance'.\n  found:    convergance\n"
            "  expected: one of convergence, final_loss, lowest_loss, steps_to:TARGET, test_accuracy\n"
            "Did you mean 'convergence'?",
        ),
        (
            RATES,
            {"measure": "test_accuracy"},
            "There is no test part to look at.\n  where:    data.test\n  found:    0\n"
            "  expected: the share of the samples that is held out\nSay for example data.test = 0.2.",
        ),
        (
            {"lr.7": "log:1:2", "lr.1": "log:1:2"},
            {},
            "The model has no weight layer 7.\n  where:    lr.7\n  found:    7\n"
            "  expected: one of 0 (hidden1.weight, hidden1.bias); 1 (output.weight, output.bias)",
        ),
        (
            {"momentun": "lin:0:.9", "lr": "log:1:2"},
            {},
            None,
        ),
        (
            {"lr": "lin:-1:1", "momentum": "lin:0:.9"},
            {},
            None,
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_explained(axes: dict[str, str], options: dict[str, object], text: str | None) -> None:
    task = load_task("xor", {"optimizer": {"name": "SGD", "lr": 0.1}})
    with pytest.raises(ChainruleError) as caught:
        map_runs(task, axes, **{"resolution": 3, "steps": 2, **options})  # type: ignore[arg-type]  # of several kinds
    if text is not None:
        assert str(caught.value) == text
    elif "momentun" in axes:
        assert str(caught.value).startswith("There is no hyperparameter 'momentun'.\n")
        assert str(caught.value).endswith("Did you mean 'momentum'?")
    else:
        assert str(caught.value) == (
            "The task cannot be trained as it is written.\noptimizer\n  found:    lr = -1, momentum = 0.0\n"
            "  expected: what torch takes; it says: Invalid learning rate: -1.0"
        )


def test_a_metric_that_is_no_accuracy_is_refused_before_the_runs() -> None:
    with pytest.raises(ChainruleError) as caught:
        map_runs("diabetes", {"lr": "log:1e-4:1", "weight_decay": "0,.1"}, resolution=2, measure="test_accuracy")
    assert str(caught.value) == (
        "The task has no accuracy, as it does not tell classes apart.\n  where:    measure\n  found:    test_accuracy\n"
        "  expected: convergence, final_loss, lowest_loss or steps_to:TARGET"
    )
