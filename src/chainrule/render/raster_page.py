"""A map on a page, to zoom and to look at run by run: the figure, and the script and style that it needs.

The script and the style lie beside this file. The page's content security policy allows that one script by its digest.
"""

import base64
import hashlib
import json
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from chainrule.documents import ColourBar, Raster, RasterAxis
from chainrule.render.plain_text import printable, printable_line
from chainrule.render.raster_colours import hex_of, key_of, palette_of

HINT: Final = (
    "Point at the map, or tap it, to see the numbers of a run. Wheel or pinch zooms, dragging moves. With keys: arrows "
    "choose a run, + and − zoom, 0 shows the whole map."
)
_SIGNS: Final = {"ring": "○", "star": "☆"}
_STOPS: Final = 14  # of a gradient


@lru_cache
def raster_script() -> str:
    """Return the script of pages that hold a map."""
    return (files("chainrule.render") / "raster.js").read_text(encoding="utf-8")


@lru_cache
def raster_style() -> str:
    """Return the style of pages that hold a map."""
    return (files("chainrule.render") / "raster.css").read_text(encoding="utf-8")


def script_digest() -> str:
    """Return the source expression that allows the script in a content security policy."""
    digest = hashlib.sha256(raster_script().encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def explorer_html(raster: Raster) -> str:
    """Return the figure of a map that can be zoomed; it needs `raster_script` and `raster_style`."""
    title = _text(printable_line(raster.title))
    marks = "".join(f"<span>{_SIGNS[mark.sign]} {_text(mark.label)}</span>" for mark in raster.marks)
    command = (
        '<p class="raster-command" hidden><span>To draw this part closer:</span><code></code>'
        '<button type="button" data-act="copy">Copy</button></p>'
        if raster.command
        else ""
    )
    caption = f"<figcaption>{_text(raster.caption)}</figcaption>" if raster.caption else ""
    return f"""<figure class="raster" data-hint="{_text(HINT)}">
<div class="raster-map">
<div class="raster-tools">
<button type="button" data-act="closer" aria-label="Zoom in">+</button>
<button type="button" data-act="farther" aria-label="Zoom out">−</button>
<button type="button" data-act="whole">Whole map</button>
<span class="raster-closeness" role="status"></span>
</div>
<canvas tabindex="0" role="application" aria-label="{title}. {_text(HINT)}"></canvas>
{_key(raster.colours)}
</div>
<div class="raster-side">
<p class="raster-marks">{marks}</p>
<dl class="raster-readout" aria-live="polite"></dl>
{command}
</div>
{caption}
<noscript><p>This map is drawn by a script inside the page, and scripts are switched off.</p></noscript>
<script type="application/json">{_data(raster)}</script>
</figure>"""


def _data(raster: Raster) -> str:
    data: dict[str, Any] = {
        "x": _axis(raster.x),
        "y": _axis(raster.y),
        "shades": raster.shades,
        "palette": base64.b64encode(palette_of(raster.colours.kind).tobytes()).decode("ascii"),
        "facts": [
            {"label": fact.label, "packed": fact.packed, "names": [printable_line(name) for name in fact.names]}
            for fact in raster.facts
        ],
        "marks": [{"row": mark.row, "column": mark.column, "sign": mark.sign} for mark in raster.marks],
        "command": raster.command,
    }
    # So that no text can end the element that holds it.
    return json.dumps(data).replace("<", "\\u003c")


def _axis(axis: RasterAxis) -> dict[str, Any]:
    return {
        "name": printable_line(axis.name),
        "label": printable_line(axis.label),
        "low": axis.values[0],
        "high": axis.values[-1],
        "count": len(axis.values),
        "scale": axis.scale,
        "names": [printable_line(name) for name in axis.names],
    }


def _key(bar: ColourBar) -> str:
    colours = [hex_of(colour) for colour in palette_of(bar.kind)[2:]]
    half = len(colours) // 2
    if bar.sides != ("", ""):
        halves = [
            f'<div><div class="raster-colours" style="background: {_gradient(part)}"></div>'
            f'<div class="raster-ends"><span>{_text(texts[0])}</span><b>{_text(side)}</b><span>{_text(texts[1])}</span>'
            "</div></div>"
            for part, side, texts in zip(
                (colours[:half], colours[half:]), bar.sides, _texts_of_halves(bar), strict=True
            )
        ]
        shown = f'<div class="raster-halves">{"".join(halves)}</div>'
    else:
        ticks = "".join(f'<span style="left: {100 * place:.2f}%">{_text(text)}</span>' for place, text in bar.ticks)
        shown = (
            f'<div>{_text(bar.label)}</div><div class="raster-colours" style="background: {_gradient(colours)}"></div>'
            f'<div class="raster-ticks">{ticks}</div>'
        )
    keys = "".join(
        f'<div><span class="raster-swatch" style="background: {colour}"></span>{_text(text)}</div>'
        for colour, text in key_of(bar)
    )
    return f'<div class="raster-key"><div class="raster-bar">{shown}</div>{keys}</div>'


def _texts_of_halves(bar: ColourBar) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the texts at both ends of each half of a two-sided bar."""
    lower = [text for place, text in bar.ticks if place < 0.5]
    upper = [text for place, text in bar.ticks if place > 0.5]
    return (lower[0], lower[-1]), (upper[0], upper[-1])


def _gradient(colours: list[str]) -> str:
    stops = [colours[round(place * (len(colours) - 1) / (_STOPS - 1))] for place in range(_STOPS)]
    return f"linear-gradient(to right, {', '.join(stops)})"


def _text(text: str) -> str:
    return escape(printable(text), quote=True)
