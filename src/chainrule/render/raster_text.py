"""A map in characters: coarse, with a sign for each side that is legible without colours."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chainrule.documents import Raster
from chainrule.render.raster_colours import hex_of, palette_of, shades_of
from chainrule.render.raster_picture import ticks_of

HEIGHT: Final = 22
_WIDEST: Final = 56
_MARGIN: Final = 11  # columns for the values along y

Cells = list[tuple[str, str]]
"""Texts of a line and their colours, as #rrggbb; an empty colour is the terminal's own."""


def plot_raster(raster: Raster, width: int, *, is_plain: bool) -> list[Cells]:
    """Return the lines of a map that is drawn with characters, from the top down.

    Each character stands for the run nearest to its middle.

    Args:
        raster: the map.
        width: columns that there are.
        is_plain: whether characters must be ASCII.
    """
    shades = shades_of(raster)
    rows, columns = shades.shape
    wide = min(_WIDEST, max(width - _MARGIN - 1, 8))
    high = min(HEIGHT, max(rows, 2))
    down = np.floor((np.arange(high)[::-1] + 0.5) * rows / high).astype(int)
    across = np.floor((np.arange(wide) + 0.5) * columns / wide).astype(int)
    palette = palette_of(raster.colours.kind)
    signs = _signs(raster, is_plain)
    texts = _texts_along_y(raster, high)
    lines = []
    for line, row in enumerate(down):
        cells: Cells = [(f"{texts.get(line, ''):>{_MARGIN - 1}} ", "")]
        for shade in shades[row, across]:
            cells.append((signs[int(shade)], hex_of(palette[shade])))
        lines.append(_joined(cells))
    lines.append([(_texts_along_x(raster, wide), "")])
    return lines


def legend_line(raster: Raster, *, is_plain: bool) -> str:
    """Return what the characters stand for."""
    signs = _signs(raster, is_plain)
    bar = raster.colours
    if bar.sides != ("", ""):
        parts = [f"{signs[2]} {bar.sides[0]}", f"{signs[255]} {bar.sides[1]}"]
    else:
        ends = (bar.ticks[0][1], bar.ticks[-1][1]) if bar.ticks else ("", "")
        parts = [f"{bar.label}: {signs[2]} {ends[0]} to {signs[255]} {ends[1]}"]
    parts += [f"{signs[1]} {bar.failed}"] if bar.failed else []
    parts += ["blank: " + bar.missing] if bar.missing else []
    return ", ".join(parts)


def _signs(raster: Raster, is_plain: bool) -> list[str]:
    """Return a character for each byte."""
    two = ("." * 127 + "#" * 127) if is_plain else ("·" * 127 + "█" * 127)
    steps = ".:-=+*o" if is_plain else "·∙░▒▓█"
    ramp = "".join(steps[min(place * len(steps) // 254, len(steps) - 1)] for place in range(254))
    return [" ", "x", *(two if raster.colours.kind == "two-sided" else ramp)]


def _joined(cells: Cells) -> Cells:
    """Join neighbours of one colour."""
    joined: Cells = []
    for text, colour in cells:
        if joined and joined[-1][1] == colour:
            joined[-1] = (joined[-1][0] + text, colour)
        else:
            joined.append((text, colour))
    return joined


def _texts_along_y(raster: Raster, high: int) -> dict[int, str]:
    places, texts = ticks_of(raster.y)
    found: dict[int, str] = {}
    for place, text in zip(places, texts, strict=True):
        line = high - 1 - math.floor((place + 0.5) * high / len(raster.y.values))
        found.setdefault(min(max(line, 0), high - 1), text[: _MARGIN - 2])
    return found


def _texts_along_x(raster: Raster, wide: int) -> str:
    places, texts = ticks_of(raster.x)
    line: NDArray[np.str_] = np.full(_MARGIN + wide, " ")
    free = 0
    for place, text in zip(places, texts, strict=True):
        middle = _MARGIN + math.floor((place + 0.5) * wide / len(raster.x.values))
        begin = min(max(middle - len(text) // 2, 0), len(line) - len(text))
        if begin >= free:
            line[begin : begin + len(text)] = list(text)
            free = begin + len(text) + 1
    return "".join(line.tolist()).rstrip()
