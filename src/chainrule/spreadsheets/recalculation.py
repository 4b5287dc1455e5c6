"""A workbook's formulas computed again, in the order in which they need one another, in float64."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from chainrule.spreadsheets.addresses import Address
from chainrule.spreadsheets.book import Book, BookError, Cell, Limits, Sheet
from chainrule.spreadsheets.computing import Computed, NotComputedError, SheetValues, Values, compile_formula
from chainrule.spreadsheets.functions import Grid, Result
from chainrule.spreadsheets.lifting import Budget, TooMuchError
from chainrule.spreadsheets.nodes import Binary, Call, ErrorValue, Node, RangeReference, Reference, Unary
from chainrule.spreadsheets.noticed import Place, notes_on_circles, notes_on_sheet
from chainrule.spreadsheets.patterns import Formula, Pattern
from chainrule.spreadsheets.scalars import CIRCULAR, NAME, NumberText, Scalar
from chainrule.spreadsheets.sorting import components

_MOST_COMPILED = 2000  # patterns kept as functions at a time: a table has dozens, a file built to harm has thousands


def recalculated(book: Book, limits: Limits | None = None) -> Book:
    """Compute all formulas of a workbook again.

    Formulas that are not computed (an unknown function, another workbook, a range that is too large) keep what the file
    stores, and a note says so. Formulas that need themselves get the error value #CIRCULAR!.

    Args:
        book: the workbook; what its formulas' cells hold is not used, except for formulas that are not computed.
        limits: how much ranges may read.

    Returns:
        The workbook with new values and with notes on what was stale, missing, not computed or circular.

    Raises:
        BookError: the formulas together take more steps than the limit.
    """
    bounds = limits or Limits()
    try:
        run = _Run(book, bounds)
        run.compute()
    except TooMuchError:
        raise BookError(
            what="The formulas of the workbook take too long to compute.",
            where=str(book.path),
            expected=f"at most {bounds.steps} cells read and operators computed, by all formulas together",
            next_step="Let sums and products read only the cells that are in use, or delete what is not needed.",
        ) from None
    sheets = run.sheets()
    return replace(book, sheets=sheets, notes=tuple(dict.fromkeys([*book.notes, *run.notes(sheets)])))


@final
@dataclass(frozen=True, slots=True)
class _Dependencies:
    """Which cells the copies of a pattern read: single cells and ranges, each with its sheet's number.

    Attributes:
        cells: the single cells.
        ranges: the ranges.
        steps: how many operators, functions and cells the formula has.
    """

    cells: tuple[tuple[int, Reference], ...]
    ranges: tuple[tuple[int, RangeReference], ...]
    steps: int


@final
class _Run:
    def __init__(self, book: Book, limits: Limits) -> None:
        self.book = book
        numbers = {sheet.name.lower(): number for number, sheet in enumerate(book.sheets)}
        self.values = Values(
            [_start(sheet) for sheet in book.sheets], numbers, limits.range_cells, Budget(limits.steps)
        )
        self.formulas: dict[Place, Formula] = {}
        self.areas: dict[Place, tuple[Address, Address]] = {}
        self._owners: dict[Place, Place] = {}  # of the further cells of array formulas: the cell with the formula
        for number, sheet in enumerate(book.sheets):
            arrays = {first: (first, last) for first, last in sheet.arrays}
            for address, cell in sheet.cells.items():
                if cell.formula is not None and cell.formula.at == address:
                    place = (number, *address)
                    self.formulas[place] = cell.formula
                    if address in arrays:
                        self._claim(place, arrays[address])
        self._columns = [_rows_by_column(self.formulas, self._owners, number) for number in range(len(book.sheets))]
        self._compiled: dict[tuple[Pattern, bool], Computed | str] = {}
        self._dependencies: dict[Pattern, _Dependencies] = {}
        self.not_computed: dict[Place, str] = {}
        self.circles: list[list[Place]] = []
        self.circular: list[Place] = []

    def _claim(self, place: Place, area: tuple[Address, Address]) -> None:
        sheet = place[0]
        self.areas[place] = area
        size = (area[1].row - area[0].row + 1) * (area[1].column - area[0].column + 1)
        self.values.budget.spend(size)
        for row in range(area[0].row, area[1].row + 1):
            for column in range(area[0].column, area[1].column + 1):
                if (sheet, row, column) != place:
                    self._owners[sheet, row, column] = place

    def compute(self) -> None:
        for group, is_circle in components(list(self.formulas), self.needs):
            if is_circle:
                self.circles.append(self._circle(group))
                self.circular += group
                for place in group:
                    self._keep(place, CIRCULAR)
            else:
                self._compute_one(group[0])

    def _compute_one(self, place: Place) -> None:
        sheet, row, column = place
        formula = self.formulas[place]
        pattern = formula.pattern
        compute = self._function(sheet, pattern, place in self.areas)
        if isinstance(compute, str):
            self._leave(place, compute)
            return
        try:
            result = compute(row - pattern.at.row, column - pattern.at.column)
        except NotComputedError as reason:
            self._leave(place, str(reason))
            return
        self._keep(place, result)

    def _function(self, sheet: int, pattern: Pattern, is_array: bool) -> Computed | str:
        key = pattern, is_array
        known = self._compiled.get(key)
        if known is None:
            try:
                known = compile_formula(pattern.tree, pattern.at, sheet, self.values, is_array)
            except NotComputedError as reason:
                known = str(reason)
            if len(self._compiled) >= _MOST_COMPILED:
                self._compiled.clear()
            self._compiled[key] = known
        return known

    def _leave(self, place: Place, reason: str) -> None:
        self.not_computed[place] = reason
        sheet, row, column = place
        first, last = self.areas.get(place, (Address(row, column), Address(row, column)))
        for down in range(first.row, last.row + 1):
            for right in range(first.column, last.column + 1):
                cell = self.book.sheets[sheet].cells.get(Address(down, right))
                stored = None if cell is None else cell.stored
                self.values.sheets[sheet].cells[down, right] = NAME if stored is None else stored

    def _keep(self, place: Place, result: Result) -> None:
        sheet, row, column = place
        cells = self.values.sheets[sheet].cells
        area = self.areas.get(place)
        if area is None:
            value = result.rows[0][0] if isinstance(result, Grid) else result
            cells[row, column] = 0.0 if value is None else value
            return
        grid = result if isinstance(result, Grid) else Grid([[result]])
        rows, columns = grid.shape
        for down in range(area[1].row - row + 1):
            for right in range(area[1].column - column + 1):
                at = (0 if rows == 1 else down), (0 if columns == 1 else right)
                element = grid.rows[at[0]][at[1]] if at[0] < rows and at[1] < columns else ErrorValue("#N/A")
                cells[row + down, column + right] = 0.0 if element is None else element

    def needs(self, place: Place) -> Iterator[Place]:
        """Yield the places of the formulas that a formula reads."""
        sheet, row, column = place
        pattern = self.formulas[place].pattern
        dependencies = self._dependencies.get(pattern)
        if dependencies is None:
            dependencies = self._dependencies[pattern] = self._read_by(pattern.tree, sheet)
        self.values.budget.spend(dependencies.steps)
        rows, columns = row - pattern.at.row, column - pattern.at.column
        for number, cell in dependencies.cells:
            read = (
                number,
                cell.row if cell.is_row_fixed else cell.row + rows,
                cell.column if cell.is_column_fixed else cell.column + columns,
            )
            owner = read if read in self.formulas else self._owners.get(read)
            if owner is not None:
                yield owner
        for number, area in dependencies.ranges:
            yield from self._in_range(number, area, rows, columns)

    def _in_range(self, sheet: int, area: RangeReference, rows: int, columns: int) -> Iterator[Place]:
        ends = [
            (
                corner.row if corner.is_row_fixed else corner.row + rows,
                corner.column if corner.is_column_fixed else corner.column + columns,
            )
            for corner in (area.first, area.last)
        ]
        upper, lower = sorted((ends[0][0], ends[1][0]))
        left, right = sorted((ends[0][1], ends[1][1]))
        by_column = self._columns[sheet]
        for column in by_column if right - left > len(by_column) else range(left, right + 1):
            in_use = by_column.get(column)
            if in_use is None or not left <= column <= right:
                continue
            rows_to_try = in_use if lower - upper > len(in_use) else range(upper, lower + 1)
            self.values.budget.spend(len(rows_to_try))
            for row in rows_to_try:
                if upper <= row <= lower and row in in_use:
                    place = (sheet, row, column)
                    yield place if place in self.formulas else self._owners[place]

    def _read_by(self, tree: Node, sheet: int) -> _Dependencies:
        cells: dict[tuple[int, Reference], None] = {}
        ranges: dict[tuple[int, RangeReference], None] = {}
        waiting: list[Node] = [tree]
        steps = 0
        while waiting:
            steps += 1
            match waiting.pop():
                case Reference() as cell:
                    if (number := self.values.sheet_of(cell.sheet, sheet)) is not None:
                        cells[number, cell] = None
                case RangeReference() as area:
                    if (number := self.values.sheet_of(area.sheet, sheet)) is not None:
                        ranges[number, area] = None
                case Binary(_, left, right):
                    waiting += [left, right]
                case Unary(_, operand):
                    waiting.append(operand)
                case Call(_, arguments):
                    waiting += arguments
        return _Dependencies(tuple(cells), tuple(ranges), steps)

    def _circle(self, group: Sequence[Place]) -> list[Place]:
        """Return one circle within formulas that all need one another, from its first cell."""
        inside = set(group)
        place = min(inside)
        walked: dict[Place, None] = {}
        while place not in walked:
            walked[place] = None
            place = next(needed for needed in self.needs(place) if needed in inside)
        way = list(walked)
        circle = way[way.index(place) :]
        start = circle.index(min(circle))
        return circle[start:] + circle[:start]

    def sheets(self) -> tuple[Sheet, ...]:
        return tuple(self._sheet(number, sheet) for number, sheet in enumerate(self.book.sheets))

    def _sheet(self, number: int, sheet: Sheet) -> Sheet:
        values = self.values.sheets[number].cells
        cells: dict[Address, Cell] = {}
        for address, cell in sheet.cells.items():
            if cell.formula is None:
                cells[address] = cell
            else:
                cells[address] = Cell(address, values.get(address), cell.formula, cell.stored)
        return replace(sheet, cells=cells)

    def notes(self, sheets: Sequence[Sheet]) -> Iterator[str]:
        """Yield what was noticed; `sheets` have the computed values."""
        yield from notes_on_circles(self.circles, sheets)
        for number, sheet in enumerate(sheets):
            reasons = {Address(*place[1:]): why for place, why in self.not_computed.items() if place[0] == number}
            circular = [Address(*place[1:]) for place in self.circular if place[0] == number]
            yield from notes_on_sheet(sheet, reasons, circular)


def _start(sheet: Sheet) -> SheetValues:
    cells: dict[tuple[int, int], Scalar] = {}
    for address, cell in sheet.cells.items():
        if cell.formula is not None:
            continue
        if isinstance(cell.value, float) and isinstance(cell.stored, str):
            cells[address] = NumberText(cell.stored, cell.value)
        else:
            cells[address] = cell.value
    last_row = max((address.row for address in sheet.cells), default=1)
    last_column = max((address.column for address in sheet.cells), default=1)
    return SheetValues(cells, (last_row, last_column))


def _rows_by_column(
    formulas: Mapping[Place, Formula], owners: Mapping[Place, Place], sheet: int
) -> dict[int, dict[int, None]]:
    found: dict[int, dict[int, None]] = {}
    for place in (*formulas, *owners):
        if place[0] == sheet:
            found.setdefault(place[2], {})[place[1]] = None
    return found
