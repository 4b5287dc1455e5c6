"""What pictures look like: colours, type sizes, and how numbers stand on their axes."""

import math
from typing import Final

# Paul Tol's and Okabe and Ito's colours that keep apart for colour-blind eyes and on paper.
PALETTE: Final = (
    "#0072b2", "#d55e00", "#009e73", "#aa3377", "#e69f00", "#56b4e9", "#4d4d4d", "#882255", "#999933", "#332288"
)  # fmt: skip
POSITIVE: Final = "#0072b2"
NEGATIVE: Final = "#d55e00"
INK: Final = "#1f2933"
QUIET_INK: Final = "#5a6672"

STYLE: Final[dict[str, object]] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a949e",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Geneva", "Arial"],
    "grid.color": "#e3e7eb",
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "chainrule",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": "#8a949e",
    "xtick.labelcolor": QUIET_INK,
    "xtick.labelsize": 9,
    "ytick.color": "#8a949e",
    "ytick.labelcolor": QUIET_INK,
    "ytick.labelsize": 9,
}
_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(value: float, position: int | None = None) -> str:
    """Return 10⁻⁵ for 0.00001, and nothing for what is no power of ten; `position` is for matplotlib."""
    if value <= 0:
        return ""
    exponent = math.log10(value)
    return "10" + str(round(exponent)).translate(_SUPERSCRIPTS) if abs(exponent - round(exponent)) < 1e-6 else ""


def short_number(value: float, position: int | None = None) -> str:
    """Return a number with at most five significant digits; `position` is for matplotlib."""
    return f"{value:.5g}"


def two_or_five(value: float, position: int | None = None) -> str:
    """Return 2 and 5 times a power of ten as short numbers, and nothing for others; `position` is for matplotlib."""
    return short_number(value) if f"{value:.1e}"[:3] in ("2.0", "5.0") else ""


def legible_on(red: float, green: float, blue: float) -> str:
    """Return the colour of text, white or black, that has the higher contrast on an sRGB colour (WCAG 2.2)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    luminance = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"
