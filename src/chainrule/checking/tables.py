"""Finding the tables of a sheet by their headers: one row per update, or one column per update.

A header is a name that `read_name` knows, with a number below it. What stands alone with a number beside it (η = 0.5,
a list of inputs left of the table) is a constant, not a column.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chainrule.notation import Name, read_name
from chainrule.spreadsheets import Address, Sheet

_FEWEST = 3  # names in one row that make a table of it
_MOST_BLANK = 2  # rows without numbers between the header and the data
_LONGEST = 600  # characters of a header
RATE = "η"
_GIVEN = ("input", "target", "parameter", "setting", "state")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table (or a row, where a table lies on its side).

    Attributes:
        header: what stands above it.
        address: where the header stands.
        name: what the header names.
        quantity: the quantity that it is taken for; "" where the header was not recognised.
        cells: where its numbers stand, from the first row of data on.
    """

    header: str
    address: Address
    name: Name | None
    quantity: str
    cells: tuple[Address, ...]

    @property
    def others(self) -> tuple[str, ...]:
        """What else the header may mean: another reading of it, or its negative where the sign is a convention."""
        if self.name is None:
            return ()
        others = [reading for reading in self.name.readings if reading != self.quantity]
        is_free = self.name.kind == "change" or (self.name.kind == "adjoint" and not re.search(r"[∂/]", self.header))
        return (*others, *(f"−{one}" for one in (self.quantity, *others) if is_free))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a training: its columns by quantity, and columns whose header was not recognised.

    Attributes:
        sheet: the name of the sheet.
        columns: by the canonical name of the quantity.
        others: columns with numbers under a header that is no known name.
        rows: how many rows of data.
        is_turned: whether every update is a column and not a row.
        first: the first row (or column) of data, as the spreadsheet counts.
    """

    sheet: str
    columns: Mapping[str, Column]
    others: tuple[Column, ...]
    rows: int
    is_turned: bool = False
    first: int = 1

    @property
    def has_results(self) -> bool:
        """Whether anything in it is computed; a table of inputs and weights alone is a list of constants."""
        return any(column.name is not None and column.name.kind not in _GIVEN for column in self.columns.values())


@dataclass(frozen=True, slots=True)
class Labelled:
    """A number with a name beside it or above it, outside of the tables."""

    name: Name
    label: Address
    address: Address | None
    value: float


@dataclass(frozen=True, slots=True)
class SheetTables:
    """What a sheet holds: tables of a training, and named numbers beside them."""

    tables: tuple[Table, ...]
    constants: tuple[Labelled, ...]
    curves: tuple[Column, ...] = ()


@lru_cache(maxsize=4096)
def name_of(text: str) -> Name | None:
    """Return what a text of a cell names."""
    return read_name(text) if 0 < len(text) <= _LONGEST else None


def find_tables(sheet: Sheet) -> SheetTables:
    """Return the tables of a sheet, and the constants beside them."""
    upright = _View(sheet, is_turned=False)
    tables = [table for table in _tables(upright) if table.has_results]
    if not tables:
        tables = [table for table in _tables(_View(sheet, is_turned=True)) if table.has_results]
    tables = _joined(tables)
    taken = {column.address for table in tables for column in (*table.columns.values(), *table.others)}
    inside = {cell for table in tables for column in table.columns.values() for cell in column.cells}
    constants = tuple(_constants(upright, taken, inside))
    return SheetTables(tuple(tables), constants, () if tables else tuple(_curves(upright)))


class _View:
    """A sheet, or the same sheet with rows and columns exchanged."""

    def __init__(self, sheet: Sheet, is_turned: bool) -> None:
        self.sheet, self.is_turned = sheet, is_turned
        turn: Callable[[Address], Address] = self.turn
        self.texts = {
            turn(place): cell.value.strip()
            for place, cell in sheet.cells.items()
            if isinstance(cell.value, str) and cell.value.strip()
        }
        self.numbers = {
            turn(place): float(cell.value)
            for place, cell in sheet.cells.items()
            if isinstance(cell.value, int | float) and not isinstance(cell.value, bool)
        }
        # A cell whose formula failed is a cell of the table all the same.
        self.filled = {*self.numbers, *(turn(place) for place, cell in sheet.cells.items() if cell.formula is not None)}

    def turn(self, place: Address) -> Address:
        return Address(place.column, place.row) if self.is_turned else place


def _tables(view: _View) -> Iterator[Table]:
    by_row: dict[int, list[Address]] = {}
    for place in sorted(view.texts):
        by_row.setdefault(place.row, []).append(place)
    header_rows: dict[int, list[Address]] = {}
    for row, places in by_row.items():
        headers = [place for place in places if _starts(view, place) is not None]
        named = {name.quantity for place in headers if (name := _quantity(view, place)) is not None}
        if len(named) >= _FEWEST:
            header_rows[row] = headers
    for row, headers in header_rows.items():
        following = min((other for other in header_rows if other > row), default=None)
        for group in _groups(view, headers):
            table = _table(view, row, group, following)
            if table is not None:
                yield table


def _quantity(view: _View, place: Address) -> Name | None:
    name = name_of(view.texts[place])
    return name if name is not None and (name.quantity is not None or name.kind == "step") else None


def _starts(view: _View, place: Address) -> int | None:
    """Return in which row the numbers under a header begin; None where there are none, or another text comes first."""
    for distance in range(1, _MOST_BLANK + 2):
        below = Address(place.row + distance, place.column)
        if below in view.filled and below not in view.texts:
            return below.row
        if below in view.texts and _quantity(view, below) is not None:
            return None
    return None


def _groups(view: _View, headers: Iterable[Address]) -> Iterator[list[Address]]:
    """Yield headers that belong to one table; where a name comes again, another table begins."""
    group: list[Address] = []
    seen: set[str] = set()
    for place in headers:
        name = _quantity(view, place)
        quantity = quantity_of(name) if name is not None else None
        if quantity is not None and quantity in seen and name is not None and len(name.readings) < 2:
            yield group
            group, seen = [], set()
        if quantity is not None:
            seen.add(quantity)
        group.append(place)
    if group:
        yield group


def _table(view: _View, row: int, group: list[Address], following: int | None) -> Table | None:
    named = [place for place in group if (name := _quantity(view, place)) is not None and name.quantity is not None]
    if len(named) < _FEWEST:
        return None
    first = min(start for place in named if (start := _starts(view, place)) is not None)
    last = first
    columns = {place.column for place in named}
    by_row: dict[int, int] = {}
    for cell in view.filled:
        if cell.column in columns and cell.row >= first:
            by_row[cell.row] = by_row.get(cell.row, 0) + 1
    while by_row.get(last + 1, 0) and (following is None or last + 1 < following):
        last += 1
    cells = range(first, last + 1)
    group = [place for place in group if not _is_single(view, place, cells)]
    quantities = _quantities(view, group)
    made = {
        place: Column(
            view.texts[place],
            view.turn(place),
            _quantity(view, place),
            quantities[place],
            tuple(view.turn(Address(line, place.column)) for line in cells),
        )
        for place in group
    }
    known = {column.quantity: column for column in made.values() if column.quantity}
    others = tuple(column for column in made.values() if column.name is None)
    return Table(view.sheet.name, known, others, len(cells), view.is_turned, first)


def _is_single(view: _View, place: Address, rows: Sequence[int]) -> bool:
    """Return whether a header is the label of one number, a setting that is typed once and holds for all rows."""
    name = _quantity(view, place)
    if name is None or name.kind != "setting" or len(rows) < 2:
        return False
    return sum(Address(row, place.column) in view.filled for row in rows) == 1


def _quantities(view: _View, group: list[Address]) -> dict[Address, str]:
    """Return what each header of a table names: where one can be read in several ways, one that is not taken."""
    names = {place: _quantity(view, place) for place in group}
    found = {place: quantity_of(name) if name is not None else "" for place, name in names.items()}
    certain = {found[place] for place, name in names.items() if name is not None and len(name.readings) < 2}
    has_layers = not {"h1", "h2"} & set(found.values())
    for place, name in names.items():
        if name is None or len(name.readings) < 2:
            continue
        readings = name.readings[::-1] if len(name.indices) == 2 and has_layers else name.readings  # h11 is h1_1
        found[place] = next((reading for reading in readings if reading not in certain), found[place])
        certain.add(found[place])
    return found


def quantity_of(name: Name) -> str:
    """Return the canonical name of what a header names; of a weight with its layer, "w12^(1)", that with it."""
    quantity = name.quantity or ""
    target = name if name.of is None else name.of
    if target.layer is None or not target.quantity or target.kind != "parameter":
        return quantity
    return quantity.replace(target.quantity, f"{target.quantity}^({target.layer})")


def _joined(tables: list[Table]) -> list[Table]:
    """Return tables in which those that are parts of one (forward pass here, gradients there) are one."""
    joined: list[Table] = []
    for table in tables:
        for place, other in enumerate(joined):
            is_same = other.sheet == table.sheet and other.rows == table.rows and other.is_turned == table.is_turned
            if is_same and not set(other.columns) & set(table.columns):
                columns = {**other.columns, **table.columns}
                joined[place] = replace(other, columns=columns, others=(*other.others, *table.others))
                break
        else:
            joined.append(table)
    return joined


def _constants(view: _View, taken: set[Address], inside: set[Address]) -> Iterator[Labelled]:
    for place, text in view.texts.items():
        if place in taken:
            continue
        name = name_of(text)
        if name is None or name.quantity is None or name.kind not in _GIVEN:
            continue
        if name.value is not None:
            yield Labelled(name, place, None, name.value)
            continue
        right = [Address(place.row, place.column + step) for step in (1, 2)]
        # The number of a header that stands once may have a blank row or units between, as the columns beside it have.
        start = _starts(view, place) if name.kind == "setting" else None
        below = [Address(start if start is not None else place.row + 1, place.column)]
        beside = right[:1] if right[0] in view.filled or right[0] in view.texts else right
        for cell in (*beside, *below):
            if cell in view.numbers and cell not in inside:
                yield Labelled(name, place, cell, view.numbers[cell])
                break


def _curves(view: _View) -> Iterator[Column]:
    """Yield columns of losses whose header says the learning rate: "η = 0.1"."""
    for place, text in view.texts.items():
        name = name_of(text)
        if name is None or name.quantity != "η" or name.value is None:
            continue
        cells = []
        below = Address(place.row + 1, place.column)
        while below in view.numbers:
            cells.append(below)
            below = Address(below.row + 1, below.column)
        if len(cells) > 1:
            yield Column(text, place, name, RATE, tuple(cells))
