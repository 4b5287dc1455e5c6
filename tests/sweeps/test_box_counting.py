"""The dimension of sets whose dimension is known."""

import numpy as np
import pytest

from chainrule.errors import ShapeError
from chainrule.sweeps.box_counting import box_dimension, calibrate, edge_of


def test_edges_are_where_signs_meet() -> None:
    measure = np.array([[-1.0, -1.0, 2.0], [-3.0, -1.0, np.nan], [-1.0, -2.0, np.nan]])
    assert edge_of(measure).tolist() == [[False, True], [False, False]]
    assert not edge_of(np.full((4, 4), np.nan)).any()


@pytest.mark.parametrize("side", [512, 1024])
def test_known_sets_have_about_their_dimension(side: int) -> None:
    calibration = calibrate(side)
    for found, known in ((calibration.line, 1), (calibration.noise, 2), (calibration.quadratic, 1)):
        assert found.value == pytest.approx(known, abs=0.08)
        assert found.fit == pytest.approx(known, abs=0.08)


def test_a_fractal_of_known_dimension_lies_between() -> None:
    rows, columns = np.indices((1024, 1024))
    triangle = (rows & columns) == 0  # Sierpinski's, log 3/log 2 = 1.585
    found = box_dimension(triangle)
    assert found.fit == pytest.approx(np.log(3) / np.log(2), abs=1e-9)
    assert 1.5 < found.value < 1.8  # the published estimator's bias


def test_a_box_that_is_full_does_not_count() -> None:
    full = box_dimension(np.ones((64, 64), dtype=bool))
    assert set(full.counts) == {0}
    assert np.isnan(full.value)
    assert full.slopes == ()


def test_a_picture_without_an_edge_has_no_dimension() -> None:
    assert np.isnan(box_dimension(np.zeros((128, 128), dtype=bool)).value)


def test_a_picture_that_is_too_small() -> None:
    with pytest.raises(ShapeError) as caught:
        box_dimension(np.zeros((15, 40), dtype=bool))
    assert str(caught.value) == (
        "The picture is too small for a box-counting dimension.\n"
        "  found:    15 by 40 pixels\n"
        "  expected: at least 16 along each side; 256 and more for a number to rely on"
    )


def test_the_noise_is_that_of_its_seed() -> None:
    assert calibrate(128, seed=3) == calibrate(128, seed=3)
    assert calibrate(128, seed=3).noise.fit != calibrate(128, seed=4).noise.fit
