"""From cells to quantities: which quantity of which row a cell holds, and what its formula says of others."""

from collections.abc import Mapping

from chainrule.checking.readings import Cells, Constant, Named, Operation, Reading, Unclear, names_in
from chainrule.checking.tables import Labelled, Table
from chainrule.spreadsheets import (
    Address,
    Array,
    Binary,
    Book,
    Boolean,
    Call,
    Cell,
    DefinedName,
    ErrorLiteral,
    ErrorValue,
    Formula,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Sheet,
    Text,
    Unary,
    Unread,
    read_address,
)

_DEEPEST = 24  # cells without a name that are followed, one through the other
_WIDEST = 4096  # cells of a range


class CellReader:
    """Reads the formulas of one table as formulas over quantities.

    Args:
        book: the file.
        sheet: the sheet of the table.
        table: the table.
        constants: named numbers beside it, by quantity.
    """

    def __init__(self, book: Book, sheet: Sheet, table: Table, constants: Mapping[str, Labelled]) -> None:
        self.sheet, self.table, self.constants = sheet, table, constants
        self._sheets = {one.name.lower(): one for one in book.sheets}
        self._places: dict[Address, tuple[str, int]] = {}
        for quantity, column in table.columns.items():
            for row, cell in enumerate(column.cells):
                self._places[cell] = (quantity, row)
        # A constant whose quantity has a column is the column's first number: initial weights beside the table.
        self._labels = {
            labelled.address: (quantity, 0 if quantity in table.columns else None)
            for quantity, labelled in constants.items()
            if labelled.address is not None
        }
        self.cell_names: dict[str, str] = {}
        self._copies: dict[tuple[str, int], Reading] = {}
        self._is_copied = True  # whether what was read last reads the same in every row

    def learn(self, cell: str, quantity: str) -> None:
        """Take a cell without a name for a quantity that is the same in every row: the learning rate."""
        address = read_address(cell)
        if address is not None:
            self._copies.clear()
            self._labels[address] = (quantity, None)
            self.cell_names[quantity] = cell

    def cell(self, address: Address) -> Cell | None:
        """Return the cell of the table's sheet at an address."""
        return self.sheet.cells.get(address)

    def formula(self, quantity: str, row: int) -> Formula | None:
        """Return the formula in a quantity's column; None where a number was typed, or nothing stands."""
        cell = self.cell(self.table.columns[quantity].cells[row])
        return cell.formula if cell is not None else None

    def value(self, quantity: str, row: int) -> float | None:
        """Return the number in a quantity's column; None where there is none."""
        cell = self.cell(self.table.columns[quantity].cells[row])
        if cell is None or isinstance(cell.value, bool | str) or cell.value is None:
            return None
        return float(cell.value)

    def reading(self, formula: Formula, row: int) -> Reading:
        """Return a formula that stands in a row of the table, over quantities.

        Copies of a formula read the same wherever all their cells are in the table or fast, so one is read for all.
        """
        key = (formula.pattern.key, formula.at.column)
        known = self._copies.get(key)
        if known is not None and all(0 <= row + part.offset < self.table.rows for part in names_in(known)):
            return known
        self._is_copied = not self.table.is_turned
        reading = self._read(formula.tree, self.sheet, row, 0)
        if self._is_copied:
            self._copies[key] = reading
        return reading

    def _read(self, node: Node, sheet: Sheet, row: int, depth: int) -> Reading:
        if isinstance(node, Number):
            return Constant(float(node.value))
        if isinstance(node, Boolean):
            return Constant(float(node.value))
        if isinstance(node, Missing):
            return Constant(0.0)
        if isinstance(node, Reference):
            place = self._sheets.get(node.sheet.lower()) if node.sheet is not None else sheet
            if place is None:
                return Unclear(f"there is no sheet {node.sheet}")
            return self._at(node.address, place, row, depth, node.is_row_fixed)
        if isinstance(node, RangeReference):
            self._is_copied = False
            return self._range(node, sheet, row, depth)
        if isinstance(node, Binary):
            left, right = self._read(node.left, sheet, row, depth), self._read(node.right, sheet, row, depth)
            return Operation(node.operator, (left, right))
        if isinstance(node, Unary):
            return Operation(node.operator, (self._read(node.operand, sheet, row, depth),))
        if isinstance(node, Call):
            arguments = tuple(self._read(argument, sheet, row, depth) for argument in node.arguments)
            return Operation(node.name.upper().removeprefix("_XLFN."), arguments)
        if isinstance(node, Array):
            return Cells(tuple(self._read(item, sheet, row, depth) for line in node.rows for item in line))
        if isinstance(node, Unread):
            return Unclear(node.reason)
        if isinstance(node, DefinedName):
            return Unclear(f"the name {node.name} is not defined")
        if isinstance(node, ErrorLiteral):
            return Unclear(f"it holds {node.value}")
        return Unclear(f"there is a text in it: {node.value!r}" if isinstance(node, Text) else "it holds no number")

    def _range(self, node: RangeReference, sheet: Sheet, row: int, depth: int) -> Reading:
        place = self._sheets.get(node.sheet.lower()) if node.sheet is not None else sheet
        if place is None or node.size > _WIDEST:
            return Unclear("it reads a range that is too large" if place is not None else f"there is no {node.sheet}")
        upper, lower = node.corners
        return Cells(
            tuple(
                self._at(Address(line, column), place, row, depth, is_fast=False)
                for line in range(upper.row, lower.row + 1)
                for column in range(upper.column, lower.column + 1)
                if Address(line, column) in place.cells
            )
        )

    def _at(self, address: Address, sheet: Sheet, row: int, depth: int, is_fast: bool) -> Reading:
        if sheet is self.sheet:
            if address in self._places:
                quantity, other = self._places[address]
                self._is_copied &= not is_fast
                return Named(quantity, other - row)
            if address in self._labels:
                quantity, first = self._labels[address]
                self._is_copied &= is_fast and first is None
                return Named(quantity, 0 if first is None else first - row)
        self._is_copied = False
        cell = sheet.cells.get(address)
        if cell is None or cell.value is None:
            return Constant(0.0, str(address))  # as spreadsheets take an empty cell
        if cell.formula is not None and depth < _DEEPEST:
            return self._read(cell.formula.tree, sheet, row, depth + 1)
        if isinstance(cell.value, bool):
            return Constant(float(cell.value), str(address))
        if isinstance(cell.value, ErrorValue):
            return Unclear(f"{address} holds {cell.value}")
        if isinstance(cell.value, str):
            return Unclear(f"{address} holds the text {cell.value[:30]!r}")
        return Constant(float(cell.value), str(address))
