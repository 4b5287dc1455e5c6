"""What computing the formulas again brought to light, as notes for the reader of a report."""

import math
from collections.abc import Iterator, Mapping, Sequence

from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.book import Sheet, Value
from chainrule.spreadsheets.nodes import ErrorValue

SAME = 1e-9  # relative; programs round what they store to 15 digits, and their EXP may differ in the last one
SAME_NEAR_ZERO = 1e-14  # differences of nearly equal numbers keep the rounding of what they were made from
MOST_OF_A_KIND = 5  # notes; a file can be built so that there are thousands

Place = tuple[int, int, int]  # sheet, row, column


def same_value(computed: Value, stored: Value) -> bool:
    """Whether a stored value is what the formula gives, but for rounding.

    Numbers agree to a relative 1e-9, or to an absolute 1e-14 near zero; texts and errors agree exactly.
    """
    if isinstance(computed, float) and isinstance(stored, float):
        return math.isclose(computed, stored, rel_tol=SAME, abs_tol=SAME_NEAR_ZERO)
    return type(computed) is type(stored) and computed == stored


def shown(value: Value) -> str:
    """Return a value as notes write it: numbers with 10 digits, texts in quotation marks."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value) if isinstance(value, ErrorValue) else repr(str(value)[:40])


def notes_on_sheet(sheet: Sheet, not_computed: Mapping[Address, str], circular: Sequence[Address]) -> Iterator[str]:
    """Yield the notes on one sheet.

    Args:
        sheet: with the computed values.
        not_computed: why a formula was not computed, to go on from "A1, which".
        circular: the cells that need themselves.
    """
    left_out = set(circular)
    missing: list[Address] = []
    stale: list[Address] = []
    by_reason: dict[str, list[Address]] = {}
    for address, cell in sheet.cells.items():
        if cell.formula is None or address in left_out:
            continue
        if address in not_computed:
            by_reason.setdefault(not_computed[address], []).append(address)
        elif cell.stored is None:
            missing.append(address)
        elif not same_value(cell.value, cell.stored):
            stale.append(address)
    if missing:
        yield f"{sheet.name}: {count(missing, 'formula', 'formulas')} had no stored value and got one by computing."
    if stale:
        first = sheet.cells[stale[0]]
        yield (
            f"{sheet.name}: {count(stale, 'stored value is', 'stored values are')} not what the formula gives, first "
            f"{first.address}: stored {shown(first.stored)}, computed {shown(first.value)}. The computed one is used."
        )
    for reason, addresses in list(by_reason.items())[:MOST_OF_A_KIND]:
        yield (
            f"{sheet.name}: {count(addresses, 'formula was', 'formulas were')} not computed; the stored value is used. "
            f"First {addresses[0]}, which {reason}."
        )
    others = [addresses[0] for addresses in by_reason.values()][MOST_OF_A_KIND:]
    if others:
        yield f"{sheet.name}: formulas were not computed for {count(others, 'other reason', 'other reasons')}."


def notes_on_circles(circles: Sequence[Sequence[Place]], sheets: Sequence[Sheet]) -> Iterator[str]:
    """Yield the notes on formulas that need their own results."""
    for circle in circles[:MOST_OF_A_KIND]:
        yield _note_on_circle(circle, sheets)
    if len(circles) > MOST_OF_A_KIND:
        yield f"{len(circles) - MOST_OF_A_KIND} more circles of formulas that need their own results were found."


def _note_on_circle(circle: Sequence[Place], sheets: Sequence[Sheet]) -> str:
    several = len({place[0] for place in circle}) > 1
    names = [
        f"{sheets[sheet].name}!{Address(row, column)}" if several else str(Address(row, column))
        for sheet, row, column in circle
    ]
    way = names[:6] + (["…"] if len(names) > 6 else []) + names[:1]
    where = "" if several else f"{sheets[circle[0][0]].name}: "
    return (
        f"{where}a formula needs its own result ({' → '.join(way)}); these cells have no value, nor has what uses them."
    )


def count(addresses: Sequence[Address], one: str, several: str) -> str:
    """Return how many cells there are, with the word for one or several."""
    return f"{len(addresses)} {one if len(addresses) == 1 else several}"
