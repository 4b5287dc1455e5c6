import numpy as np
import pytest

from chainrule.sweeps import Axis, parse_axis
from chainrule.sweeps.landscape import Landscape, look_at, reach

X, Y = parse_axis("lr.0", "log:1e-2:1e2:81"), parse_axis("lr.1", "log:1e-2:1e2:81")


def seen(succeeds: np.ndarray, ranking: np.ndarray | None = None, is_done: np.ndarray | None = None) -> Landscape:
    known = np.ones_like(succeeds) if is_done is None else is_done
    numbers = np.log10(np.array(X.values)) if ranking is None else ranking
    return look_at(X, Y, np.broadcast_to(numbers, succeeds.shape).astype(float), succeeds & known, known)


def product_below(limit: float) -> np.ndarray:
    """Runs succeed where the product of both rates is below a limit."""
    return np.outer(Y.values, X.values) < limit * (1 + 1e-9)


def test_the_share_is_of_the_runs_that_are_done() -> None:
    succeeds = product_below(1.0)
    half = np.zeros_like(succeeds)
    half[:40] = True
    found = seen(succeeds, is_done=half)
    assert found.done == 40 * 81
    assert found.share == pytest.approx(succeeds[:40].mean())


def test_the_best_is_the_lowest_that_succeeds_and_its_distances_are_those_of_its_lines() -> None:
    ranking = -np.outer(np.ones(81), np.log10(np.array(X.values)))  # the larger x the better
    found = seen(product_below(1.0), ranking)
    best = found.best
    assert best is not None
    assert (best.x, best.y) == (pytest.approx(100.0), pytest.approx(0.01))
    above = best.beyond[1]
    assert above is not None
    assert above == pytest.approx(10 ** (4 / 80))  # the next pixel fails
    assert best.beyond[0] is None
    assert best.below == (None, None)


def test_what_is_recommended_has_no_failing_run_within_the_margin() -> None:
    rng = np.random.default_rng(0)
    ranking = rng.random((81, 81))
    succeeds = rng.random((81, 81)) < 0.995
    found = seen(succeeds, ranking)
    chosen = found.recommended
    assert chosen is not None
    far = reach(X)
    assert far == 9  # a factor 3 is 0.477 decades, at 20 pixels a decade
    allowed = {
        (row, column)
        for row in range(81)
        for column in range(81)
        if succeeds[max(row - far, 0) : row + far + 1, max(column - far, 0) : column + far + 1].all()
    }
    assert (chosen.row, chosen.column) == min(allowed, key=lambda at: ranking[at])
    assert found.best is not None
    assert ranking[found.best.row, found.best.column] == ranking[succeeds].min()


def test_nothing_is_recommended_where_everything_is_near_the_border() -> None:
    succeeds = np.zeros((81, 81), bool)
    succeeds[40:44] = True
    found = seen(succeeds)
    assert found.best is not None
    assert found.recommended is None


def test_nothing_is_best_where_nothing_succeeds() -> None:
    found = seen(np.zeros((81, 81), bool))
    assert (found.best, found.recommended, found.share, found.dimension) == (None, None, 0.0, None)


def test_a_clean_border_is_crossed_once_by_a_line_and_stripes_more_often() -> None:
    clean = np.broadcast_to(np.array(X.values) < 1.01, (81, 81))
    along_x, along_y = seen(clean).roughness
    assert (along_x.lines, along_x.crossings, along_x.per_decade) == (81, 1.0, 1.0)
    assert (along_y.lines, along_y.crossings, along_y.per_decade) == (0, 0.0, None)
    striped = clean.copy()
    striped[:, 44:46] = True  # a strip beyond the border that succeeds all the same
    along_x, _ = seen(striped).roughness
    assert (along_x.crossings, along_x.per_decade) == (3.0, 3.0)


def test_roughness_is_the_same_at_any_resolution_of_the_same_border() -> None:
    fine = parse_axis("lr.0", "log:1e-2:1e2:321")
    succeeds = np.broadcast_to(np.array(fine.values) < 1.01, (5, 321))
    few = parse_axis("lr.1", "log:1:10:5")
    found = look_at(fine, few, np.zeros(succeeds.shape), succeeds, np.ones_like(succeeds))
    assert found.roughness[0].per_decade == 1.0


def test_noise_is_rougher_than_a_line_and_the_calibration_stands_beside() -> None:
    rng = np.random.default_rng(1)
    noisy, smooth = seen(rng.random((81, 81)) < 0.5), seen(product_below(1.0))
    assert noisy.dimension is not None
    assert smooth.dimension is not None
    assert smooth.calibration is not None
    assert noisy.dimension.value > smooth.dimension.value + 0.3
    assert smooth.calibration.noise.value == pytest.approx(noisy.dimension.value, abs=0.2)


def test_small_maps_have_no_dimension() -> None:
    axis = parse_axis("lr.0", "log:1e-2:1e2:63")
    succeeds = np.outer(axis.values, axis.values) < 1
    found = look_at(axis, axis, np.zeros((63, 63)), succeeds, np.ones_like(succeeds))
    assert (found.dimension, found.calibration) == (None, None)


def test_lists_have_no_distances_and_no_margin() -> None:
    names = Axis("model.activation", ("ReLU", "Tanh", "Sigmoid"))
    succeeds = np.array([[True, False, True]] * 81)
    found = look_at(names, Y, np.zeros((81, 3)), succeeds, np.ones_like(succeeds))
    assert found.best is not None
    assert (found.best.x, found.best.beyond, found.best.below) == ("ReLU", (None, None), (None, None))
    assert reach(names) == 0


def test_a_coarse_map_has_a_margin_of_a_pixel() -> None:
    coarse = parse_axis("lr.0", "log:1e-2:1e2:5")
    assert reach(coarse) == 1
    succeeds = np.ones((5, 5), bool)
    succeeds[4, 4] = False
    found = look_at(coarse, coarse, -np.arange(25.0).reshape(5, 5), succeeds, np.ones_like(succeeds))
    assert found.best is not None
    assert found.recommended is not None
    assert (found.best.row, found.best.column) == (4, 3)
    assert (found.recommended.row, found.recommended.column) == (4, 2)


@pytest.mark.parametrize("rows", [1, 2, 9, 10, 40])
def test_runs_that_were_not_made_are_no_evidence(rows: int) -> None:
    made = np.zeros((81, 81), bool)
    made[:rows] = True
    ranking = -np.outer(np.arange(81.0), np.ones(81))  # the higher the better
    found = seen(np.ones_like(made), ranking, made)
    assert found.best is not None
    assert found.best.row == rows - 1
    assert found.best.known == ((X.values[0], X.values[80]), (Y.values[0], Y.values[rows - 1]))
    assert found.may_recommend
    assert found.dimension is None
    last = rows - 1 - reach(Y)  # above it a run within the margin is missing
    assert (None if found.recommended is None else found.recommended.row) == (last if last >= 0 else None)
    assert not seen(np.ones_like(made), ranking).may_recommend


def test_a_distance_does_not_reach_over_runs_that_were_not_made() -> None:
    succeeds = np.ones((81, 81), bool)
    succeeds[:, 60] = False
    made = np.ones_like(succeeds)
    made[:, 50] = False
    ranking = np.abs(np.arange(81.0) - 45)
    over_gap, whole = seen(succeeds, ranking, made).best, seen(succeeds, ranking).best
    assert over_gap is not None
    assert whole is not None
    assert (over_gap.column, over_gap.beyond[0], over_gap.known[0]) == (45, None, (X.values[0], X.values[49]))
    assert whole.beyond[0] == pytest.approx(10 ** (15 / 20))
