"""Cells that hold a number in disguise: stored as text, or shown as a date."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.book import Cell, Sheet
from chainrule.spreadsheets.nodes import ErrorValue
from chainrule.spreadsheets.noticed import count
from chainrule.spreadsheets.number_texts import Decimal, number_of_text

_FIRST_DAY = date(1899, 12, 30)  # day 0 of spreadsheets, right from March 1900 on
_LAST_DAY = 2_958_465  # 9999-12-31


def numbers_from_texts(sheet: Sheet, decimal: Decimal) -> tuple[Sheet, list[str]]:
    """Read the texts of a sheet that are numbers as numbers.

    Args:
        sheet: as the file has it; cells with formulas are left as they are.
        decimal: the sign between whole number and decimals in this file.

    Returns:
        The sheet, in which such a cell has the number as value and the text as stored, and notes on them.
    """
    changed: dict[Address, Cell] = {}
    unclear: list[Cell] = []
    for address, cell in sheet.cells.items():
        text = cell.value
        if cell.formula is not None or not isinstance(text, str) or isinstance(text, ErrorValue):
            continue
        number = number_of_text(text, decimal)
        if number is not None:
            changed[address] = Cell(address, number, None, text)
        elif any(number_of_text(text, other) is not None for other in _EITHER):
            unclear.append(cell)
    notes = []
    if changed:
        first = next(iter(changed.values()))
        notes.append(
            f"{sheet.name}: {count(list(changed), 'number is', 'numbers are')} stored as text, first {first.address} "
            f"({first.stored!r}), and read as {'a number' if len(changed) == 1 else 'numbers'}."
        )
    if unclear:
        notes.append(
            f"{sheet.name}: {count([cell.address for cell in unclear], 'text', 'texts')} could be two numbers, first "
            f"{unclear[0].address} ({unclear[0].value!r}), and stayed text; write numbers without thousands separators."
        )
    return (replace(sheet, cells={**sheet.cells, **changed}) if changed else sheet), notes


_EITHER: tuple[Decimal, ...] = ("comma", "point")


def date_note(name: str, dates: Sequence[tuple[Address, float]]) -> str:
    """Return the note on cells of a sheet that show numbers as dates; 0.5 typed where 0,5 is written becomes one."""
    address, number = dates[0]
    day = f" ({_FIRST_DAY + timedelta(days=int(number))})" if 0 <= number <= _LAST_DAY else ""
    several = count([place for place, _ in dates], "cell shows a date", "cells show dates")
    return (
        f"{name}: {several}, first {address}{day}, read as its number of days, {number:.10g}. A number typed with the "
        "decimal sign of another country becomes a date."
    )
