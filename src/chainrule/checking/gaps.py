"""Cells of a table that hold nothing to judge: text, an error, nothing, or a formula that cannot be read."""

from collections.abc import Callable, Iterator

import numpy as np

from chainrule.checking.evidence import Evidence
from chainrule.checking.readings import Reading, UnreadableError
from chainrule.spreadsheets import ErrorValue

_MOST = 6  # cells that are named


def gaps_of(evidence: Evidence, numbers_of: Callable[[Reading], np.ndarray], names: frozenset[str]) -> str:
    """Return which cells of a table were passed over, and why, in one sentence; "" where there are none.

    Empty cells above the first and below the last number of a column are no gaps: a table may begin or end so.

    Args:
        evidence: the table.
        numbers_of: computes a formula, (points,); raises UnreadableError where it cannot be computed.
        names: of the columns that were judged; what is given needs numbers too.
    """
    gaps = [gap for name in evidence.table.columns for gap in _gaps(evidence, numbers_of, name, name in names)]
    if not gaps:
        return ""
    more = f" and {len(gaps) - _MOST} more" if len(gaps) > _MOST else ""
    return f"Passed over, because there is no number to judge: {', '.join(gaps[:_MOST])}{more}."


def _gaps(evidence: Evidence, numbers_of: Callable[[Reading], np.ndarray], name: str, is_judged: bool) -> Iterator[str]:
    column, readings = evidence.table.columns[name], evidence.readings(name)
    cells = [evidence.reader.cell(address) for address in column.cells]
    filled = [row for row, cell in enumerate(cells) if cell is not None and cell.value is not None]
    unread: dict[int, str] = {}  # by the identity of a reading, which the copies of a formula share
    for row in range(filled[0], filled[-1] + 1) if filled else ():
        cell, reading = cells[row], readings[row]
        reason = ""
        if reading is not None:
            if is_judged and id(reading) not in unread:
                unread[id(reading)] = _unread(reading, numbers_of)
            reason = unread.get(id(reading), "")
        elif cell is None or cell.value is None:
            reason = "empty"
        elif isinstance(cell.value, ErrorValue):
            reason = str(cell.value)
        elif isinstance(cell.value, bool | str):
            reason = f"the text {str(cell.value)[:30]!r}"
        if reason:
            yield f"{column.cells[row]} in column {name} ({reason})"


def _unread(reading: Reading, numbers_of: Callable[[Reading], np.ndarray]) -> str:
    try:
        numbers_of(reading)
    except UnreadableError as error:
        return f"its formula cannot be read: {error}"
    return ""
