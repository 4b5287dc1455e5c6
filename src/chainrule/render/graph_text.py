"""How much room the texts of a graph take; lengths in pixels.

Widths are those of DejaVu Sans and Verdana, the widest of the fonts that a reader may have, so that a text fits its box
in any of them.
"""

import unicodedata
from functools import lru_cache
from typing import Final

from chainrule.documents import GraphGroup, GraphNode
from chainrule.render.plain_text import printable_line, shortened

TITLE: Final = 13.0
SUBTITLE: Final = 11.0
LINE: Final = 10.5
LABEL: Final = 10.5
FRAME_TITLE: Final = 12.0
LINE_HEIGHT: Final = 15.0
TITLE_HEIGHT: Final = 18.0
PADDING: Final = 10.0
GAP: Final = 8.0  # between a title and its subtitle, and between a line's label and its text
LONGEST: Final = 44  # characters

_NARROW: Final = frozenset("iIl.,:;'|!()[]/jtfr ·")
_WIDE: Final = frozenset("mwMW@%∂→←")


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return about how wide a text is at a font size, rather too much than too little."""
    ems = sum(_ems(character) for character in printable_line(text))
    return ems * size * (1.13 if is_bold else 1.0)


def fitted(text: str) -> str:
    """Return a text as it is drawn: on one line, and not longer than a box may be wide."""
    return shortened(printable_line(text), LONGEST)


def box_size(node: GraphNode) -> tuple[float, float]:
    """Return the width and height of a node's box."""
    head = text_width(fitted(node.title), TITLE, is_bold=True)
    if node.subtitle:
        head += GAP + text_width(fitted(node.subtitle), SUBTITLE)
    label = label_width(node)
    rows = [label + text_width(fitted(text), LINE) for _, text in node.lines]
    width = max(64.0, head, *rows)
    below = len(node.lines) * LINE_HEIGHT + (4.0 if node.lines else 0.0)
    sides = 2 * PADDING + (8.0 if node.shape == "value" else 4.0)
    return width + sides, TITLE_HEIGHT + 2 * 6.0 + below


def label_width(node: GraphNode) -> float:
    """Return how wide the labels of a node's lines are, with the gap after them."""
    widths = [text_width(fitted(label), LINE) for label, _ in node.lines if label]
    return max(widths) + GAP if widths else 0.0


def frame_title_width(group: GraphGroup) -> float:
    """Return how wide a frame's title and subtitle are together."""
    title = text_width(fitted(group.title), FRAME_TITLE, is_bold=True)
    return title + GAP + text_width(fitted(group.subtitle), LABEL)


def _ems(character: str) -> float:
    if character in _NARROW:
        return 0.39
    if character in _WIDE:
        return 0.95
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if unicodedata.combining(character):
        return 0.0
    return 0.72 if character.isupper() else 0.63
