"""How exactly a typed number can be known: from the digits that it is written with."""

import math

import numpy as np

_EXACT = 1e-9
_SINGLE_DIGITS = 9  # numbers of float32 are written with at most so many digits
_SINGLE = 3e-6


def written_digits(value: float) -> tuple[int, int]:
    """Return how many significant digits a number is written with, and how many of them stand behind the point.

    >>> written_digits(0.1497), written_digits(120.0), written_digits(1.5e-7)
    ((4, 4), (2, -1), (2, 8))
    """
    mantissa, _, exponent = f"{value!r}".lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    behind = len(fraction) - int(exponent or 0)
    stripped = digits.rstrip("0")
    behind -= len(digits) - len(stripped)
    return len(stripped), behind


def usual_digits(values: np.ndarray) -> tuple[int, int] | None:
    """Return to how many significant digits and decimals numbers were rounded; None where there is none but 0.

    Trailing zeros are not written, so the longest numbers say it; but not one long number among many short ones.

    Args:
        values: the numbers, (n,); NaN where there is none.
    """
    counts = [written_digits(float(value)) for value in values if math.isfinite(value) and value != 0]
    if not counts:
        return None
    place = 0 if len(counts) < 4 else max(1, len(counts) // 10)
    significant, decimals = (sorted(each, reverse=True)[place] for each in zip(*counts, strict=True))
    return significant, decimals


def half_steps(values: np.ndarray, digits: tuple[int, int] | None = None) -> np.ndarray:
    """Return by how much each number of a column may be off because it was rounded when it was written.

    It was rounded to a number of decimals or to a number of digits, whichever is coarser.

    Args:
        values: the numbers of a column, (rows,); NaN where there is none.
        digits: the significant digits and the decimals; those that the numbers show when None.
    """
    digits = digits or usual_digits(values)
    if digits is None:
        return np.zeros_like(values)
    significant, decimals = digits
    with np.errstate(all="ignore"):
        sizes = np.floor(np.log10(np.abs(values)))
        by_digits = 0.5 * 10.0 ** (sizes - significant + 1)
    by_decimals = 0.5 * 10.0 ** (-decimals)
    return np.asarray(np.where(np.isfinite(by_digits), np.maximum(by_digits, by_decimals), by_decimals))


def noise(values: np.ndarray) -> np.ndarray:
    """Return how far numbers of a column may be from the truth by rounding while they were computed.

    Numbers of few digits, and numbers that are exactly those of float32, were computed in float32.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.full_like(values, _EXACT)
    largest = float(np.max(np.abs(finite)))
    digits = max((written_digits(float(value))[0] for value in finite if value != 0), default=0)
    with np.errstate(all="ignore"):
        is_single = len(finite) > 1 and bool(np.all(finite.astype(np.float32).astype(np.float64) == finite))
    if digits <= _SINGLE_DIGITS or (is_single and digits > 6):
        return np.asarray(_SINGLE * np.abs(values) + 0.1 * _SINGLE * largest)
    return np.asarray(_EXACT * np.abs(values) + 1e-12 * largest)
