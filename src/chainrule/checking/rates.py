"""Which learning rate a table uses, and where it stands: in a cell, a column, the formulas, or only the numbers."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.checking.evidence import Evidence
from chainrule.checking.points import Points
from chainrule.checking.readings import Named, UnreadableError, compute, constants_in, names_in
from chainrule.checking.tables import RATE
from chainrule.checking.truth import Truth


@dataclass(frozen=True, slots=True)
class Rate:
    """The learning rate.

    Attributes:
        value: the number; None where it changes from row to row or is not known.
        place: where it stands, in words.
        is_written: it stands in the formulas as a number.
    """

    value: float | None
    place: str
    is_written: bool = False


def named_rate(evidence: Evidence) -> Rate | None:
    """Return the rate that has a name in the file: a column or a labelled number."""
    if evidence.has(RATE):
        values = evidence.stated[RATE]
        values = values[np.isfinite(values)]
        value = float(values[0]) if len(values) and np.ptp(values) == 0 else None
        return Rate(value, f"column {evidence.table.columns[RATE].address}")
    if RATE in evidence.reader.constants:
        labelled = evidence.reader.constants[RATE]
        return Rate(labelled.value, f"cell {labelled.address or labelled.label}")
    return None


def unnamed_rate_cell(evidence: Evidence, trained: tuple[str, ...]) -> str:
    """Return the cell without a name that most updates read, which can only be the rate; "" if there is none."""
    found: Counter[str] = Counter()
    count = 0
    for name, _ in update_columns(evidence, trained):
        reading = evidence.commonest(name, 1 if not name.endswith("⁺") else 0)
        if reading is None:
            continue
        count += 1
        if any(part.name == RATE for part in names_in(reading)):
            continue
        found.update({part.cell for part in constants_in(reading) if part.cell})
    if not found:
        return ""
    cell, uses = found.most_common(1)[0]
    return cell if 2 * uses > count else ""


def update_columns(evidence: Evidence, trained: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the columns that hold the result of an update, with their parameter."""
    for name in trained:
        if evidence.has(name) and evidence.table.rows > 1:
            yield name, name
        if evidence.has(f"{name}⁺"):
            yield f"{name}⁺", name


def implied_rate(evidence: Evidence, truth: Truth, trained: tuple[str, ...]) -> float | None:
    """Return the rate that most updates use: (w − w⁺)/∂E/∂w, from formulas at random points or from the numbers."""
    points = Points(truth, [RATE])
    found: Counter[float] = Counter()
    for name, parameter in update_columns(evidence, trained):
        offset = 0 if name.endswith("⁺") else -1
        reading = evidence.commonest(name, 1 if offset else 0)
        if reading is not None:
            ratio = _of_formula(points, reading, parameter, offset)
        else:
            ratio = _of_numbers(evidence, name, parameter, offset)
        if ratio is not None:
            found[ratio] += 1
    if not found:
        return None
    value, _ = max(found.items(), key=lambda item: (item[1], item[0] > 0))
    return abs(value)


def _of_formula(points: Points, reading: object, parameter: str, offset: int) -> float | None:
    try:
        result = compute(reading, lambda part: points.value_of(part.name, part.offset))  # type: ignore[arg-type]
        with np.errstate(all="ignore"):
            ratio = (points.value_of(parameter, offset) - result) / points.value_of(f"∂E/∂{parameter}", offset)
    except (UnreadableError, KeyError):
        return None
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio) or np.ptp(ratio) > 1e-6 * abs(float(ratio[0])):
        return None
    return float(f"{float(np.median(ratio)):.9g}")


def _of_numbers(evidence: Evidence, name: str, parameter: str, offset: int) -> float | None:
    stated = evidence.stated
    if f"∂E/∂{parameter}" not in stated or parameter not in stated:
        return None
    before, gradient, after = stated[parameter], stated[f"∂E/∂{parameter}"], stated[name]
    if offset:
        before, gradient, after = before[:-1], gradient[:-1], after[1:]
    with np.errstate(all="ignore"):
        ratios = (before - after) / gradient
    ratios = ratios[np.isfinite(ratios)]
    return float(f"{float(np.median(ratios)):.2g}") if len(ratios) else None


def is_read(evidence: Evidence, trained: tuple[str, ...]) -> bool:
    """Return whether the updates read the rate from where it is named."""
    readings = [
        evidence.commonest(name, 0 if name.endswith("⁺") else 1) for name, _ in update_columns(evidence, trained)
    ]
    known = [reading for reading in readings if reading is not None]
    return not known or any(part == Named(RATE, part.offset) for reading in known for part in names_in(reading))
