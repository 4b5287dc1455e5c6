"""Rasters to be drawn: small maps with every kind of colour bar, axis and mark."""

import base64

import numpy as np
from numpy.typing import NDArray

from chainrule.documents import ColourBar, Document, Prose, Raster, RasterAxis, RasterFact, RasterMark

TWO_SIDED = ColourBar(
    "", "two-sided", ((0.0, "slowly"), (0.48, "fast"), (0.52, "fast"), (1.0, "slowly")), ("converges", "diverges")
)
SEQUENTIAL = ColourBar("final loss", "sequential", ((0.0, "10⁻⁵"), (1.0, "1")), failed="diverged", missing="not run")


def packed(values: NDArray[np.generic]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def log_axis(name: str, low: float, high: float, count: int, text: str = "") -> RasterAxis:
    return RasterAxis(name + text, f"{name}: a rate{text}", tuple(np.geomspace(low, high, count).tolist()), "log")


def small_raster(columns: int = 40, rows: int = 20, text: str = "", bar: ColourBar = TWO_SIDED) -> Raster:
    """Return a map: its left half converges, and a run measures 100 times its row plus its column."""
    shades = np.zeros((rows, columns), np.uint8)
    shades[:] = np.where(np.arange(columns) < columns // 2, 60, 200)
    if bar.missing:
        shades[0], shades[1] = 0, 1
    states = np.where(np.arange(columns) < columns // 2, 1, 2) * np.ones((rows, 1))
    measure = 100.0 * np.arange(rows)[:, None] + np.arange(columns)
    return Raster(
        "map",
        "A map" + text,
        log_axis("lr.0", 1e-3, 1e6, columns, text),
        log_axis("lr.1", 1e-2, 1e2, rows, text),
        packed(shades),
        bar,
        (
            RasterFact("state" + text, packed(states.astype(np.uint8)), ("not run", "converged" + text, "diverged")),
            RasterFact("measure" + text, packed(measure.astype("<f4"))),
        ),
        (RasterMark("best" + text, 3, 7), RasterMark("recommended" + text, 5, 9, "star")),
        "chainrule map xor --zoom {x} {y} {factor}",
        "Caption" + text,
    )


def document_of(raster: Raster) -> Document:
    return Document("Map", (Prose("Before."), raster, Prose("After.")))
