"""The box-counting dimension of the edge between converging and diverging runs, and how far to trust it.

The estimator is biased at the sizes of pictures, so a dimension is shown beside those of three sets whose dimension
is known, counted in the same way at the same size: a straight line (1), noise (2), and the edge of gradient descent on
a quadratic, which is smooth (1).

Source: the code of J. Sohl-Dickstein, "The boundary of neural network trainability is fractal", arXiv:2402.06184
(2024): edges, box sizes, boxes that count, and the median of local slopes. There the median is taken over the frames
of a whole zoom; here over one picture. Beside it stands a straight-line fit over boxes whose sides are powers of two,
which has less bias: on Sierpinski's triangle (1.585) it is exact where the published estimator gives 1.72.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ShapeError
from chainrule.shapes import Bool, Float

_SIZES = 10  # box sizes, spaced evenly in their logarithm
_FEWEST = 3  # of them that have boxes on the edge, for a slope to mean anything


@dataclass(frozen=True, slots=True)
class Dimension:
    """A box-counting dimension.

    Attributes:
        value: by the published estimator, the median of the local slopes; NaN where the edge is too small to have one.
        fit: by a straight line through log(count) over log(size), of boxes of 2, 4, 8, ... pixels up to an eighth of
            the picture, the full ones among them; NaN as above.
        sizes: the sides of the boxes, in pixels.
        counts: boxes of each size that hold a piece of the edge and are not full of it.
        slopes: −d log(count)/d log(size), at each size.
    """

    value: float
    fit: float
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    slopes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Dimensions of known sets, by the same estimator at the same size.

    Attributes:
        line: of a straight line at 30° (1 is right).
        noise: of the edges of pixels whose sign is drawn evenly (2 is right).
        quadratic: of the edge of trainability of gradient descent on a quadratic with two rates (1 is right).
    """

    line: Dimension
    noise: Dimension
    quadratic: Dimension


def edge_of(measure: Float[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows-1 columns-1"]:
    """Return where a 2×2 block of pixels holds runs of both signs: converged (below 0) and diverged (above).

    Pixels that are NaN, such as runs that were not made, make no edge.
    """
    blocks = np.stack([measure[:-1, :-1], measure[:-1, 1:], measure[1:, :-1], measure[1:, 1:]])
    known = np.where(np.isnan(blocks), 0.0, blocks)
    # The source multiplies the largest and the least of a block; their signs are enough, and cannot overflow.
    return np.asarray((known.max(axis=0) > 0) & (known.min(axis=0) < 0))


def box_dimension(edge: Bool[np.ndarray, "rows columns"]) -> Dimension:
    """Return the box-counting dimension of a set of pixels.

    D = −d log N(s)/d log s, where N(s) boxes of s×s pixels hold a pixel of the set and are not full of it.

    Raises:
        ShapeError: fewer than 16 pixels along a side: no range of box sizes is left.
    """
    side = min(edge.shape)
    if side < 16:
        raise ShapeError(
            what="The picture is too small for a box-counting dimension.",
            found=f"{edge.shape[0]} by {edge.shape[1]} pixels",
            expected="at least 16 along each side; 256 and more for a number to rely on",
        )
    sizes = np.unique(np.logspace(1, np.log10(side), _SIZES).astype(int))
    if sizes[0] > side // 2:
        sizes = np.unique(np.logspace(0, np.log10(side), _SIZES).astype(int))
    counts = np.array([_boxes(edge, int(size)) for size in sizes])
    usable = counts > 0
    slopes = np.array([])
    if usable.sum() >= _FEWEST:
        slopes = -np.gradient(np.log(counts[usable]), np.log(sizes[usable]))
    return Dimension(
        float(np.median(slopes)) if len(slopes) else float("nan"),
        _fitted(edge),
        tuple(map(int, sizes)),
        tuple(map(int, counts)),
        tuple(map(float, slopes)),
    )


def _fitted(edge: NDArray[np.bool_]) -> float:
    powers = [2**power for power in range(1, 16) if 2**power <= min(edge.shape) // 8]
    counts = [_boxes(edge, size, with_full=True) for size in powers]
    points = [(np.log(size), np.log(count)) for size, count in zip(powers, counts, strict=True) if count]
    if len(points) < _FEWEST:
        return float("nan")
    sizes, numbers = np.array(points).T
    return float(-np.polyfit(sizes, numbers, 1)[0])


def calibrate(side: int, seed: int = 0) -> Calibration:
    """Return what the estimator makes of three known sets of `side` by `side` pixels.

    Args:
        side: pixels along each side.
        seed: of the noise.
    """
    place = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(place, place)
    tilt = np.radians(30)
    line = edge_of(np.cos(tilt) * (y - 0.5) - np.sin(tilt) * (x - 0.5))
    noise = edge_of(np.where(np.random.default_rng(seed).random((side, side)) < 0.5, -1.0, 1.0))
    quadratic = _quadratic_edge(x, y)
    return Calibration(box_dimension(line), box_dimension(noise), box_dimension(quadratic))


def _quadratic_edge(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The edge of trainability of E = ½ wᵀHw with one rate for each weight, from 10⁻² to 10² of the stable ones.

    One step is w ← (1 − diag(η)·H)·w, which shrinks exactly when both eigenvalues of diag(η)·H, which are real and
    positive, are below 2.
    """
    first, second, mixed = 1.0, 1.0, 0.5
    a, b = 10.0 ** (4 * x - 2) * first, 10.0 ** (4 * y - 2) * second
    coupling = a * b * mixed**2
    largest = (a + b) / 2 + np.sqrt(((a - b) / 2) ** 2 + coupling)
    return edge_of(largest - 2)


def _boxes(edge: NDArray[np.bool_], size: int, *, with_full: bool = False) -> int:
    rows, columns = (-(-extent // size) for extent in edge.shape)
    # A box that the border cuts is as full as it can be when all of its own pixels are in the set.
    inside = np.zeros((rows * size, columns * size), dtype=bool)
    inside[: edge.shape[0], : edge.shape[1]] = edge
    outside = np.ones_like(inside)
    outside[: edge.shape[0], : edge.shape[1]] = edge
    has_any = inside.reshape(rows, size, columns, size).any(axis=(1, 3))
    if with_full:
        return int(has_any.sum())
    has_all = outside.reshape(rows, size, columns, size).all(axis=(1, 3))
    return int((has_any & ~has_all).sum())
