"""Where a cell is: row and column, counted from 1, and as spreadsheets write them."""

import re
from functools import lru_cache
from typing import NamedTuple

LAST_ROW = 1_048_576
LAST_COLUMN = 16_384  # XFD

_ADDRESS = re.compile(r"\$?([A-Za-z]{1,3})\$?([1-9][0-9]{0,6})")


class Address(NamedTuple):
    """One cell's place on its sheet; sorted by row, then column.

    A named tuple, because every cell of a workbook is looked up by one.

    >>> str(Address(33, 5))
    'E33'

    Attributes:
        row: from 1.
        column: from 1, so that 1 is column A.
    """

    row: int
    column: int

    def __str__(self) -> str:
        return f"{column_letters(self.column)}{self.row}"

    @property
    def is_on_a_sheet(self) -> bool:
        """Whether a sheet is large enough to have this cell."""
        return 1 <= self.row <= LAST_ROW and 1 <= self.column <= LAST_COLUMN


@lru_cache(maxsize=4096)
def column_letters(column: int) -> str:
    """Return a column's letters: 1 is A, 27 is AA."""
    letters = ""
    while column > 0:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


@lru_cache(maxsize=4096)
def column_number(letters: str) -> int:
    """Return the column of some letters: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def read_address(text: str) -> Address | None:
    """Return the address that a text such as "E33" or "$E$33" names, or nothing where it names none."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    address = Address(int(match[2]), column_number(match[1]))
    return address if address.is_on_a_sheet else None
