"""The colours of maps: which colour stands for each of the 256 bytes of a raster.

Of a two-sided bar one half is blue and the other orange to red, which colour-blind eyes keep apart, and both go from
dark where they meet on a map (slow runs, at the border) to pale. A sequential bar goes from dark violet to yellow.
"""

import base64
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chainrule.documents import ColourBar, Raster

MISSING: Final = "#dfe3e7"
FAILED: Final = "#dba591"
_LOWER: Final = ("#08204f", "#0c3f86", "#1764ab", "#3788c0", "#64a9d3", "#9acae1", "#cfe6f1")
_UPPER: Final = ("#fdecc8", "#fdcf8f", "#fba95c", "#f17c36", "#dd571c", "#b73412", "#83190b")
_SEQUENCE: Final = (
    "#440154", "#482173", "#433e85", "#38588c", "#2d708e", "#25858e", "#1e9b8a", "#2ab07f", "#52c569", "#86d549",
    "#c2df23", "#fde725",
)  # fmt: skip
_FIRST: Final = 2  # bytes 0 and 1 are missing and failed

Palette = NDArray[np.uint8]


@lru_cache
def palette_of(kind: str) -> Palette:
    """Return the red, green and blue of each byte, (256, 3), for a bar that is "two-sided" or "sequential"."""
    count = 256 - _FIRST
    if kind == "two-sided":
        shades = np.concatenate([_between(_LOWER, count // 2), _between(_UPPER, count - count // 2)])
    else:
        shades = _between(_SEQUENCE, count)
    return np.concatenate([[_parts(MISSING), _parts(FAILED)], shades]).astype(np.uint8)


def shades_of(raster: Raster) -> NDArray[np.uint8]:
    """Return the byte of each cell, [row, column], rows from the bottom up."""
    packed = np.frombuffer(base64.b64decode(raster.shades), np.uint8)
    return packed.reshape(len(raster.y.values), len(raster.x.values))


def colours_of(raster: Raster) -> NDArray[np.uint8]:
    """Return the red, green and blue of each cell, [row, column, 3], rows from the bottom up."""
    return np.asarray(palette_of(raster.colours.kind)[shades_of(raster)])


def hex_of(colour: NDArray[np.uint8]) -> str:
    """Return a colour as #rrggbb."""
    return "#" + "".join(f"{int(part):02x}" for part in colour)


def key_of(bar: ColourBar) -> list[tuple[str, str]]:
    """Return the colours that stand beside a bar, and what they mean."""
    return [(colour, text) for colour, text in ((FAILED, bar.failed), (MISSING, bar.missing)) if text]


def _between(anchors: tuple[str, ...], count: int) -> NDArray[np.float64]:
    """Return so many colours on the way from the first anchor to the last, evenly apart in sRGB."""
    known = np.array([_parts(anchor) for anchor in anchors], np.float64)
    places = np.linspace(0, len(anchors) - 1, count)
    return np.stack([np.rint(np.interp(places, np.arange(len(anchors)), part)) for part in known.T], axis=1)


def _parts(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
